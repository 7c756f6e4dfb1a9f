"""Which images a ``Dockerfile.template`` of docker-pkg builds on, read without running it.

The templates are programs (Jinja2). Only what names an image is understood: texts, variables of the
configuration, ``set``, ``~`` and ``+``, and the filter ``image_tag``. Whatever else decides about an
image is told as unknown and never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from msgspec import Struct

from imagecatalog.domain.builds import Role
from imagecatalog.errors import TooLarge

TEMPLATE_LIMIT = 1 << 18
"""Characters of one template."""
_PARENTS_LIMIT = 200
_VALUE_LIMIT = 4000
"""Characters of an expression's value: no name of an image is as long."""
_UNKNOWN = "\ufffd"
"""Stands for what only running the template would tell."""

_OPEN = re.compile(r"\{([{%#])([-+]?)")
_CLOSE = {
    sign: re.compile(r"([-+]?)" + end) for sign, end in (("{", "}}"), ("%", "%}"), ("#", "#}"))
}
_END_RAW = re.compile(r"\{%[-+]?\s*endraw\s*[-+]?%\}")
_SET = re.compile(r"set\s+([A-Za-z_]\w*)\s*=\s*(.*)", re.S)
_TOKEN = re.compile(r"""\s*(?:"([^"\\]*)"|'([^'\\]*)'|([A-Za-z_]\w*)|([|~+]))""")
_OPENS = re.compile(r"(if|for|macro|call|filter|block|with|autoescape)\b|set\s+\w+\s*(\||$)")
_CLOSES = re.compile(r"end[a-z]+\b")
_FROM = re.compile(r"(?im)^([ \t]*FROM[ \t]+)|(\bfrom=)")

_CONTINUED = re.compile(r"\\[ \t]*\n")
_COMMENT = re.compile(r"(?m)^[ \t]*#.*\n?")
_ARG = re.compile(r"ARG\s+([A-Za-z_]\w*)(?:=(\S*))?", re.I)
_STAGE = re.compile(r"FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?", re.I)
_FLAGS = re.compile(r"(?:COPY|ADD|RUN)\s+((?:--\S+\s+)+)", re.I)
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))")


class ImageUse(Struct, frozen=True, kw_only=True):
    """An image that a Dockerfile names, as it stands there, and what it is used for."""

    image: str
    role: Role


class ImageUses(Struct, frozen=True, kw_only=True):
    """All of them in the order of the file, and lines that cannot be read."""

    uses: tuple[ImageUse, ...]
    problems: tuple[str, ...] = ()


def read_template(
    text: str,
    where: str,
    *,
    variables: Mapping[str, str],
    image_tag: Callable[[str], str | None],
) -> ImageUses:
    """The images that the template names; ``image_tag`` gives a name its registry and version.

    Raises ``TooLarge``.
    """
    if len(text) > TEMPLATE_LIMIT:
        raise TooLarge(where, f"longer than {TEMPLATE_LIMIT} characters")
    return read_dockerfile(_Template(variables, image_tag).render(text))


class _Template:
    """One rendering: variables set so far, and how deep in blocks that may or may not count."""

    def __init__(
        self, variables: Mapping[str, str], image_tag: Callable[[str], str | None]
    ) -> None:
        self._variables = dict(variables)
        self._image_tag = image_tag
        self._depth = 0

    def render(self, text: str) -> str:
        """The text with every expression as its value, or as unknown."""
        parts: list[str] = []
        at, strip = 0, False
        while opening := _OPEN.search(text, at):
            data = text[at : opening.start()]
            parts.append(self._data(_strip(data, left=strip, right=opening[2] == "-")))
            closing = _CLOSE[opening[1]].search(text, opening.end())
            if closing is None:
                return "".join(parts)
            inside = text[opening.end() : closing.start()].strip()
            at, strip = closing.end(), closing[1] == "-"
            if opening[1] == "{":
                parts.append(self._value(inside))
            elif inside == "raw":
                end = _END_RAW.search(text, at)
                parts.append(self._data(text[at : end.start() if end else len(text)]))
                at = end.end() if end else len(text)
            elif opening[1] == "%":
                self._statement(inside)
        parts.append(self._data(_strip(text[at:], left=strip)))
        return "".join(parts)

    def _data(self, text: str) -> str:
        return _FROM.sub(lambda found: f"{found[0]}{_UNKNOWN}", text) if self._depth else text

    def _statement(self, text: str) -> None:
        if assigned := _SET.fullmatch(text):
            value = _UNKNOWN if self._depth else self._value(assigned[2])
            self._variables[assigned[1]] = value
        elif _OPENS.match(text):
            self._depth += 1
        elif _CLOSES.match(text):
            self._depth = max(0, self._depth - 1)

    def _value(self, expression: str) -> str:
        """Texts, names and ``image_tag``, joined by ``~`` or ``+``; unknown for all else."""
        value, term = "", ""
        wants_filter = False
        for token in _tokens(expression):
            if token is None:
                return _UNKNOWN
            kind, word = token
            if wants_filter:
                if kind != "name" or word != "image_tag":
                    return _UNKNOWN
                term, wants_filter = self._image_tag(term) or _UNKNOWN, False
            elif kind == "text":
                term += word
            elif kind == "name":
                term += self._variables.get(word, _UNKNOWN)
            elif word == "|":
                wants_filter = True
            else:
                value, term = value + term, ""
            if len(value) + len(term) > _VALUE_LIMIT:
                return _UNKNOWN
        return value + term


def _strip(text: str, *, left: bool = False, right: bool = False) -> str:
    text = text.lstrip() if left else text
    return text.rstrip() if right else text


def _tokens(expression: str) -> Iterator[tuple[str, str] | None]:
    """Yield kind and text of each token; None for what is no token of ours."""
    at, end = 0, len(expression.rstrip())
    while at < end:
        token = _TOKEN.match(expression, at)
        if token is None:
            yield None
            return
        kind = "name" if token[3] else "sign" if token[4] else "text"
        yield kind, next(group for group in token.groups() if group is not None)
        at = token.end()


def read_dockerfile(text: str) -> ImageUses:
    """The images that a Dockerfile names: each ``FROM``, and what files are copied or mounted from.

    The base is what the last stage begins with, also through stages before it.
    """
    file = _Dockerfile()
    for line in _CONTINUED.sub(" ", _COMMENT.sub("", text)).splitlines():
        file.read(line.strip())
        if len(file.uses) > _PARENTS_LIMIT:
            raise TooLarge("Dockerfile", f"more than {_PARENTS_LIMIT} images")
    return file.result()


class _Dockerfile:
    def __init__(self) -> None:
        self.uses: list[tuple[str, Role]] = []
        self._problems: list[str] = []
        self._arguments: dict[str, str] = {}
        self._stages: dict[str, str | None] = {}
        """Name or number of a stage, and the image at its bottom; None: unknown, or scratch."""
        self._count = 0
        self._bottom: str | None = None

    def read(self, line: str) -> None:
        """One instruction, its continued lines joined."""
        if (found := _ARG.match(line)) and not self._count:
            self._arguments[found[1]] = found[2] or ""
        elif found := _STAGE.match(line):
            self._begin_stage(line, found[1], found[2])
        elif found := _FLAGS.match(line):
            for flag in found[1].split():
                self._read_flag(line, flag)

    def _read_flag(self, line: str, flag: str) -> None:
        name, _, value = flag.partition("=")
        if name == "--from":
            self._copy(line, value)
        elif name == "--mount":
            for option in value.split(","):
                if option.startswith("from="):
                    self._copy(line, option.removeprefix("from="))

    def result(self) -> ImageUses:
        """What was read, the base of the last stage marked as such."""
        last = max((i for i, (n, r) in enumerate(self.uses) if n == self._bottom and r != "copy"),
                   default=None)  # fmt: skip
        uses: dict[tuple[str, Role], None] = {}
        for index, (name, role) in enumerate(self.uses):
            uses[name, "base" if index == last else role] = None
        return ImageUses(
            uses=tuple(ImageUse(image=name, role=role) for name, role in uses),
            problems=tuple(self._problems),
        )

    def _begin_stage(self, line: str, image: str, name: str | None) -> None:
        if image.strip(_UNKNOWN).lower() in self._stages:
            self._bottom = self._stages[image.strip(_UNKNOWN).lower()]
        else:
            self._bottom = self._name(line, image)
            if self._bottom:
                self.uses.append((self._bottom, "stage"))
        for key in (str(self._count), (name or "").lower()):
            if key:
                self._stages[key] = self._bottom
        self._count += 1

    def _copy(self, line: str, image: str) -> None:
        if image.strip(_UNKNOWN).lower() not in self._stages and (name := self._name(line, image)):
            self.uses.append((name, "copy"))

    def _name(self, line: str, image: str) -> str | None:
        def substitute(found: re.Match[str]) -> str:
            return self._arguments.get(found[1] or found[2], "") or _UNKNOWN

        named = _VARIABLE.sub(substitute, image)
        if _UNKNOWN in named or "$" in named:
            shown = line.replace(_UNKNOWN, "…")[:120]
            self._problems.append(f"which image is meant is not known without building: {shown}")
            return None
        return None if named.lower() == "scratch" else named
