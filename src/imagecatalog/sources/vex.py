"""VEX documents wherever they lie: a file, a folder of them, or an archive (zip, tar), packed or not.

A folder is one on disk: what lies in a folder of a web server nobody can tell.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import unquote, urlsplit

from imagecatalog.errors import (
    BadDocument,
    ConfigError,
    Missing,
    SourceUnavailable,
    TooLarge,
    TooManyEntries,
    Truncated,
)
from imagecatalog.formats.unpack import Bounds, Unpacked
from imagecatalog.formats.vex import LIMIT
from imagecatalog.sources.apt_transport import Validators
from imagecatalog.sources.feeds import open_feed
from imagecatalog.sources.http import Http

ENTRIES_LIMIT = 200_000
"""Files of a folder or an archive."""
BOUNDS = Bounds(unpacked=8 << 30, ratio=200, ratio_after=256 << 20, seconds=1800.0)
"""Of an archive as a whole."""
_BLOCK = 512
_DEPTH = 32
"""Folders within each other that are looked into."""
_ENDING = ".json"
_PACKED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")
_ZIP = b"PK\x03\x04"

Document = tuple[str, bytes | BadDocument]
"""Its name below the source, and its bytes or why they are not read."""


@contextmanager
def open_documents(
    address: str, http: Http, previous: Validators | None = None
) -> Iterator[tuple[Iterator[Document] | None, Validators]]:
    """The documents at an address; None where they are still the previous ones.

    Raises ConfigError, SourceUnavailable, Missing, and BadDocument and its limits for an archive
    that cannot be read.
    """
    if not address.startswith(("file:", "http://", "https://")):
        raise ConfigError(f"{address} is no address", hint="write file:///srv/vex/ or https://…")
    if address.endswith("/"):
        if not address.startswith("file:"):
            raise ConfigError(
                f"{address}: a folder on a web server cannot be listed",
                hint="name its documents, or an archive of them",
            )
        yield _open_folder(Path(unquote(urlsplit(address).path)), previous)
        return
    with open_feed(address, http, previous) as (stream, validators):
        yield None if stream is None else _unpack(stream, address), validators


def name_of(address: str) -> str:
    """The last part of an address, which goes before the names of its documents."""
    return unquote(urlsplit(address).path).rstrip("/").rpartition("/")[2] or address


def _open_folder(
    folder: Path, previous: Validators | None
) -> tuple[Iterator[Document] | None, Validators]:
    if not folder.is_dir():
        raise Missing(f"{folder} is not there, or is no folder")
    paths: list[Path] = []
    stamp = hashlib.sha256()
    try:
        for path in _walk(folder):
            stat = path.stat()
            stamp.update(f"{path}\0{stat.st_size}:{stat.st_mtime_ns}\n".encode(errors="replace"))
            paths.append(path)
    except OSError as error:
        raise SourceUnavailable(f"{folder} cannot be read: {error.strerror or error}") from error
    validators = Validators(stamp=stamp.hexdigest())
    if previous is not None and previous.stamp == validators.stamp:
        return None, validators
    return ((str(path.relative_to(folder)), _read(path)) for path in paths), validators


def _walk(folder: Path) -> Iterator[Path]:
    """The documents of a folder and of those in it, in the order of their paths."""
    count = 0
    for top, folders, names in os.walk(folder):
        if len(Path(top).relative_to(folder).parts) >= _DEPTH:
            folders.clear()
        folders.sort()
        for name in sorted(names):
            if name.endswith(_ENDING) and (path := Path(top, name)).is_file():
                count += 1
                if count > ENTRIES_LIMIT:
                    raise TooManyEntries(str(folder), f"it has more than {ENTRIES_LIMIT} files")
                yield path


def _read(path: Path) -> bytes | BadDocument:
    try:
        with path.open("rb") as file:
            return _bounded(file.read(LIMIT + 1), str(path))
    except OSError as error:
        return BadDocument(str(path), f"it cannot be read: {error.strerror or error}")


def _bounded(body: bytes, where: str) -> bytes | BadDocument:
    return TooLarge(where, f"more than {LIMIT} bytes") if len(body) > LIMIT else body


def _unpack(stream: BinaryIO, address: str) -> Iterator[Document]:
    """The documents of a file: itself, or those of the archive that it is."""
    head = stream.read(_BLOCK)
    stream.seek(0)
    if head.startswith(_ZIP):
        yield from _unzip(stream, address)
        return
    rest = Unpacked(stream, address, BOUNDS) if head.startswith(_PACKED) else stream
    head = rest.read(_BLOCK)
    whole = _Joined(head, rest)
    if head[257:262] == b"ustar":
        yield from _untar(whole, address)
    else:
        yield name_of(address), _bounded(whole.read(LIMIT + 1), address)


class _Joined:
    """A stream of which the first bytes were read already, and which keeps the last ones."""

    def __init__(self, head: bytes, rest: Unpacked | BinaryIO) -> None:
        self._head, self._rest = head, rest
        self._last = b""

    def read(self, size: int) -> bytes:
        first, self._head = self._head[:size], self._head[size:]
        found = first + (self._rest.read(size - len(first)) if size > len(first) else b"")
        self._last = (self._last + found)[-_BLOCK:]
        return found

    def ends_in_zeros(self) -> bool:
        """Whether the very last block is empty, as tar ends an archive."""
        while self.read(1 << 20):
            pass
        return self._last == bytes(_BLOCK)


def _unzip(stream: BinaryIO, address: str) -> Iterator[Document]:
    try:
        with zipfile.ZipFile(stream) as archive:
            members = archive.infolist()
            if len(members) > ENTRIES_LIMIT:
                raise TooManyEntries(address, f"it has more than {ENTRIES_LIMIT} files")
            left = BOUNDS.unpacked
            for member in members:
                if member.is_dir() or not member.filename.endswith(_ENDING):
                    continue
                with archive.open(member) as file:
                    body = file.read(LIMIT + 1)
                left -= len(body)
                if left < 0:
                    raise TooLarge(address, f"it unpacks to more than {BOUNDS.unpacked} bytes")
                yield member.filename, _bounded(body, f"{address}: {member.filename}")
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, OSError) as error:
        raise BadDocument(address, f"it is no zip archive that can be read: {error}") from error


def _untar(stream: _Joined, address: str) -> Iterator[Document]:
    try:
        with tarfile.open(fileobj=cast("BinaryIO", stream), mode="r|") as archive:
            for count, member in enumerate(archive, 1):
                if count > ENTRIES_LIMIT:
                    raise TooManyEntries(address, f"it has more than {ENTRIES_LIMIT} files")
                archive.members = []  # type: ignore[attr-defined]  # it keeps all that it ever met
                if not member.isreg() or not member.name.endswith(_ENDING):
                    continue
                file = archive.extractfile(member)
                assert file is not None
                body = file.read(LIMIT + 1)
                yield member.name, _bounded(body, f"{address}: {member.name}")
        if not stream.ends_in_zeros():
            raise Truncated(address, "the tar archive has no end")
    except (tarfile.TarError, EOFError, ValueError, OSError) as error:
        raise BadDocument(address, f"it is no tar archive that can be read: {error}") from error
