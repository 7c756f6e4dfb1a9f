"""What a dpkg status file says is installed (deb822(5), dpkg(1), "Package states").

Lines that do not matter are passed over as they come; a broken paragraph costs only itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

from msgspec import Struct

from imagecatalog.domain.contents import PackageDatabase
from imagecatalog.domain.packages import Package
from imagecatalog.errors import BadName
from imagecatalog.formats.third_party import is_third_party
from imagecatalog.versions.digits import MAX_LENGTH

_LINE = 4096
"""Bytes of a line that we look at: the fields we want are far shorter."""
_WANTED = frozenset({b"package", b"version", b"architecture", b"source", b"status", b"maintainer"})
_PROBLEMS_SHOWN = 3

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*")  # as dpkg: more than policy 5.6.1 allows
_ARCHITECTURE = re.compile(r"[a-z0-9][a-z0-9-]*")
_SOURCE = re.compile(r"(\S+)(?:\s+\((\S+)\))?")
_WORD = re.compile(rf"[!-~]{{1,{MAX_LENGTH}}}")

_SELECTIONS = frozenset({"unknown", "install", "hold", "deinstall", "purge"})
_NOT_INSTALLED = frozenset({"not-installed", "config-files"})
_INSTALLED = frozenset(
    {
        "half-installed",
        "unpacked",
        "half-configured",
        "triggers-awaited",
        "triggers-pending",
        "installed",
    }
)
"""What apt takes for installed: all but the two above (``debListParser::ParseStatus``)."""


class _Paragraph(Struct):
    line: int
    """Where it begins, from 1."""
    fields: dict[bytes, str] = {}
    problem: str | None = None


def parse_status(stream: BinaryIO, where: str, *, with_status: bool = True) -> PackageDatabase:
    """The installed packages of a status file, or of one in ``status.d``, which has no ``Status``.

    Never raises for what the bytes say: a broken paragraph is named in ``problem`` with its first
    line, and left out. Of two paragraphs for one package the last counts, as with dpkg.
    """
    installed: dict[tuple[str, str], Package] = {}
    held: set[tuple[str, str]] = set()
    foreign: set[Package] = set()
    problems: list[str] = []
    for paragraph in _split(stream):
        try:
            if paragraph.problem:
                raise _BrokenError(paragraph.problem)
            name = _matching(_NAME, paragraph, b"package")
            selection, is_installed = _parse_state(paragraph) if with_status else ("install", True)
            identity = (name, paragraph.fields.get(b"architecture", ""))
            installed.pop(identity, None)
            held.discard(identity)
            if is_installed:
                installed[identity] = package = _parse_package(paragraph)
                if is_third_party(package.version, paragraph.fields.get(b"maintainer", "")):
                    foreign.add(package)
            if is_installed and selection == "hold":
                held.add(identity)
        except (_BrokenError, BadName) as error:
            shown = paragraph.fields.get(b"package", "no name")[:80]
            problems.append(f"line {paragraph.line} ({shown!r}): {error}")
    return PackageDatabase(
        packages=tuple(sorted(installed.values())),
        held=tuple(sorted(f"{name}:{arch}" for name, arch in held)),
        problem=_sum_up(where, problems),
        foreign=tuple(sorted(foreign.intersection(installed.values()))),
    )


class _BrokenError(Exception):
    """A paragraph that dpkg would not have written."""


def _sum_up(where: str, problems: list[str]) -> str | None:
    if not problems:
        return None
    shown = "; ".join(problems[:_PROBLEMS_SHOWN])
    more = len(problems) - _PROBLEMS_SHOWN
    return f"{where}: {shown}" + (f"; and {more} more broken paragraphs" if more > 0 else "")


def _split(stream: BinaryIO) -> Iterator[_Paragraph]:
    """Each paragraph with the wanted fields alone; nothing else of it is held."""
    paragraph: _Paragraph | None = None
    number = 0
    while line := stream.readline(_LINE):
        number += 1
        is_whole = line.endswith(b"\n") or len(line) < _LINE
        while not is_whole:
            rest = stream.readline(_LINE)
            is_whole = rest.endswith(b"\n") or len(rest) < _LINE
        if not line.strip(b"\r\n"):
            if paragraph:
                yield paragraph
            paragraph = None
            continue
        paragraph = paragraph or _Paragraph(number)
        if line[0] not in b" \t":
            _add_field(paragraph, line)
    if paragraph:
        yield paragraph


def _add_field(paragraph: _Paragraph, line: bytes) -> None:
    name, colon, value = line.partition(b":")
    if not colon:
        paragraph.problem = paragraph.problem or "a line without a colon"
    elif (field := name.strip().lower()) in _WANTED:
        if field in paragraph.fields:
            paragraph.problem = paragraph.problem or f"two fields {field.decode().title()}"
        if len(line) == _LINE and not line.endswith(b"\n"):
            paragraph.problem = paragraph.problem or f"an endless {field.decode().title()}"
        paragraph.fields[field] = value.strip().decode(errors="replace")


def _parse_state(paragraph: _Paragraph) -> tuple[str, bool]:
    """The selection, and whether the package is there; one without ``Status`` is not."""
    status = paragraph.fields.get(b"status")
    if status is None:
        return "unknown", False
    words = status.lower().split()
    if len(words) != 3 or words[0] not in _SELECTIONS:
        raise _BrokenError(f"Status {status[:80]!r}")
    if words[2] not in _INSTALLED | _NOT_INSTALLED:
        raise _BrokenError(f"Status {status[:80]!r}")
    return words[0], words[2] in _INSTALLED


def _parse_package(paragraph: _Paragraph) -> Package:
    name = paragraph.fields[b"package"]
    arch = _matching(_ARCHITECTURE, paragraph, b"architecture")
    version = _version(paragraph.fields.get(b"version", ""))
    source = _SOURCE.fullmatch(paragraph.fields.get(b"source", name))
    if not source or not _NAME.fullmatch(source[1]):
        raise _BrokenError(f"Source {paragraph.fields[b'source'][:80]!r}")
    return Package("deb", name, version, arch, source[1], _version(source[2] or version))


def _version(text: str) -> str:
    """One that is no Debian version is taken as dpkg and apt take it: as any word of ASCII."""
    if not _WORD.fullmatch(text):
        raise _BrokenError(f"{text[:80]!r} is not a Debian version")
    return text


def _matching(pattern: re.Pattern[str], paragraph: _Paragraph, field: bytes) -> str:
    value = paragraph.fields.get(field)
    if value is None:
        raise _BrokenError(f"no {field.decode().title()}")
    if not pattern.fullmatch(value) or len(value) > 255:
        raise _BrokenError(f"{field.decode().title()} {value[:80]!r}")
    return value
