"""Fixes that advisories tell of for packages that no apt of their image brings up to date."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Select, func, or_, select

from imagecatalog.domain.answers import Update
from imagecatalog.domain.findings import SEVERITIES
from imagecatalog.domain.scopes import LANGUAGES, type_of
from imagecatalog.store.dialect import batches
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


def list_fixes(
    c: Connection, places: Collection[Place], *, with_debian: bool
) -> dict[Place, tuple[Update, ...]]:
    """The packages of these sets that a fix is out for, each with the version that has all its fixes.

    By package and architecture; what is negligible is left out. Sets without any are left out.
    """
    by_scope: dict[int | None, list[int]] = {}
    for scope_id, set_id in sorted(places, key=lambda place: (place[0] or 0, place[1])):
        by_scope.setdefault(scope_id, []).append(set_id)
    found: dict[Place, dict[int, list[Any]]] = {}
    for scope_id, sets in by_scope.items():
        for batch in batches(sets, 200):
            for row in c.execute(_fixes(batch, scope_id, with_debian=with_debian)):
                by_package = found.setdefault((scope_id, row.set_id), {})
                by_package.setdefault(row.number, []).append(row)
    return {
        place: tuple(
            sorted(
                (_update(rows) for rows in by_package.values()),
                key=lambda one: (one.package, one.arch, one.installed),
            )
        )
        for place, by_package in found.items()
    }


def _fixes(sets: Collection[int], scope_id: int | None, *, with_debian: bool) -> Select[Any]:
    # The faults known to be exploited, by the best of their names.
    known = (
        select(func.coalesce(advisory.c.fault_id, advisory.c.id).label("fault"))
        .join(exploited, exploited.c.advisory_id == advisory.c.id)
        .distinct()
        .subquery()
    )
    query = (
        select(
            package_set_chunk.c.set_id,
            package_version.c.id.label("number"),
            package_version.c.name,
            package_version.c.type,
            package_version.c.arch,
            package_version.c.version,
            component.c.name.label("source"),
            scope.c.name.label("scope"),
            advisory.c.name.label("advisory"),
            known.c.fault.label("known"),
            finding.c.fixed,
            finding.c.severity,
            finding.c.feed,
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
        .outerjoin(known, known.c.fault == advisory.c.id)
        .where(
            package_set_chunk.c.set_id.in_(sets),
            or_(component.c.scope_id == scope_id, scope.c.name.in_(LANGUAGES)),
            finding.c.counted,
            finding.c.state == "fix-out",
            finding.c.severity != _NEGLIGIBLE,
        )
    )
    return query if with_debian else query.where(package_version.c.type != "deb")


def _update(rows: Collection[Any]) -> Update:
    worst = max(rows, key=lambda row: row.severity)
    last = max(rows, key=lambda row: sort_key(type_of(row.scope), row.fixed))
    return Update(
        package=worst.name,
        type=worst.type,
        arch=worst.arch,
        source=worst.source,
        installed=worst.version,
        candidate=last.fixed,
        security=True,
        origin=last.feed,
        advisories=tuple(sorted({row.advisory for row in rows})),
        severity=SEVERITIES[worst.severity],
        exploited=any(row.known is not None for row in rows),
    )
