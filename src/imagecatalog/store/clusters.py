"""Clusters and the moments at which they were scanned whole: how far what ran in them is known."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, case, func, null, select, update

from imagecatalog.store.run_rows import end_runs
from imagecatalog.store.runs import RunFilter
from imagecatalog.store.schema import cluster, health, run, run_image, scan


class ClusterRow(Struct, frozen=True):
    """A cluster that was ever scanned, or told of."""

    id: int
    name: str
    type: str
    """kubernetes, docker or podman."""
    first_scan: datetime | None
    """The first that is remembered."""
    last_scan: datetime | None
    """The last, or the last before the moment asked about."""
    next_scan: datetime | None
    """The first after the moment asked about; None without one."""
    last_told: datetime | None
    """When DebMonitor's feeder last told what runs there."""
    forgotten: datetime | None
    """When somebody said that it is no more, and no scan saw it since."""


def list_clusters(
    c: Connection, *, at: datetime | None = None, name: str | None = None
) -> list[ClusterRow]:
    """All of them by name, or the one of this name; ``at`` is the moment asked about, None now."""
    here = scan.c.cluster_id == cluster.c.id
    first = select(func.min(scan.c.at)).where(here).scalar_subquery()
    last: ColumnElement[Any] = cluster.c.last_scan
    following: ColumnElement[Any] = null()
    if at is not None:
        last = select(func.max(scan.c.at)).where(here, scan.c.at <= at).scalar_subquery()
        following = select(func.min(scan.c.at)).where(here, scan.c.at > at).scalar_subquery()
    is_gone = func.coalesce(cluster.c.last_scan, cluster.c.last_told, 0) <= cluster.c.forgotten
    query = select(
        cluster.c.id,
        cluster.c.name,
        cluster.c.kind,
        first,
        last,
        following,
        cluster.c.last_told,
        case((is_gone, cluster.c.forgotten)),
    ).order_by(cluster.c.name)
    if name is not None:
        query = query.where(cluster.c.name == name)
    return [ClusterRow(*row) for row in c.execute(query)]


def first_scan(c: Connection) -> datetime | None:
    """The first whole scan of any cluster that is remembered; None before one."""
    moments = [one.first_scan for one in list_clusters(c) if one.first_scan is not None]
    return min(moments, default=None)


def list_scans(c: Connection, number: int, *, until: datetime, limit: int) -> list[datetime]:
    """The last moments at which a cluster was scanned, at most so many, the last first."""
    query = (
        select(scan.c.at)
        .where(scan.c.cluster_id == number, scan.c.at <= until)
        .order_by(scan.c.at.desc())
        .limit(limit)
    )
    return list(c.scalars(query))


class RunningCounts(Struct, frozen=True):
    """What runs, or ran at a moment, in one cluster."""

    containers: int
    images: int
    """Distinct ones."""
    unknown: int
    """Of them, those that the catalog never met."""


def count_running(c: Connection, *, at: datetime | None = None) -> dict[int, RunningCounts]:
    """By the cluster's number; those in which nothing runs are left out."""
    image = func.coalesce(run_image.c.manifest_id, -run_image.c.id)
    unmet = case((run_image.c.manifest_id.is_(None), run_image.c.id))
    query = (
        select(
            run.c.cluster_id,
            func.sum(run.c.replicas),
            func.count(func.distinct(image)),
            func.count(func.distinct(unmet)),
        )
        .join(run_image, run_image.c.id == run.c.run_image_id)
        .where(*RunFilter(at=at).conditions())
        .group_by(run.c.cluster_id)
    )
    return {number: RunningCounts(*counts) for number, *counts in c.execute(query)}


def forget_cluster(
    c: Connection, name: str, *, now: datetime
) -> tuple[int, datetime | None] | None:
    """End what runs in a cluster with the last sight of it, and name it as a source no more.

    How many rows ended, and when it was last seen; None for a cluster that nobody knows. What ran
    stays, and a later scan brings the cluster back.
    """
    find = select(cluster.c.id, cluster.c.last_scan, cluster.c.last_told)
    row = c.execute(find.where(cluster.c.name == name).with_for_update(key_share=True)).first()
    tried = health.c.kind == "cluster", health.c.name == name
    was_tried = c.scalar(select(health.c.name).where(*tried)) is not None
    c.execute(health.delete().where(*tried))
    if row is None:
        return (0, None) if was_tried else None
    scanned = _end(c, row.id, run.c.origin.is_(None), row.last_scan or now)
    ended = scanned + _end(c, row.id, run.c.origin.is_not(None), row.last_told or now)
    c.execute(update(cluster).where(cluster.c.id == row.id).values(forgotten=now))
    seen: Sequence[datetime] = [one for one in (row.last_scan, row.last_told) if one]
    return ended, max(seen, default=None)


def _end(c: Connection, number: int, which: ColumnElement[bool], seen: datetime) -> int:
    query = select(run.c.id).where(run.c.cluster_id == number, run.c.until.is_(None), which)
    alive = list(c.scalars(query))
    # It ran when it was seen last: it ends with the next moment that can be told from that one.
    end_runs(c, alive, until=seen + timedelta(seconds=1), seen=seen)
    return len(alive)
