"""Takes what was seen of clusters, and keeps it as intervals: whenever it arrives, in any order.

A whole scan at a moment says: from then to the next scan known exactly this ran. What was told of
some pods alone says so of these, up to the next time that they are told of. Of two at one moment
what was told of a pod alone counts before the whole, and else the greater digest: so any order of
arrival gives the same intervals, and each is as long as it can be.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, Select, and_, delete, func, select, update

from imagecatalog.domain.runs import RunningContainer
from imagecatalog.domain.sightings import NOTHING, Key, PodKey, Sighting
from imagecatalog.errors import ScanRefused
from imagecatalog.store.dialect import batches, upsert
from imagecatalog.store.overlays import Stretch, list_held, overlay
from imagecatalog.store.run_rows import (
    end_runs,
    insert_runs,
    note_conditions,
    note_teams,
    put_cluster,
    put_run_images,
    put_workloads,
)
from imagecatalog.store.schema import cluster, run, scan, workload

AHEAD = timedelta(minutes=5)
"""So far may another's clock be ahead of ours."""

Counts = tuple[int, int, int]
"""Containers that run, appeared and ended."""

_ROWS, _SCANS = 5000, 100
"""So many are read at once."""
_PARTS = tuple[tuple[str, str, bytes], ...]
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_PARTS).decode


class _Scan(Struct, frozen=True):
    """What is kept of a scan."""

    at: datetime
    digest: bytes | None
    """Of the whole; None: some pods alone."""
    pods: dict[PodKey, bytes]


class _Place(Struct, frozen=True):
    """Where in a cluster's past a scan belongs."""

    cluster_id: int
    at: datetime
    here: _Scan | None
    """What was taken of this very moment."""
    last: datetime | None
    """Of all moments."""

    @property
    def newest(self) -> bool:
        """Whether it is later than all that was taken."""
        return self.last is None or self.at > self.last


def record_scan(
    c: Connection,
    name: str,
    containers: Sighting | Iterable[RunningContainer],
    *,
    at: datetime,
    now: datetime | None = None,
    kind: str | None = None,
) -> Counts:
    """Take one whole scan of a cluster: how many containers run, appeared and ended.

    ``now`` is when it is taken: raises ScanRefused for a scan from the time to come, and where what
    ran then was summed up already. None: the moment is not doubted. ``kind``: of the cluster.
    """
    seen = containers if isinstance(containers, Sighting) else Sighting(containers)
    place = _find_place(c, name, at, now, kind)
    digest = seen.digest()
    if place.here is not None and (place.here.digest or b"") >= digest:
        return len(seen), 0, 0
    if not place.newest:
        counts = _take_late(c, place, seen, None)
    elif _is_same(c, place, digest):
        counts = (len(seen), 0, 0)
    else:
        counts = _take_newest(c, place, seen, None)
    _note_scan(c, place, digest, place.here.pods if place.here else {})
    return counts


def record_pods(
    c: Connection,
    name: str,
    pods: Mapping[PodKey, Sequence[RunningContainer]],
    *,
    at: datetime,
    now: datetime | None = None,
) -> Counts:
    """Take what was told of some pods (namespace, name): without containers a pod is gone.

    All others are as they were. Raises ScanRefused as ``record_scan`` does, and for a cluster of
    which no scan is known.
    """
    place = _find_place(c, name, at, now, None)
    if place.last is None or _is_summed_up(c, place):
        raise ScanRefused(
            f"it is not known which pods of {name} there were before", hint="tell all that runs"
        )
    told = Sighting(item for items in pods.values() for item in items)
    digests = told.pod_digests()
    held = place.here.pods if place.here else {}
    taken = {pod: digests.get(pod, NOTHING) for pod in pods}
    taken = {pod: digest for pod, digest in taken.items() if digest > held.get(pod, b"")}
    seen = Sighting(item for pod in taken for item in pods[pod])
    if taken or place.here is None:
        take = _take_newest if place.newest else _take_late
        counts = take(c, place, seen, taken.keys())
        _note_scan(c, place, place.here.digest if place.here else None, held | taken)
        return counts
    return len(told), 0, 0


def _find_place(
    c: Connection, name: str, at: datetime, now: datetime | None, kind: str | None
) -> _Place:
    at = at.replace(microsecond=0)
    if now is not None and at > now + AHEAD:
        raise ScanRefused(
            f"the scan of {name} says that it is of {at:%Y-%m-%d %H:%M:%S} UTC, which is yet to come",
            hint="set the clocks of both machines",
        )
    number, last = put_cluster(c, name, kind=kind)
    if now is not None and last is not None and last > now + AHEAD:
        last = _forget_future(c, number, now + AHEAD)
    summed_up = c.scalar(select(cluster.c.summed_up).where(cluster.c.id == number))
    if summed_up is not None and at <= summed_up:
        raise ScanRefused(
            f"what ran in {name} until {summed_up:%Y-%m-%d %H:%M:%S} UTC is summed up: "
            "no scan of before is taken",
            hint="a longer pod_days in [history] keeps the names of pods for longer",
        )
    return _Place(number, at, _find_scan(c, number, at), last)


def _forget_future(c: Connection, number: int, moment: datetime) -> datetime | None:
    """Undo scans later than a moment, taken while our clock was ahead; which is the last one now."""
    first = c.scalar(
        select(func.min(scan.c.at)).where(scan.c.cluster_id == number, scan.c.at > moment)
    )
    c.execute(delete(scan).where(scan.c.cluster_id == number, scan.c.at > moment))
    last: datetime | None = c.scalar(select(func.max(scan.c.at)).where(scan.c.cluster_id == number))
    if first is not None:
        here = run.c.cluster_id == number
        c.execute(delete(run).where(here, run.c.since >= first))
        again = {"until": None, "span": None, "seen": run.c.since}
        c.execute(update(run).where(here, run.c.until >= first).values(again))
    of_it = cluster.c.id == number
    c.execute(update(cluster).where(of_it).values(last_scan=last))
    # Never beyond the last look: that is where the next one is taken.
    end = None if last is None else last - timedelta(seconds=1)
    too_late = cluster.c.summed_up > (moment if end is None else end)
    c.execute(update(cluster).where(of_it, too_late).values(summed_up=end))
    return last


def _find_scan(c: Connection, number: int, at: datetime) -> _Scan | None:
    query = select(scan).where(scan.c.cluster_id == number, scan.c.at == at)
    row = c.execute(query).one_or_none()
    return None if row is None else _Scan(row.at, row.digest, _read_pods(row.pods))


def _read_pods(body: bytes | None) -> dict[PodKey, bytes]:
    parts = () if body is None else _decode(bytes(body))
    return {(namespace, pod): digest for namespace, pod, digest in parts}


def _note_scan(
    c: Connection, place: _Place, digest: bytes | None, pods: Mapping[PodKey, bytes]
) -> None:
    body = _encode([(*pod, mark) for pod, mark in sorted(pods.items())]) if pods else None
    row = {"cluster_id": place.cluster_id, "at": place.at, "digest": digest, "pods": body}
    upsert(c, scan, [row])
    if place.newest:
        values = update(cluster).where(cluster.c.id == place.cluster_id)
        c.execute(values.values(last_scan=place.at))


def _is_same(c: Connection, place: _Place, digest: bytes) -> bool:
    """Whether nothing changed since the last scan: then nothing of what runs need be read."""
    if place.last is None:
        return False
    before = _find_scan(c, place.cluster_id, place.last)
    if before is None or before.pods or before.digest != digest:
        return False
    query = select(cluster.c.last_told, cluster.c.forgotten)
    row = c.execute(query.where(cluster.c.id == place.cluster_id)).one()
    if row.forgotten is not None and row.forgotten >= place.last:
        return False
    told = select(run.c.id).where(run.c.until.is_(None), run.c.origin.is_not(None))
    told = told.where(run.c.cluster_id == place.cluster_id).limit(1)
    return row.last_told is None or c.scalar(told) is None


def _is_summed_up(c: Connection, place: _Place) -> bool:
    """Whether pods without names run: such as were summed up while our clock was ahead."""
    query = select(run.c.id).where(
        run.c.cluster_id == place.cluster_id, run.c.pod_name == "", run.c.until.is_(None)
    )
    return c.scalar(query.limit(1)) is not None


class _Numbers(Struct, frozen=True):
    """What stands in the catalog for the workloads and images of a sighting, by position."""

    owners: list[int]
    images: list[int]


def _number(c: Connection, place: _Place, seen: Sighting) -> _Numbers:
    owners = put_workloads(c, place.cluster_id, seen.workloads)
    images = put_run_images(c, seen.images)
    teams = {owners[name]: team for name, team in zip(seen.workloads, seen.teams, strict=True)}
    note_teams(c, teams, latest=place.newest)
    return _Numbers([owners[name] for name in seen.workloads], [images[n] for n in seen.images])


def _take_newest(
    c: Connection, place: _Place, seen: Sighting, pods: Collection[PodKey] | None
) -> Counts:
    """Hold what runs against what was seen, of all pods or of these; write what differs."""
    numbers = _number(c, place, seen)
    owners = {number: position for position, number in enumerate(numbers.owners)}
    images = {number: position for position, number in enumerate(numbers.images)}
    ended: list[int] = []
    changed: list[tuple[int, str, str]] = []
    there: set[Key] = set()
    for row in _list_alive(c, place, pods):
        number, owner, pod, container, kind, image, state, reason, origin = row
        key = (owners.get(owner, -1), pod, container, kind, images.get(image, -1))
        condition = seen.found.get(key) if origin is None else None
        if condition is None:
            ended.append(number)
            continue
        there.add(key)
        if condition != (state, reason):
            changed.append((number, *condition))
    end_runs(c, ended, until=place.at, seen=place.last or place.at)
    note_conditions(c, changed)
    new = sorted(seen.found.keys() - there)
    insert_runs(
        c,
        (
            {
                "cluster_id": place.cluster_id,
                "workload_id": numbers.owners[key[0]],
                "pod_name": key[1],
                "container": key[2],
                "kind": key[3],
                "run_image_id": numbers.images[key[4]],
                "since": place.at,
                "state": seen.found[key][0],
                "reason": seen.found[key][1],
            }
            for key in new
        ),
    )
    return len(seen), len(new), len(ended)


def _list_alive(
    c: Connection, place: _Place, pods: Collection[PodKey] | None
) -> Iterator[Sequence[Any]]:
    columns = ("id", "workload_id", "pod_name", "container", "kind", "run_image_id")
    query: Select[Any] = select(
        *(run.c[name] for name in (*columns, "state", "reason", "origin"))
    ).where(run.c.cluster_id == place.cluster_id, run.c.until.is_(None))
    if pods is None:
        yield from c.execute(query, execution_options={"yield_per": _ROWS})
        return
    query = query.join(workload, workload.c.id == run.c.workload_id)
    for batch in batches(sorted(pods)):
        # By the pods' names alone: there is an index for these.
        names = run.c.pod_name.in_({pod for _, pod in batch})
        wanted = query.add_columns(workload.c.namespace).where(names, run.c.origin.is_(None))
        for *row, namespace in c.execute(wanted):
            if (namespace, row[2]) in pods:
                yield row


def _take_late(
    c: Connection, place: _Place, seen: Sighting, pods: Collection[PodKey] | None
) -> Counts:
    """Lay what was seen over what is known of then, up to when it was told of again."""
    numbers = _number(c, place, seen)
    following = _next_scan(c, place)
    if place.here is None:
        row = {"cluster_id": place.cluster_id, "at": place.at, "digest": None, "pods": None}
        upsert(c, scan, [row])
        ended_then = and_(run.c.cluster_id == place.cluster_id, run.c.until == following)
        c.execute(update(run).where(ended_then, run.c.origin.is_(None)).values(seen=place.at))
    stretch = _measure(c, place, whole=pods is None)
    workloads = seen.workloads
    stated = {
        (numbers.owners[key[0]], *key[1:4], numbers.images[key[4]]): (
            (workloads[key[0]][0], key[1]),
            condition,
        )
        for key, condition in seen.found.items()
    }
    held = list_held(c, place.cluster_id, stretch, pods)
    appeared, ended = overlay(c, place.cluster_id, held, stated, stretch)
    return len(seen), appeared, ended


def _next_scan(c: Connection, place: _Place) -> datetime | None:
    query = select(func.min(scan.c.at)).where(
        scan.c.cluster_id == place.cluster_id, scan.c.at > place.at
    )
    found: datetime | None = c.scalar(query)
    return found


def _measure(c: Connection, place: _Place, *, whole: bool) -> Stretch:
    """Up to when what was seen counts: to the next whole scan, or the next word of the pod."""
    ends: dict[PodKey, datetime] = {}
    if whole and place.here is not None:
        ends = dict.fromkeys(place.here.pods, place.at)
    query = select(scan).where(scan.c.cluster_id == place.cluster_id, scan.c.at > place.at)
    query = query.order_by(scan.c.at)
    with c.execute(query, execution_options={"yield_per": _SCANS}) as rows:
        for row in rows:
            # Of one moment, what was told of a pod alone counts before the whole.
            if row.digest is not None:
                return Stretch(place.at, row.at, ends)
            for pod in _read_pods(row.pods):
                ends.setdefault(pod, row.at)
    return Stretch(place.at, None, ends)
