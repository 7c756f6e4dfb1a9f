"""When each cluster, registry, feed and job was last well."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, select

from imagecatalog.domain.answers import Health
from imagecatalog.store.dialect import batches, upsert
from imagecatalog.store.schema import health

Kind = Literal["cluster", "registry", "feed", "job"]


def note_try(
    c: Connection,
    kind: Kind,
    name: str,
    *,
    at: datetime,
    seconds: float,
    error: str | None = None,
    detail: str | None = None,
) -> None:
    """Write how a try went; a failed one leaves the last good moment and its counts standing."""
    row: dict[str, object] = {
        "kind": kind,
        "name": name,
        "last_tried": at,
        "last_error": error,
        "seconds": seconds,
    }
    if error is None:
        row |= {"last_good": at, "detail": detail}
    upsert(c, health, [row])


def note_next(c: Connection, kind: Kind, name: str, due: datetime | None) -> None:
    """Write when it is due again."""
    upsert(c, health, [{"kind": kind, "name": name, "next_run": due}])


def list_health(c: Connection) -> tuple[Health, ...]:
    """All of them, by kind and name."""
    rows = c.execute(select(health).order_by(health.c.kind, health.c.name))
    return tuple(Health(**row._mapping) for row in rows)  # noqa: SLF001


def forget_others(c: Connection, kind: Kind, prefix: str, names: Collection[str]) -> None:
    """Drop what begins so and is none of these any more: nobody asks for it, so it is never well."""
    begins = health.c.name.startswith(prefix, autoescape=True)
    found = set(c.scalars(select(health.c.name).where(health.c.kind == kind, begins)))
    for batch in batches(sorted(found - set(names))):
        c.execute(health.delete().where(health.c.kind == kind, health.c.name.in_(batch)))
