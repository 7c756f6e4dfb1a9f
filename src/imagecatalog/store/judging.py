"""Holds the versions of components against rulings, within the database, by their byte keys.

One statement writes what differs, another takes away what is true no more: what is judged again and
found as it was is not written.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Delete,
    FromClause,
    Select,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    not_,
    or_,
    select,
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
    kept = c.execute(writing, values, execution_options={"preserve_rowcount": True})
    return changed > 0 or kept.rowcount > 0


_INVALID = func.substr(component.c.key, 1, 1) == b"\x00"
"""An invalid version is in no place of the order: what is said of some versions alone says nothing of
it, and it is not spared."""


def _applies(row: FromClause) -> ColumnElement[bool]:
    """Whether a ruling is on the component's package, and says of that version that it is affected."""
    inside = and_(
        or_(row.c.low_key.is_(None), row.c.low_key <= component.c.key),
        or_(
            row.c.high_key.is_(None),
            component.c.key < row.c.high_key,
            and_(row.c.high_inclusive, component.c.key == row.c.high_key),
        ),
    )
    return and_(
        row.c.scope_id == component.c.scope_id,
        row.c.name == component.c.name,
        row.c.state != "not-affected",
        or_(_INVALID, inside),
    )


def _says_nothing(row: FromClause) -> ColumnElement[bool]:
    """Whether it is of some versions alone, and the component's is none of the order."""
    return and_(_INVALID, or_(row.c.low_key.is_not(None), row.c.high_key.is_not(None)))


def _hits(about: bool) -> Select[Any]:
    """The state of each component as to each advisory that it is affected by."""
    nowhere, other = _says_nothing(ruling), ruling.alias("other")
    # Nearly all have one range, so this is seldom asked.
    better = exists().where(
        other.c.advisory_id == ruling.c.advisory_id,
        _applies(other),
        or_(
            and_(nowhere, not_(_says_nothing(other))),
            and_(
                other.c.place < ruling.c.place,
                or_(nowhere, not_(_says_nothing(other))),
            ),
        ),
    )
    query = (
        select(
            component.c.id,
            ruling.c.advisory_id,
            case((nowhere, "undetermined"), else_=ruling.c.state),
            case((nowhere, None), else_=ruling.c.fixed),
            case((nowhere, "invalid-version"), else_=ruling.c.reason),
            ruling.c.severity,
            ruling.c.urgency,
            ruling.c.feed,
            ruling.c.counted,
        )
        .join(ruling, _applies(ruling))
        .where(
            component.c.id.in_(bindparam("ids", expanding=True)),
            or_(and_(ruling.c.place == 0, not_(_INVALID)), not_(better)),
        )
    )
    if about:
        query = query.where(ruling.c.advisory_id.in_(bindparam("about", expanding=True)))
    return query


def _gone(about: bool) -> Delete:
    still = exists().where(
        component.c.id == finding.c.component_id,
        ruling.c.advisory_id == finding.c.advisory_id,
        _applies(ruling),
    )
    query = delete(finding).where(
        finding.c.component_id.in_(bindparam("ids", expanding=True)), not_(still)
    )
    if about:
        query = query.where(finding.c.advisory_id.in_(bindparam("about", expanding=True)))
    return query


_STATEMENTS = {about: (_hits(about), _gone(about)) for about in (False, True)}
