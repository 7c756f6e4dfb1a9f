"""Notifications of Clair's that wait to be fetched."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct
from sqlalchemy import Connection, delete, func, select, update

from imagecatalog.store.dialect import upsert
from imagecatalog.store.schema import clair_notice

WAITING_LIMIT = 10_000
"""Notifications that wait at most."""


class Notice(Struct, frozen=True):
    """A notification by its name; ``tries`` are those that failed."""

    name: str
    received: datetime
    tries: int


def put_notice(c: Connection, name: str, *, now: datetime) -> bool:
    """Keep that there is a notification, due at once; False where too many wait already."""
    waiting = c.scalar(select(func.count()).select_from(clair_notice)) or 0
    if waiting >= WAITING_LIMIT:
        known = select(clair_notice.c.id).where(clair_notice.c.name == name)
        return c.scalar(known) is not None
    row = {"name": name, "received": now, "due": now, "tries": 0}
    upsert(c, clair_notice, [row], key=["name"], keep=["received", "tries"])
    return True


def list_due(c: Connection, *, now: datetime, limit: int = 1000) -> Sequence[Notice]:
    """Those that are to be fetched by now, the first that came first."""
    query = (
        select(clair_notice.c.name, clair_notice.c.received, clair_notice.c.tries)
        .where(clair_notice.c.due <= now)
        .order_by(clair_notice.c.received, clair_notice.c.id)
        .limit(limit)
    )
    return [Notice(*row) for row in c.execute(query)]


def postpone(c: Connection, name: str, problem: str, *, due: datetime) -> None:
    """Try again later."""
    values = {"due": due, "problem": problem, "tries": clair_notice.c.tries + 1}
    c.execute(update(clair_notice).where(clair_notice.c.name == name).values(**values))


def drop_notice(c: Connection, name: str) -> None:
    """It is done with."""
    c.execute(delete(clair_notice).where(clair_notice.c.name == name))
