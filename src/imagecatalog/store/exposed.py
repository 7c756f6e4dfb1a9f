"""Where faults are: the components that have them, the images of these, what runs first."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import (
    ColumnElement,
    Connection,
    LargeBinary,
    Select,
    and_,
    bindparam,
    exists,
    func,
    or_,
    select,
    tuple_,
    type_coerce,
)

from imagecatalog.domain.advisories import ExposedImage
from imagecatalog.domain.answers import Place
from imagecatalog.domain.findings import State
from imagecatalog.domain.refs import Digest, unpack_text
from imagecatalog.domain.scopes import LANGUAGES
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
    standing_image,
    workload,
)
from imagecatalog.store.waiting import join_kept

_Pair = tuple[int, int]
"""The id of a scope and that of a package set."""


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


class IdleImage(Struct, frozen=True):
    """An image that does not run."""

    id: int
    digest: Digest


def find_faults(c: Connection, name: str) -> list[int]:
    """The numbers under which findings of an advisory of that name are kept; none: nobody knows it.

    A notice without packages of its own is the faults that it bundles.
    """
    has = exists().where(finding.c.advisory_id.in_([advisory.c.id, advisory.c.fault_id]))
    query = select(advisory.c.id, advisory.c.fault_id, has).where(is_named(name))
    rows = c.execute(query).all()
    numbers = {number for *pair, _ in rows for number in pair if number is not None}
    if not numbers or any(has_findings for *_, has_findings in rows):
        return sorted(numbers)
    covered = select(advisory_cover.c.covered_id).where(advisory_cover.c.advisory_id.in_(numbers))
    faults = select(func.coalesce(advisory.c.fault_id, advisory.c.id))
    return sorted({*numbers, *c.scalars(faults.where(advisory.c.id.in_(covered)))})


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


_ALIVE = run.c.until.is_(None)
_HOLDS = select(standing_component.c.scope_id, standing_component.c.set_id).where(
    standing_component.c.component_id.in_(bindparam("components", expanding=True))
)
_PLACES = (
    run_image.c.image,
    workload.c.cluster_id,
    workload.c.namespace,
    workload.c.name,
    func.sum(run.c.replicas),
)


def _place(query: Select[Any], image: ColumnElement[int]) -> Select[Any]:
    """The same with a row for each workload that runs the image, by each name that it has there."""
    return (
        query.join(run_image, run_image.c.manifest_id == image)
        .join(run, and_(run.c.run_image_id == run_image.c.id, _ALIVE))
        .join(workload, workload.c.id == run.c.workload_id)
        .group_by(image, run_image.c.id, workload.c.id)
    )


_KEPT = _place(
    select(
        standing_image.c.manifest_id,
        type_coerce(standing_image.c.digest, LargeBinary),
        standing_image.c.scope_id,
        standing_image.c.set_id,
        *_PLACES,
    ).where(tuple_(standing_image.c.scope_id, standing_image.c.set_id).in_(_HOLDS)),
    standing_image.c.manifest_id,
)
_UNKEPT = _place(
    join_kept(
        select(
            manifest.c.id,
            type_coerce(manifest.c.digest, LargeBinary),
            standing.c.scope_id,
            standing.c.set_id,
            *_PLACES,
        ).select_from(manifest)
    ).where(
        manifest.c.id.in_(bindparam("images", expanding=True)),
        tuple_(standing.c.scope_id, standing.c.set_id).in_(_HOLDS),
    ),
    manifest.c.id,
).group_by(standing.c.scope_id, standing.c.set_id)


class Running(Struct, frozen=True):
    """The images that run and hold bad components: those with most containers first."""

    images: dict[int, ExposedImage]
    """By number; why a fault does not count in one is not told."""
    components: dict[int, tuple[int, ...]]
    """The bad ones of each."""
    containers: int
    """That run any of them."""


def list_running(
    c: Connection, components: Mapping[int, BadComponent], unkept: Collection[int | None]
) -> Running:
    """The images that run and hold any of these; ``unkept`` are those of ``list_unkept``."""
    holds = _list_standing(c, components.keys())
    if not holds:
        return Running({}, {}, 0)
    clusters = dict(c.execute(select(cluster.c.id, cluster.c.name)).all())
    names = {held: name_packages(components, held) for held in set(holds.values())}
    packages = {pair: names[held] for pair, held in holds.items()}
    found: dict[int, ExposedImage] = {}
    held = {}
    counts: dict[int, int] = {}
    more: dict[int, list[tuple[str, Place]]] = {}
    # There may be thousands, nearly all of which run in one place.
    for number, digest, scope_id, set_id, image, where, namespace, owner, many in _list_rows(
        c, components.keys(), unkept
    ):
        place = Place(cluster=clusters[where], namespace=namespace, workload=owner, containers=many)
        if number in found:
            first = [(found[number].image, found[number].running[0])]
            more.setdefault(number, first).append((image, place))
            counts[number] += many
            continue
        pair = scope_id, set_id
        held[number] = holds[pair]
        counts[number] = many
        found[number] = ExposedImage(
            image=image, digest=unpack_text(digest), packages=packages[pair], running=(place,)
        )
    for number, places in more.items():
        joined = join_places(place for _, place in places)
        found[number] = replace(found[number], image=_usual_name(places), running=joined)
    order = sorted((-count, number) for number, count in counts.items())
    return Running({number: found[number] for _, number in order}, held, sum(counts.values()))


def name_packages(components: Mapping[int, BadComponent], held: Iterable[int]) -> tuple[str, ...]:
    """Name and version of each package of some of the components, by name."""
    packages = (components[number].packages for number in held)
    return tuple(sorted({f"{name} {version}" for many in packages for _, name, version in many}))


def _list_rows(
    c: Connection, components: Collection[int], unkept: Collection[int | None]
) -> Iterable[Any]:
    known = [one for one in unkept if one is not None]
    rows: list[Any] = []
    for batch in batches(sorted(components)):
        rows += c.execute(_KEPT, {"components": batch}).all()
        for images in batches(sorted(known)):
            rows += c.execute(_UNKEPT, {"components": batch, "images": images}).all()
    # An image that holds components of several batches is there several times.
    return rows if len(components) <= BATCH else dict.fromkeys(map(tuple, rows))


def _usual_name(places: Sequence[tuple[str, Place]]) -> str:
    counts: dict[str, int] = {}
    for name, place in places:
        counts[name] = counts.get(name, 0) + place.containers
    return max(counts, key=lambda name: (counts[name], name))


def _list_standing(c: Connection, components: Collection[int]) -> dict[_Pair, tuple[int, ...]]:
    """Which of the components each set that runs holds, by scope and set."""
    places: dict[_Pair, list[int]] = {}
    for batch in batches(sorted(components)):
        query = select(standing_component).where(standing_component.c.component_id.in_(batch))
        for number, scope_id, set_id in c.execute(query).all():
            places.setdefault((scope_id, set_id), []).append(number)
    return {key: tuple(numbers) for key, numbers in places.items()}


_OF_IMAGE = and_(
    standing.c.scope_id == standing_image.c.scope_id, standing.c.set_id == standing_image.c.set_id
)


def list_unkept(c: Connection) -> list[int | None]:
    """The images that run and are not kept as such yet; None for each name never met."""
    kept = select(standing_image.c.manifest_id).join(standing, _OF_IMAGE)
    query = select(run_image.c.manifest_id).where(
        run_image.c.id.in_(select(run.c.run_image_id).where(_ALIVE)),
        or_(
            run_image.c.manifest_id.is_(None),
            run_image.c.manifest_id.not_in(kept),
        ),
    )
    return list(c.scalars(query))


def count_unknown(c: Connection, unkept: Collection[int | None] | None = None) -> int:
    """How many images run of which nothing is known; each name never met is one.

    Their packages are not known, no feed tells of their distribution's release, or they run since
    what runs was looked at last. ``unkept`` are those of ``list_unkept``, where they were asked for.
    """
    if unkept is None:
        unkept = list_unkept(c)
    found = set(unkept)
    silent = set(c.scalars(_SILENT))
    for batch in batches(sorted(one for one in found if one is not None)):
        query = join_kept(select(manifest.c.id).select_from(manifest)).where(
            manifest.c.id.in_(batch), standing.c.set_id.is_not(None)
        )
        is_told = or_(standing.c.scope_id.not_in(silent), manifest.c.distro_id.is_(None))
        found -= set(c.scalars(query.where(is_told)))
    number = len(found - {None}) + sum(one is None for one in unkept)
    if not silent:
        return number
    runs = (
        select(run.c.id)
        .join(run_image, run_image.c.id == run.c.run_image_id)
        .where(run_image.c.manifest_id == standing_image.c.manifest_id, _ALIVE)
    )
    query = (
        select(func.count())
        .select_from(standing_image)
        .join(standing, _OF_IMAGE)
        .join(manifest, manifest.c.id == standing_image.c.manifest_id)
        # What is of no distribution is kept beside what is of one that is not understood.
        .where(
            standing_image.c.scope_id.in_(silent), manifest.c.distro_id.is_not(None), runs.exists()
        )
    )
    return number + int(c.execute(query).scalar_one())


_SILENT = select(scope.c.id).where(
    scope.c.id.in_(select(distro.c.scope_id).where(distro.c.scope_id.is_not(None))),
    ~select(affected.c.id).where(affected.c.scope_id == scope.c.id).exists(),
)
"""Releases of distributions of which no feed tells anything."""


def list_idle(
    c: Connection, components: Mapping[int, BadComponent], *, limit: int
) -> dict[IdleImage, set[int]]:
    """Some images that hold any of these and do not run, each with those of them it was found by."""
    runs = (
        select(run.c.id)
        .join(run_image, run_image.c.id == run.c.run_image_id)
        .where(run_image.c.manifest_id == manifest.c.id, _ALIVE)
    )
    found: dict[IdleImage, set[int]] = {}
    for one in components.values():
        if len(found) >= limit:
            break
        numbers = [number for number, *_ in one.packages]
        for batch in batches(numbers):
            query = (
                select(manifest.c.id, manifest.c.digest)
                .join(package_set_chunk, package_set_chunk.c.set_id == manifest.c.set_id)
                .join(
                    package_chunk_member,
                    package_chunk_member.c.chunk_id == package_set_chunk.c.chunk_id,
                )
                .outerjoin(distro, distro.c.id == manifest.c.distro_id)
                .where(package_chunk_member.c.package_version_id.in_(batch), ~runs.exists())
                # An image is there once for each of these packages. Distinct rows would be
                # looked for by PostgreSQL among all there are.
                .limit(limit * len(batch))
            )
            if one.scope not in LANGUAGES:
                query = query.where(distro.c.scope_id == one.scope_id)
            for row in c.execute(query).all():
                found.setdefault(IdleImage(*row), set()).add(one.id)
    return found
