"""When each cluster, registry, feed and job was last well."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct
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
    good_for: timedelta | None = None,
    address: str | None = None,
    in_part: bool = False,
    seen: datetime | None = None,
) -> None:
    """Write how a try went; a failed one leaves the last good moment and its counts standing.

    ``good_for`` is how long what a feed told counts before it is too old; None: for ever. With
    ``in_part`` the rest of what failed went well, and that counts. ``seen`` is of when what was told
    is, where that is not the try's own moment.
    """
    row: dict[str, object] = {
        "kind": kind,
        "name": name,
        "last_tried": at,
        "last_error": error,
        "seconds": seconds,
    }
    if error is None or in_part:
        good_until = None if good_for is None else at + good_for
        row |= {
            "last_good": seen or at,
            "detail": detail,
            "good_until": good_until,
            "address": address,
        }
    upsert(c, health, [row])


def note_next(c: Connection, kind: Kind, name: str, due: datetime | None) -> None:
    """Write when it is due again."""
    upsert(c, health, [{"kind": kind, "name": name, "next_run": due}])


def list_health(c: Connection) -> tuple[Health, ...]:
    """All of them, by kind and name."""
    columns = (health.c[name] for name in Health.__struct_fields__)
    rows = c.execute(select(*columns).order_by(health.c.kind, health.c.name))
    return tuple(Health(**row._mapping) for row in rows)  # noqa: SLF001


class FeedAge(Struct, frozen=True):
    """When a feed was last read well, and whether that is too long ago."""

    feed: str
    last_good: datetime | None
    too_old: bool
    """Also where it was never read well."""
    good_until: datetime | None = None
    """None: for ever."""
    address: str | None = None
    """Where it was last read well from."""


def feed_ages(c: Connection, now: datetime) -> dict[str, FeedAge]:
    """The age of every feed that was ever tried, by name: ``debian-tracker``, ``osv PyPI``."""
    query = select(health.c.name, health.c.last_good, health.c.good_until, health.c.address)
    found = {}
    for name, last_good, until, address in c.execute(query.where(health.c.kind == "feed")):
        too_old = last_good is None or (until is not None and until < now)
        found[name] = FeedAge(name, last_good, too_old, until, address)
    return found


def forget_others(c: Connection, kind: Kind, prefix: str, names: Collection[str]) -> None:
    """Drop what begins so and is none of these any more: nobody asks for it, so it is never well."""
    begins = health.c.name.startswith(prefix, autoescape=True)
    found = set(c.scalars(select(health.c.name).where(health.c.kind == kind, begins)))
    for batch in batches(sorted(found - set(names))):
        c.execute(health.delete().where(health.c.kind == kind, health.c.name.in_(batch)))
