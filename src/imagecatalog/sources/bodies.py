"""Bytes on their way in: chunks read as a file, and checked against the digest that names them."""

from __future__ import annotations

import io
from collections.abc import Generator, Iterable, Iterator

from imagecatalog.domain.images import Descriptor
from imagecatalog.domain.refs import Digest
from imagecatalog.errors import BadDocument, DigestMismatch, Truncated

CHUNK = 65536


class DigestUnverifiable(BadDocument):
    """The digest is of an algorithm that cannot be computed here, so the bytes cannot be trusted."""

    code = "digest-unverifiable"

    def __init__(self, where: str, digest: Digest) -> None:
        super().__init__(where, f"digests of algorithm {digest.algorithm} cannot be checked")


def open_chunks(chunks: Iterator[bytes]) -> io.BufferedReader:
    """The chunks as a file to read once; what raises while they are made is raised by ``read``."""
    return io.BufferedReader(_Chunks(chunks), CHUNK)


def read_chunks(stream: io.BufferedReader) -> Iterator[bytes]:
    """The rest of a file in chunks; all that came before an error is yielded before it."""
    while chunk := stream.read1(CHUNK):
        yield chunk


def verify_bytes(body: bytes, digest: Digest, where: str) -> None:
    """Raise ``DigestMismatch`` (or ``DigestUnverifiable``) unless ``digest`` is that of ``body``."""
    for _ in verify_chunks([body], Descriptor("", digest, len(body)), where):
        pass


def verify_chunks(
    chunks: Iterable[bytes], blob: Descriptor, where: str
) -> Generator[bytes, None, None]:
    """Pass the chunks on, and raise unless they are the blob's: before the end is told.

    ``DigestMismatch`` for other or too many bytes, ``Truncated`` for too few, ``DigestUnverifiable``
    before the first.
    """
    if not blob.digest.verifiable:
        raise DigestUnverifiable(where, blob.digest)
    hasher, size = blob.digest.hasher(), 0
    for chunk in chunks:
        size += len(chunk)
        if 0 <= blob.size < size:
            raise DigestMismatch(where, f"it is longer than its {blob.size} bytes")
        hasher.update(chunk)
        yield chunk
    if size < blob.size:
        raise Truncated(where, f"it ends after {size} of {blob.size} bytes")
    if hasher.hexdigest() != blob.digest.encoded:
        found = f"{blob.digest.algorithm}:{hasher.hexdigest()}"
        raise DigestMismatch(where, f"its bytes have the digest {found}")


class _Chunks(io.RawIOBase):
    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size
