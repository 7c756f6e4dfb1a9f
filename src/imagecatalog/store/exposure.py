"""Which images hold any of some package versions: by their chunks and sets, what runs first."""

from __future__ import annotations

from collections.abc import Collection

from msgspec import Struct
from sqlalchemy import Connection, or_, select

from imagecatalog.domain.packages import Package
from imagecatalog.store.dialect import batches
from imagecatalog.store.images import INDEX
from imagecatalog.store.schema import (
    distro,
    manifest,
    package_chunk_member,
    package_set_chunk,
    package_version,
)


class PlacedImage(Struct, frozen=True):
    """An image with its packages and the release they are of."""

    id: int
    set_id: int | None
    distro: str
    """``ID`` of os-release, and the version and codename, empty where there are none."""
    version_id: str
    codename: str


_IMAGE = (
    select(manifest.c.id, manifest.c.set_id, distro.c.os_id, distro.c.version_id, distro.c.codename)
    .outerjoin(distro, distro.c.id == manifest.c.distro_id)
    .where(manifest.c.kind != INDEX)
)


def list_packages_named(c: Connection, names: Collection[str]) -> dict[int, Package]:
    """Every version of the packages whose own name or whose source's is one of these."""
    fields = [package_version.c[name] for name in Package.__struct_fields__]
    found: dict[int, Package] = {}
    for batch in batches(sorted(names)):
        query = select(package_version.c.id, *fields).where(
            or_(package_version.c.source.in_(batch), package_version.c.name.in_(batch))
        )
        found.update((number, Package(*values)) for number, *values in c.execute(query))
    return found


def list_placed(c: Connection, numbers: Collection[int]) -> list[PlacedImage]:
    """These images, by number."""
    return [
        PlacedImage(number, set_id, os_id or "", version_id or "", codename or "")
        for batch in batches(sorted(numbers))
        for number, set_id, os_id, version_id, codename in c.execute(
            _IMAGE.where(manifest.c.id.in_(batch)).order_by(manifest.c.id)
        )
    ]


def list_holding_images(
    c: Connection, versions: Collection[int], *, limit: int
) -> list[PlacedImage]:
    """Images that hold any of these package versions, in any order, at most ``limit``."""
    found: dict[int, PlacedImage] = {}
    for batch in batches(sorted(versions)):
        query = (
            _IMAGE.join(package_set_chunk, package_set_chunk.c.set_id == manifest.c.set_id)
            .join(
                package_chunk_member,
                package_chunk_member.c.chunk_id == package_set_chunk.c.chunk_id,
            )
            .where(package_chunk_member.c.package_version_id.in_(batch))
            .limit(limit)
        )
        for number, set_id, os_id, version_id, codename in c.execute(query):
            found[number] = PlacedImage(
                number, set_id, os_id or "", version_id or "", codename or ""
            )
    return list(found.values())[:limit]
