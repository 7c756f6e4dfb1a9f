"""The faults of one package: of each version that images hold, and all of them, worst first."""

from __future__ import annotations

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, Join, case, func, or_, select

from imagecatalog.domain.findings import SEVERITIES, STATE_ORDER, Severity, State
from imagecatalog.domain.packages import Package
from imagecatalog.store.schema import (
    advisory,
    component,
    component_package,
    exploited,
    finding,
    package_version,
    scope,
)

_NEGLIGIBLE = SEVERITIES.index("negligible")
_RANK = {state: rank for rank, state in enumerate(STATE_ORDER)}


class VersionFaults(Struct, frozen=True):
    """The faults of a version, in the release where it has most of them."""

    fixable: int
    """That a fix is out for, negligible ones left out."""
    others: int
    severity: Severity | None
    """The worst of the fixable ones."""


class PackageFault(Struct, frozen=True):
    """A fault of a package in one scope."""

    advisory: str
    scope: str
    source: str
    severity: Severity | None
    exploited: bool
    state: State
    fixed: str | None
    reason: str | None


def list_version_faults(c: Connection, name: str) -> dict[Package, VersionFaults]:
    """The faults of each version of a binary or a language's package; those without are left out."""
    columns = [package_version.c[field] for field in Package.__struct_fields__]
    fixable = case((_is_fixable(), 1), else_=0)
    severity = case((_is_fixable(), finding.c.severity), else_=0)
    query = (
        select(*columns, func.sum(fixable), func.sum(1 - fixable), func.max(severity))
        .select_from(_held())
        .where(package_version.c.name == name, finding.c.counted)
        .group_by(package_version.c.id, component.c.id)
    )
    found: dict[Package, VersionFaults] = {}
    for *values, many, others, rank in c.execute(query):
        package, one = Package(*values), VersionFaults(many, others, SEVERITIES[rank])
        known = found.get(package, one)
        found[package] = max(known, one, key=lambda v: (v.fixable, v.others))
    return found


def list_package_faults(
    c: Connection, name: str, kind: str | None = None
) -> tuple[PackageFault, ...]:
    """The faults of the versions that images hold, of a binary or source package, worst first.

    ``kind`` is the type of the package where several have the name.
    """
    known = (
        select(func.coalesce(advisory.c.fault_id, advisory.c.id).label("fault"))
        .join(exploited, exploited.c.advisory_id == advisory.c.id)
        .distinct()
        .subquery()
    )
    query = (
        select(
            advisory.c.name,
            scope.c.name,
            component.c.name,
            finding.c.severity,
            known.c.fault,
            finding.c.state,
            finding.c.fixed,
            finding.c.reason,
        )
        .select_from(_held())
        .join(advisory, advisory.c.id == finding.c.advisory_id)
        .join(scope, scope.c.id == component.c.scope_id)
        .outerjoin(known, known.c.fault == finding.c.advisory_id)
        .where(
            or_(package_version.c.name == name, component.c.name == name),
            finding.c.counted,
            *((package_version.c.type == kind,) if kind else ()),
        )
        .distinct()
    )
    found = [
        PackageFault(fault, place, source, SEVERITIES[rank], known is not None, state, fixed, why)
        for fault, place, source, rank, known, state, fixed, why in c.execute(query)
    ]
    return tuple(sorted(found, key=_order))


def list_binaries(c: Connection, source: str) -> tuple[tuple[str, int], ...]:
    """The binary packages of a source that images may hold, by name: how many versions of each."""
    query = (
        select(package_version.c.name, func.count(package_version.c.version.distinct()))
        .where(package_version.c.source == source, package_version.c.name != source)
        .group_by(package_version.c.name)
        .order_by(package_version.c.name)
    )
    return tuple((name, many) for name, many in c.execute(query))


def _held() -> Join:
    return (
        package_version.join(
            component_package, component_package.c.package_version_id == package_version.c.id
        )
        .join(component, component.c.id == component_package.c.component_id)
        .join(finding, finding.c.component_id == component.c.id)
    )


def _is_fixable() -> ColumnElement[bool]:
    return (finding.c.state == "fix-out") & (finding.c.severity != _NEGLIGIBLE)


def _order(one: PackageFault) -> tuple[object, ...]:
    return (
        not one.exploited,
        -SEVERITIES.index(one.severity),
        _RANK[one.state],
        one.advisory,
        one.scope,
        one.source,
    )
