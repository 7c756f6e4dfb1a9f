"""The modules that a Go program was built from: the build information that its linker wrote.

Layout: Go's ``debug/buildinfo``. Since Go 1.18 its texts lie behind its header; before, two
pointers led to them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from imagecatalog.domain.contents import PackageDatabase
from imagecatalog.errors import BadDocument
from imagecatalog.formats.found import Found

ELF = b"\x7fELF"
_MAGIC = b"\xff Go buildinf:"
_HEADER = 32
_STEP = 1 << 20
_TEXT = 1 << 20
"""Bytes of build information; a thousand modules take a tenth of a megabyte."""
_HELD = 64 << 20
"""Bytes of a program that are held to follow pointers, which may lead anywhere in it."""
_MARKS = 64
"""So many places that look like build information and are none are passed over."""
_SENTINEL = 16


def read_program(read: Callable[[int], bytes], size: int, where: str) -> PackageDatabase | None:
    """The main module, those it depends on, and Go's library; None for other programs.

    ``read`` gives the next bytes of an ELF file of ``size`` bytes from its first on; it is read as
    far as needed, and beyond 64 MB of it only a window is held.
    """
    found = Found(where)
    try:
        if not (info := _find_info(read, size, where)):
            return None
        version, modules = info
        _take(found, version, modules)
    except BadDocument as error:
        found.fail(error)
    return found.database()


def _find_info(read: Callable[[int], bytes], size: int, where: str) -> tuple[str, str] | None:
    held = bytearray()
    dropped = 0
    searched = 0
    marks = 0
    while True:
        chunk = read(_STEP)
        held += chunk
        at = held.find(_MAGIC, searched)
        while at >= 0:
            if len(held) < at + _HEADER + 2 * _TEXT:
                held += read(at + _HEADER + 2 * _TEXT - len(held))
            if (dropped + at) % 16 == 0 and (info := _read_info(held, at)):
                return info
            if _is_old(held, at):
                return _follow(held, at, read, whole=not dropped and size <= _HELD, where=where)
            marks += 1
            if marks > _MARKS:
                raise BadDocument(where, "seems to hold build information in too many places")
            at = held.find(_MAGIC, at + 1)
        if len(chunk) < _STEP:
            return None
        searched = max(0, len(held) - len(_MAGIC))
        if len(held) > _HELD:
            dropped += searched
            del held[:searched]
            searched = 0


def _read_info(data: bytearray, at: int) -> tuple[str, str] | None:
    """The texts behind a header of Go 1.18 or later, each with its length before it."""
    if len(data) < at + _HEADER or not data[at + 15] & 2:
        return None
    texts = []
    at += _HEADER
    for _ in range(2):
        length, shift = 0, 0
        while True:
            if at >= len(data) or shift > 28:
                return None
            byte = data[at]
            at += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        if length > min(_TEXT, len(data) - at):
            return None
        texts.append(bytes(data[at : at + length]))
        at += length
    return _check(*texts)


def _check(version: bytes, modules: bytes) -> tuple[str, str] | None:
    """The texts, if they are what they should be: the magic alone stands in Go's own tools too."""
    if not version.startswith((b"go", b"devel")):
        return None
    if len(modules) > 2 * _SENTINEL and modules[-_SENTINEL - 1 : -_SENTINEL] == b"\n":
        modules = modules[_SENTINEL:-_SENTINEL]
    else:
        modules = b""
    return version.decode(errors="replace"), modules.decode(errors="replace")


def _is_old(data: bytearray, at: int) -> bool:
    """Whether a header with pointers is there: of 4 or 8 bytes, of either order."""
    return len(data) >= at + _HEADER and data[at + 14] in (4, 8) and data[at + 15] in (0, 1)


def _follow(
    held: bytearray, at: int, read: Callable[[int], bytes], *, whole: bool, where: str
) -> tuple[str, str] | None:
    if not whole:
        raise BadDocument(where, "is too large to be looked into: it was built by Go before 1.18")
    while chunk := read(_STEP):
        held += chunk
    data = bytes(held)
    order = ">" if data[at + 15] & 1 else "<"
    word = f"{order}{'Q' if data[at + 14] == 8 else 'I'}"
    width = data[at + 14]
    try:
        segments = list(_segments(data, order, wide=width == 8))
        texts = []
        for place in (at + 16, at + 16 + width):
            (pointer,) = struct.unpack_from(word, data, place)
            header = _locate(segments, pointer)
            start, length = struct.unpack_from(f"{word}{word[1]}", data, header)
            begin = _locate(segments, start)
            texts.append(data[begin : begin + min(length, _TEXT)])
    except (struct.error, LookupError, OverflowError):
        return None
    return _check(*texts)


def _segments(data: bytes, order: str, *, wide: bool) -> Iterator[tuple[int, int, int]]:
    """Address, offset and size of what is loaded of an ELF file."""
    (table,) = struct.unpack_from(f"{order}{'Q' if wide else 'I'}", data, 32 if wide else 28)
    entry, count = struct.unpack_from(f"{order}HH", data, 54 if wide else 42)
    for number in range(count):
        at = table + number * entry
        (kind,) = struct.unpack_from(f"{order}I", data, at)
        if wide:
            offset, address, _, size = struct.unpack_from(f"{order}QQQQ", data, at + 8)
        else:
            offset, address, _, size = struct.unpack_from(f"{order}IIII", data, at + 4)
        if kind == 1:
            yield address, offset, size


def _locate(segments: list[tuple[int, int, int]], pointer: int) -> int:
    for address, offset, size in segments:
        if address <= pointer < address + size:
            return offset + pointer - address
    raise LookupError(pointer)


def _take(found: Found, version: str, modules: str) -> None:
    """Add what the lines of a build say; a module that was replaced is the one that stands for it.

    Where a folder stands for it, it has no version that anybody else knows.
    """
    release = version.split(maxsplit=1)[0] if version.startswith("go") else version
    found.add("golang", "stdlib", release.removeprefix("go"))
    taken: list[tuple[str, str]] = []
    for line in modules.splitlines():
        kind, *fields = line.split("\t")
        if kind in ("mod", "dep") and len(fields) >= 2:
            taken.append((fields[0], fields[1]))
        elif kind == "=>" and len(fields) >= 2 and taken:
            is_folder = fields[0].startswith((".", "/"))
            taken[-1] = (taken[-1][0], "") if is_folder else (fields[0], fields[1])
    for name, told in taken:
        found.add("golang", name, told or "(devel)")
