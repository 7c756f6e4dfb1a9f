"""Which images run, kept by the packages they are made of, so that a fault's images are at hand.

The images that run are few among all; who asks where a fault runs reads no others. An image is kept
from the moment its set was added up until it runs no more, or other packages of it are told: what
runs without being kept is looked for among all (``store.exposed``).
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, and_, delete, func, select

from imagecatalog.domain.scopes import NOWHERE
from imagecatalog.store.dialect import batches, insert_new, lock_table
from imagecatalog.store.schema import (
    distro,
    manifest,
    run,
    run_image,
    scope,
    standing,
    standing_image,
)

_COLUMNS = ("manifest_id", "scope_id", "set_id", "digest")


def keep_images(c: Connection) -> None:
    """Keep every image that runs and whose set was added up, and drop what runs no more."""
    # Nobody tells of other packages of an image between its being read here and being kept.
    lock_table(c, standing_image)
    nowhere = select(scope.c.id).where(scope.c.name == NOWHERE).scalar_subquery()
    place = func.coalesce(distro.c.scope_id, nowhere)
    alive = select(run.c.run_image_id).where(run.c.until.is_(None))
    running = (
        select(manifest.c.id, standing.c.scope_id, standing.c.set_id, manifest.c.digest)
        .outerjoin(distro, distro.c.id == manifest.c.distro_id)
        .join(standing, and_(standing.c.scope_id == place, standing.c.set_id == manifest.c.set_id))
        .where(
            manifest.c.id.in_(
                select(run_image.c.manifest_id).where(
                    run_image.c.id.in_(alive), run_image.c.manifest_id.is_not(None)
                )
            )
        )
    )
    wanted = {tuple(row) for row in c.execute(running)}
    kept = {tuple(row) for row in c.execute(select(*(standing_image.c[one] for one in _COLUMNS)))}
    forget_images(c, {number for number, *_ in kept - wanted})
    rows = [dict(zip(_COLUMNS, row, strict=True)) for row in sorted(wanted - kept)]
    insert_new(c, standing_image, rows)


def forget_images(c: Connection, numbers: Collection[int]) -> None:
    """Note that these may have other packages now, or be of another release."""
    for batch in batches(sorted(numbers)):
        c.execute(delete(standing_image).where(standing_image.c.manifest_id.in_(batch)))


def forget_all(c: Connection) -> None:
    """The same of all images."""
    lock_table(c, standing_image)
    c.execute(delete(standing_image))
