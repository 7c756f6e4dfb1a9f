"""Scans that others told, which the jobs have not looked at yet, and what such a scan rests on."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, func, or_, select, update

from imagecatalog.store.schema import cluster, run, scan


def note_pushed(c: Connection, name: str, *, now: datetime) -> None:
    """Have the jobs look at what runs in a cluster now."""
    c.execute(update(cluster).where(cluster.c.name == name).values(pushed=now))


def last_pushed(c: Connection) -> datetime | None:
    """When the last scan was told that no job looked at; None: none waits."""
    found: datetime | None = c.scalar(select(func.max(cluster.c.pushed)))
    return found


def forget_pushed(c: Connection, until: datetime) -> None:
    """The jobs have looked at what was told until then."""
    c.execute(update(cluster).where(cluster.c.pushed <= until).values(pushed=None))


def find_base(c: Connection, name: str, at: datetime) -> datetime | None:
    """The moment of the last scan of a cluster before another; None: there is none.

    No other scan of it is taken before this transaction's end.
    """
    lock = select(cluster.c.id).where(cluster.c.name == name).with_for_update(key_share=True)
    c.execute(lock)
    query = (
        select(func.max(scan.c.at))
        .join(cluster, cluster.c.id == scan.c.cluster_id)
        .where(cluster.c.name == name, scan.c.at < at)
    )
    found: datetime | None = c.scalar(query)
    return found


def has_scan(c: Connection, name: str, at: datetime) -> bool:
    """Whether anything was taken of this moment of a cluster."""
    query = select(scan.c.at).join(cluster, cluster.c.id == scan.c.cluster_id)
    return c.scalar(query.where(cluster.c.name == name, scan.c.at == at)) is not None


def count_running(c: Connection, name: str, at: datetime) -> int:
    """How many containers of a cluster ran at a moment, as scans have it."""
    query = (
        select(func.coalesce(func.sum(run.c.replicas), 0))
        .join(cluster, cluster.c.id == run.c.cluster_id)
        .where(
            cluster.c.name == name,
            run.c.since <= at,
            or_(run.c.until.is_(None), run.c.until > at),
            run.c.origin.is_(None),
        )
    )
    return int(c.scalar(query) or 0)


def last_scan(c: Connection, name: str) -> datetime | None:
    """When a cluster was last scanned whole."""
    found: datetime | None = c.scalar(select(cluster.c.last_scan).where(cluster.c.name == name))
    return found
