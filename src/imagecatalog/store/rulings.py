"""Rulings at rest: what counts of what the feeds say of a package, for those that some image holds."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, delete, func, or_, select, tuple_

from imagecatalog.domain.findings import State
from imagecatalog.store.dialect import batches
from imagecatalog.store.schema import (
    advisory,
    advisory_cover,
    affected,
    component,
    ruling,
    unjudged,
)

Name = tuple[int, str]
"""The id of a scope, and a name in it."""


class Claim(Struct, frozen=True):
    """A row of what a feed says of a package."""

    advisory: int
    fault: int
    """The number of the best of its names."""
    feed: str
    status: str
    low_key: bytes | None
    high_key: bytes | None
    high_inclusive: bool
    fixed: str | None
    urgency: str | None
    reason: str | None


class Ruling(Struct, frozen=True):
    """A range of versions of a package, and in which state they are as to one advisory."""

    advisory: int
    place: int
    """Of several ranges that a version is in, the one with the lowest place counts."""
    low_key: bytes | None
    high_key: bytes | None
    high_inclusive: bool
    state: State
    fixed: str | None
    reason: str | None
    severity: int
    urgency: str | None
    feed: str
    counted: bool


class Background(Struct, frozen=True):
    """What is known of faults apart from any package."""

    covers: Mapping[int, frozenset[int]]
    """The faults that each notice bundles."""
    severities: Mapping[int, int]
    """The worst rating of each, by rank."""


def list_touched(c: Connection, *, limit: int) -> list[Name]:
    """Some names that are held, or were ruled on, and of which the feeds say something new.

    Those that nobody holds are forgotten: they are ruled on when somebody does.
    """
    holds = select(component.c.id).where(
        component.c.scope_id == unjudged.c.scope_id, component.c.name == unjudged.c.name
    )
    ruled = select(ruling.c.place).where(
        ruling.c.scope_id == unjudged.c.scope_id, ruling.c.name == unjudged.c.name
    )
    c.execute(delete(unjudged).where(~holds.exists(), ~ruled.exists()))
    query = select(unjudged).order_by(unjudged.c.scope_id, unjudged.c.name).limit(limit)
    return [(scope_id, name) for scope_id, name in c.execute(query)]


def forget_touched(c: Connection, names: Iterable[Name]) -> None:
    """Take these for judged."""
    for batch in batches(names):
        c.execute(delete(unjudged).where(tuple_(unjudged.c.scope_id, unjudged.c.name).in_(batch)))


def list_unruled(c: Connection, components: Collection[int]) -> list[Name]:
    """The names of these components of which feeds tell, and which nobody ruled on yet."""
    ruled = select(ruling.c.place).where(
        ruling.c.scope_id == component.c.scope_id, ruling.c.name == component.c.name
    )
    told = select(affected.c.id).where(
        affected.c.scope_id == component.c.scope_id, affected.c.name == component.c.name
    )
    found: set[Name] = set()
    for batch in batches(sorted(components)):
        query = (
            select(component.c.scope_id, component.c.name)
            .where(component.c.id.in_(batch), ~ruled.exists(), told.exists())
            .distinct()
        )
        found.update((scope_id, name) for scope_id, name in c.execute(query))
    return sorted(found)


def read_claims(c: Connection, names: Collection[Name]) -> dict[Name, list[Claim]]:
    """All that the feeds say of each of these names; what nobody speaks of is empty."""
    found: dict[Name, list[Claim]] = {name: [] for name in names}
    columns = [affected.c[name] for name in Claim.__struct_fields__[2:]]
    for batch in batches(sorted(names), 200):
        query = (
            select(
                affected.c.scope_id, affected.c.name, advisory.c.id, fault_of(advisory), *columns
            )
            .join(advisory, advisory.c.id == affected.c.advisory_id)
            .where(tuple_(affected.c.scope_id, affected.c.name).in_(batch))
        )
        for scope_id, name, *values in c.execute(query):
            found[scope_id, name].append(Claim(*values))
    return found


def fault_of(table: Any) -> ColumnElement[int]:
    """The number of the best of an advisory's names."""
    return func.coalesce(table.c.fault_id, table.c.id)


def read_background(c: Connection, faults: Collection[int]) -> Background:
    """What is known of these faults, and of those that they bundle."""
    covers = _read_covers(c, faults)
    bundled = {one for many in covers.values() for one in many}
    severities: dict[int, int] = {}
    for batch in batches(sorted({*faults, *bundled})):
        query = select(advisory.c.id, advisory.c.severity).where(
            advisory.c.id.in_(batch), advisory.c.severity.is_not(None)
        )
        severities |= dict(c.execute(query).all())
    return Background(covers | _read_covers(c, bundled - set(faults)), severities)


def _read_covers(c: Connection, faults: Collection[int]) -> dict[int, frozenset[int]]:
    notice, covered = advisory.alias(), advisory.alias()
    found: dict[int, set[int]] = {}
    for batch in batches(sorted(faults), 500):
        query = (
            select(fault_of(notice), fault_of(covered))
            .join(advisory_cover, advisory_cover.c.advisory_id == notice.c.id)
            .join(covered, covered.c.id == advisory_cover.c.covered_id)
            .where(or_(notice.c.id.in_(batch), notice.c.fault_id.in_(batch)))
        )
        for number, other in c.execute(query):
            if number != other:
                found.setdefault(number, set()).add(other)
    return {number: frozenset(many) for number, many in found.items()}


_COLUMNS = ("advisory_id", *Ruling.__struct_fields__[1:])
_READ = [ruling.c[name] for name in _COLUMNS]


def write_rulings(c: Connection, found: Mapping[Name, Sequence[Ruling]]) -> set[int]:
    """Have these alone be the rulings of the names; the advisories of those that changed."""
    old: set[tuple[Any, ...]] = set()
    for batch in batches(sorted(found), 200):
        query = select(ruling.c.scope_id, ruling.c.name, *_READ).where(
            tuple_(ruling.c.scope_id, ruling.c.name).in_(batch)
        )
        old.update(tuple(row) for row in c.execute(query))
    new = {(*name, *msgspec.structs.astuple(one)) for name, many in found.items() for one in many}
    key = tuple_(ruling.c.scope_id, ruling.c.name, ruling.c.advisory_id, ruling.c.place)
    for batch in batches(sorted(row[:4] for row in old - new)):
        c.execute(delete(ruling).where(key.in_(batch)))
    names = ("scope_id", "name", *_COLUMNS)
    come = sorted(new - old, key=lambda row: row[:4])
    if come:
        c.execute(ruling.insert(), [dict(zip(names, row, strict=True)) for row in come])
    return {row[2] for row in old ^ new}
