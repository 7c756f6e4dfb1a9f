"""The libraries in a Java archive: what Maven wrote into it, else its manifest and its name.

Archives within an archive, as in a war or a Spring Boot jar, are looked into three levels deep.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping

from msgspec import Struct

from imagecatalog.domain.contents import PackageDatabase
from imagecatalog.errors import BadDocument
from imagecatalog.formats.found import Found
from imagecatalog.formats.language_files import ARCHIVES

_ENTRIES = 65_535
_TEXT = 64 << 10
"""Bytes of a manifest or a ``pom.properties`` that are read."""
_NESTED = 64 << 20
"""Bytes of an archive in another; half as many a level deeper, so that all of them can be held."""
_DEPTH = 3
_TOTAL = 256 << 20
"""Bytes that are unpacked of one file."""
_ENTRIES_TOTAL = 200_000
"""Entries of one file and of all archives in it."""
_ENTRY = 46
"""Bytes of the directory that an entry takes at least."""
_END = b"PK\5\6"
_POM = re.compile(r"META-INF/maven/[^/]+/[^/]+/pom\.properties")
_FOLDER = re.compile(r"META-INF/maven/([^/]+)/([^/]+)/pom\.xml")
_MANIFEST = "META-INF/MANIFEST.MF"
_FILE_NAME = re.compile(r"(.+?)-([0-9][A-Za-z0-9.+_~-]*)\.[a-z]+")
_TITLES = ("Bundle-SymbolicName", "Implementation-Title", "Automatic-Module-Name")
_VERSIONS = ("Bundle-Version", "Implementation-Version", "Specification-Version")

_BROKEN = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    LookupError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    ValueError,
)
"""What ``zipfile`` raises for archives that are none."""


class _Budget(Struct):
    """What may still be unpacked of one file, in bytes, and looked at, in entries."""

    size: int
    entries: int


def parse_jar(data: bytes, where: str) -> PackageDatabase:
    """The libraries of an archive and of those within; ``where`` is its path.

    Never raises for what the bytes say: what could not be read is told in ``problem``.
    """
    found = Found(where)
    budget = _Budget(_TOTAL, _ENTRIES_TOTAL)
    _read(data, where, found, budget, depth=0)
    return found.database()


def _read(data: bytes, where: str, found: Found, budget: _Budget, *, depth: int) -> None:
    name = where.rpartition("/")[2]
    try:
        budget.entries -= _count_entries(data, name)
        if budget.entries < 0:
            raise BadDocument(name, f"there are over {_ENTRIES_TOTAL} entries in all")
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _take(archive, name, found, budget)
            if depth < _DEPTH:
                for info in archive.infolist():
                    if info.filename.lower().endswith(ARCHIVES) and not info.is_dir():
                        _read_nested(archive, info, found, budget, depth=depth + 1)
    except BadDocument as error:
        found.fail(error)
    except _BROKEN as error:
        found.fail(f"{name}: is no archive that can be read: {error}")


def _count_entries(data: bytes, name: str) -> int:
    """How many entries there may be; refuses more than are read, before any of them is looked at."""
    at = data.rfind(_END, max(0, len(data) - (1 << 16) - 22))
    if at < 0 or len(data) < at + 22:
        raise BadDocument(name, "is no archive, or is cut short")
    count: int
    size: int
    count, size = struct.unpack_from("<HI", data, at + 10)
    if count >= _ENTRIES or size > len(data) or size > 64 << 20:
        raise BadDocument(name, f"has {_ENTRIES} entries or more")
    return max(count, size // _ENTRY)


def _read_nested(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, found: Found, budget: _Budget, *, depth: int
) -> None:
    limit = _NESTED >> depth - 1
    if info.file_size > limit:
        found.fail(f"{info.filename[:200]}: is too large to be looked into")
        return
    try:
        data = _unpack(archive, info, limit, budget)
    except BadDocument as error:
        found.fail(error)
    except _BROKEN as error:
        found.fail(f"{info.filename[:200]}: {error}")
    else:
        _read(data, info.filename, found, budget, depth=depth)


def _unpack(archive: zipfile.ZipFile, info: zipfile.ZipInfo, limit: int, budget: _Budget) -> bytes:
    """The first bytes of a member; raises ``BadDocument`` once too much was unpacked."""
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise BadDocument(info.filename[:200], "is packed as Java does not pack")
    limit = min(limit, budget.size)
    with archive.open(info) as stream:
        data = stream.read(limit)
    budget.size -= len(data)
    if budget.size <= 0:
        raise BadDocument(info.filename[:200], "unpacks to too much")
    return data


def _take(archive: zipfile.ZipFile, name: str, found: Found, budget: _Budget) -> None:
    poms = [info for info in archive.infolist() if _POM.fullmatch(info.filename)]
    known = False
    for info in poms:
        told = _read_properties(_unpack(archive, info, _TEXT, budget))
        group, artifact, version = (
            told.get(key, "") for key in ("groupId", "artifactId", "version")
        )
        if group and artifact and version:
            found.add("maven", f"{group}:{artifact}", version)
            known = True
    if not known and _MANIFEST in archive.NameToInfo:
        fields = _read_manifest(_unpack(archive, archive.NameToInfo[_MANIFEST], _TEXT, budget))
        folders = filter(None, (_FOLDER.fullmatch(info.filename) for info in archive.infolist()))
        coordinates = {f"{match[1]}:{match[2]}" for match in folders}
        _take_manifest(fields, name, coordinates, found)


def _take_manifest(
    fields: Mapping[str, str], name: str, coordinates: set[str], found: Found
) -> None:
    """The library by the archive's name where that has a version, else by what the manifest says.

    ``coordinates`` are those of the projects whose ``pom.xml`` is within; that of one is its own.
    """
    match = _FILE_NAME.fullmatch(name)
    title = next((fields[key] for key in _TITLES if fields.get(key)), "").partition(";")[0].strip()
    version = next((fields[key] for key in _VERSIONS if fields.get(key)), "")
    stem = name.rpartition(".")[0] or name
    if match:
        title, version = match[1], match[2]
    if len(coordinates) == 1:
        (title,) = coordinates
    if version:
        found.add("maven", title or stem, version)


def _read_properties(data: bytes) -> dict[str, str]:
    """The lines ``key=value`` of a properties file, as Maven writes it."""
    pairs = (line.partition("=") for line in data.decode("latin-1").splitlines())
    return {key.strip(): value.strip() for key, equals, value in pairs if equals}


def _read_manifest(data: bytes) -> dict[str, str]:
    """The main attributes (JAR file specification); a line that begins with a blank goes on."""
    fields: dict[str, str] = {}
    last = ""
    for line in data.decode(errors="replace").splitlines():
        if not line.strip():
            break
        if line.startswith(" ") and last:
            fields[last] += line[1:]
        elif ": " in line:
            last, _, value = line.partition(": ")
            fields[last] = value
    return {key: value.strip() for key, value in fields.items()}
