"""One installed package in an RPM database: its header, as librpm writes it (rpm, docs/manual)."""

from __future__ import annotations

import re
import struct

from msgspec import structs

from imagecatalog.domain.contents import PackageDatabase
from imagecatalog.domain.packages import Package
from imagecatalog.errors import BadDocument
from imagecatalog.formats.found import Found
from imagecatalog.formats.language_files import may_tell
from imagecatalog.formats.third_party import is_foreign_vendor

_NAME, _VERSION, _RELEASE, _EPOCH, _ARCH, _SOURCE = 1000, 1001, 1002, 1003, 1022, 1044
_MODULE = 5096
_VENDOR, _FOLDER_OF, _FILES, _FOLDERS = 1011, 1116, 1117, 1118
_INT32, _STRING, _STRINGS, _I18N = 4, 6, 8, 9
_ENTRIES = 1 << 16
"""Tags of a header; librpm refuses more."""
_TEXT = 4096
_MANY = 1 << 18
"""Files of a package that are looked at."""
_SOURCE_FILE = re.compile(r"(.+)-([^-]+-[^-]+)\.(?:src|nosrc)\.rpm")
KEY = "gpg-pubkey"
"""Not a package: where RPM keeps the keys that it trusts."""


def split_source(file: str) -> tuple[str, str] | None:
    """Name and version of the source package by the name of its file, which leaves out the epoch."""
    match = _SOURCE_FILE.fullmatch(file)
    return (match[1], match[2]) if match else None


def read_header(blob: bytes, where: str, found: Found) -> None:
    """Take the package that a header is of; raises ``BadDocument`` where it is none.

    Its version is ``[epoch:]version-release``, with no epoch of 0, its source as in the name of
    the source's file; where it is of a module, with that and its stream before: ``nodejs:18/nodejs``.
    """
    header = _Header(blob, where)
    name = header.text(_NAME)
    if name == KEY:
        return
    version, release = header.text(_VERSION), header.text(_RELEASE)
    if not (version and release):
        raise BadDocument(where, f"package {name[:80]!r} has no version or no release")
    version = f"{version}-{release}"
    if epoch := next(iter(header.numbers(_EPOCH)), 0):
        version = f"{epoch}:{version}"
    foreign = is_foreign_vendor(header.text(_VENDOR))
    source = split_source(header.text(_SOURCE)) or (name, version)
    if stream := ":".join(header.text(_MODULE).split(":")[:2]):
        source = f"{stream}/{source[0]}", source[1]
    found.add("rpm", name, version, arch=header.text(_ARCH), source=source, foreign=foreign)
    if not foreign:
        _note_files(header, found)


def _note_files(header: _Header, found: Found) -> None:
    """Give the paths that may tell of packages within; a path is a name and a folder's number."""
    folders = header.texts(_FOLDERS)
    for number, name in zip(header.numbers(_FOLDER_OF), header.texts(_FILES), strict=False):
        if number < len(folders):
            path = f"{folders[number]}{name}".lstrip("/")
            if may_tell(path):
                found.own(path)


def with_epochs(database: PackageDatabase) -> PackageDatabase:
    """The same with epochs in the versions of sources, which the names of their files leave out.

    A package of its source's version has its source's epoch, and so have those beside it.
    """
    epochs = {}
    for one in database.packages:
        epoch, colon, version = one.version.partition(":")
        if colon and version == one.source_version:
            epochs[one.source, one.source_version] = f"{epoch}:"

    def complete(one: Package) -> Package:
        epoch = epochs.get((one.source, one.source_version), "")
        return structs.replace(one, source_version=epoch + one.source_version) if epoch else one

    return structs.replace(
        database,
        packages=tuple(sorted(map(complete, database.packages))),
        foreign=tuple(sorted(map(complete, database.foreign))),
    )


class _Header:
    """The tags of a header; raises ``BadDocument`` where it is none."""

    def __init__(self, blob: bytes, where: str) -> None:
        if len(blob) < 8:
            raise BadDocument(where, "a header is cut short")
        count, size = struct.unpack_from(">II", blob)
        start = 8 + 16 * count
        self._blob, self._end = blob, start + size
        if count > _ENTRIES or self._end > len(blob):
            raise BadDocument(where, "a header says to be longer than it is")
        self._places: dict[int, tuple[int, int, int]] = {}
        for tag, kind, offset, many in struct.iter_unpack(">IIII", blob[8:start]):
            # Of one that is there twice the first counts, as the rest may be padding.
            if offset < size:
                self._places.setdefault(tag, (kind, start + offset, many))

    def text(self, tag: int) -> str:
        """The first text of a tag; empty where there is none."""
        kind, at, _ = self._places.get(tag, (0, 0, 0))
        if kind not in (_STRING, _I18N):
            return ""
        end = min(at + _TEXT, self._end)
        return self._blob[at:end].partition(b"\0")[0].decode(errors="replace")

    def texts(self, tag: int) -> list[str]:
        """The texts of a tag, as far as there are."""
        kind, at, count = self._places.get(tag, (0, 0, 0))
        if kind != _STRINGS:
            return []
        count = min(count, _MANY)
        parts = self._blob[at : self._end].split(b"\0", count)
        return [part[:_TEXT].decode(errors="replace") for part in parts[:-1][:count]]

    def numbers(self, tag: int) -> tuple[int, ...]:
        """The numbers of a tag, as far as there are."""
        kind, at, count = self._places.get(tag, (0, 0, 0))
        if kind != _INT32:
            return ()
        count = min(count, _MANY, (self._end - at) // 4)
        return struct.unpack_from(f">{count}I", self._blob, at)
