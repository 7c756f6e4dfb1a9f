"""Faults under their many names: advisories that are aliases of each other are one group.

A group's members have the number of its best name as ``advisory.fault_id``, the best name itself has
none; each member has the worst rating of all. Aliases are kept in both directions, so that a group
is what can be reached from any of its members.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Select, bindparam, select, update

from imagecatalog.store.dialect import batches
from imagecatalog.store.schema import advisory, advisory_alias, rating

GROUP_LIMIT = 1_000
"""Names of one fault. No fault has so many: where more are told to be one, none of them is joined."""
_PREFERRED = ("CVE-", "GHSA-")


class _Member(Struct, frozen=True):
    id: int
    name: str
    fault_id: int | None
    severity: int | None
    score: float | None

    @property
    def rank(self) -> tuple[int, str]:
        """The lower, the better as the name of the group."""
        kind = next((n for n, p in enumerate(_PREFERRED) if self.name.startswith(p)), 2)
        return kind, self.name


class Settled(Struct, frozen=True):
    """What became of groups that were joined anew."""

    changed: set[int]
    """Advisories whose group or severity is another now."""
    unjoined: int
    """Those that stay by themselves, as too many are told to be one fault."""


def settle_faults(c: Connection, dirty: Collection[int]) -> Settled:
    """Join anew the groups of advisories whose aliases or ratings changed, those that left included."""
    seeds = list_grouped(c, dirty)
    changed: set[int] = set()
    visited: set[int] = set()
    unjoined = 0
    for batch in batches(sorted(seeds), 500):
        fresh = [one for one in batch if one not in visited]
        if not fresh:
            continue
        neighbours = _reach(c, fresh)
        visited |= neighbours.keys()
        groups = list(_split(neighbours))
        unjoined += sum(len(group) for group in groups if len(group) > GROUP_LIMIT)
        changed |= _write_groups(c, _part(groups))
    return Settled(changed, unjoined)


def _part(groups: Iterable[Sequence[int]]) -> list[Sequence[int]]:
    """The same, of those that are too large each member by itself."""
    return [
        part
        for group in groups
        for part in ([group] if len(group) <= GROUP_LIMIT else [[one] for one in group])
    ]


def list_grouped(c: Connection, numbers: Collection[int]) -> set[int]:
    """These, and all that are in a group with one of them."""
    faults: set[int] = set(numbers)
    for batch in batches(sorted(numbers)):
        query = select(advisory.c.fault_id).where(
            advisory.c.id.in_(batch), advisory.c.fault_id.is_not(None)
        )
        faults.update(c.scalars(query))
    found = set(faults)
    for batch in batches(sorted(faults)):
        found.update(c.scalars(select(advisory.c.id).where(advisory.c.fault_id.in_(batch))))
    return found


def _reaching() -> Select[Any]:
    reach = (
        select(advisory.c.id)
        .where(advisory.c.id.in_(bindparam("seeds", expanding=True)))
        .cte("reach", recursive=True)
    )
    reach = reach.union(
        select(advisory_alias.c.alias_id).join(reach, advisory_alias.c.advisory_id == reach.c.id)
    )
    return select(reach.c.id, advisory_alias.c.alias_id).outerjoin(
        advisory_alias, advisory_alias.c.advisory_id == reach.c.id
    )


_REACH = _reaching()


def _reach(c: Connection, seeds: Collection[int]) -> dict[int, set[int]]:
    """Whatever can be reached by aliases, each with its own."""
    neighbours: dict[int, set[int]] = {}
    for number, alias in c.execute(_REACH, {"seeds": list(seeds)}):
        found = neighbours.setdefault(number, set())
        if alias is not None:
            found.add(alias)
    return neighbours


def _split(neighbours: Mapping[int, set[int]]) -> Iterable[list[int]]:
    """The groups."""
    left = dict.fromkeys(sorted(neighbours))
    while left:
        first, _ = left.popitem()
        group = [first]
        for one in group:  # grows as it goes
            new = [other for other in neighbours[one] if other in left]
            for other in new:
                del left[other]
            group += new
        yield group


def _write_groups(c: Connection, groups: Collection[Sequence[int]]) -> set[int]:
    numbers = {one for group in groups for one in group}
    members = _read_members(c, numbers)
    ratings = _read_ratings(c, numbers)
    rows: dict[int, dict[str, int | float | None]] = {}
    for group in groups:
        best = min((members[one] for one in group), key=lambda one: one.rank)
        rated = [ratings[one] for one in group if one in ratings]
        severity = max((one for one, _ in rated if one is not None), default=None)
        score = max((one for _, one in rated if one is not None), default=None)
        for member in map(members.__getitem__, group):
            fault = None if member is best else best.id
            if (member.fault_id, member.severity, member.score) != (fault, severity, score):
                values = {"fault": fault, "worst": severity, "highest": score}
                rows[member.id] = {"number": member.id, **values}
    if rows:
        c.execute(_WRITE, [rows[number] for number in sorted(rows)])
    return set(rows)


_WRITE = (
    update(advisory)
    .where(advisory.c.id == bindparam("number"))
    .values(fault_id=bindparam("fault"), severity=bindparam("worst"), score=bindparam("highest"))
)


def _read_members(c: Connection, numbers: Collection[int]) -> dict[int, _Member]:
    columns = [advisory.c[name] for name in _Member.__struct_fields__]
    return {
        row.id: _Member(*row)
        for batch in batches(sorted(numbers))
        for row in c.execute(select(*columns).where(advisory.c.id.in_(batch)))
    }


def _read_ratings(
    c: Connection, numbers: Collection[int]
) -> dict[int, tuple[int | None, float | None]]:
    """The worst severity and the highest score of each that is rated."""
    found: dict[int, tuple[int | None, float | None]] = {}
    for batch in batches(sorted(numbers)):
        query = select(rating.c.advisory_id, rating.c.severity, rating.c.score)
        for number, severity, score in c.execute(query.where(rating.c.advisory_id.in_(batch))):
            worst, highest = found.get(number, (None, None))
            severities = [one for one in (worst, severity) if one is not None]
            scores = [one for one in (highest, score) if one is not None]
            found[number] = (max(severities, default=None), max(scores, default=None))
    return found
