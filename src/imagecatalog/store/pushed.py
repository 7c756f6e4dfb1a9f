"""Scans that others told, which the jobs have not looked at yet, and what such a scan rests on."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, func, select, update

from imagecatalog.store.schema import cluster, scan


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
    """The moment of the last scan of a cluster before another; None: there is none."""
    query = (
        select(func.max(scan.c.at))
        .join(cluster, cluster.c.id == scan.c.cluster_id)
        .where(cluster.c.name == name, scan.c.at < at)
    )
    found: datetime | None = c.scalar(query)
    return found


def last_scan(c: Connection, name: str) -> datetime | None:
    """When a cluster was last scanned whole."""
    found: datetime | None = c.scalar(select(cluster.c.last_scan).where(cluster.c.name == name))
    return found
