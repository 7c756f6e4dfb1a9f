"""The faults of what runs: by the components that the running package sets hold, not by images."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from operator import itemgetter
from typing import Any

from msgspec import Struct
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Text,
    and_,
    case,
    cast,
    func,
    select,
    tuple_,
)

from imagecatalog.domain.advisories import Rating
from imagecatalog.domain.findings import SEVERITIES, State
from imagecatalog.domain.scopes import LANGUAGES, NOWHERE
from imagecatalog.store.dialect import batches
from imagecatalog.store.runs import RunFilter
from imagecatalog.store.schema import (
    advisory,
    advisory_cover,
    affected,
    cluster,
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
    rating,
    run,
    run_image,
    scope,
    standing,
    standing_component,
    standing_image,
)
from imagecatalog.store.scopes import find_scopes


class RunningImage(Struct, frozen=True):
    """An image that runs and whose packages are known."""

    id: int
    scope_id: int
    set_id: int
    containers: int
    fixable: int | None = None
    """How many faults in it a fix is out for; None: not added up."""


class HeldFault(Struct, frozen=True):
    """A fault of a component that something that runs holds."""

    advisory_id: int
    advisory: str
    component_id: int
    state: State
    severity: int
    epss: float


class ComponentName(Struct, frozen=True):
    """What a component is called."""

    scope_id: int
    scope: str
    name: str
    version: str


def list_running(
    c: Connection, wanted: RunFilter, unkept: Collection[int | None]
) -> list[RunningImage]:
    """The images that run where it is asked, and whose packages are known; by number.

    ``unkept`` are those of ``store.exposed.list_unkept``.
    """
    alive = (
        select(run_image.c.manifest_id, func.sum(run.c.replicas).label("containers"))
        .select_from(run)
        .join(run_image, run_image.c.id == run.c.run_image_id)
        .join(cluster, cluster.c.id == run.c.cluster_id)
        .where(*wanted.conditions(), run_image.c.manifest_id.is_not(None))
        .group_by(run_image.c.manifest_id)
        .subquery()
    )
    fixable = case((standing.c.stale.is_(False), standing.c.fixable))
    kept = (
        select(
            standing_image.c.manifest_id,
            standing_image.c.scope_id,
            standing_image.c.set_id,
            alive.c.containers,
            fixable,
        )
        .join(alive, alive.c.manifest_id == standing_image.c.manifest_id)
        .join(
            standing,
            and_(
                standing.c.scope_id == standing_image.c.scope_id,
                standing.c.set_id == standing_image.c.set_id,
            ),
        )
    )
    rows: list[Any] = [*c.execute(kept).all()]
    nowhere = select(scope.c.id).where(scope.c.name == NOWHERE).scalar_subquery()
    for batch in batches(sorted({one for one in unkept if one is not None})):
        query = (
            select(
                manifest.c.id,
                func.coalesce(distro.c.scope_id, nowhere, 0),
                manifest.c.set_id,
                alive.c.containers,
            )
            .join(alive, alive.c.manifest_id == manifest.c.id)
            .outerjoin(distro, distro.c.id == manifest.c.distro_id)
            .where(manifest.c.set_id.is_not(None), manifest.c.id.in_(batch))
        )
        rows += c.execute(query).all()
    return [RunningImage(*row) for row in sorted(rows, key=itemgetter(0))]


def list_faults(c: Connection) -> list[HeldFault]:
    """The faults that count of the components that run anywhere."""
    held = select(standing_component.c.component_id).distinct()
    query = (
        select(
            finding.c.advisory_id,
            advisory.c.name,
            finding.c.component_id,
            finding.c.state,
            finding.c.severity,
            func.coalesce(epss.c.probability, 0.0),
        )
        .join(advisory, advisory.c.id == finding.c.advisory_id)
        .outerjoin(epss, epss.c.advisory_id == finding.c.advisory_id)
        .where(finding.c.component_id.in_(held), finding.c.counted)
    )
    return [HeldFault(*row) for row in c.execute(query)]


def list_exploited(c: Connection) -> dict[int, datetime | None]:
    """The faults known to be exploited, by the best of their names: until when to be fixed."""
    fault = func.coalesce(advisory.c.fault_id, advisory.c.id)
    query = (
        select(fault, func.min(exploited.c.due))
        .select_from(exploited)
        .join(advisory, advisory.c.id == exploited.c.advisory_id)
        .group_by(fault)
    )
    return dict(c.execute(query).all())


def _join_numbers(column: Column[int]) -> ColumnElement[str]:
    """Many numbers in one row: rows by the hundred thousand take longer than to take them apart."""
    return func.aggregate_strings(cast(column, Text), " ")


def list_chunks(c: Connection) -> Iterator[tuple[int, Iterable[int]]]:
    """Each chunk of the package sets that run, with those of these sets that are made of it."""
    query = (
        select(package_set_chunk.c.chunk_id, _join_numbers(package_set_chunk.c.set_id))
        .where(package_set_chunk.c.set_id.in_(select(standing.c.set_id)))
        .group_by(package_set_chunk.c.chunk_id)
    )
    for chunk, sets in c.execute(query).all():
        yield chunk, map(int, sets.split())


def list_places(
    c: Connection, components: Collection[int]
) -> Iterator[tuple[int, int | None, Iterable[int]]]:
    """Component, the scope that it is of (None: any, as of a language's), and the chunks that have it."""
    languages = set(find_scopes(c, LANGUAGES).values())
    for batch in batches(sorted(components)):
        query = (
            select(
                component.c.id,
                component.c.scope_id,
                _join_numbers(package_chunk_member.c.chunk_id),
            )
            .join(component_package, component_package.c.component_id == component.c.id)
            .join(
                package_chunk_member,
                package_chunk_member.c.package_version_id == component_package.c.package_version_id,
            )
            .where(component.c.id.in_(batch))
            .group_by(component.c.id, component.c.scope_id)
        )
        for number, scope_id, chunks in c.execute(query).all():
            where = None if scope_id in languages else scope_id
            yield number, where, set(map(int, chunks.split()))


def name_components(c: Connection, components: Collection[int]) -> dict[int, ComponentName]:
    """What each of these is called."""
    found: dict[int, ComponentName] = {}
    for batch in batches(sorted(components)):
        query = (
            select(
                component.c.id,
                component.c.scope_id,
                scope.c.name,
                component.c.name,
                component.c.version,
            )
            .join(scope, scope.c.id == component.c.scope_id)
            .where(component.c.id.in_(batch))
        )
        found |= {number: ComponentName(*names) for number, *names in c.execute(query)}
    return found


def list_fixed(
    c: Connection, faults: Collection[int], components: Collection[int]
) -> dict[tuple[int, int], str]:
    """The first version without a fault, by fault and component; those without a fix are left out."""
    found: dict[tuple[int, int], str] = {}
    for batch in batches(sorted(faults)):
        query = select(finding.c.advisory_id, finding.c.component_id, finding.c.fixed).where(
            finding.c.advisory_id.in_(batch),
            finding.c.fixed.is_not(None),
            finding.c.state == "fix-out",
        )
        for fault, number, fixed in c.execute(query):
            if number in components:
                found[fault, number] = fixed
    return found


def list_installed(
    c: Connection, sets: Collection[int], components: Collection[int]
) -> dict[tuple[int, int], tuple[tuple[str, str], ...]]:
    """Name and version of each package of these components, by set and component; by name."""
    wanted = frozenset(components)
    found: dict[tuple[int, int], set[tuple[str, str]]] = {}
    for batch in batches(sorted(sets), 200):
        for some in batches(sorted(wanted)):
            query = (
                select(
                    package_set_chunk.c.set_id,
                    component_package.c.component_id,
                    package_version.c.name,
                    package_version.c.version,
                )
                .join(
                    package_chunk_member,
                    package_chunk_member.c.chunk_id == package_set_chunk.c.chunk_id,
                )
                .join(
                    component_package,
                    component_package.c.package_version_id
                    == package_chunk_member.c.package_version_id,
                )
                .join(
                    package_version, package_version.c.id == component_package.c.package_version_id
                )
                .where(
                    package_set_chunk.c.set_id.in_(batch),
                    component_package.c.component_id.in_(some),
                )
            )
            for set_id, number, name, version in c.execute(query):
                found.setdefault((set_id, number), set()).add((name, version))
    return {key: tuple(sorted(many)) for key, many in found.items()}


def list_announced(
    c: Connection, faults: Mapping[int, Collection[tuple[int, str]]]
) -> dict[int, datetime]:
    """When the first notice told of a fix, by fault; ``faults`` have the scopes and names meant."""
    found: dict[int, datetime] = {}
    for batch in batches(sorted(faults)):
        places = sorted({place for fault in batch for place in faults[fault]})
        for some in batches(places, 200):
            query = (
                select(
                    advisory_cover.c.covered_id,
                    affected.c.scope_id,
                    affected.c.name,
                    func.min(advisory.c.published),
                )
                .join(advisory, advisory.c.id == advisory_cover.c.advisory_id)
                .join(affected, affected.c.advisory_id == advisory.c.id)
                .where(
                    advisory_cover.c.covered_id.in_(batch),
                    tuple_(affected.c.scope_id, affected.c.name).in_(some),
                    affected.c.fixed.is_not(None),
                    advisory.c.published.is_not(None),
                )
                .group_by(advisory_cover.c.covered_id, affected.c.scope_id, affected.c.name)
            )
            for fault, place, name, moment in c.execute(query):
                if (place, name) in faults[fault]:
                    found[fault] = min(moment, found.get(fault, moment))
    return found


def list_components_of(
    c: Connection, images: Collection[int], components: Collection[int]
) -> dict[int, set[int]]:
    """Which of these components each image holds; those that hold none are left out."""
    wanted = frozenset(components)
    found: dict[int, set[int]] = {}
    for batch in batches(sorted(images)):
        for some in batches(sorted(wanted)):
            query = (
                select(manifest.c.id, component_package.c.component_id)
                .join(package_set_chunk, package_set_chunk.c.set_id == manifest.c.set_id)
                .join(
                    package_chunk_member,
                    package_chunk_member.c.chunk_id == package_set_chunk.c.chunk_id,
                )
                .join(
                    component_package,
                    component_package.c.package_version_id
                    == package_chunk_member.c.package_version_id,
                )
                .where(manifest.c.id.in_(batch), component_package.c.component_id.in_(some))
                .distinct()
            )
            for image, number in c.execute(query):
                found.setdefault(image, set()).add(number)
    return found


def list_ratings(c: Connection, faults: Collection[int]) -> tuple[tuple[str, Rating], ...]:
    """How bad the feeds say these faults are, by whatever name of theirs: feed and rating."""
    query = (
        select(rating.c.feed, rating.c.system, rating.c.vector, rating.c.score, rating.c.severity)
        .join(advisory, advisory.c.id == rating.c.advisory_id)
        .where(advisory.c.id.in_(sorted(faults)) | advisory.c.fault_id.in_(sorted(faults)))
        .distinct()
        .order_by(rating.c.system.desc(), rating.c.feed, rating.c.vector)
    )
    return tuple(
        (
            row.feed,
            Rating(
                system=row.system,
                vector=row.vector,
                score=row.score,
                severity=SEVERITIES[row.severity],
            ),
        )
        for row in c.execute(query)
    )
