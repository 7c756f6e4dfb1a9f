"""The Packages file of an archive: its binary packages, streamed (Debian repository format)."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sys
import zlib
from collections.abc import Iterator
from typing import BinaryIO, cast

from imagecatalog.domain.packages import Package
from imagecatalog.errors import BadDocument, TooCompressed, TooLarge, TooManyEntries, Truncated

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SUFFIXES = (".xz", ".zst", ".gz", ".bz2", "")
"""Forms that we read, the one preferred first: a good compression that is quick to undo."""
MAX_SIZE = 2 * 1024**3
"""Bytes of a Packages file once decompressed; Debian's and Ubuntu's largest have 60 MB."""
MAX_PARAGRAPH = 1024 * 1024
MAX_PACKAGES = 1_000_000
MAX_RATIO = 400
"""Decompressed to compressed bytes, looked at from ``_RATIO_FROM`` bytes on; real ones reach 6."""
_RATIO_FROM = 16 * 1024**2
_XZ_MEMORY = 128 * 1024**2
_CHUNK = 256 * 1024


def open_index(stream: BinaryIO, name: str) -> BinaryIO:
    """The decompressed bytes of a stream whose ``name`` ends in one of ``SUFFIXES``.

    Reading raises BadDocument for what is not of that form, Truncated where it ends too early,
    TooLarge and TooCompressed beyond the bounds. Errors of the stream itself pass through.
    """
    counted = _Counted(stream)
    source = cast("BinaryIO", counted)
    if name.endswith(".xz"):
        opened: BinaryIO = cast("BinaryIO", _Xz(source))
    elif name.endswith(".gz"):
        opened = cast("BinaryIO", gzip.GzipFile(fileobj=source))
    elif name.endswith(".bz2"):
        opened = cast("BinaryIO", bz2.BZ2File(source))
    elif name.endswith(".zst"):
        opened = cast("BinaryIO", zstd.ZstdFile(source))
    else:
        opened = source
    return io.BufferedReader(_Bounded(opened, counted, name), _CHUNK)


def parse_packages(stream: BinaryIO, where: str) -> Iterator[Package]:
    """Each package of a Packages file in its order; paragraphs without a version are left out.

    Raises BadDocument for a paragraph that is not one of a package, TooLarge and TooManyEntries
    beyond the bounds.
    """
    count = 0
    for paragraph in _paragraphs(stream, where):
        package = _package(paragraph, where)
        if package:
            count += 1
            if count > MAX_PACKAGES:
                raise TooManyEntries(where, f"more than {MAX_PACKAGES} packages")
            yield package


def _paragraphs(stream: BinaryIO, where: str) -> Iterator[bytes]:
    rest = b""
    while chunk := stream.read(_CHUNK):
        *whole, rest = (rest + chunk).split(b"\n\n")
        if len(rest) > MAX_PARAGRAPH:
            raise TooLarge(where, f"a paragraph of more than {MAX_PARAGRAPH} bytes")
        yield from whole
    yield rest


def _package(paragraph: bytes, where: str) -> Package | None:
    text = b"\n" + paragraph.strip(b"\n")
    if len(text) == 1:
        return None
    name = _field(text, b"\nPackage:")
    if not name or b"\0" in text:
        raise BadDocument(where, f"a paragraph that names no package: {text[1:60]!r}")
    version, arch = _field(text, b"\nVersion:"), _field(text, b"\nArchitecture:")
    if not version or not arch:
        return None
    source, _, source_version = _field(text, b"\nSource:").partition(" ")
    return Package(
        "deb", name, version, sys.intern(arch), source or name, source_version[1:-1] or version
    )


def _field(text: bytes, name: bytes) -> str:
    start = text.find(name)
    if start < 0:
        return ""
    start += len(name)
    end = text.find(b"\n", start)
    return (text[start:] if end < 0 else text[start:end]).decode("utf-8", "replace").strip()


class _Counted(io.RawIOBase):
    """A stream that knows how many bytes were taken from it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.taken = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(_CHUNK if size < 0 else size)
        self.taken += len(data)
        return data


class _Xz(io.RawIOBase):
    """An xz stream; unlike ``lzma.LZMAFile`` it lets no header ask for gigabytes of memory."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._xz = lzma.LZMADecompressor(memlimit=_XZ_MEMORY)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while not self._xz.eof:
            fresh = self._stream.read(_CHUNK) if self._xz.needs_input else b""
            if self._xz.needs_input and not fresh:
                raise EOFError
            data = self._xz.decompress(fresh, size)
            if data:
                return data
        return b""


class _Bounded(io.RawIOBase):
    """Decompressed bytes within the bounds, with errors of ours."""

    def __init__(self, stream: BinaryIO, source: _Counted, name: str) -> None:
        self._stream = stream
        self._source = source
        self._name = name
        self._given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            data = self._stream.read(len(buffer))
        except EOFError as error:
            raise Truncated(self._name, "it ends before the index does") from error
        except (lzma.LZMAError, zlib.error, gzip.BadGzipFile, zstd.ZstdError) as error:
            raise BadDocument(self._name, f"it cannot be decompressed: {error}") from error
        except OSError as error:
            if error.errno is None:  # bz2 has no error of its own
                raise BadDocument(self._name, f"it cannot be decompressed: {error}") from error
            raise
        self._given += len(data)
        if self._given > MAX_SIZE:
            raise TooLarge(self._name, f"more than {MAX_SIZE} bytes")
        if self._given > max(_RATIO_FROM, MAX_RATIO * self._source.taken):
            raise TooCompressed(self._name, f"it unpacks to more than {MAX_RATIO} times its size")
        buffer[: len(data)] = data
        return len(data)
