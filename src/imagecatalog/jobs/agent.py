"""A push agent: scans clusters that the server cannot reach, and tells it what runs in them.

Each cluster has a thread and a buffer of its own. A scan is first kept on disk, then told, as the
differences since the last one that the server took wherever that may be; while the server is away
scans wait, and are told in their order afterwards. A scan that fails is none: nothing is told.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from imagecatalog.domain.receipts import ScanReceipt
from imagecatalog.errors import (
    BaseNotHeld,
    BodyTooLarge,
    CatalogError,
    InvalidBody,
    ScanRefused,
    SourceUnavailable,
)
from imagecatalog.formats.scans import (
    Differences,
    WholeScan,
    encode_scan,
    tell_differences,
    tell_failure,
    tell_whole,
)
from imagecatalog.jobs.agent_buffer import Base, Buffer
from imagecatalog.jobs.report import plural
from imagecatalog.sources.kube import ClusterScan, explain_unread

_FIRST_PAUSE = 5.0
_LONGEST_PAUSE = 300.0


class Subject(Struct, frozen=True):
    """A cluster or host to scan."""

    name: str
    scan: Callable[[], ClusterScan]
    """All that runs in it; what it raises makes the scan none."""


Teller = Callable[[str, bytes], bytes]
"""Tells the server a scan of a cluster; what it answered. Raises what it refuses as that error."""
_RECEIPT = msgspec.json.Decoder(ScanReceipt)


class Agent:
    """Scans subjects every so many seconds and tells of them until it is stopped.

    ``say`` takes a line for the log and whether it tells of a fault; it is called by several threads.
    """

    def __init__(
        self,
        subjects: Sequence[Subject],
        tell: Teller,
        *,
        folder: Path,
        every: float,
        most_bytes: int,
        now: Callable[[], datetime],
        say: Callable[[str, bool], None],
        stopping: threading.Event,
    ) -> None:
        self._subjects = subjects
        self._tell = tell
        self._folder = folder
        self._every = every
        self._most_bytes = most_bytes
        self._now = now
        self._say = say
        self._stopping = stopping

    def run(self, *, once: bool = False, wait: float = 10.0) -> bool:
        """Work until stopped, or each subject once; whether all was told.

        After a stop ``wait`` seconds are given to what is under way: what it does not tell by then
        lies in the buffer. Raises UsageError for a buffer that cannot be used.
        """
        with ExitStack() as stack:
            share = self._most_bytes // max(1, len(self._subjects))
            desks = [
                _Desk(
                    subject,
                    stack.enter_context(Buffer.open(self._folder / subject.name, most_bytes=share)),
                    self._tell,
                    now=self._now,
                    say=self._say,
                )
                for subject in self._subjects
            ]
            work = _once if once else self._keep_on
            threads = [
                threading.Thread(target=work, args=(desk,), name=desk.name, daemon=True)
                for desk in desks
            ]
            for thread in threads:
                thread.start()
            self._await(threads, wait)
            return all(desk.is_well for desk in desks)

    def _await(self, threads: Sequence[threading.Thread], wait: float) -> None:
        for thread in threads:
            while thread.is_alive() and not self._stopping.is_set():
                thread.join(0.1)
        until = time.monotonic() + wait
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _keep_on(self, desk: _Desk) -> None:
        due, again, pause = 0.0, 0.0, _FIRST_PAUSE
        while not self._stopping.is_set():
            if time.monotonic() >= due:
                due = time.monotonic() + self._every
                desk.take_scan()
                again = 0.0
            if desk.has_waiting() and time.monotonic() >= again:
                is_told = desk.tell_waiting(self._stopping.is_set)
                pause = _FIRST_PAUSE if is_told else min(2 * pause, _LONGEST_PAUSE)
                again = time.monotonic() + pause
            following = min(due, again) if desk.has_waiting() else due
            self._stopping.wait(max(0.0, following - time.monotonic()))


def _once(desk: _Desk) -> None:
    desk.take_scan()
    desk.tell_waiting(lambda: False)


class _Desk:
    """The work on one subject, by one thread."""

    def __init__(
        self,
        subject: Subject,
        buffer: Buffer,
        tell: Teller,
        *,
        now: Callable[[], datetime],
        say: Callable[[str, bool], None],
    ) -> None:
        self.name = subject.name
        self.is_well = False
        """Whether the last scan went well and nothing waits."""
        self._subject = subject
        self._buffer = buffer
        self._tell = tell
        self._now = now
        self._say = say

    def has_waiting(self) -> bool:
        """Whether the server has not all."""
        return bool(self._buffer.waiting())

    def take_scan(self) -> None:
        """Scan and keep it; where that cannot be kept, tell it at once."""
        self.is_well = False
        at, started = self._now(), time.monotonic()
        try:
            seen = self._subject.scan()
        except CatalogError as error:
            self._complain(f"not scanned: {error.message}", error.hint)
            self._tell_failure(error, at)
            return
        fault = explain_unread(self.name, seen)
        scan = tell_whole(
            seen.containers,
            at=at,
            unread=[(pod.namespace, pod.name) for pod in seen.unread],
            fault=fault.message if fault else "",
            kind=seen.kind,
        )
        seconds = time.monotonic() - started
        self._remark(f"scanned: {plural(len(scan.containers), 'container')} in {seconds:.1f} s")
        for said in (*([fault.message] if fault else []), *seen.remarks):
            self._complain(said)
        self.is_well = fault is None
        try:
            dropped = self._buffer.put(scan)
        except OSError as problem:
            self._complain(f"cannot be kept in {self._buffer.folder}: {problem.strerror}")
            self.is_well = self._tell_scan(scan) and self.is_well
            return
        if dropped:
            self._complain(f"dropped, as too much waits: {plural(dropped, 'older scan')}")

    def tell_waiting(self, is_stopped: Callable[[], bool]) -> bool:
        """Tell what waits, the oldest first; whether nothing waits any more."""
        for path in self._buffer.waiting():
            if is_stopped():
                break
            scan = self._buffer.read(path)
            if scan is None:
                self._complain(f"dropped, as the disk has spoilt it: {path.name}")
            elif self._tell_scan(scan):
                self._buffer.drop(path)
            else:
                break
        left = len(self._buffer.waiting())
        self.is_well = self.is_well and not left
        if left:
            self._complain(f"waiting to be told: {plural(left, 'scan')}")
        return not left

    def _tell_scan(self, scan: WholeScan) -> bool:
        """Whether it need not be told again: the server took it, or never will."""
        base = self._buffer.base()
        before = base.digests() if base is not None else {}
        told: WholeScan | Differences = scan
        if base is not None and base.at < scan.at:
            told = tell_differences(scan, base.at, before)
        try:
            try:
                is_new = self._send(told)
            except (BaseNotHeld, ScanRefused):
                if told is scan:
                    raise
                before = {}
                self._buffer.forget_base()
                self._remark("the server has not what we told it: all is told anew")
                is_new = self._send(scan)
        except (InvalidBody, BodyTooLarge, ScanRefused) as error:
            faults = error.faults if isinstance(error, InvalidBody) else ()
            said = "; ".join(f"{where} {what}" for where, what in faults[:3]) or error.message
            if faults and all(where == "/at" for where, _ in faults):
                self._complain(f"not taken yet: {said}")
                return False
            self.is_well = False
            self._complain(f"dropped, as the server refuses it: {said}", error.hint)
            return True
        except CatalogError as error:
            self._complain(f"not told: {error.message}", error.hint)
            return False
        if is_new:
            self._buffer.note_base(Base.of(scan, before))
        else:
            # Of this very moment something else may count there.
            self._buffer.forget_base()
        return True

    def _tell_failure(self, error: CatalogError, at: datetime) -> None:
        """Have the server know why it hears of nothing; where it is away, that waits for nobody."""
        try:
            self._tell(self.name, encode_scan(tell_failure(error.message, at=at)))
        except CatalogError as refused:
            self._complain(f"the server does not know that: {refused.message}")

    def _send(self, scan: WholeScan | Differences) -> bool:
        """Whether it was the first word of its moment."""
        body = encode_scan(scan)
        try:
            receipt = _RECEIPT.decode(self._tell(self.name, body))
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise SourceUnavailable(
                "the server answered what is no receipt",
                hint="is that the address of an imagecatalog server?",
            ) from None
        what = "whole" if isinstance(scan, WholeScan) else plural(len(scan.pods), "changed pod")
        self._remark(
            f"told of {scan.at:%Y-%m-%dT%H:%M:%SZ} ({what}, {len(body):,} bytes):"
            f" {receipt.running:,} run, {receipt.appeared:,} appeared, {receipt.ended:,} ended"
        )
        return receipt.created

    def _remark(self, line: str) -> None:
        self._say(f"{self.name}: {line}", False)

    def _complain(self, line: str, hint: str | None = None) -> None:
        self._say(f"{self.name}: {line}" + (f" (hint: {hint})" if hint else ""), True)
