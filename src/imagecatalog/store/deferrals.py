"""Deferrals: faults that somebody decided to live with for a while. No row is ever deleted."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, or_, select

from imagecatalog.domain.suppressions import DeferralItem, DeferralState, DeferralWish, check_fault
from imagecatalog.errors import NotFound
from imagecatalog.store.dialect import insert_returning
from imagecatalog.store.schema import advisory, deferral, package_version
from imagecatalog.store.suppressions import list_names_of

SHOWN_AFTER = timedelta(days=30)
"""For how long one that is over is listed beside those in force."""
LARGEST = 1 << 62

_ITEMS = (
    select(deferral, advisory.c.name)
    .join(advisory, advisory.c.id == deferral.c.advisory_id)
    .order_by(deferral.c.expires, deferral.c.id)
)


def find_fault(c: Connection, name: str) -> tuple[int, str]:
    """The number and the name of a fault; raises BadName, and NotFound where no feed tells of it."""
    wanted = check_fault(name)
    query = select(advisory.c.id, advisory.c.name).where(
        advisory.c.name.in_({wanted, name.strip(), wanted.upper()})
    )
    row = c.execute(query.order_by(advisory.c.name).limit(1)).first()
    if row is None:
        raise NotFound(
            f"no feed tells of {wanted}",
            hint="is it written right? imagecatalog refresh brings the feeds up to date",
        )
    return row.id, row.name


def find_numbers(c: Connection, advisory: str | None) -> frozenset[int] | None:
    """All names of a fault, and notices over it; None for no fault in particular.

    Raises BadName, and NotFound where no feed tells of it.
    """
    if advisory is None:
        return None
    number, _ = find_fault(c, advisory)
    return list_names_of(c, [number])[number]


def add_deferral(
    c: Connection, advisory_id: int, wish: DeferralWish, *, by: str, now: datetime
) -> tuple[DeferralItem, bool]:
    """Write a deferral; False where the very same is in force already."""
    told = {
        "advisory_id": advisory_id,
        "package": wish.package,
        "image": wish.image,
        "why": wish.why,
        "made_by": by,
        "expires": wish.until,
    }
    same = [deferral.c[name].is_not_distinct_from(value) for name, value in told.items()]
    known = c.scalar(select(deferral.c.id).where(*same, deferral.c.withdrawn_at.is_(None)).limit(1))
    if known is not None:
        return get_deferral(c, known, now=now), False
    number = insert_returning(c, deferral, [told | {"made_at": now}], deferral.c.id)[0].id
    return get_deferral(c, number, now=now), True


def is_package_met(c: Connection, name: str) -> bool:
    """Whether any image was met that holds a binary or source package of that name."""
    names = {name, name.lower(), name.lower().replace("_", "-").replace(".", "-")}
    query = select(package_version.c.id).where(
        or_(package_version.c.name.in_(names), package_version.c.source.in_(names))
    )
    return c.scalar(query.limit(1)) is not None


def get_deferral(c: Connection, number: int, *, now: datetime) -> DeferralItem:
    """A deferral, in force or not; raises NotFound."""
    row = None
    if 0 < number < LARGEST:
        row = c.execute(_ITEMS.where(deferral.c.id == number)).first()
    if row is None:
        raise NotFound(f"there is no deferral {number}", hint="see: imagecatalog deferrals --all")
    return _item(row, now)


def withdraw_deferral(
    c: Connection, number: int, *, by: str, now: datetime
) -> tuple[DeferralItem, bool]:
    """Take a deferral back; False where it was in force no more. Raises NotFound."""
    found = get_deferral(c, number, now=now)
    if found.state != "active":
        return found, False
    c.execute(
        deferral.update()
        .where(deferral.c.id == number, deferral.c.withdrawn_at.is_(None))
        .values(withdrawn_by=by, withdrawn_at=now)
    )
    return get_deferral(c, number, now=now), True


def list_deferrals(
    c: Connection,
    *,
    now: datetime,
    advisories: Collection[int] | None = None,
    all_states: bool = False,
) -> tuple[DeferralItem, ...]:
    """Those in force by when they end, then those that ended within a month, or all."""
    query = _ITEMS
    if advisories is not None:
        query = query.where(deferral.c.advisory_id.in_(sorted(advisories)))
    if not all_states:
        since = now - SHOWN_AFTER
        query = query.where(
            deferral.c.expires > since,
            or_(deferral.c.withdrawn_at.is_(None), deferral.c.withdrawn_at > since),
        )
    items = [_item(row, now) for row in c.execute(query)]
    return tuple(sorted(items, key=lambda item: item.state != "active"))


def _item(row: Any, now: datetime) -> DeferralItem:
    state: DeferralState = "active"
    if row.withdrawn_at is not None:
        state = "withdrawn"
    elif row.expires <= now:
        state = "expired"
    return DeferralItem(
        id=row.id,
        advisory=row.name,
        package=row.package,
        image=row.image,
        why=row.why,
        by=row.made_by,
        since=row.made_at,
        until=row.expires,
        state=state,
        withdrawn_by=row.withdrawn_by,
        withdrawn=row.withdrawn_at,
    )
