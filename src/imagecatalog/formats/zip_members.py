"""The members of a zip archive one at a time, whatever it claims: nothing is ever written to a disk.

APPNOTE 6.3 (PKWARE), with ZIP64. The central directory is read as a stream, so that memory does not
grow with the number of members. Members are stored or deflated; others are told as not read.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from msgspec import Struct

from imagecatalog.errors import BadDocument, TooCompressed, TooLarge, TooManyEntries, Truncated

MEMBER_LIMIT = 16 << 20
"""Bytes of one member."""
ENTRIES_LIMIT = 2_000_000
TOTAL_LIMIT = 32 << 30
"""Bytes of all members."""
RATIO_LIMIT = 100
"""Bytes of members for each of the archive; JSON has about ten."""
_RATIO_AFTER = 64 << 20

_END = struct.Struct("<4s4H2IH")
_END_64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR_64 = struct.Struct("<4sIQI")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_LOCAL = struct.Struct("<4s5H3I2H")
_MAX_32 = 0xFFFFFFFF
_UTF_8 = 0x800


class ZipMember(Struct, frozen=True):
    """A file in an archive; either its bytes or why they could not be read."""

    name: str
    body: bytes
    problem: str | None = None


class _Entry(Struct, frozen=True):
    name: str
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int


def read_zip(stream: BinaryIO, where: str, *, limit: int = MEMBER_LIMIT) -> Iterator[ZipMember]:
    """Each file of an archive that can be sought in, in the order of its directory.

    Raises Truncated and BadDocument for what is no whole archive, TooManyEntries, TooLarge and
    TooCompressed. What is wrong with one member is told of that one.
    """
    size = stream.seek(0, os.SEEK_END)
    unpacked = 0
    for entry in _read_directory(stream, where, size):
        if entry.name.endswith("/"):
            continue
        if problem := _distrust(entry, limit):
            yield ZipMember(entry.name, b"", problem)
            continue
        body, problem = _unpack(stream, entry)
        unpacked += len(body)
        if unpacked > TOTAL_LIMIT:
            raise TooLarge(where, f"unpacks to more than {TOTAL_LIMIT} bytes")
        if unpacked > _RATIO_AFTER and unpacked > RATIO_LIMIT * size:
            raise TooCompressed(
                where, f"unpacks to more than {RATIO_LIMIT} times its size, as a bomb does"
            )
        yield ZipMember(entry.name, b"" if problem else body, problem)


def _read_directory(stream: BinaryIO, where: str, size: int) -> Iterator[_Entry]:
    count, length, at = _find_directory(stream, where, size)
    if count > ENTRIES_LIMIT:
        raise TooManyEntries(where, f"has more than {ENTRIES_LIMIT} members")
    if at + length > size:
        raise Truncated(where, "ends before its directory does")
    end = at + length
    for _ in range(count):
        stream.seek(at)
        head = stream.read(_CENTRAL.size)
        if len(head) < _CENTRAL.size or not head.startswith(b"PK\1\2") or at >= end:
            raise BadDocument(where, "its directory is not that of a zip archive")
        fields = _CENTRAL.unpack(head)
        names, extras, comments = fields[10:13]
        tail = stream.read(names + extras)
        yield _entry(fields, tail[:names], tail[names:])
        at += _CENTRAL.size + names + extras + comments


def _find_directory(stream: BinaryIO, where: str, size: int) -> tuple[int, int, int]:
    """How many members there are, and the length and place of the directory."""
    start = max(0, size - _END.size - 0xFFFF)
    stream.seek(start)
    tail = stream.read(size - start)
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) < at + _END.size:
        raise Truncated(where, "is no zip archive, or is cut short")
    _, _, _, _, count, length, place, _ = _END.unpack_from(tail, at)
    if count == 0xFFFF or _MAX_32 in (length, place):
        stream.seek(max(0, start + at - _LOCATOR_64.size))
        locator = stream.read(_LOCATOR_64.size)
        if len(locator) == _LOCATOR_64.size and locator.startswith(b"PK\6\7"):
            stream.seek(min(_LOCATOR_64.unpack(locator)[2], size))
            record = stream.read(_END_64.size)
            if len(record) < _END_64.size or not record.startswith(b"PK\6\6"):
                raise BadDocument(where, "its directory cannot be found")
            *_, count, length, place = _END_64.unpack(record)
    return count, length, place


def _entry(fields: tuple[int, ...], name: bytes, extra: bytes) -> _Entry:
    flags, method, crc = fields[3], fields[4], fields[7]
    packed, size, offset = fields[8], fields[9], fields[16]
    wide = iter(_wide_numbers(extra))
    size = next(wide, size) if size == _MAX_32 else size
    packed = next(wide, packed) if packed == _MAX_32 else packed
    offset = next(wide, offset) if offset == _MAX_32 else offset
    text = name.decode("utf-8" if flags & _UTF_8 else "cp437", "replace")
    return _Entry(text, flags, method, crc, packed, size, offset)


def _wide_numbers(extra: bytes) -> tuple[int, ...]:
    """The numbers of the ZIP64 field (APPNOTE 4.5.3)."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == 1:
            body = extra[at + 4 : at + 4 + length]
            return struct.unpack_from(f"<{len(body) // 8}Q", body)
        at += 4 + length
    return ()


def _distrust(entry: _Entry, limit: int) -> str | None:
    """Why a member is not to be read."""
    path = entry.name.replace("\\", "/")
    if path.startswith("/") or ".." in path.split("/") or "\0" in path or ":" in path[:2]:
        return "its name leads out of the archive"
    if entry.flags & 1:
        return "it is encrypted"
    if entry.method not in (0, 8):
        return f"it is packed by a method that is not known: {entry.method}"
    if max(entry.size, entry.packed) > limit:
        return f"it is larger than {limit} bytes"
    return None


def _unpack(stream: BinaryIO, entry: _Entry) -> tuple[bytes, str | None]:
    """The bytes of a member of a size that is bounded, and what is wrong with them."""
    try:
        stream.seek(entry.offset)
    except (OSError, OverflowError, ValueError):
        return b"", "it lies outside of the archive"
    head = stream.read(_LOCAL.size)
    if len(head) < _LOCAL.size or not head.startswith(b"PK\3\4"):
        return b"", "it is not where the directory says"
    names, extras = _LOCAL.unpack(head)[9:11]
    stream.seek(names + extras, os.SEEK_CUR)
    body = stream.read(entry.packed)
    if len(body) < entry.packed:
        return b"", "it is cut short"
    if entry.method == 8:
        try:
            body = zlib.decompressobj(-15).decompress(body, entry.size + 1)
        except zlib.error as error:
            return b"", f"it is corrupt: {error}"
    if len(body) != entry.size or zlib.crc32(body) != entry.crc:
        return body, "its bytes are not those that were packed"
    return body, None
