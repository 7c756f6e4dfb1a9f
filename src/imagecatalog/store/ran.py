"""What ever ran, as far as it is remembered: its images, what these hold, and for which times.

What a fault costs to look for depends on the package sets that ran, not on the images of the catalog.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from msgspec import Struct
from sqlalchemy import Connection, func, select

from imagecatalog.store.dialect import batches
from imagecatalog.store.schema import (
    cluster,
    distro,
    manifest,
    package_chunk_member,
    package_set_chunk,
    package_update,
    package_version,
    run,
    run_image,
    workload,
)


class RanImage(Struct, frozen=True):
    """A runtime's name for an image that runs or ran, with what is known of it."""

    id: int
    """Of the runtime's name."""
    image: str
    manifest_id: int | None
    set_id: int | None
    """Its packages; None: they are not known."""
    scope_id: int | None
    distro: str
    version_id: str
    codename: str


class RanSpan(Struct, frozen=True):
    """A time for which a workload ran an image, in so many containers that began and ended together."""

    cluster: str
    namespace: str
    workload: str
    team: str
    run_image_id: int
    since: datetime
    until: datetime | None
    """The first scan that no longer saw it; None: it runs."""
    replicas: int


def list_ran_images(c: Connection) -> list[RanImage]:
    """Every name of an image that runs or ran, by number."""
    query = (
        select(
            run_image.c.id,
            run_image.c.image,
            run_image.c.manifest_id,
            manifest.c.set_id,
            distro.c.scope_id,
            func.coalesce(distro.c.os_id, ""),
            func.coalesce(distro.c.version_id, ""),
            func.coalesce(distro.c.codename, ""),
        )
        .outerjoin(manifest, manifest.c.id == run_image.c.manifest_id)
        .outerjoin(distro, distro.c.id == manifest.c.distro_id)
        .where(select(run.c.id).where(run.c.run_image_id == run_image.c.id).exists())
        .order_by(run_image.c.id)
    )
    return [RanImage(*row) for row in c.execute(query)]


def find_held(
    c: Connection, sets: Collection[int], packages: Collection[int]
) -> dict[int, set[int]]:
    """Which of these package versions each of these sets holds; those that hold none are left out."""
    inside: dict[int, list[int]] = {}
    for batch in batches(sorted(packages)):
        query = select(
            package_chunk_member.c.chunk_id, package_chunk_member.c.package_version_id
        ).where(package_chunk_member.c.package_version_id.in_(batch))
        for chunk, number in c.execute(query):
            inside.setdefault(chunk, []).append(number)
    found: dict[int, set[int]] = {}
    for some in batches(sorted(sets)):
        for chunks in batches(sorted(inside)):
            held = select(package_set_chunk.c.set_id, package_set_chunk.c.chunk_id).where(
                package_set_chunk.c.set_id.in_(some),
                # A sum is in no index: each set's few chunks are read, not every pair looked up.
                (package_set_chunk.c.chunk_id + 0).in_(chunks),
            )
            for set_id, chunk in c.execute(held):
                found.setdefault(set_id, set()).update(inside[chunk])
    return found


def list_spans(
    c: Connection,
    run_images: Collection[int],
    *,
    cluster_name: str | None = None,
    namespace: str | None = None,
) -> list[RanSpan]:
    """The times for which these ran, the first begun first; containers that differ in none are one."""
    found = []
    columns = (
        cluster.c.name,
        workload.c.namespace,
        workload.c.name.label("workload"),
        workload.c.team,
        run.c.run_image_id,
        run.c.since,
        run.c.until,
    )
    for batch in batches(sorted(run_images)):
        query = (
            select(*columns, func.sum(run.c.replicas))
            .select_from(run)
            .join(workload, workload.c.id == run.c.workload_id)
            .join(cluster, cluster.c.id == run.c.cluster_id)
            .where(run.c.run_image_id.in_(batch))
            .group_by(*columns)
        )
        if cluster_name is not None:
            query = query.where(cluster.c.name == cluster_name)
        if namespace is not None:
            query = query.where(workload.c.namespace == namespace)
        found += [
            RanSpan(
                row.name, row.namespace, row.workload, row.team, row[4], row[5], row[6], int(row[7])
            )
            for row in c.execute(query)
        ]
    return sorted(found, key=lambda one: (one.since, one.cluster, one.namespace, one.workload))


class Offer(Struct, frozen=True):
    """A security update that apt was first seen to offer."""

    package_version_id: int
    source_version: str | None
    """Of what it would install."""
    since: datetime


def list_offers(c: Connection, packages: Collection[int]) -> list[Offer]:
    """Since when security updates wait for these package versions, by any apt set-up."""
    columns = (
        package_update.c.package_version_id,
        package_update.c.source_version,
        package_update.c.since,
    )
    found = []
    for batch in batches(sorted(packages)):
        query = (
            select(*columns)
            .join(package_version, package_version.c.id == package_update.c.package_version_id)
            .where(
                package_version.c.id.in_(batch),
                package_update.c.judged,
                package_update.c.security,
                package_update.c.since.is_not(None),
            )
        )
        found += [Offer(*row) for row in c.execute(query)]
    return found
