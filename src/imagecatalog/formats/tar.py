"""The members of a tar stream: v7, ustar, GNU and pax, as Go's ``archive/tar`` reads them.

Not the standard library's ``tarfile``: in a stream that one takes a corrupt or cut-off header for
the end of the archive, and holds headers of any size in memory; a layer cut short would pass for
a small one. Bodies are skipped unless asked for.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from imagecatalog.errors import BadDocument, TooLarge, Truncated
from imagecatalog.formats.unpack import Unpacked

_BLOCK = 512
_ZEROS = bytes(_BLOCK)
_HEADER_LIMIT = 1 << 20
"""Bytes of one extended header; Go's ``archive/tar``, and so container runtimes, read no more."""
_WITHOUT_BODY = b"123456"


class Member(Struct):
    """One entry; names are the bytes of the archive."""

    name: bytes
    type: bytes
    """The type flag of ustar, one byte; regular files are always ``0``."""
    size: int
    """Bytes of its body."""
    target: bytes
    """Of a hard or symbolic link."""
    mode: int = 0
    """Permission bits."""
    sparse: bool = False
    """Its body is not the file's bytes but a map and fragments."""


class TarReader:
    """Walks one archive; raises ``BadDocument``, ``Truncated``, ``TooLarge``."""

    def __init__(self, stream: Unpacked, where: str) -> None:
        self._stream, self._where = stream, where
        self._body = 0  # bytes of the current member's body not read yet, padding included
        self._rest = 0  # the same without padding

    def __iter__(self) -> Iterator[Member]:
        pax: dict[bytes, bytes] = {}
        long: dict[bytes, bytes] = {}
        while block := self._read_header():
            member = self._parse_header(block)
            if member.type in b"xLK":
                data = self._read_extension(member.size)
                if member.type == b"x":
                    pax = self._parse_pax(data)
                else:
                    long[member.type] = data.split(b"\0", 1)[0]
                continue
            if member.type == b"g":  # runtimes leave global headers alone, too
                self._stream.skip(_padded(member.size))
                continue
            if pax or long:
                self._override(member, pax, long)
                pax, long = {}, {}
            if member.type == b"\0":  # before ustar, a slash at the end made it a folder
                member.type = b"5" if member.name.endswith(b"/") else b"0"
            self._rest = 0 if member.type in _WITHOUT_BODY else member.size
            self._body = _padded(self._rest)
            yield member
            if self._body:
                self._stream.skip(self._body)
        if pax or long:
            raise Truncated(self._where, "ends after an extended header")

    def read_body(self, member: Member) -> bytes:
        """The bytes of the member that was yielded last; the caller has looked at its size."""
        return self.read_part(member, member.size)

    def read_part(self, member: Member, size: int) -> bytes:
        """The next bytes of the member that was yielded last; fewer only at its end."""
        size = min(size, self._rest)
        data = self._stream.read(size)
        if len(data) < size:
            raise Truncated(self._where, f"ends in the midst of {show(member.name)}")
        self._body -= size
        self._rest -= size
        return data

    def _read_header(self) -> bytes | None:
        """The next header, or None at the end: two blocks of zeros, or no more bytes at all."""
        block = self._stream.read(_BLOCK)
        if block == _ZEROS:
            block = self._stream.read(_BLOCK)
            if block.strip(b"\0"):
                raise BadDocument(self._where, "has a lone block of zeros between its files")
            return None
        if 0 < len(block) < _BLOCK:
            raise Truncated(self._where, "ends in the midst of a tar header")
        return block or None

    def _read_extension(self, size: int) -> bytes:
        if size > _HEADER_LIMIT:
            raise TooLarge(self._where, f"has an extended header of {size} bytes")
        data = self._stream.read(_padded(size))
        if len(data) < _padded(size):
            raise Truncated(self._where, "ends in the midst of an extended header")
        return data[:size]

    def _parse_header(self, block: bytes) -> Member:
        checksum = self._parse_number(block[148:156])
        if checksum != sum(block) - sum(block[148:156]) + 256 and checksum != _signed_sum(block):
            raise BadDocument(
                self._where, "is no tar archive, or a corrupt one: a header's sum is wrong"
            )
        name = block[:100].split(b"\0", 1)[0]
        if block[257:263] == b"ustar\0":
            # star keeps times in the tail of the prefix, GNU (another magic) in all of it
            end = 476 if block[508:] == b"tar\0" else 500
            if prefix := block[345:end].split(b"\0", 1)[0]:
                name = prefix + b"/" + name
        kind = block[156:157]
        if kind == b"7":
            kind = b"0"
        member = Member(
            name=name,
            type=kind,
            size=self._parse_number(block[124:136]),
            target=block[157:257].split(b"\0", 1)[0] if kind in b"12" else b"",
            mode=_read_mode(block[100:108]),
        )
        if kind == b"S":
            member.type, member.sparse = b"0", True
            self._skip_sparse_map(more=block[482])
        return member

    def _skip_sparse_map(self, *, more: int) -> None:
        while more:
            block = self._stream.read(_BLOCK)
            if len(block) < _BLOCK:
                raise Truncated(self._where, "ends in the midst of a sparse file's map")
            more = block[504]

    def _parse_number(self, field: bytes) -> int:
        if field[0] & 0x80:  # GNU's base 256, for sizes over 8 GiB
            number = int.from_bytes(field[1:], "big") if field[0] == 0x80 else -1
        else:
            digits = field.strip(b" \0")
            number = int(digits or b"0", 8) if not digits.strip(b"01234567") else -1
        if not 0 <= number < 1 << 63:
            raise BadDocument(self._where, "is no tar archive, or a corrupt one: a header's number")
        return number

    def _parse_pax(self, data: bytes) -> dict[bytes, bytes]:
        """The records of an extended header, each ``LENGTH KEY=VALUE`` and a line feed (pax, POSIX)."""
        records: dict[bytes, bytes] = {}
        at = 0
        while at < len(data):
            length, blank, _ = data[at : at + 20].partition(b" ")
            end = at + int(length) if blank and length.isdigit() else 0
            record = data[at + len(length) + 1 : end]
            key, equals, value = record[:-1].partition(b"=")
            if not equals or end > len(data) or not record.endswith(b"\n"):
                raise BadDocument(self._where, "has a malformed pax header")
            if key in (b"path", b"linkpath", b"size", b"GNU.sparse.name") and b"\0" in value:
                raise BadDocument(self._where, "has a zero byte in a name")
            records[key] = value
            at = end
        return records

    def _override(self, member: Member, pax: dict[bytes, bytes], long: dict[bytes, bytes]) -> None:
        """Let the extended headers before a member say what its own has no room for."""
        member.name = (
            long.get(b"L") or pax.get(b"GNU.sparse.name") or pax.get(b"path") or member.name
        )
        member.target = long.get(b"K") or pax.get(b"linkpath") or member.target
        member.sparse |= any(key.startswith(b"GNU.sparse.") for key in pax)
        if size := pax.get(b"size"):
            if not size.isdigit() or len(size) > 19:
                raise BadDocument(self._where, "has a malformed size in a pax header")
            member.size = int(size)


def show(name: bytes) -> str:
    """A name as a sentence can hold it: printable, at most 200 characters."""
    return ascii(name[:200].decode(errors="backslashreplace"))[1:-1]


def _read_mode(field: bytes) -> int:
    """The permissions, or all of them where the field is none: nothing is missed for that."""
    digits = field.strip(b" \0")
    return int(digits, 8) & 0o777 if digits and not digits.strip(b"01234567") else 0o777


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _signed_sum(block: bytes) -> int:
    """The checksum as some old writers made it, of signed bytes."""
    plain = block[:148] + b" " * 8 + block[156:]
    return sum(plain) - 256 * sum(byte > 127 for byte in plain)
