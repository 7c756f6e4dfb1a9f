"""apt's list of sources, in its one-line and its deb822 form (sources.list(5)).

Only ``deb`` entries matter to us. What cannot be read becomes a problem, a sentence that names
file and line, where apt would refuse to work at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from urllib.parse import unquote

from imagecatalog.domain.apt import AptSource
from imagecatalog.errors import BadDocument
from imagecatalog.formats.apt_stanzas import Stanza, read_stanzas

SCHEMES = ("http", "https", "file", "copy")
"""Where apt's own methods can fetch from, without a plug-in, a disc or a list of mirrors."""

_PART_NAME = re.compile(r"[A-Za-z0-9_:-][A-Za-z0-9_.:-]*\.(?P<form>list|sources)")
_WORD = re.compile(r'(?:"[^"]*"|\[[^\]]*\]|[^\s"\[])+')
_OPTIONS = re.compile(r"\s*\[([^\]]*)\]")
_OPTION = re.compile(r"(?P<name>[a-z0-9-]+)(?P<sign>[+-]?)=(?P<value>\S+)")
_URI = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*):[^\s\x00-\x1f]*")
_KEY_BLOCK = "-----BEGIN PGP PUBLIC KEY BLOCK-----"
_FINGERPRINT = re.compile(r"(?:[0-9A-Fa-f]{40}|[0-9A-Fa-f]{64})!?")
_YES = frozenset({"yes", "true", "with", "on", "enable", "1"})
_NO = frozenset({"no", "false", "without", "off", "disable", "0"})
_UNREAD = ("snapshot", "include", "exclude", "inrelease-path")
"""Options that change which packages there are, and that we do not follow."""


def parse_sources(files: Mapping[str, bytes]) -> tuple[tuple[AptSource, ...], tuple[str, ...]]:
    """The sources that these files name, in apt's reading order, and the problems met.

    Keys are paths below the root (``etc/apt/sources.list``, ``etc/apt/sources.list.d/x.sources``);
    as in apt ``sources.list`` comes first, then the parts by name, and parts of other names are
    left out. A key outside of ``sources.list.d`` is read whatever its name. Never raises.
    """
    sources: list[AptSource] = []
    problems: list[str] = []
    for path in sorted(files, key=lambda path: ("sources.list.d/" in path, path)):
        name = path.rpartition("/")[2]
        if "sources.list.d/" in path and not _PART_NAME.fullmatch(name):
            continue
        text = files[path].decode("utf-8", "replace")
        read = _read_stanzas if name.endswith(".sources") else _read_lines
        for found in read(text, path):
            if isinstance(found, AptSource):
                sources.append(found)
            else:
                problems.append(str(found))
    return tuple(sources), tuple(problems)


def format_source(source: AptSource) -> str:
    """The source as one line of sources.list(5); an inline key is only hinted at."""
    options = []
    for sign, names in (
        ("", source.architectures or ()),
        ("+", source.added),
        ("-", source.removed),
    ):
        if names:
            options.append(f"arch{sign}={','.join(names)}")
    if source.trusted:
        options.append("trusted=yes")
    if source.signed_by:
        shown = ("inline-key" if _KEY_BLOCK in key else key for key in source.signed_by)
        options.append(f"signed-by={','.join(shown)}")
    if not source.check_valid_until:
        options.append("check-valid-until=no")
    bracket = f"[{' '.join(options)}] " if options else ""
    return " ".join((f"deb {bracket}{source.uri}", source.suite, *source.components))


def _read_lines(text: str, where: str) -> Iterator[AptSource | BadDocument]:
    for number, raw in enumerate(text.split("\n"), 1):
        line, at = _without_comment(raw).strip(), f"{where}: line {number}"
        kind, *rest = line.split(None, 1)[:2] or [""]
        try:
            if not line or kind == "deb-src":
                continue
            if kind != "deb":
                raise BadDocument(at, f"{kind[:40]!r} is no type of source")
            yield _source_of_line("".join(rest), at)
        except BadDocument as problem:
            yield problem


def _without_comment(line: str) -> str:
    """The line up to the first ``#`` that stands outside of brackets."""
    at = line.find("#")
    while at >= 0 and line.count("[", 0, at) > line.count("]", 0, at):
        at = line.find("#", at + 1)
    return line if at < 0 else line[:at]


def _source_of_line(rest: str, at: str) -> AptSource:
    options: Stanza = {}
    bracket = _OPTIONS.match(rest)
    if bracket:
        rest = rest[bracket.end() :]
        for text in bracket[1].split():
            option = _OPTION.fullmatch(text)
            if not option:
                raise BadDocument(at, f"{text[:40]!r} is no option of the form name=value")
            options[option["name"] + option["sign"]] = option["value"].strip('"')
    words = [unquote(word.replace('"', "")) for word in _WORD.findall(rest)]
    if len(words) < 2:
        raise BadDocument(at, "a source needs a URI and a suite")
    return _source(words[0], words[1], words[2:], options, at)


_DEB822_OPTIONS = {
    "architectures": "arch",
    "architectures-add": "arch+",
    "architectures-remove": "arch-",
    "inrelease-path": "inrelease-path",
}


def _read_stanzas(text: str, where: str) -> Iterator[AptSource | BadDocument]:
    for stanza in read_stanzas(text):
        fields, at = stanza.fields, f"{where}: line {stanza.line}"
        if fields.get("enabled", "yes").lower() in _NO:
            continue
        types = fields.get("types", "").split()
        if not types or set(types) - {"deb", "deb-src"}:
            yield BadDocument(at, f"{' '.join(types)[:40]!r} are no types of sources")
        if "deb" not in types:
            continue
        uris, suites = fields.get("uris", "").split(), fields.get("suites", "").split()
        if not uris or not suites:
            yield BadDocument(at, "a source needs URIs and Suites")
        options = {_DEB822_OPTIONS.get(name, name): value for name, value in fields.items()}
        for uri in uris:
            for suite in suites:
                try:
                    components = fields.get("components", "").split()
                    yield _source(uri, suite, components, options, at)
                except BadDocument as problem:
                    yield problem


def _source(uri: str, suite: str, components: Sequence[str], options: Stanza, at: str) -> AptSource:
    match = _URI.fullmatch(uri)
    if not match:
        raise BadDocument(at, f"{uri[:80]!r} is not a URI")
    if match["scheme"] not in SCHEMES:
        raise BadDocument(at, f"sources of the kind {match['scheme']}: cannot be read")
    if suite.endswith("/") == bool(components):
        why = "an exact path takes no components" if components else "a suite needs components"
        raise BadDocument(at, f"{suite[:80]!r}: {why}")
    for name in _UNREAD:
        if name in options:
            raise BadDocument(at, f"the option {name} is not understood")
    architectures = (_names(options.get(option)) for option in ("arch", "arch+", "arch-"))
    for word in (suite, *components, *chain.from_iterable(architectures)):
        if "\0" in word:  # no database takes it
            raise BadDocument(at, f"{word[:80]!r} is no name")
    return AptSource(
        uri=uri.rstrip("/"),
        suite=suite,
        components=tuple(dict.fromkeys(components)),
        architectures=_names(options.get("arch")) or None,
        added=_names(options.get("arch+")),
        removed=_names(options.get("arch-")),
        trusted=options.get("trusted", "").lower() in _YES,
        signed_by=_signers(options.get("signed-by", ""), at),
        check_valid_until=options.get("check-valid-until", "yes").lower() not in _NO,
    )


def _names(value: str | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(re.split(r"[\s,]+", value.strip(", \n\t")))) if value else ()


def _signers(value: str, at: str) -> tuple[str, ...]:
    """Keyring paths and fingerprints, or the key itself with its `` .`` lines made empty."""
    if _KEY_BLOCK in value:
        lines = ("" if line == "." else line for line in value.strip().split("\n"))
        return ("\n".join(lines) + "\n",)
    signers = []
    for name in _names(value):
        if name.startswith("/"):
            signers.append(name)
        elif _FINGERPRINT.fullmatch(name):
            signers.append(name.upper())
        else:
            raise BadDocument(at, f"signed-by: {name[:80]!r} is no path and no fingerprint")
    return tuple(signers)
