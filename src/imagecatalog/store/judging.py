"""Holds the versions of components against rulings, within the database, by their byte keys.

One statement writes what differs, another takes away what is true no more: what is judged again and
found as it was is not written.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import (
    Connection,
    Delete,
    Select,
    and_,
    bindparam,
    case,
    delete,
    func,
    or_,
    select,
    tuple_,
)

from imagecatalog.store.dialect import insert
from imagecatalog.store.schema import component, finding, ruling

_COLUMNS = (
    "component_id",
    "advisory_id",
    "state",
    "fixed",
    "reason",
    "severity",
    "urgency",
    "feed",
    "counted",
)


def judge(c: Connection, components: Collection[int], advisories: Collection[int] = ()) -> bool:
    """Have the findings of these components be as ruled; whether any changed.

    With ``advisories`` those of these alone are looked at.
    """
    values = {"ids": sorted(components)}
    if advisories:
        values["about"] = sorted(advisories)
    hits, gone = _STATEMENTS[bool(advisories)]
    there = select(finding.c.advisory_id).where(finding.c.component_id.in_(components)).limit(1)
    changed = c.execute(gone, values).rowcount if c.scalar(there) is not None else 0
    found = insert(c, finding).from_select(_COLUMNS, hits)
    new = {name: found.excluded[name] for name in _COLUMNS[2:]}
    differs = or_(*(finding.c[name].is_distinct_from(value) for name, value in new.items()))
    writing = found.on_conflict_do_update(index_elements=_COLUMNS[:2], set_=new, where=differs)
    return changed + c.execute(writing, values).rowcount > 0


def _hits(about: bool) -> Select[Any]:
    """The state of each component as to each advisory that it is affected by.

    An invalid version is in no place of the order: what is said of some versions alone says nothing
    of it, and it is not spared.
    """
    invalid = func.substr(component.c.key, 1, 1) == b"\x00"
    limited = or_(ruling.c.low_key.is_not(None), ruling.c.high_key.is_not(None))
    nowhere = and_(invalid, limited)
    inside = and_(
        or_(ruling.c.low_key.is_(None), ruling.c.low_key <= component.c.key),
        or_(
            ruling.c.high_key.is_(None),
            component.c.key < ruling.c.high_key,
            and_(ruling.c.high_inclusive, component.c.key == ruling.c.high_key),
        ),
    )
    place = func.row_number().over(
        partition_by=(component.c.id, ruling.c.advisory_id),
        order_by=(case((nowhere, 1), else_=0), ruling.c.place),
    )
    query = (
        select(
            component.c.id.label("component_id"),
            ruling.c.advisory_id,
            case((nowhere, "undetermined"), else_=ruling.c.state).label("state"),
            case((nowhere, None), else_=ruling.c.fixed).label("fixed"),
            case((nowhere, "invalid-version"), else_=ruling.c.reason).label("reason"),
            ruling.c.severity,
            ruling.c.urgency,
            ruling.c.feed,
            ruling.c.counted,
            place.label("place"),
        )
        .join(
            ruling,
            and_(ruling.c.scope_id == component.c.scope_id, ruling.c.name == component.c.name),
        )
        .where(
            component.c.id.in_(bindparam("ids", expanding=True)),
            ruling.c.state != "not-affected",
            or_(invalid, inside),
        )
    )
    if about:
        query = query.where(ruling.c.advisory_id.in_(bindparam("about", expanding=True)))
    hit = query.subquery()
    return select(*(hit.c[name] for name in _COLUMNS)).where(hit.c.place == 1)


def _gone(about: bool) -> Delete:
    key = tuple_(finding.c.component_id, finding.c.advisory_id)
    there = select(finding.c.component_id, finding.c.advisory_id).where(
        finding.c.component_id.in_(bindparam("ids", expanding=True))
    )
    if about:
        there = there.where(finding.c.advisory_id.in_(bindparam("about", expanding=True)))
    hit = _hits(about).subquery()
    return delete(finding).where(
        key.in_(there.except_(select(hit.c.component_id, hit.c.advisory_id)))
    )


_STATEMENTS = {about: (_hits(about), _gone(about)) for about in (False, True)}
