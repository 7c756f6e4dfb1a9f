"""Lays what was seen late over the intervals that are there: other rows only where others are right."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from functools import cache
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Select, func, select, tuple_

from imagecatalog.domain.intervals import Interval, cut_out, join
from imagecatalog.domain.sightings import Condition, PodKey
from imagecatalog.store.dialect import batches
from imagecatalog.store.run_rows import delete_runs, insert_runs
from imagecatalog.store.schema import run, scan, workload

RowKey = tuple[int, str, str, str, int]
"""Workload, pod, container, kind and image, by our numbers."""
_Whole = tuple[RowKey, str | None, int]
"""With the origin and the replicas."""


class Stretch(Struct, frozen=True):
    """For how long what was seen counts: from ``at`` until it was told of again, each pod for itself."""

    at: datetime
    end: datetime | None
    """None: it is the last word."""
    ends: Mapping[PodKey, datetime]
    """Of pods that were told of alone earlier than ``end``."""

    def of(self, pod: PodKey) -> Interval | None:
        """From when until when it counts for a pod; None: not at all."""
        end = self.ends.get(pod, self.end)
        return None if end == self.at else (self.at, end)


class Held(Struct, frozen=True, gc=False):
    """An interval that is there."""

    id: int
    key: RowKey
    pod: PodKey
    since: datetime
    until: datetime | None
    seen: datetime
    origin: str | None
    replicas: int
    condition: Condition


def list_held(
    c: Connection, cluster_id: int, stretch: Stretch, pods: Collection[PodKey] | None
) -> list[Held]:
    """The intervals of a cluster that a stretch overlaps or touches: of all pods, or of these."""
    query: Select[Any] = (
        select(run, workload.c.namespace)
        .join(workload, workload.c.id == run.c.workload_id)
        .where(run.c.cluster_id == cluster_id)
    )
    if stretch.end is not None:
        query = query.where(run.c.since <= stretch.end)
    # Two questions: each has an index of its own.
    parts = [query.where(run.c.until.is_(None)), query.where(run.c.until >= stretch.at)]
    if pods is not None:
        named = tuple_(workload.c.namespace, run.c.pod_name)
        parts = [
            part.where(run.c.origin.is_(None), named.in_(batch))
            for part in parts
            for batch in batches(sorted(pods), 300)
        ]
    return [_read(row) for part in parts for row in c.execute(part)]


def _read(row: Any) -> Held:
    return Held(
        row.id,
        (row.workload_id, row.pod_name, row.container, row.kind, row.run_image_id),
        (row.namespace, row.pod_name),
        row.since,
        row.until,
        row.seen,
        row.origin,
        row.replicas,
        (row.state, row.reason),
    )


def overlay(
    c: Connection,
    cluster_id: int,
    held: Iterable[Held],
    stated: Mapping[RowKey, tuple[PodKey, Condition]],
    stretch: Stretch,
) -> tuple[int, int]:
    """Have exactly the stated containers run for the stretch: how many appeared and ended at its begin.

    The scan itself is written already.
    """
    there: dict[_Whole, list[Held]] = {}
    for row in held:
        there.setdefault((row.key, row.origin, row.replicas), []).append(row)
    new: dict[_Whole, Condition] = {
        (key, None, 1): condition
        for key, (pod, condition) in stated.items()
        if stretch.of(pod) is not None
    }
    gone: list[int] = []
    rows: list[dict[str, Any]] = []
    last_look = _last_looks(c, cluster_id)
    for whole in sorted(there.keys() | new.keys(), key=_order):
        before = there.get(whole, [])
        part = stretch.of(before[0].pod if before else stated[whole[0]][0])
        after = _lay(before, part, add=whole in new)
        is_last_word = part is not None and part[1] is None
        condition = _choose(before, new.get(whole) if is_last_word else None)
        kept = {
            (row.since, row.until): row.id
            for row in before
            if row.until is not None or row.condition == condition
        }
        stay = [interval for interval in after if interval in kept]
        gone += {row.id for row in before} - {kept[interval] for interval in stay}
        for since, until in after:
            if (since, until) in kept:
                continue
            new_row = _describe(cluster_id, whole) | {"since": since, "until": until}
            if until is None:
                new_row |= {"state": condition[0], "reason": condition[1]}
            else:
                new_row["seen"] = max(since, last_look(until) or since)
            rows.append(new_row)
    ran = {whole for whole, some in there.items() if any(_runs(one, stretch) for one in some)}
    delete_runs(c, gone)
    insert_runs(c, rows)
    return len(new.keys() - ran), len(ran - new.keys())


def _order(whole: _Whole) -> tuple[RowKey, str, int]:
    return whole[0], whole[1] or "", whole[2]


def _lay(before: list[Held], part: Interval | None, *, add: bool) -> list[Interval]:
    there: list[Interval] = [(row.since, row.until) for row in before]
    if part is None:
        return there
    if add:
        return join([*there, part])
    return [piece for one in there for piece in cut_out(one, part)]


def _runs(one: Held, stretch: Stretch) -> bool:
    part = stretch.of(one.pod)
    return (
        part is not None
        and one.since <= stretch.at
        and (one.until is None or one.until > stretch.at)
    )


def _choose(before: list[Held], told: Condition | None) -> Condition:
    if told is not None:
        return told
    return next((row.condition for row in before if row.until is None), ("", ""))


def _describe(cluster_id: int, whole: _Whole) -> dict[str, Any]:
    (workload_id, pod, container, kind, image), origin, replicas = whole
    return {
        "cluster_id": cluster_id,
        "workload_id": workload_id,
        "pod_name": pod,
        "container": container,
        "kind": kind,
        "run_image_id": image,
        "replicas": replicas,
        "origin": origin,
    }


def _last_looks(c: Connection, cluster_id: int) -> Callable[[datetime], datetime | None]:
    """Gives the last scan of the cluster before a moment."""

    @cache
    def find(moment: datetime) -> datetime | None:
        query = select(func.max(scan.c.at)).where(
            scan.c.cluster_id == cluster_id, scan.c.at < moment
        )
        found: datetime | None = c.scalar(query)
        return found

    return find
