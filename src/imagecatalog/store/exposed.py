"""Where faults are: the components that have them, the images of these, what runs first."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, LargeBinary, and_, func, or_, select, type_coerce

from imagecatalog.domain.answers import Place
from imagecatalog.domain.findings import State
from imagecatalog.domain.refs import Digest
from imagecatalog.domain.scopes import LANGUAGES, NOWHERE
from imagecatalog.store.affected import is_named
from imagecatalog.store.dialect import BATCH, batches
from imagecatalog.store.runs import join_places
from imagecatalog.store.schema import (
    advisory,
    advisory_cover,
    affected,
    cluster,
    component,
    component_package,
    distro,
    finding,
    manifest,
    package_chunk_member,
    package_set_chunk,
    package_version,
    run,
    run_image,
    scope,
    standing,
    standing_component,
    workload,
)
from imagecatalog.store.waiting import join_kept


class BadComponent(Struct, frozen=True):
    """A version of a package, in a scope, that has a fault."""

    id: int
    scope_id: int
    scope: str
    name: str
    version: str
    key: bytes
    state: State
    fixed: str | None
    reason: str | None
    severity: int
    packages: tuple[tuple[int, str, str], ...]
    """Number, name and version of each package version of it, by name."""


class HoldingImage(Struct, frozen=True):
    """An image with its packages; ``scope_id`` is that of its distribution."""

    id: int
    set_id: int
    scope_id: int | None


def find_faults(c: Connection, name: str) -> list[int]:
    """The numbers under which findings of an advisory of that name are kept; none: nobody knows it.

    A notice without packages of its own is the faults that it bundles.
    """
    rows = c.execute(select(advisory.c.id, advisory.c.fault_id).where(is_named(name))).all()
    numbers = {number for row in rows for number in (row.id, row.fault_id) if number is not None}
    if not numbers or _has_findings(c, numbers):
        return sorted(numbers)
    covered = select(advisory_cover.c.covered_id).where(advisory_cover.c.advisory_id.in_(numbers))
    faults = select(func.coalesce(advisory.c.fault_id, advisory.c.id))
    return sorted({*numbers, *c.scalars(faults.where(advisory.c.id.in_(covered)))})


def _has_findings(c: Connection, numbers: Collection[int]) -> bool:
    query = select(finding.c.component_id).where(finding.c.advisory_id.in_(numbers)).limit(1)
    return c.scalar(query) is not None


def list_bad(c: Connection, faults: Collection[int]) -> list[BadComponent]:
    """The components that have any of these, by scope, name and version; without duplicates."""
    packages: dict[int, list[tuple[int, str, str]]] = {}
    rows: dict[int, Any] = {}
    for batch in batches(sorted(faults)):
        query = (
            select(
                component,
                scope.c.name.label("scope"),
                finding.c.state,
                finding.c.fixed,
                finding.c.reason,
                finding.c.severity,
            )
            .select_from(finding)
            .join(component, component.c.id == finding.c.component_id)
            .join(scope, scope.c.id == component.c.scope_id)
            .where(finding.c.advisory_id.in_(batch))
        )
        rows |= {row.id: row for row in c.execute(query)}
    for batch in batches(sorted(rows)):
        held = (
            select(
                component_package.c.component_id,
                package_version.c.id,
                package_version.c.name,
                package_version.c.version,
            )
            .join(package_version, package_version.c.id == component_package.c.package_version_id)
            .where(component_package.c.component_id.in_(batch))
            .order_by(package_version.c.name, package_version.c.version, package_version.c.id)
        )
        for number, *package in c.execute(held):
            packages.setdefault(number, []).append((package[0], package[1], package[2]))
    found = [
        BadComponent(
            id=row.id,
            scope_id=row.scope_id,
            scope=row.scope,
            name=row.name,
            version=row.version,
            key=bytes(row.key),
            state=row.state,
            fixed=row.fixed,
            reason=row.reason,
            severity=row.severity,
            packages=tuple(packages.get(row.id, ())),
        )
        for row in rows.values()
    ]
    return sorted(found, key=lambda one: (one.scope, one.name, one.key, one.version))


_ALIVE = (
    select(
        run.c.run_image_id,
        run.c.workload_id,
        func.sum(run.c.replicas).label("containers"),
    )
    .where(run.c.until.is_(None))
    .group_by(run.c.run_image_id, run.c.workload_id)
    .subquery()
)
_RUNNING = (
    select(
        manifest.c.id,
        type_coerce(manifest.c.digest, LargeBinary),
        manifest.c.set_id,
        distro.c.scope_id,
        run_image.c.image,
        cluster.c.name,
        workload.c.namespace,
        workload.c.name.label("workload"),
        _ALIVE.c.containers,
    )
    .select_from(_ALIVE)
    .join(run_image, run_image.c.id == _ALIVE.c.run_image_id)
    .join(manifest, manifest.c.id == run_image.c.manifest_id)
    .outerjoin(distro, distro.c.id == manifest.c.distro_id)
    .join(workload, workload.c.id == _ALIVE.c.workload_id)
    .join(cluster, cluster.c.id == workload.c.cluster_id)
    .where(manifest.c.set_id.is_not(None))
)


class RunningImage(Struct, frozen=True):
    """An image that runs and holds bad components, with where it does."""

    id: int
    digest: Digest
    name: str
    """By which most of its containers run it."""
    components: tuple[int, ...]
    places: tuple[Place, ...]
    containers: int


def list_running(c: Connection, components: Collection[int]) -> list[RunningImage]:
    """The images that run and hold any of these: those with most containers first."""
    holds = _list_standing(c, components)
    if not holds:
        return []
    query = _RUNNING
    sets = {set_id for _, set_id in holds}
    if len(sets) <= BATCH:
        query = query.where(manifest.c.set_id.in_(sorted(sets)))
    found: dict[int, tuple[bytes, tuple[int, ...], list[tuple[str, Place]]]] = {}
    for number, digest, set_id, scope_id, image, name, namespace, owner, many in c.execute(query):
        held = holds.get((scope_id, set_id)) or holds.get((None, set_id))
        if held:
            place = Place(cluster=name, namespace=namespace, workload=owner, containers=many)
            found.setdefault(number, (digest, held, []))[2].append((image, place))
    images = [
        RunningImage(
            id=number,
            digest=Digest.unpack(digest),
            name=_usual_name(places),
            components=held,
            places=_join(places),
            containers=sum(place.containers for _, place in places),
        )
        for number, (digest, held, places) in found.items()
    ]
    return sorted(images, key=lambda one: (-one.containers, one.id))


def _join(places: Sequence[tuple[str, Place]]) -> tuple[Place, ...]:
    if len(places) == 1:  # nearly always, and there may be thousands
        return (places[0][1],)
    return join_places(place for _, place in places)


def _usual_name(places: Sequence[tuple[str, Place]]) -> str:
    if len(places) == 1:
        return places[0][0]
    counts: dict[str, int] = {}
    for name, place in places:
        counts[name] = counts.get(name, 0) + place.containers
    return max(counts, key=lambda name: (counts[name], name))


def _list_standing(
    c: Connection, components: Collection[int]
) -> dict[tuple[int | None, int], tuple[int, ...]]:
    """Which of the components each set that runs holds, by scope (None: of no distribution)."""
    places: dict[tuple[int | None, int], list[int]] = {}
    for batch in batches(sorted(components)):
        query = (
            select(standing_component, scope.c.name)
            .join(scope, scope.c.id == standing_component.c.scope_id)
            .where(standing_component.c.component_id.in_(batch))
        )
        for number, scope_id, set_id, name in c.execute(query):
            key = (None if name == NOWHERE else scope_id, set_id)
            places.setdefault(key, []).append(number)
    return {key: tuple(numbers) for key, numbers in places.items()}


def count_unknown(c: Connection) -> int:
    """How many images run of which nothing is known; each name never met is one.

    Their packages are not known, no feed tells of their distribution's release, or they run since
    what runs was looked at last.
    """
    alive = select(run.c.run_image_id).where(run.c.until.is_(None))
    place = distro.alias("place")
    query = select(
        func.count(func.distinct(func.coalesce(run_image.c.manifest_id, -run_image.c.id)))
    ).outerjoin(manifest, manifest.c.id == run_image.c.manifest_id)
    told = select(affected.c.id).where(affected.c.scope_id == place.c.scope_id).limit(1)
    is_silent = and_(place.c.scope_id.is_not(None), told.scalar_subquery().is_(None))
    query = (
        join_kept(query)
        .outerjoin(place, place.c.id == manifest.c.distro_id)
        .where(or_(standing.c.set_id.is_(None), is_silent), run_image.c.id.in_(alive))
    )
    return int(c.execute(query).scalar_one())


def list_holding(
    c: Connection, components: Mapping[int, BadComponent], *, limit: int
) -> dict[HoldingImage, set[int]]:
    """Some images that hold any of these, each with those of them it was found by; at most ``limit``."""
    found: dict[HoldingImage, set[int]] = {}
    for one in components.values():
        if len(found) >= limit:
            break
        numbers = [number for number, *_ in one.packages]
        for batch in batches(numbers):
            query = (
                select(manifest.c.id, manifest.c.set_id, distro.c.scope_id)
                .join(package_set_chunk, package_set_chunk.c.set_id == manifest.c.set_id)
                .join(
                    package_chunk_member,
                    package_chunk_member.c.chunk_id == package_set_chunk.c.chunk_id,
                )
                .outerjoin(distro, distro.c.id == manifest.c.distro_id)
                .where(package_chunk_member.c.package_version_id.in_(batch))
                .limit(limit)
            )
            if one.scope not in LANGUAGES:
                query = query.where(distro.c.scope_id == one.scope_id)
            for number, set_id, scope_id in c.execute(query):
                found.setdefault(HoldingImage(number, set_id, scope_id), set()).add(one.id)
    return found
