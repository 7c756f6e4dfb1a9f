"""The few files of a layer that tell what is installed and where updates come from.

A layer is a tar stream of changes (OCI image specification 1.1, layer.md). It is read once from
its first byte to its last in bounded memory; of its files only the wanted ones are kept.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from typing import BinaryIO

from imagecatalog.domain.contents import LayerEntry, PackageDatabase
from imagecatalog.domain.images import Descriptor
from imagecatalog.errors import BadDocument, TooDeep, TooLarge, TooManyEntries
from imagecatalog.formats.brought import LIST_LIMIT, Brought, is_brought
from imagecatalog.formats.dpkg import parse_status
from imagecatalog.formats.go_binary import ELF, read_program
from imagecatalog.formats.installed import (
    DATABASES,
    RPM_DATABASES,
    RPM_JOURNALS,
    Language,
    find_language,
)
from imagecatalog.formats.language_files import find_unread, hides_packages, is_dull, is_stored
from imagecatalog.formats.node_modules import parse_package
from imagecatalog.formats.tar import Member, TarReader, show
from imagecatalog.formats.unpack import Bounds, Unpacked

READER_VERSION = 4
"""Raised whenever the same layer would give another reading: layers are then read again."""

_DPKG = ("var/lib/dpkg", "usr/lib/dpkg", "usr/lib/sysimage/dpkg")
"""The database, and where images that keep it read-only link it to."""
_STATUS_FILES = frozenset(f"{folder}/status" for folder in _DPKG)
_STATUS_FOLDERS = tuple(f"{folder}/status.d" for folder in _DPKG)
_CONTROL = (".md5sums", ".conffiles", ".preinst", ".postinst", ".prerm", ".postrm", ".triggers")
"""What else of a package distroless images may keep beside its paragraph."""
_LISTS = tuple(f"{folder}/info" for folder in _DPKG)

WANTED_FILES = frozenset(
    {
        "etc/os-release",
        "usr/lib/os-release",
        "etc/debian_version",
        "etc/apt/sources.list",
        "etc/apt/preferences",
        "etc/apt/trusted.gpg",
        *_STATUS_FILES,
        *(f"{folder}/arch" for folder in _DPKG),
        *DATABASES,
        *RPM_JOURNALS,
    }
)
_KEYS = (".gpg", ".asc", ".pgp")
_FOLDERS: dict[str, tuple[str, ...]] = {
    "etc/apt": _KEYS,
    "etc/apt/sources.list.d": (".list", ".sources"),
    "etc/apt/preferences.d": ("",),
    "etc/apt/trusted.gpg.d": _KEYS,
    "etc/apt/keyrings": ("",),
    "usr/share/keyrings": ("",),
    "usr/local/share/keyrings": ("",),
    **dict.fromkeys(_STATUS_FOLDERS, ("",)),
}
WANTED_FOLDERS = frozenset(_FOLDERS)
"""Folders whose files are wanted, some only by their ending."""


def _ancestors(path: str) -> set[str]:
    parts = path.split("/")
    return {"/".join(parts[:depth]) for depth in range(len(parts))}


_ANCESTORS = frozenset(WANTED_FOLDERS).union(*map(_ancestors, WANTED_FILES | WANTED_FOLDERS))
"""Folders above something wanted, the root as an empty path: what becomes of them matters."""

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"


class Limits(Bounds, frozen=True, kw_only=True):
    """How much we read of one layer; what goes beyond is a problem of that layer."""

    entries: int = 1_000_000
    """So many entries are refused; the largest real layers have half as many."""
    path: int = 4096
    """Bytes of a path, as Linux has it (PATH_MAX)."""
    depth: int = 256
    """Folders above a file."""
    kept: int = 20_000
    """Package and apt files that are kept."""
    found: int = 100_000
    """Files of languages' packages, and whiteouts."""
    status: int = 64 << 20
    """Bytes of a package database: dpkg's or apk's."""
    rpm: int = 128 << 20
    """Bytes of RPM's: real ones take a tenth of a megabyte for each package."""
    file: int = 1 << 20
    """Bytes of any other wanted file: a larger one, as the keyring of all Debian developers,
    is known to be there and not read."""
    total: int = 192 << 20
    """Bytes of all wanted files together."""


_LIMITS = Limits()


def read_layer(
    stream: BinaryIO,
    descriptor: Descriptor,
    *,
    limits: Limits = _LIMITS,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[LayerEntry, ...]:
    """The wanted entries of a layer in the order of its archive; ``stream`` is read to its end.

    gzip, zstd and plain tar are told by their first bytes, whatever the media type says. Raises
    ``BadDocument`` or one of its kinds (see ``errors``), all naming the layer; errors of the
    stream itself pass through.
    """
    where = f"layer {descriptor.digest}"
    unpacked = Unpacked(stream, where, limits, clock)
    archive = TarReader(unpacked, where)
    sieve = _Sieve(archive, where, limits)
    entries = sieve.walk()
    unpacked.drain()
    return tuple(sieve.settle(entries))


class _Sieve:
    """Lets the wanted members of an archive through, as entries."""

    def __init__(self, archive: TarReader, where: str, limits: Limits) -> None:
        self._archive, self._where, self._limits = archive, where, limits
        self._total = 0
        self._brought = Brought(_LISTS, _STATUS_FOLDERS)

    def walk(self) -> list[LayerEntry]:
        limits = self._limits
        entries: list[LayerEntry] = []
        kept = 0
        for count, member in enumerate(self._archive, 1):
            if count >= limits.entries:
                raise TooManyEntries(self._where, f"has {limits.entries} entries or more")
            path = self._clean(member.name)
            if entry := self._sift(path, member):
                kept += 1
                if kept > limits.kept:
                    raise TooManyEntries(
                        self._where, f"has more than {limits.kept} package and apt files"
                    )
            else:
                entry = self._search(path, member)
            if entry:
                entries.append(entry)
            if len(entries) - kept > limits.found:
                raise TooManyEntries(
                    self._where,
                    f"has more than {limits.found} files of languages' packages, or whiteouts",
                )
        return entries

    def settle(self, entries: list[LayerEntry]) -> Iterator[LayerEntry]:
        """The entries; files that the distribution's packages brought tell of no others within."""
        files = self._brought.settle()
        for entry in entries:
            if entry.database and not is_wanted(entry.path) and is_brought(entry.path, files):
                yield LayerEntry(entry.path, "file", database=PackageDatabase(()))
            else:
                yield entry

    def _sift(self, path: str, member: Member) -> LayerEntry | None:
        """A member at a path that is known to matter."""
        if path.rpartition("/")[2].startswith(_WHITEOUT):
            return None
        if member.type == b"5":
            return LayerEntry(path, "directory") if path and path in _ANCESTORS else None
        if (path and path in _ANCESTORS) or is_wanted(path):
            return self._keep(path, member)
        if member.type == b"0" and not member.sparse and self._brought.is_list(path):
            self._brought.take_list(path, self._archive.read_part(member, LIST_LIMIT))
        return None

    def _search(self, path: str, member: Member) -> LayerEntry | None:
        """A member that may lie anywhere: of a language's package, or gone from lower layers."""
        folder, _, name = path.rpartition("/")
        if name.startswith(_WHITEOUT):
            return _whiteout(folder, name)
        if member.type == b"5" or is_dull(path):
            return None
        language = find_language(path)
        if not language and (is_stored(path) or find_unread(path)):
            return self._read_beside(path, member)
        if not language and not hides_packages(path):
            is_program = member.mode & 0o111 and member.type == b"0" and not member.sparse
            return self._look_into(path, member) if is_program else None
        if not language or member.type != b"0" or member.sparse:
            return self._keep_unread(path, member)
        return self._read_language(path, member, language)

    def _read_language(self, path: str, member: Member, language: Language) -> LayerEntry:
        if language.whole and member.size > language.limit:
            problem = f"{path}: has {member.size} bytes, and was not looked into"
            return LayerEntry(path, "file", database=PackageDatabase((), problem=problem))
        data = self._archive.read_part(member, language.limit)
        return LayerEntry(path, "file", database=language.parse(data, path))

    def _read_beside(self, path: str, member: Member) -> LayerEntry | None:
        """A file of packages that are not read; or one kept for hard links, if it is of a package."""
        if why := find_unread(path):
            problem = PackageDatabase((), problem=f"{path}: {why}")
            return LayerEntry(path, "file", database=problem)
        if member.type != b"0" or member.sparse or member.size > self._limits.file:
            return None
        head = self._archive.read_part(member, 1)
        if head != b"{":
            return None
        database = parse_package(head + self._archive.read_body(member), path)
        return LayerEntry(path, "file", database=database) if database.packages else None

    def _look_into(self, path: str, member: Member) -> LayerEntry | None:
        """A program's entry, if it is one of Go's: of others nothing is kept."""
        head = self._archive.read_part(member, len(ELF))
        if head != ELF:
            return None
        pending = [head]

        def read(size: int) -> bytes:
            begun = pending.pop() if pending else b""
            return begun + self._archive.read_part(member, size - len(begun))

        database = read_program(read, member.size, path)
        return LayerEntry(path, "file", database=database) if database else None

    def _keep_unread(self, path: str, member: Member) -> LayerEntry:
        if member.type == b"2":
            target = member.target.decode(errors="backslashreplace")
            return LayerEntry(path, "link", target=target[: self._limits.path])
        if member.type == b"1":
            return LayerEntry(path, "file", target=self._clean(member.target))
        return LayerEntry(path, "file")

    def _keep(self, path: str, member: Member) -> LayerEntry:
        if member.type != b"0" or path in _ANCESTORS or member.sparse:
            return self._keep_unread(path, member)
        return self._read(path, member)

    def _read(self, path: str, member: Member) -> LayerEntry:
        is_database = path in _STATUS_FILES or path in DATABASES
        limit = self._limits.rpm if path in RPM_DATABASES else self._limits.status
        if is_database and member.size > limit:
            raise TooLarge(self._where, f"{path} has {member.size} bytes")
        if (not is_database and member.size > self._limits.file) or (
            path in RPM_JOURNALS and member.size
        ):
            return LayerEntry(path, "file")
        self._total += member.size
        if self._total > self._limits.total:
            raise TooLarge(
                self._where, f"has over {self._limits.total} bytes of package and apt files"
            )
        data = self._archive.read_body(member)
        if database := _parse(path, data):
            database = self._brought.take_database(database)
            return LayerEntry(path, "file", database=database)
        return LayerEntry(path, "file", data=data)

    def _clean(self, name: bytes) -> str:
        """A member's path from the root; an absolute name means the same as a relative one.

        Runtimes disagree about a name that leads out of the tree: docker and podman refuse the
        layer, containerd keeps the file inside. So we do not know what is in such an image.
        """
        if len(name) > self._limits.path:
            raise TooDeep(self._where, f"has a path of {len(name)} bytes: {show(name)}")
        path = name.decode(errors="backslashreplace")
        if path.startswith("./"):
            path = path[2:]
        parts: list[str] = []
        for part in path.split("/"):
            if part == "..":
                if not parts:
                    raise BadDocument(
                        self._where, f"has an entry that leads out of the tree: {show(name)}"
                    )
                parts.pop()
            elif part not in ("", "."):
                parts.append(part)
        if len(parts) > self._limits.depth:
            raise TooDeep(self._where, f"has a path of {len(parts)} folders: {show(name)}")
        return "/".join(parts)


def is_wanted(path: str) -> bool:
    """Whether the file at this path is kept, should a layer have it."""
    if path in WANTED_FILES:
        return True
    folder, _, name = path.rpartition("/")
    if not name.endswith(_FOLDERS.get(folder, ())):
        return False
    return not (folder in _STATUS_FOLDERS and name.endswith(_CONTROL))


def _parse(path: str, data: bytes) -> PackageDatabase | None:
    """What a package database holds, if the file is one."""
    if path in DATABASES:
        return DATABASES[path](data, path)
    is_status = path in _STATUS_FILES
    if is_status or path.rpartition("/")[0] in _STATUS_FOLDERS:
        return parse_status(io.BytesIO(data), path, with_status=is_status)
    return None


def _whiteout(folder: str, name: str) -> LayerEntry | None:
    """What it takes away, unless nothing of it could have mattered."""
    if is_dull(f"{folder}/"):
        return None
    if name == _OPAQUE:
        return LayerEntry(folder, "opaque")
    if not (hidden := name.removeprefix(_WHITEOUT)) or hidden.startswith(_WHITEOUT):
        return None  # of aufs itself
    return LayerEntry(f"{folder}/{hidden}" if folder else hidden, "whiteout")
