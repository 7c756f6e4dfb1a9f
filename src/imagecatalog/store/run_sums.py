"""Sums up what ran long ago, and drops what ran longer ago still.

Of what is summed up only the pods' names are gone: how many containers of a workload ran an image at
a moment stays as it was. Each step is one short transaction; a scan may come in between.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Connection, delete, or_, select, type_coerce, update

from imagecatalog.domain.intervals import add_up
from imagecatalog.store.dialect import batches
from imagecatalog.store.run_rows import delete_runs, insert_runs
from imagecatalog.store.schema import cluster, run, scan, workload

_ROWS = 5000
"""Intervals taken at once, and those that ended with the last of them."""
_HOUR = 3600
_Group = tuple[int, str, str, int]
"""Workload, container, kind and image."""


def list_clusters(c: Connection, *, before: datetime | None = None) -> list[int]:
    """All clusters, or those of which nothing was summed up since a moment and something was seen."""
    query = select(cluster.c.id).order_by(cluster.c.id)
    if before is not None:
        some = select(scan.c.at).where(scan.c.cluster_id == cluster.c.id, scan.c.at <= before)
        told = cluster.c.last_told <= before
        query = query.where(
            or_(cluster.c.summed_up.is_(None), cluster.c.summed_up < before),
            or_(some.exists(), told),
        )
    return list(c.scalars(query))


def sum_up(c: Connection, cluster_id: int, *, until: datetime) -> bool:
    """Sum up some of what ended in a cluster by then, the first ended first: whether there is more.

    From then on no scan of a moment before is taken, unless it is the newest.
    """
    locked = select(cluster).where(cluster.c.id == cluster_id).with_for_update(key_share=True)
    row = c.execute(locked).one()
    # Of the very last look more may be told, and what is not ended yet may end with it.
    last_looks = [one for one in (row.last_scan, row.last_told) if one is not None]
    until = min([until, *(one - timedelta(seconds=1) for one in last_looks)])
    if row.summed_up is not None and row.summed_up >= until:
        return False
    here = [run.c.cluster_id == cluster_id, run.c.until <= until]
    if row.summed_up is not None:
        here.append(run.c.until > row.summed_up)
    moments = select(run.c.until).where(*here).order_by(run.c.until).offset(_ROWS).limit(1)
    last = c.scalar(moments) or until
    rows = c.execute(select(run).where(*here, run.c.until <= last)).all()
    _replace(c, cluster_id, rows)
    _thin_out(c, cluster_id, row.summed_up, last)
    done = update(cluster).where(cluster.c.id == cluster_id)
    c.execute(done.values(summed_up=last))
    return last < until


def _replace(c: Connection, cluster_id: int, rows: Iterable[Any]) -> None:
    groups: dict[_Group, list[Any]] = {}
    for row in rows:
        groups.setdefault(_group(row), []).append(row)
    for one in _list_sums(c, groups):
        groups[_group(one)].append(one)
    gone: list[int] = []
    new: list[dict[str, Any]] = []
    for group, members in sorted(groups.items()):
        there = {
            (one.since, one.until, one.replicas): one.id for one in members if not one.pod_name
        }
        seen = {one.until: one.seen for one in sorted(members, key=lambda one: one.seen)}
        sums = add_up((one.since, one.until, one.replicas) for one in members)
        kept = {there.get(told) for told in sums}
        gone += (one.id for one in members if one.id not in kept)
        new += (
            {
                "cluster_id": cluster_id,
                "workload_id": group[0],
                "pod_name": "",
                "container": group[1],
                "kind": group[2],
                "run_image_id": group[3],
                "replicas": replicas,
                "since": since,
                "until": until,
                # Where only others came in, those that were there were seen then as well.
                "seen": seen.get(until, until),
            }
            for since, until, replicas in sums
            if (since, until, replicas) not in there
        )
    delete_runs(c, gone)
    insert_runs(c, new)


def _group(row: Any) -> _Group:
    return row.workload_id, row.container, row.kind, row.run_image_id


def _list_sums(c: Connection, groups: dict[_Group, list[Any]]) -> Iterable[Any]:
    """What was summed up before and overlaps or touches any of these."""
    first: dict[int, datetime] = {}
    for group, members in groups.items():
        begin = min(one.since for one in members)
        first[group[0]] = min(begin, first.get(group[0], begin))
    known = {one.id for members in groups.values() for one in members}
    for batch in batches(sorted(first)):
        begin = min(first[number] for number in batch)
        query = select(run).where(
            run.c.workload_id.in_(batch), run.c.pod_name == "", run.c.until >= begin
        )
        yield from (
            one for one in c.execute(query) if _group(one) in groups and one.id not in known
        )


def _thin_out(c: Connection, cluster_id: int, since: datetime | None, until: datetime) -> None:
    """Forget which pods were told of alone, and of their moments all but the first of an hour."""
    old = [scan.c.cluster_id == cluster_id, scan.c.at <= until]
    if since is not None:
        old.append(scan.c.at > since)
    other, at = scan.alias("other"), type_coerce(scan.c.at, BigInteger)
    earlier = select(other.c.at).where(
        other.c.cluster_id == cluster_id,
        other.c.at < scan.c.at,
        type_coerce(other.c.at, BigInteger) >= at - at % _HOUR,
    )
    c.execute(delete(scan).where(*old, scan.c.digest.is_(None), earlier.exists()))
    c.execute(update(scan).where(*old, scan.c.pods.is_not(None)).values(pods=None))


def drop_ended(c: Connection, cluster_id: int, *, until: datetime) -> bool:
    """Forget some of what ended in a cluster by then, and scans of then: whether there is more."""
    # A scan that comes in between may find one of its workloads gone: it waits.
    locked = select(cluster.c.id).where(cluster.c.id == cluster_id)
    c.execute(locked.with_for_update(key_share=True))
    query = select(run.c.id).where(run.c.cluster_id == cluster_id, run.c.until <= until)
    numbers = list(c.scalars(query.limit(_ROWS)))
    delete_runs(c, numbers)
    if len(numbers) == _ROWS:
        return True
    c.execute(delete(scan).where(scan.c.cluster_id == cluster_id, scan.c.at <= until))
    used = select(run.c.id).where(run.c.workload_id == workload.c.id).exists()
    c.execute(delete(workload).where(workload.c.cluster_id == cluster_id, ~used))
    return False
