"""Which images run, kept by the packages they are made of, so that a fault's images are at hand.

The images that run are few among all; who asks where a fault runs reads no others. An image is kept
from the moment its set was added up until it runs no more, or other packages of it are told: what
runs without being kept is looked for among all (``store.exposed``).

Who keeps waits for nobody who writes images: what they write just now is left for the next time. Who
writes an image forgets it once its row is written, and so locked.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Select, and_, delete, func, or_, select

from imagecatalog.domain.scopes import NOWHERE
from imagecatalog.store import findings
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
    findings.lock(c)  # two at once would keep the same; and no set is dropped, no scope moved
    alive = select(run.c.run_image_id).where(run.c.until.is_(None))
    running = select(run_image.c.manifest_id).where(
        run_image.c.id.in_(alive), run_image.c.manifest_id.is_not(None)
    )
    wanted = {tuple(row) for row in c.execute(_added_up().where(manifest.c.id.in_(running)))}
    kept = {tuple(row) for row in c.execute(select(*(standing_image.c[one] for one in _COLUMNS)))}
    gone = standing_image.c.manifest_id
    for batch in batches(sorted(number for number, *_ in kept - wanted)):
        # Others are being forgotten by somebody else, for whom nobody waits here.
        free = select(gone).where(gone.in_(batch)).with_for_update(skip_locked=True)
        c.execute(delete(standing_image).where(gone.in_(list(c.scalars(free)))))
    for batch in batches(sorted(number for number, *_ in wanted - kept)):
        # Nobody tells of other packages between their being read here and being kept.
        free = select(manifest.c.id).where(manifest.c.id.in_(batch))
        held = list(c.scalars(free.with_for_update(read=True, skip_locked=True)))
        rows = sorted(tuple(row) for row in c.execute(_added_up().where(manifest.c.id.in_(held))))
        insert_new(c, standing_image, [dict(zip(_COLUMNS, row, strict=True)) for row in rows])


def _added_up() -> Select[Any]:
    """Images whose sets were added up: the rows that they are kept as.

    Not those of a distribution whose scope is still to be found out, which would make them others.
    """
    nowhere = select(scope.c.id).where(scope.c.name == NOWHERE).scalar_subquery()
    place = func.coalesce(distro.c.scope_id, nowhere)
    return (
        select(manifest.c.id, standing.c.scope_id, standing.c.set_id, manifest.c.digest)
        .outerjoin(distro, distro.c.id == manifest.c.distro_id)
        .join(standing, and_(standing.c.scope_id == place, standing.c.set_id == manifest.c.set_id))
        .where(or_(manifest.c.distro_id.is_(None), distro.c.scope_id.is_not(None)))
    )


def forget_images(c: Connection, numbers: Collection[int]) -> None:
    """Note that these, which are locked, may have other packages now, or be of another release."""
    number = standing_image.c.manifest_id
    for batch in batches(sorted(numbers)):
        kept = list(c.scalars(select(number).where(number.in_(batch))))
        if kept:
            lock_table(c, distro, mode="ROW SHARE")  # as ``settle_scopes`` forgets all behind it
            c.execute(delete(standing_image).where(number.in_(kept)))


def forget_all(c: Connection) -> None:
    """The same of all images; the caller holds the locks of ``components.settle_scopes``."""
    c.execute(delete(standing_image))
