"""Fixes that advisories tell of for packages that no apt of their image brings up to date."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from msgspec import Struct
from sqlalchemy import Column, Connection, Select, func, or_, select

from imagecatalog.domain.answers import Update
from imagecatalog.domain.findings import SEVERITIES
from imagecatalog.domain.scopes import LANGUAGES, type_of
from imagecatalog.store.dialect import batches
from imagecatalog.store.kinds import list_chunks_of
from imagecatalog.store.schema import (
    advisory,
    component,
    component_package,
    exploited,
    finding,
    package_chunk_member,
    package_set_chunk,
    package_version,
    scope,
)
from imagecatalog.versions import sort_key

Place = tuple[int | None, int]
"""The number of the scope of an image's distribution, and of its package set."""

_NEGLIGIBLE = SEVERITIES.index("negligible")
_FEW = 10
"""Of so many sets at most the fixes are read at once; more share chunks that are better read once."""


class Fix(Struct, frozen=True, gc=False):
    """A fault of an installed package that a fix is out for."""

    number: int
    """Of the package version."""
    name: str
    type: str
    arch: str
    version: str
    component: int
    source: str
    """What advisories name."""
    scope: str
    fault: int
    advisory: str
    is_exploited: bool
    fixed: str
    severity: int
    feed: str


def list_fixes(
    c: Connection, places: Collection[Place], *, with_debian: bool
) -> dict[Place, tuple[Fix, ...]]:
    """The faults that a fix is out for of the packages of these sets; what is negligible is left out.

    Sets without any are left out.
    """
    sets = {set_id for _, set_id in places}
    is_few = len(sets) <= _FEW
    made_of = {one: [one] for one in sets} if is_few else list_chunks_of(c, sets)
    part = package_set_chunk.c.set_id if is_few else package_chunk_member.c.chunk_id
    scopes = {scope_id for scope_id, _ in places if scope_id is not None}
    query = _fixes(part, scopes, with_debian=with_debian)
    inside: dict[int, list[tuple[int | None, Fix]]] = {}
    for batch in batches(sorted({one for many in made_of.values() for one in many})):
        for number, scope_id, *values in c.execute(query.where(part.in_(batch))):
            fix = Fix(*values)
            place = None if fix.scope in LANGUAGES else scope_id
            inside.setdefault(number, []).append((place, fix))
    found: dict[Place, tuple[Fix, ...]] = {}
    for scope_id, set_id in places:
        fixes = [
            fix
            for one in made_of.get(set_id, ())
            for place, fix in inside.get(one, ())
            if place is None or place == scope_id
        ]
        if fixes:
            found[scope_id, set_id] = tuple(sorted(fixes, key=_order))
    return found


def _order(one: Fix) -> tuple[int, int, int]:
    return one.number, one.component, one.fault


def make_updates(fixes: Iterable[Fix]) -> tuple[Update, ...]:
    """An update for each package with the version that has all its fixes, by package and architecture."""
    by_package: dict[int, list[Fix]] = {}
    for one in fixes:
        by_package.setdefault(one.number, []).append(one)
    found = (_update(many) for many in by_package.values())
    return tuple(sorted(found, key=lambda one: (one.package, one.arch, one.installed)))


def _fixes(part: Column[int], scopes: Collection[int], *, with_debian: bool) -> Select[Any]:
    """The fixes of all packages, beside ``part``: the number of the set or of the chunk."""
    # The faults known to be exploited, by the best of their names.
    known = (
        select(func.coalesce(advisory.c.fault_id, advisory.c.id).label("fault"))
        .join(exploited, exploited.c.advisory_id == advisory.c.id)
        .distinct()
        .subquery()
    )
    query = (
        select(
            part,
            component.c.scope_id,
            package_version.c.id,
            package_version.c.name,
            package_version.c.type,
            package_version.c.arch,
            package_version.c.version,
            component.c.id,
            component.c.name,
            scope.c.name,
            advisory.c.id,
            advisory.c.name,
            known.c.fault.is_not(None),
            finding.c.fixed,
            finding.c.severity,
            finding.c.feed,
        )
        .select_from(package_chunk_member)
        .join(
            component_package,
            component_package.c.package_version_id == package_chunk_member.c.package_version_id,
        )
        .join(component, component.c.id == component_package.c.component_id)
        .join(finding, finding.c.component_id == component.c.id)
        .join(advisory, advisory.c.id == finding.c.advisory_id)
        .join(scope, scope.c.id == component.c.scope_id)
        .join(package_version, package_version.c.id == component_package.c.package_version_id)
        .outerjoin(known, known.c.fault == advisory.c.id)
        .where(
            or_(component.c.scope_id.in_(sorted(scopes)), scope.c.name.in_(LANGUAGES)),
            finding.c.counted,
            finding.c.state == "fix-out",
            finding.c.severity != _NEGLIGIBLE,
        )
    )
    if part.table is not package_chunk_member:
        query = query.join(
            package_set_chunk, package_set_chunk.c.chunk_id == package_chunk_member.c.chunk_id
        )
    return query if with_debian else query.where(package_version.c.type != "deb")


def _update(fixes: Collection[Fix]) -> Update:
    worst = max(fixes, key=lambda one: one.severity)
    last = max(fixes, key=lambda one: sort_key(type_of(one.scope), one.fixed))
    return Update(
        package=worst.name,
        type=worst.type,
        arch=worst.arch,
        source=worst.source,
        installed=worst.version,
        candidate=last.fixed,
        security=True,
        origin=last.feed,
        advisories=tuple(sorted({one.advisory for one in fixes})),
        severity=SEVERITIES[worst.severity],
        exploited=any(one.is_exploited for one in fixes),
    )
