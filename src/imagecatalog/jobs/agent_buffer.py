"""What a push agent keeps on disk of a cluster: scans that the server has not, and what it has.

Every file is whole or not there, whenever the agent is killed: it is written beside its place, made
to last, and renamed.
"""

from __future__ import annotations

import fcntl
import gzip
import os
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from imagecatalog.errors import UsageError
from imagecatalog.formats.scans import PodKey, WholeScan, decode_scan, digest_pods, encode_scan

MOST_SCANS = 1000
MOST_BYTES = 256 << 20
_SCAN = re.compile(r"scan-([0-9]{12})\.json\.gz")
_BASE = "base.msgpack"
_LOCK = "lock"


class Base(Struct, frozen=True):
    """What the server has: the last scan that it took."""

    at: datetime
    pods: dict[str, dict[str, bytes]]
    """Digest of each pod by namespace and name."""

    @classmethod
    def of(cls, scan: WholeScan, before: Mapping[PodKey, bytes]) -> Base:
        """The base that a scan is for the next one; ``before`` is what the server had."""
        pods: dict[str, dict[str, bytes]] = {}
        for (namespace, name), digest in digest_pods(scan, before).items():
            pods.setdefault(namespace, {})[name] = digest
        return cls(scan.at, pods)

    def digests(self) -> dict[PodKey, bytes]:
        """The same by pod."""
        return {
            (namespace, name): digest
            for namespace, names in self.pods.items()
            for name, digest in names.items()
        }


_READER = msgspec.msgpack.Decoder(Base)
_WRITER = msgspec.msgpack.Encoder()


class Buffer:
    """The folder of one cluster. ``open`` it: two agents must not share one."""

    def __init__(
        self, folder: Path, *, most_scans: int = MOST_SCANS, most_bytes: int = MOST_BYTES
    ) -> None:
        self.folder = folder
        self._most_scans = most_scans
        self._most_bytes = most_bytes

    @classmethod
    @contextmanager
    def open(
        cls, folder: Path, *, most_scans: int = MOST_SCANS, most_bytes: int = MOST_BYTES
    ) -> Iterator[Buffer]:
        """One that is ours until the block ends; raises UsageError where that cannot be."""
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as problem:
            raise UsageError(
                f"{folder} cannot be written: {problem.strerror}",
                hint="name a folder of our own by --buffer",
            ) from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for leftover in folder.glob("*.new"):
                leftover.unlink()
            yield cls(folder, most_scans=most_scans, most_bytes=most_bytes)
        except BlockingIOError:
            raise UsageError(
                f"another agent keeps its scans in {folder}",
                hint="end that one, or name another folder by --buffer",
            ) from None
        finally:
            os.close(handle)

    def waiting(self) -> list[Path]:
        """The scans that the server has not, oldest first."""
        return sorted(path for path in self.folder.iterdir() if _SCAN.fullmatch(path.name))

    def put(self, scan: WholeScan) -> int:
        """Keep one more scan; how many of the oldest went for it. Raises OSError."""
        body = gzip.compress(encode_scan(scan), 6, mtime=0)
        kept = self.waiting()
        last = _SCAN.fullmatch(kept[-1].name) if kept else None
        number = 1 + (int(last[1]) if last else 0)
        dropped = self._make_room(kept, len(body))
        self._write(f"scan-{number:012}.json.gz", body)
        return dropped

    def read(self, path: Path) -> WholeScan | None:
        """A scan that waits; None, and it is gone, where the disk has spoilt it."""
        try:
            scan = decode_scan(gzip.decompress(path.read_bytes()))
        except (OSError, EOFError, zlib.error, msgspec.DecodeError, UnicodeDecodeError):
            scan = None
        if isinstance(scan, WholeScan):
            return scan
        self.drop(path)
        return None

    def drop(self, path: Path) -> None:
        """Forget a scan."""
        with suppress(OSError):
            path.unlink()

    def base(self) -> Base | None:
        """What the server has, as far as we know."""
        try:
            return _READER.decode((self.folder / _BASE).read_bytes())
        except (OSError, msgspec.DecodeError):
            return None

    def note_base(self, base: Base) -> None:
        """Keep what the server has; where the disk is full, the next scan is told whole."""
        try:
            self._write(_BASE, _WRITER.encode(base))
        except OSError:
            self.forget_base()

    def forget_base(self) -> None:
        """The server has not what we think."""
        self.drop(self.folder / _BASE)

    def _make_room(self, kept: list[Path], size: int) -> int:
        sizes = {path: path.stat().st_size for path in kept}
        dropped = 0
        for path in kept:
            total = size + sum(sizes.values())
            if len(sizes) < self._most_scans and total <= self._most_bytes:
                break
            self.drop(path)
            del sizes[path]
            dropped += 1
        return dropped

    def _write(self, name: str, body: bytes) -> None:
        new = self.folder / f"{name}.new"
        try:
            with new.open("wb") as stream:
                stream.write(body)
                stream.flush()
                os.fsync(stream.fileno())
            new.replace(self.folder / name)
        except OSError:
            self.drop(new)
            raise
        handle = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
