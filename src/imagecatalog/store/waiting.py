"""Images of which not all packages were held against advisories: nothing is known of these yet.

``list_waiting(c, images)``, ``list_partly_foreign(c, sets)``; ``join_kept(query)`` tells what runs of
which nobody added up yet what it comes to, ``has_unkept(c)`` whether there is any.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Select, and_, func, or_, select

from imagecatalog.domain.scopes import LANGUAGES, NOWHERE
from imagecatalog.store.components import NO_DISTRO
from imagecatalog.store.dialect import batches
from imagecatalog.store.schema import (
    component,
    component_package,
    distro,
    manifest,
    package_chunk_member,
    package_set_chunk,
    run,
    run_image,
    scope,
    standing,
    third_party,
    unenrolled,
)


def list_waiting(c: Connection, images: Collection[int]) -> set[int]:
    """Those of these images that have a component which was never judged, or none as yet."""
    found: set[int] = set()
    for batch in batches(sorted(images)):
        found.update(c.scalars(_behind(batch).union(_pending(batch))))
    return found


def _behind(images: Collection[int]) -> Select[Any]:
    """Those that are not enrolled."""
    return (
        select(manifest.c.id)
        .join(unenrolled, unenrolled.c.distro_id == func.coalesce(manifest.c.distro_id, NO_DISTRO))
        .where(manifest.c.id.in_(images), manifest.c.id <= unenrolled.c.manifest_id)
    )


def _pending(images: Collection[int]) -> Select[Any]:
    # As a rule nothing waits, and then no package is looked at.
    some = select(component.c.id).where(component.c.pending.is_(True)).limit(1).scalar_subquery()
    return (
        select(manifest.c.id)
        .join(package_set_chunk, package_set_chunk.c.set_id == manifest.c.set_id)
        .join(package_chunk_member, package_chunk_member.c.chunk_id == package_set_chunk.c.chunk_id)
        .join(
            component_package,
            component_package.c.package_version_id == package_chunk_member.c.package_version_id,
        )
        .join(component, component.c.id == component_package.c.component_id)
        .join(scope, scope.c.id == component.c.scope_id)
        .outerjoin(distro, distro.c.id == manifest.c.distro_id)
        .where(
            some.is_not(None),
            manifest.c.id.in_(images),
            component.c.pending.is_(True),
            or_(component.c.scope_id == distro.c.scope_id, scope.c.name.in_(LANGUAGES)),
        )
    )


def list_partly_foreign(c: Connection, sets: Collection[int]) -> set[int]:
    """Those of these package sets with packages that their distribution did not build."""
    found: set[int] = set()
    for batch in batches(sorted(sets)):
        query = (
            select(package_set_chunk.c.set_id)
            .join(
                package_chunk_member,
                package_chunk_member.c.chunk_id == package_set_chunk.c.chunk_id,
            )
            .join(
                third_party,
                third_party.c.package_version_id == package_chunk_member.c.package_version_id,
            )
            .where(package_set_chunk.c.set_id.in_(batch))
            .distinct()
        )
        found.update(c.scalars(query))
    return found


def join_kept(query: Select[Any]) -> Select[Any]:
    """Join each image's sums, as kept for what runs, to a query of manifests: null where there are none."""
    nowhere = select(scope.c.id).where(scope.c.name == NOWHERE).scalar_subquery()
    return query.outerjoin(distro, distro.c.id == manifest.c.distro_id).outerjoin(
        standing,
        and_(
            standing.c.scope_id == func.coalesce(distro.c.scope_id, nowhere),
            standing.c.set_id == manifest.c.set_id,
        ),
    )


def has_unkept(c: Connection) -> bool:
    """Whether anything runs whose faults were not added up since, or images wait to be enrolled."""
    if c.scalar(select(unenrolled.c.distro_id).limit(1)) is not None:
        return True
    alive = select(run.c.run_image_id).where(run.c.until.is_(None))
    running = select(run_image.c.manifest_id).where(
        run_image.c.id.in_(alive), run_image.c.manifest_id.is_not(None)
    )
    query = join_kept(select(manifest.c.id)).where(
        manifest.c.id.in_(running),
        manifest.c.set_id.is_not(None),
        func.coalesce(standing.c.stale, True).is_(True),
    )
    return c.scalar(query.limit(1)) is not None
