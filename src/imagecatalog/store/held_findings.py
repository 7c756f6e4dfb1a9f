"""The findings that package sets hold, read from the sets: each as it stands for every image alike."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from msgspec import Struct
from sqlalchemy import Connection, Join, Select, and_, case, distinct, func, or_, select

from imagecatalog.domain.advisories import FeedStatement
from imagecatalog.domain.findings import State
from imagecatalog.domain.scopes import LANGUAGES
from imagecatalog.store.dialect import batches
from imagecatalog.store.schema import (
    advisory,
    advisory_cover,
    affected,
    component,
    component_package,
    distro,
    epss,
    exploited,
    finding,
    manifest,
    package_chunk_member,
    package_set_chunk,
    package_version,
    ruling,
    scope,
)
from imagecatalog.store.scopes import find_scopes
from imagecatalog.versions import ORDERED
from imagecatalog.versions.digits import INVALID

Names = Mapping[int, Mapping[int, str]]
"""By the number of an advisory all names of its fault, each with its number."""

_STATEMENTS = 500
"""Of one fault; real ones have some dozens."""


class HeldFinding(Struct, frozen=True):
    """A fault of a component that a package set holds, with the packages that make it hold it."""

    advisory_id: int
    advisory: str
    severity: int
    """Rank in ``domain.findings.SEVERITIES``: of this finding."""
    score: float | None
    state: State
    fixed: str | None
    reason: str | None
    urgency: str | None
    feed: str
    scope: str
    name: str
    version: str
    packages: tuple[tuple[int, str, str], ...]
    """Number, name and version of each installed package of it, by name."""


class FaultFacts(Struct, frozen=True):
    """What is known of a fault beside who has it."""

    aliases: tuple[str, ...]
    """Its other names, and the notices that bundle it, by name."""
    is_exploited: bool
    due: datetime | None
    epss: float | None


def find_scope(c: Connection, number: int) -> tuple[int | None, str]:
    """The scope of an image's distribution: its number and name; none and empty where it has none."""
    row = c.execute(
        select(scope.c.id, scope.c.name)
        .join(distro, distro.c.scope_id == scope.c.id)
        .join(manifest, manifest.c.distro_id == distro.c.id)
        .where(manifest.c.id == number)
    ).one_or_none()
    return (row.id, row.name) if row else (None, "")


def list_held(c: Connection, set_id: int, scope_id: int | None) -> list[HeldFinding]:
    """The faults that count of a package set in a distribution's scope, and of its language packages.

    By severity, the worst first, then by name of the advisory and of the component.
    """
    places = _list_places(c, scope_id)
    found: dict[tuple[int, int], list[tuple[int, str, str]]] = {}
    rows = {}
    for row in c.execute(_from_set(set_id, places)):
        key = (row.component_id, row.advisory_id)
        rows[key] = row
        found.setdefault(key, []).append((row.number, row.package, row.package_version))
    held = [
        HeldFinding(
            advisory_id=row.advisory_id,
            advisory=row.advisory,
            severity=row.severity,
            score=row.score,
            state=row.state,
            fixed=row.fixed,
            reason=row.reason,
            urgency=row.urgency,
            feed=row.feed,
            scope=row.scope,
            name=row.name,
            version=row.version,
            packages=tuple(sorted(set(found[key]), key=lambda one: (one[1], one[2], one[0]))),
        )
        for key, row in rows.items()
    ]
    return sorted(held, key=lambda one: (-one.severity, one.advisory, one.name, one.version))


def _list_places(c: Connection, scope_id: int | None) -> list[int]:
    places = list(find_scopes(c, LANGUAGES).values())
    return places if scope_id is None else [scope_id, *places]


def _from_set(set_id: int, places: Collection[int]) -> Select[tuple[object, ...]]:
    return (
        select(
            component.c.id.label("component_id"),
            advisory.c.id.label("advisory_id"),
            advisory.c.name.label("advisory"),
            advisory.c.score,
            finding.c.severity,
            finding.c.state,
            finding.c.fixed,
            finding.c.reason,
            finding.c.urgency,
            finding.c.feed,
            scope.c.name.label("scope"),
            component.c.name,
            component.c.version,
            package_version.c.id.label("number"),
            package_version.c.name.label("package"),
            package_version.c.version.label("package_version"),
        )
        .select_from(package_set_chunk)
        .join(package_chunk_member, package_chunk_member.c.chunk_id == package_set_chunk.c.chunk_id)
        .join(
            component_package,
            component_package.c.package_version_id == package_chunk_member.c.package_version_id,
        )
        .join(component, component.c.id == component_package.c.component_id)
        .join(finding, finding.c.component_id == component.c.id)
        .join(advisory, advisory.c.id == finding.c.advisory_id)
        .join(scope, scope.c.id == component.c.scope_id)
        .join(package_version, package_version.c.id == component_package.c.package_version_id)
        .where(
            package_set_chunk.c.set_id == set_id,
            component.c.scope_id.in_(places),
            finding.c.counted,
        )
    )


def list_facts(c: Connection, groups: Names) -> dict[int, FaultFacts]:
    """What is known of each of these faults, by whatever name of theirs it is told."""
    every = sorted({number for names in groups.values() for number in names})
    known: dict[int, datetime | None] = {}
    chances: dict[int, float] = {}
    for batch in batches(every):
        query = (
            select(advisory.c.id, exploited.c.advisory_id, exploited.c.due, epss.c.probability)
            .outerjoin(exploited, exploited.c.advisory_id == advisory.c.id)
            .outerjoin(epss, epss.c.advisory_id == advisory.c.id)
            .where(advisory.c.id.in_(batch))
        )
        for number, listed, due, chance in c.execute(query):
            if listed is not None:
                known[number] = due
            if chance is not None:
                chances[number] = chance
    notices = _list_notices(c, every)
    facts = {}
    for number, names in sorted(groups.items()):
        others = {name for one, name in names.items() if one != number}
        dues = [known[one] for one in names if one in known]
        facts[number] = FaultFacts(
            aliases=tuple(sorted(others | {two for one in names for two in notices.get(one, ())})),
            is_exploited=bool(dues),
            due=min((due for due in dues if due), default=None),
            epss=max((chances[one] for one in names if one in chances), default=None),
        )
    return facts


def rate(c: Connection, advisories: Collection[int]) -> int:
    """The worst severity that any feed gives these, by rank; 0 where nobody does."""
    query = select(func.max(advisory.c.severity)).where(advisory.c.id.in_(sorted(advisories)))
    return int(c.scalar(query) or 0)


def list_statements(c: Connection, groups: Names) -> tuple[FeedStatement, ...]:
    """What the feeds tell of these faults by whatever name, by scope, package, feed and advisory."""
    every = sorted({number for names in groups.values() for number in names})
    covering = select(advisory_cover.c.advisory_id).where(advisory_cover.c.covered_id.in_(every))
    query = (
        select(
            advisory.c.name.label("advisory"),
            scope.c.name.label("scope"),
            affected.c.name,
            affected.c.status,
            affected.c.fixed,
            affected.c.urgency,
            affected.c.reason,
            affected.c.feed,
        )
        .join(affected, affected.c.advisory_id == advisory.c.id)
        .join(scope, scope.c.id == affected.c.scope_id)
        .where(or_(advisory.c.id.in_(every), advisory.c.id.in_(covering)))
        .distinct()
    )
    found = [
        FeedStatement(
            scope=row.scope,
            source=row.name,
            advisory=row.advisory,
            status=row.status,
            fixed=row.fixed,
            urgency=row.urgency,
            reason=row.reason,
            feed=row.feed,
        )
        for row in c.execute(query.limit(_STATEMENTS))
    ]
    return tuple(
        sorted(
            found, key=lambda one: (one.scope, one.source, one.feed, one.advisory, one.fixed or "")
        )
    )


def list_names(c: Connection, wanted: Iterable[int]) -> Names:
    """All names of the fault that each of these advisories is one of."""
    best: dict[int, int] = {}
    for batch in batches(sorted(set(wanted))):
        query = select(advisory.c.id, advisory.c.fault_id).where(advisory.c.id.in_(batch))
        best |= {row.id: row.fault_id or row.id for row in c.execute(query)}
    members: dict[int, dict[int, str]] = {fault: {} for fault in best.values()}
    for batch in batches(sorted(members)):
        query = select(advisory.c.id, advisory.c.fault_id, advisory.c.name).where(
            or_(advisory.c.id.in_(batch), advisory.c.fault_id.in_(batch))
        )
        for row in c.execute(query):
            members[row.fault_id or row.id][row.id] = row.name
    return {number: members[fault] for number, fault in best.items()}


def _list_notices(c: Connection, advisories: Collection[int]) -> dict[int, set[str]]:
    """The notices that bundle each of these."""
    found: dict[int, set[str]] = {}
    for batch in batches(advisories):
        query = (
            select(advisory_cover.c.covered_id, advisory.c.name)
            .join(advisory, advisory.c.id == advisory_cover.c.advisory_id)
            .where(advisory_cover.c.covered_id.in_(batch))
            .distinct()
        )
        for number, name in c.execute(query):
            found.setdefault(number, set()).add(name)
    return found


def list_spoken(c: Connection, scopes: Collection[str]) -> frozenset[str]:
    """Those of the scopes of which any feed tells anything."""
    told = select(affected.c.id).where(affected.c.scope_id == scope.c.id).limit(1)
    query = select(scope.c.name).where(
        scope.c.name.in_(sorted(scopes)), told.scalar_subquery().is_not(None)
    )
    return frozenset(c.scalars(query)) if scopes else frozenset()


def list_disordered(c: Connection, set_id: int) -> list[str]:
    """Name and version of each package of a set whose version its ecosystem does not allow, in order."""
    query = (
        select(package_version.c.name, package_version.c.version)
        .join(
            package_chunk_member,
            package_chunk_member.c.package_version_id == package_version.c.id,
        )
        .join(package_set_chunk, package_set_chunk.c.chunk_id == package_chunk_member.c.chunk_id)
        .where(
            package_set_chunk.c.set_id == set_id,
            package_version.c.type.in_(sorted(ORDERED)),
            func.substr(package_version.c.key, 1, 1) == INVALID,
        )
        .distinct()
    )
    return sorted(f"{name} {version}" for name, version in c.execute(query))


def count_waiting(c: Connection, set_id: int, scope_id: int | None) -> int:
    """How many components of a set wait to be judged."""
    query = (
        select(func.count(distinct(component.c.id)))
        .select_from(_components(set_id))
        .where(component.c.scope_id.in_(_list_places(c, scope_id)), component.c.pending)
    )
    return int(c.execute(query).scalar_one())


class SettledRuling(Struct, frozen=True):
    """A fault that feeds tell of a component's name, and that the component does not have."""

    advisory: str
    severity: int
    scope: str
    name: str
    version: str
    state: State
    fixed: str | None
    feed: str


def list_settled(c: Connection, set_id: int, scope_id: int | None) -> list[SettledRuling]:
    """The faults that feeds tell of the components of a set, and that these do not have.

    Either fixed in the version there, or not affected; by name of component, advisory, version.
    """
    query = (
        select(
            advisory.c.name.label("advisory"),
            ruling.c.severity,
            scope.c.name.label("scope"),
            component.c.name,
            component.c.version,
            case((ruling.c.state == "not-affected", "not-affected"), else_="fixed"),
            func.max(ruling.c.fixed),
            ruling.c.feed,
        )
        .select_from(_components(set_id))
        .join(scope, scope.c.id == component.c.scope_id)
        .join(
            ruling,
            and_(ruling.c.scope_id == component.c.scope_id, ruling.c.name == component.c.name),
        )
        .join(advisory, advisory.c.id == ruling.c.advisory_id)
        .outerjoin(
            finding,
            and_(
                finding.c.component_id == component.c.id,
                finding.c.advisory_id == ruling.c.advisory_id,
            ),
        )
        .where(
            component.c.scope_id.in_(_list_places(c, scope_id)),
            ruling.c.counted,
            finding.c.advisory_id.is_(None),
        )
        .group_by(
            advisory.c.name,
            ruling.c.severity,
            scope.c.name,
            component.c.name,
            component.c.version,
            ruling.c.state,
            ruling.c.feed,
        )
        .order_by(component.c.name, advisory.c.name, component.c.version)
    )
    return [SettledRuling(*row) for row in c.execute(query)]


def _components(set_id: int) -> Join:
    """The components of a set's packages, in every scope that these occur in."""
    held = (
        select(package_chunk_member.c.package_version_id)
        .join(package_set_chunk, package_set_chunk.c.chunk_id == package_chunk_member.c.chunk_id)
        .where(package_set_chunk.c.set_id == set_id)
        .subquery()
    )
    return held.join(
        component_package, component_package.c.package_version_id == held.c.package_version_id
    ).join(component, component.c.id == component_package.c.component_id)
