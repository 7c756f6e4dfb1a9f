"""From a fix to its deployment: what is asked of components, images and runs to tell how long it took."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, and_, case, func, or_, select

from imagecatalog.domain.scopes import type_of
from imagecatalog.store.dialect import batches
from imagecatalog.store.schema import (
    advisory,
    advisory_cover,
    affected,
    build,
    cluster,
    component,
    component_package,
    distro,
    finding,
    manifest,
    package_chunk_member,
    package_set_chunk,
    run,
    scan,
    scope,
    succession,
    workload,
)

_FIRST_IMAGES = datetime(2013, 1, 1, tzinfo=UTC)
"""Builds that are to give the same bytes each time say 1970, or 1980."""


class FixableFault(Struct, frozen=True):
    """A fault of a component that a fix is out for."""

    advisory_id: int
    severity: int
    type: str
    """Of the package, as a purl has it."""
    fixed: str | None
    announced: datetime | None
    """When the first notice told of the fix; None: none did, or none says when."""


def list_components(c: Connection, sets: Collection[int]) -> dict[int, set[tuple[int, int]]]:
    """The components with a fault that a fix is out for, and their scopes, of each package set.

    Of whatever scope they are: a set may be of images of several releases.
    """
    chunks_of: dict[int, list[int]] = {}
    for batch in batches(sorted(sets)):
        query = select(package_set_chunk.c.set_id, package_set_chunk.c.chunk_id)
        for set_id, chunk in c.execute(query.where(package_set_chunk.c.set_id.in_(batch))):
            chunks_of.setdefault(set_id, []).append(chunk)
    # Sets share most of their chunks: each chunk is looked into once.
    inside: dict[int, list[tuple[int, int]]] = {}
    for batch in batches({chunk for many in chunks_of.values() for chunk in many}):
        held = (
            select(package_chunk_member.c.chunk_id, component.c.id, component.c.scope_id)
            .join(
                component_package,
                component_package.c.package_version_id == package_chunk_member.c.package_version_id,
            )
            .join(component, component.c.id == component_package.c.component_id)
            .where(package_chunk_member.c.chunk_id.in_(batch), _is_fixable())
            .distinct()
        )
        for chunk, *one in c.execute(held):
            inside.setdefault(chunk, []).append((one[0], one[1]))
    return {
        set_id: {one for chunk in chunks for one in inside.get(chunk, ())}
        for set_id, chunks in chunks_of.items()
    }


def _is_fixable() -> ColumnElement[bool]:
    return (
        select(finding.c.component_id)
        .where(
            finding.c.component_id == component.c.id,
            finding.c.state == "fix-out",
            finding.c.counted,
        )
        .exists()
    )


def list_fixable(c: Connection, components: Collection[int]) -> dict[int, list[FixableFault]]:
    """The faults of these that a fix is out for and that count, with when it was told."""
    notice = advisory.alias("notice")
    found: dict[int, list[FixableFault]] = {}
    for batch in batches(sorted(components), 200):
        query = (
            select(
                finding.c.component_id,
                finding.c.advisory_id,
                finding.c.severity,
                scope.c.name,
                finding.c.fixed,
                func.min(notice.c.published),
            )
            .join(component, component.c.id == finding.c.component_id)
            .join(scope, scope.c.id == component.c.scope_id)
            .outerjoin(advisory_cover, advisory_cover.c.covered_id == finding.c.advisory_id)
            .outerjoin(
                affected,
                and_(
                    affected.c.advisory_id == advisory_cover.c.advisory_id,
                    affected.c.scope_id == component.c.scope_id,
                    affected.c.name == component.c.name,
                    affected.c.fixed.is_not(None),
                ),
            )
            .outerjoin(notice, notice.c.id == affected.c.advisory_id)
            .where(
                finding.c.component_id.in_(batch),
                finding.c.state == "fix-out",
                finding.c.counted,
            )
            .group_by(
                finding.c.component_id,
                finding.c.advisory_id,
                finding.c.severity,
                scope.c.name,
                finding.c.fixed,
            )
        )
        for number, fault, severity, place, fixed, announced in c.execute(query):
            one = FixableFault(fault, severity, type_of(place), fixed, announced)
            found.setdefault(number, []).append(one)
    return found


def list_packages_of(c: Connection, components: Collection[int]) -> dict[int, list[int]]:
    """The package versions that each of these components is."""
    found: dict[int, list[int]] = {}
    for batch in batches(sorted(components)):
        query = select(
            component_package.c.component_id, component_package.c.package_version_id
        ).where(component_package.c.component_id.in_(batch))
        for number, package in c.execute(query):
            found.setdefault(number, []).append(package)
    return found


def list_built(c: Connection, images: Collection[int]) -> dict[int, datetime]:
    """When each of these images was built: as a build of it says, else its configuration.

    Of one whose configuration has no such moment, or one before containers were, it is when it was
    met first.
    """
    found: dict[int, datetime] = {}
    for batch in batches(sorted(images)):
        query = (
            select(
                manifest.c.id,
                manifest.c.created,
                manifest.c.first_seen,
                func.min(build.c.finished),
            )
            .outerjoin(build, build.c.subject == manifest.c.digest)
            .where(manifest.c.id.in_(batch))
            .group_by(manifest.c.id, manifest.c.created, manifest.c.first_seen)
        )
        for number, created, first_seen, finished in c.execute(query):
            said = created if created is not None and created > _FIRST_IMAGES else None
            found[number] = finished or said or first_seen
    return found


class Owner(Struct, frozen=True):
    """A workload with its cluster's first remembered scan."""

    cluster: str
    namespace: str
    name: str
    team: str
    watched: datetime | None


def list_owners(c: Connection) -> dict[int, Owner]:
    """Every workload, by number."""
    first = select(func.min(scan.c.at)).where(scan.c.cluster_id == cluster.c.id).scalar_subquery()
    watched: dict[int, tuple[str, datetime | None]] = {
        row[0]: (row[1], row[2]) for row in c.execute(select(cluster.c.id, cluster.c.name, first))
    }
    query = select(
        workload.c.id,
        workload.c.cluster_id,
        workload.c.namespace,
        workload.c.name,
        workload.c.team,
    )
    found = {}
    for number, place, namespace, name, team in c.execute(query):
        cluster_name, since = watched[place]
        found[number] = Owner(cluster_name, namespace, name, team, since)
    return found


def list_newer(c: Connection) -> dict[int, tuple[int, int | None, int | None, str | None]]:
    """What the newest tag of its line points to, of what runs: image, scope, package set, that tag."""
    query = (
        select(
            succession.c.manifest_id,
            manifest.c.id,
            distro.c.scope_id,
            manifest.c.set_id,
            succession.c.newer,
        )
        .join(manifest, manifest.c.id == succession.c.newer_id)
        .outerjoin(distro, distro.c.id == manifest.c.distro_id)
    )
    return {
        number: (newer, place, set_id, tag)
        for number, newer, place, set_id, tag in c.execute(query)
    }


class ContainerSpan(Struct, frozen=True):
    """A time for which one container of a workload ran an image."""

    workload_id: int
    container: str
    run_image_id: int
    since: datetime
    until: datetime | None


def list_container_spans(c: Connection, *, since: datetime) -> list[ContainerSpan]:
    """What runs, and what ended since then, by workload, container and beginning.

    Pods that ran the same side by side are one span from the first's beginning to the last's end.
    """
    columns = (run.c.workload_id, run.c.container, run.c.run_image_id)
    query = (
        select(
            *columns,
            func.min(run.c.since),
            func.max(run.c.until),
            func.max(case((run.c.until.is_(None), 1), else_=0)),
        )
        .where(
            run.c.kind != "ephemeral",
            or_(run.c.until.is_(None), run.c.until > since),
        )
        .group_by(*columns)
    )
    spans = [
        ContainerSpan(number, name, image, begin, None if is_open else end)
        for number, name, image, begin, end, is_open in c.execute(query)
    ]
    return sorted(spans, key=lambda one: (one.workload_id, one.container, one.since))
