"""apt's pins (preferences(5)), read as apt reads them."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from functools import lru_cache

from imagecatalog.domain.apt import AptPin
from imagecatalog.errors import BadDocument
from imagecatalog.formats.apt_stanzas import Stanza, read_stanzas

NEVER = -(2**15)
"""The priority of ``Pin-Priority: never``, below which there is none."""

_KINDS = ("version", "source-version", "release", "origin")
_PART_NAME = re.compile(r"[A-Za-z0-9_:-]+(\.pref)?|[A-Za-z0-9_:-][A-Za-z0-9_.:-]*\.pref")
_INTEGER = re.compile(r"[+-]?[0-9]{1,6}")
_REPEATED_GROUP = re.compile(r"\)[*+?{]")
_REPETITION = re.compile(r"[*+{]")
_MAX_REPETITIONS = 3
"""Python's matcher may take a time of this power of the name's length, and strangers write pins."""
_CLASSES = {
    "[:alpha:]": "a-zA-Z",
    "[:digit:]": "0-9",
    "[:alnum:]": "a-zA-Z0-9",
    "[:lower:]": "a-z",
    "[:upper:]": "A-Z",
    "[:space:]": r"\s",
}


def parse_preferences(files: Mapping[str, bytes]) -> tuple[tuple[AptPin, ...], tuple[str, ...]]:
    """The pins in apt's order, of which the first that matches wins, and the problems met.

    Keys are paths below the root: ``etc/apt/preferences`` is read first, then the parts of
    ``preferences.d`` by name; parts without a proper name are left out. Never raises.
    """
    pins: list[AptPin] = []
    problems: list[str] = []
    for path in sorted(files, key=lambda path: ("preferences.d/" in path, path)):
        if "preferences.d/" in path and not _PART_NAME.fullmatch(path.rpartition("/")[2]):
            continue
        for stanza in read_stanzas(files[path].decode("utf-8", "replace")):
            try:
                pin = _pin(stanza.fields, f"{path}: line {stanza.line}")
            except BadDocument as problem:
                problems.append(str(problem))
            else:
                pins += [pin] if pin else []
    return tuple(pins), tuple(problems)


@lru_cache(maxsize=1024)
def compile_expression(expression: str) -> re.Pattern[str] | None:
    """What a name or field of a pin matches, to be used with ``search``; None: nothing.

    ``/…/`` is a regular expression (POSIX extended), all else a glob; case does not count.
    Regular expressions that could take long to match are not accepted.
    """
    if len(expression) > 1 and expression[0] == expression[-1] == "/":
        text = expression[1:-1]
        for name, characters in _CLASSES.items():
            text = text.replace(name, characters)
        if _REPEATED_GROUP.search(text) or len(_REPETITION.findall(text)) > _MAX_REPETITIONS:
            return None
    else:
        text = fnmatch.translate(expression.replace("[^", "[!")).replace("(?s:", r"\A(?s:", 1)
    try:
        return re.compile(text, re.IGNORECASE)
    except (re.error, RecursionError, OverflowError):
        return None


def _pin(fields: Stanza, where: str) -> AptPin | None:
    """The pin of one record; None when it pins nothing."""
    packages = tuple(fields.get("package", "").split())
    if not packages:
        raise BadDocument(where, "a record needs the field Package")
    if "pin" not in fields:
        return None
    kind, _, value = " ".join(fields["pin"].split("\n")).partition(" ")
    kind, general = kind.lower(), packages == ("*",)
    if kind not in _KINDS or (general and "version" in kind):
        raise BadDocument(where, f"{kind[:40]!r} is no pin of {'all' if general else 'a package'}")
    values = (re.sub(r"^[a-z]=", "", part.strip()) for part in value.split(","))
    for expression in (*(name.removeprefix("src:") for name in packages), *values):
        if expression.startswith("/") and compile_expression(expression) is None:
            raise BadDocument(where, f"the expression {expression[:80]!r} is not understood")
    return AptPin(packages, kind, value.strip(), _priority(fields, general, where))


def _priority(fields: Stanza, general: bool, where: str) -> int:
    text = fields.get("pin-priority", "0")
    if text == "never" and general:
        return NEVER
    if not _INTEGER.fullmatch(text) or not -(2**15) <= int(text) < 2**15:
        raise BadDocument(where, f"{text[:40]!r} is no priority of a pin")
    if int(text) == 0:
        raise BadDocument(where, "a pin needs a priority other than 0")
    return max(int(text), NEVER + 1)
