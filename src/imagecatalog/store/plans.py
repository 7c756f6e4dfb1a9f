"""Saved plans, and the few looks at packages and workloads that planning takes at many at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from msgspec import Struct
from sqlalchemy import Connection, select, update

from imagecatalog.domain.packages import Package
from imagecatalog.domain.plans import PlannedFix
from imagecatalog.domain.scopes import LANGUAGES
from imagecatalog.store.dialect import batches
from imagecatalog.store.kinds import list_chunks_of
from imagecatalog.store.schema import (
    build,
    cluster,
    component,
    component_package,
    index_member,
    manifest,
    package_chunk_member,
    package_set_chunk,
    package_update,
    package_version,
    plan,
    run,
    run_image,
    scope,
    workload,
)
from imagecatalog.store.updates import Pair, list_conditions

_FEW = 100
"""So many package versions are rather looked for in the chunks than the chunks for them."""
_PACKAGE = tuple(package_version.c[name] for name in Package.__struct_fields__)


class Fixable(Struct, frozen=True, gc=False):
    """A package version with what apt would install over it under some set-up."""

    number: int
    package: Package
    fix: PlannedFix
    """The same in words."""
    origin: str
    source_version: str | None
    """The candidate's."""
    faults: tuple[str, ...] = ()
    """What it mends, of one that advisories ask for and no apt offers."""


class PlanRow(Struct, frozen=True):
    """A saved plan as it lies in the database."""

    id: int
    created: datetime
    saved_by: str | None
    question: str
    body: str
    progress: str
    followed: datetime | None
    closed: datetime | None


class WorkloadImage(Struct, frozen=True):
    """An image that a workload runs now; ``number`` None: the catalog never met it."""

    cluster: str
    namespace: str
    workload: str
    image: str
    number: int | None


def list_fixable(c: Connection, members: Mapping[int, Collection[int]]) -> dict[Pair, Fixable]:
    """Package versions by set-up and number, those that apt would upgrade."""
    found: dict[Pair, Fixable] = {}
    for among in list_conditions(members):
        query = (
            select(
                package_update.c.setup_id,
                package_version.c.id,
                package_update.c.candidate,
                package_update.c.security,
                package_update.c.origin,
                package_update.c.source_version,
                *_PACKAGE,
            )
            .join(package_update, package_update.c.package_version_id == package_version.c.id)
            .where(among, package_update.c.candidate.is_not(None))
        )
        for setup_id, number, candidate, security, origin, version, *values in c.execute(query):
            package = Package(*values)
            fix = PlannedFix(
                package=package.name,
                arch=package.arch,
                installed=package.version,
                candidate=candidate,
                security=security,
                type=package.type,
            )
            found[setup_id, number] = Fixable(number, package, fix, origin or "", version)
    return found


def list_spellings(c: Connection, names: Collection[str]) -> set[str]:
    """How the packages that advisories call so are written where they are installed."""
    found: set[str] = set()
    for batch in batches(sorted(names)):
        query = (
            select(package_version.c.name)
            .join(component_package, component_package.c.package_version_id == package_version.c.id)
            .join(component, component.c.id == component_package.c.component_id)
            .where(
                component.c.scope_id.in_(select(scope.c.id).where(scope.c.name.in_(LANGUAGES))),
                component.c.name.in_(batch),
            )
            .distinct()
        )
        found.update(c.scalars(query))
    return found


def list_versions(c: Connection, names: Collection[str]) -> dict[int, Package]:
    """Every version of these binary packages."""
    found: dict[int, Package] = {}
    for batch in batches(names):
        query = select(package_version.c.id, *_PACKAGE).where(package_version.c.name.in_(batch))
        found.update((number, Package(*values)) for number, *values in c.execute(query))
    return found


def list_builders(
    c: Connection, images: Collection[int]
) -> dict[int, list[tuple[str | None, str | None]]]:
    """Builder and folder of the source of these images, of those with a build.

    As the last registered build has it, else as the last that anything else told; then as the
    builds of the indexes that the image is in have it.
    """
    found: dict[int, dict[int, tuple[str | None, str | None]]] = {}
    for batch in batches(set(images)):
        own = select(manifest.c.id, manifest.c.id.label("subject")).where(manifest.c.id.in_(batch))
        over = select(index_member.c.manifest_id, index_member.c.index_id).where(
            index_member.c.manifest_id.in_(batch)
        )
        ways = own.union(over).subquery()
        query = (
            select(ways, build.c.builder, build.c.source_path)
            .join(manifest, manifest.c.id == ways.c.subject)
            .join(build, build.c.subject == manifest.c.digest)
            .order_by(build.c.evidence == "registered", build.c.received, build.c.id)
        )
        for number, subject, *told in c.execute(query):
            found.setdefault(number, {})[subject] = (told[0], told[1])
    return {
        number: [by_subject[one] for one in sorted(by_subject, key=lambda s: (s != number, s))]
        for number, by_subject in found.items()
    }


def list_holding(
    c: Connection, sets: Collection[int], packages: Collection[int]
) -> dict[int, set[int]]:
    """Which of these package versions each set holds; sets with none are left out."""
    if len(sets) <= _FEW and len(packages) <= _FEW:
        return _list_few_holding(c, sets, packages)
    chunks_of = list_chunks_of(c, sets)
    inside = _list_inside(c, {one for many in chunks_of.values() for one in many}, set(packages))
    held = {
        set_id: {number for chunk in chunks for number in inside.get(chunk, ())}
        for set_id, chunks in chunks_of.items()
    }
    return {set_id: numbers for set_id, numbers in held.items() if numbers}


def _list_few_holding(
    c: Connection, sets: Collection[int], packages: Collection[int]
) -> dict[int, set[int]]:
    query = (
        select(package_set_chunk.c.set_id, package_chunk_member.c.package_version_id)
        .join(package_chunk_member, package_chunk_member.c.chunk_id == package_set_chunk.c.chunk_id)
        .where(
            package_set_chunk.c.set_id.in_(set(sets)),
            package_chunk_member.c.package_version_id.in_(set(packages)),
        )
    )
    held: dict[int, set[int]] = {}
    for set_id, number in c.execute(query) if sets and packages else ():
        held.setdefault(set_id, set()).add(number)
    return held


def _list_inside(c: Connection, chunks: set[int], packages: set[int]) -> dict[int, list[int]]:
    columns = package_chunk_member.c.chunk_id, package_chunk_member.c.package_version_id
    inside: dict[int, list[int]] = {}
    if not chunks:
        return inside
    if len(packages) <= _FEW:
        queries = [select(*columns).where(columns[1].in_(packages))]
    else:
        queries = [select(*columns).where(columns[0].in_(batch)) for batch in batches(chunks)]
    for query in queries:
        for chunk, number in c.execute(query):
            if chunk in chunks and number in packages:
                inside.setdefault(chunk, []).append(number)
    return inside


def list_workload_images(c: Connection) -> list[WorkloadImage]:
    """What every workload runs now, each image once."""
    query = (
        select(
            cluster.c.name,
            workload.c.namespace,
            workload.c.name,
            run_image.c.image,
            run_image.c.manifest_id,
        )
        .join(workload, workload.c.id == run.c.workload_id)
        .join(cluster, cluster.c.id == workload.c.cluster_id)
        .join(run_image, run_image.c.id == run.c.run_image_id)
        .where(run.c.until.is_(None))
        .distinct()
    )
    return [WorkloadImage(*row) for row in c.execute(query)]


def put_plan(
    c: Connection,
    *,
    question: str,
    body: str,
    progress: str,
    saved_by: str | None,
    now: datetime,
) -> int:
    """Save a plan; its number."""
    values = {
        "created": now,
        "saved_by": saved_by,
        "question": question,
        "body": body,
        "progress": progress,
    }
    return int(c.execute(plan.insert().values(values).returning(plan.c.id)).scalar_one())


def find_plan(c: Connection, number: int) -> PlanRow | None:
    """A saved plan."""
    row = c.execute(select(*_PLAN).where(plan.c.id == number)).one_or_none()
    return None if row is None else PlanRow(*row)


_PLAN = tuple(plan.c[name] for name in PlanRow.__struct_fields__)


def list_plans(
    c: Connection, *, open_only: bool = False, after: int | None = None, limit: int | None = None
) -> list[PlanRow]:
    """Saved plans, the last saved first; ``after`` is the last one of the page before."""
    query = select(*_PLAN).order_by(plan.c.id.desc())
    if open_only:
        query = query.where(plan.c.closed.is_(None))
    if after is not None:
        query = query.where(plan.c.id < after)
    if limit is not None:
        query = query.limit(limit)
    return [PlanRow(*row) for row in c.execute(query)]


def note_progress(
    c: Connection, number: int, progress: str, *, now: datetime, is_done: bool
) -> None:
    """Write what became of an open plan."""
    values = {"progress": progress, "followed": now, "closed": now if is_done else None}
    c.execute(update(plan).where(plan.c.id == number, plan.c.closed.is_(None)).values(values))
