"""What decides on the verdict of an image, in one look."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, Exists, Select, and_, case, func, select

from imagecatalog.domain.scopes import NOWHERE
from imagecatalog.store.dialect import batches
from imagecatalog.store.schema import (
    apt_setup,
    distro,
    inventory,
    manifest,
    package_chunk_member,
    package_set,
    package_set_chunk,
    package_version,
    run,
    run_image,
    scope,
    succession,
    verdict,
)


class JudgeableImage(Struct, frozen=True):
    """What of an image decides on its verdict."""

    id: int
    kind: int
    distro: str | None
    set_id: int | None
    setup_id: int | None
    unknown_code: str | None
    """Why its packages are not known: its layers do not tell, and nobody else does."""
    unknown_reason: str | None
    security: int | None
    """How many packages have a security update, and any: None where that was not kept."""
    updates: int | None
    security_since: datetime | None
    since: datetime | None
    newer: str | None
    """The newest tag of its line, and of its base's, if it is not of these and runs."""
    newer_base: str | None
    is_told: bool
    """Its packages are a list that somebody told, and were not read from its layers."""
    told_problem: str | None
    """What of that list was not understood."""
    scope_id: int | None = None
    """The scope of its distribution; None where it has none."""
    has_unread: bool = False
    """Files in its layers that tell of packages could not be read."""
    setup_problem: str | None = None
    """What stands beside every verdict under its set-up."""
    setup_checked: datetime | None = None
    setup_pending: bool | None = None
    scope: str = NOWHERE
    """The name of the scope of its distribution."""
    place_id: int = 0
    """The scope that its findings are kept of: of no distribution that of nowhere; 0 where there is none."""


# As [apt.sources] names it, and Distro itself.
_RELEASE = func.trim(
    distro.c.os_id + " " + func.coalesce(func.nullif(distro.c.version_id, ""), distro.c.codename)
)

_SCOPES = scope.alias()
_NOWHERE = select(_SCOPES.c.id).where(_SCOPES.c.name == NOWHERE).scalar_subquery()

# A verdict that a later judgement of its set-up made stale counts as not kept.
_JUDGEABLE: Select[Any] = (
    select(
        manifest.c.id,
        manifest.c.kind,
        _RELEASE,
        manifest.c.set_id,
        manifest.c.setup_id,
        case((manifest.c.inventory_id.is_(None), manifest.c.unknown_code)),
        case((manifest.c.inventory_id.is_(None), manifest.c.unknown_reason)),
        verdict.c.security,
        verdict.c.updates,
        verdict.c.security_since,
        verdict.c.since,
        succession.c.newer,
        succession.c.base,
        manifest.c.inventory_id.is_not(None),
        inventory.c.problem,
        distro.c.scope_id,
        and_(manifest.c.inventory_id.is_(None), manifest.c.problems.is_not(None)),
        apt_setup.c.problem,
        apt_setup.c.checked,
        apt_setup.c.pending,
        func.coalesce(scope.c.name, NOWHERE),
        func.coalesce(scope.c.id, _NOWHERE, 0),
    )
    .outerjoin(inventory, inventory.c.id == manifest.c.inventory_id)
    .outerjoin(succession, succession.c.manifest_id == manifest.c.id)
    .outerjoin(distro, distro.c.id == manifest.c.distro_id)
    .outerjoin(scope, scope.c.id == distro.c.scope_id)
    .outerjoin(apt_setup, apt_setup.c.id == manifest.c.setup_id)
    .outerjoin(
        verdict,
        and_(
            verdict.c.setup_id == manifest.c.setup_id,
            verdict.c.set_id == manifest.c.set_id,
            verdict.c.generation == apt_setup.c.generation,
        ),
    )
)
_RUNNING = _JUDGEABLE.where(
    manifest.c.id.in_(
        select(run_image.c.manifest_id).where(
            run_image.c.id.in_(select(run.c.run_image_id).where(run.c.until.is_(None)))
        )
    )
)


def list_judgeable(c: Connection, numbers: Collection[int]) -> list[JudgeableImage]:
    """These images and indexes."""
    return [
        JudgeableImage(*row)
        for batch in batches(set(numbers))
        for row in c.execute(_JUDGEABLE.where(manifest.c.id.in_(batch)))
    ]


def list_judgeable_running(c: Connection) -> list[JudgeableImage]:
    """Every image that runs now."""
    return [JudgeableImage(*row) for row in c.execute(_RUNNING)]


def has_debian(set_id: ColumnElement[int]) -> Exists:
    """Whether a package set has a package that apt could judge."""
    return (
        select(package_version.c.id)
        .join(
            package_chunk_member,
            package_chunk_member.c.package_version_id == package_version.c.id,
        )
        .join(package_set_chunk, package_set_chunk.c.chunk_id == package_chunk_member.c.chunk_id)
        .where(package_set_chunk.c.set_id == set_id, package_version.c.type == "deb")
        .exists()
    )


def list_kinds(
    c: Connection, sets: Collection[int], *, with_debian: bool = False
) -> dict[int, tuple[str, ...]]:
    """The types of packages in each of these sets, sorted; as a rule of those without Debian's alone."""
    kinds: dict[int, set[str]] = {}
    for batch in batches(set(sets)):
        chosen = select(package_set.c.id).where(package_set.c.id.in_(batch))
        if not with_debian:
            chosen = chosen.where(~has_debian(package_set.c.id))
        rows = c.execute(
            select(package_set_chunk.c.set_id, package_version.c.type)
            .join(
                package_chunk_member,
                package_chunk_member.c.chunk_id == package_set_chunk.c.chunk_id,
            )
            .join(
                package_version, package_version.c.id == package_chunk_member.c.package_version_id
            )
            .where(package_set_chunk.c.set_id.in_(chosen))
            .distinct()
        )
        for number, kind in rows:
            kinds.setdefault(number, set()).add(kind)
    return {number: tuple(sorted(found)) for number, found in kinds.items()}
