"""The bytes of a layer, unpacked as they are asked for: gzip, zstd or neither, told by their magic.

Memory is bounded whatever the bytes say, and the bounds on size, ratio and time are kept here.
"""

from __future__ import annotations

import sys
import time
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol

from msgspec import Struct

from imagecatalog.errors import BadDocument, TooCompressed, TooLarge, TooSlow, Truncated

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_PACKED = 1 << 16
_UNPACKED = 1 << 20
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_SKIPPABLE = b"\x2a\x4d\x18"  # RFC 8878, 3.1.2: after a first byte of 0x50 to 0x5f


class Bounds(Struct, frozen=True, kw_only=True):
    """How much we unpack of one stream."""

    unpacked: int = 64 << 30
    """Bytes after decompression."""
    ratio: int = 200
    """Unpacked bytes for each packed one, once ``ratio_after`` bytes were unpacked: small
    layers of empty files pass, and deflate and zstd reach 1000 and more with zeros alone."""
    ratio_after: int = 256 << 20
    seconds: float = 3600.0
    """From the first byte to the last, waiting for the network included."""


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class Unpacked:
    """A forward-only stream of the unpacked bytes of ``packed``.

    Every method raises ``Truncated``, ``TooLarge``, ``TooCompressed``, ``TooSlow`` or, for bytes
    that are not of their format, ``BadDocument``; errors of ``packed`` itself pass through.
    """

    def __init__(
        self,
        packed: BinaryIO,
        where: str,
        bounds: Bounds,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._packed, self._where, self._bounds, self._clock = packed, where, bounds, clock
        self._deadline = clock() + bounds.seconds
        self._packed_size = 0
        self._unpacked_size = 0
        self._buffer = b""
        self._at = 0
        self._chunks = self._unpack()

    def read(self, size: int) -> bytes:
        """Exactly ``size`` bytes; fewer only at the end. The caller bounds ``size``."""
        end = self._at + size
        if end <= len(self._buffer):
            data = self._buffer[self._at : end]
            self._at = end
            return data
        parts = [self._buffer[self._at :]]
        missing = size - len(parts[0])
        while missing and self._fill():
            parts.append(self._buffer[:missing])
            self._at = len(parts[-1])
            missing -= self._at
        if missing:
            self._at = len(self._buffer)
        return b"".join(parts)

    def skip(self, size: int) -> None:
        """Pass over ``size`` bytes, none of them kept; raises ``Truncated`` at an early end."""
        end = self._at + size
        while end > len(self._buffer):
            end -= len(self._buffer)
            if not self._fill():
                raise Truncated(self._where, f"ends {end} bytes before the end of a file in it")
        self._at = end

    def drain(self) -> None:
        """Read to the very end, which is where checksums and digests are checked."""
        while self._fill():
            pass

    def _fill(self) -> bool:
        self._buffer, self._at = next(self._chunks, b""), 0
        self._unpacked_size += len(self._buffer)
        self._check()
        return bool(self._buffer)

    def _check(self) -> None:
        bounds, size = self._bounds, self._unpacked_size
        if size > bounds.unpacked:
            raise TooLarge(self._where, f"unpacks to more than {bounds.unpacked} bytes")
        if size > bounds.ratio_after and size > bounds.ratio * self._packed_size:
            raise TooCompressed(
                self._where, f"unpacks to more than {bounds.ratio} times its size, as a bomb does"
            )
        if self._clock() > self._deadline:
            raise TooSlow(self._where, f"was not read within {bounds.seconds:g} seconds")

    def _pull(self) -> bytes:
        data = self._packed.read(_PACKED)
        self._packed_size += len(data)
        self._check()
        return data

    def _unpack(self) -> Iterator[bytes]:
        data = self._pull()
        while 0 < len(data) < 4 and (more := self._pull()):
            data += more
        if not (decompressor := _decompressor(data)):
            while data:
                yield data
                data = self._pull()
            return
        try:
            yield from self._unpack_members(decompressor, data)
        except (zlib.error, zstd.ZstdError) as error:
            raise BadDocument(self._where, f"is corrupt: {error}") from error

    def _unpack_members(self, decompressor: _Decompressor, data: bytes) -> Iterator[bytes]:
        while True:
            if chunk := decompressor.decompress(data, _UNPACKED):
                yield chunk
            if decompressor.eof:
                if not (data := self._next_member(decompressor.unused_data)):
                    return
                if not (following := _decompressor(data)):
                    raise BadDocument(self._where, "holds garbage after its compressed data")
                decompressor = following
                continue
            data = getattr(decompressor, "unconsumed_tail", b"")
            if not data and (len(chunk) < _UNPACKED) and not (data := self._pull()):
                raise Truncated(self._where, "ends in the midst of its compressed data")

    def _next_member(self, data: bytes) -> bytes:
        """What follows a gzip member or zstd frame, without the zeros some writers pad with."""
        data = data.lstrip(b"\0")
        while len(data) < 4 and (more := self._pull()):
            data = (data + more).lstrip(b"\0")
        return data


def _decompressor(data: bytes) -> _Decompressor | None:
    if data.startswith(_GZIP):
        return zlib.decompressobj(wbits=31)
    if data.startswith(_ZSTD) or (data[1:4] == _SKIPPABLE and data[0] >> 4 == 5):
        return zstd.ZstdDecompressor()
    return None
