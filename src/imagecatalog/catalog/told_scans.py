"""Takes what a push agent tells of a cluster: all that runs, or what is different since."""

from __future__ import annotations

from datetime import datetime
from itertools import chain

from imagecatalog.catalog import timeline
from imagecatalog.domain.receipts import ScanReceipt
from imagecatalog.errors import BaseNotHeld
from imagecatalog.formats.scans import Differences, FailedScan, Scan, WholeScan
from imagecatalog.store import health, known_pods, pushed
from imagecatalog.store.engine import Connection


def keep_scan(c: Connection, name: str, scan: Scan, *, told_by: str, now: datetime) -> ScanReceipt:
    """Take a scan; the very same again changes nothing.

    Raises ``BaseNotHeld`` for differences from what is not the last scan before them, and
    ``ScanRefused`` for a moment of which none is taken. Of a failed scan nothing is kept but that.
    """
    at = scan.at.replace(microsecond=0)
    is_known = isinstance(scan, FailedScan) or pushed.has_scan(c, name, at)
    if isinstance(scan, FailedScan):
        running, appeared, ended = 0, 0, 0
    elif isinstance(scan, Differences):
        running, appeared, ended = _take_differences(c, name, scan, at=at, now=now)
    else:
        running, appeared, ended = _take_whole(c, name, scan, at=at, now=now)
    newest = pushed.last_scan(c, name)
    if newest is None or at >= newest:
        detail = f"{running:,} containers, told by {told_by}"
        fault = scan.fault or None
        health.note_try(c, "cluster", name, at=now, seconds=0, error=fault, detail=detail, seen=at)
    if appeared or ended:
        pushed.note_pushed(c, name, now=now)
    return ScanReceipt(
        cluster=name,
        at=at,
        running=running,
        appeared=appeared,
        ended=ended,
        created=not is_known,
    )


def _take_whole(
    c: Connection, name: str, scan: WholeScan, *, at: datetime, now: datetime
) -> tuple[int, int, int]:
    unread = [(pod.namespace, pod.name) for pod in scan.unread]
    containers = chain(scan.running(), known_pods.list_known(c, name, unread, before=at))
    return timeline.observe(c, name, containers, at=at, now=now, kind=scan.kind)


def _take_differences(
    c: Connection, name: str, scan: Differences, *, at: datetime, now: datetime
) -> tuple[int, int, int]:
    base, held = scan.base.replace(microsecond=0), pushed.find_base(c, name, at)
    if base != held:
        said = "none" if held is None else f"of {held:%Y-%m-%dT%H:%M:%SZ}"
        raise BaseNotHeld(
            f"the last scan of {name} before {at:%Y-%m-%dT%H:%M:%SZ} that is held here is {said},"
            f" not of {base:%Y-%m-%dT%H:%M:%SZ}",
            hint="send the whole scan instead",
        )
    _, appeared, ended = timeline.observe_pods(c, name, scan.running(), at=at, now=now)
    return pushed.count_running(c, name, at), appeared, ended
