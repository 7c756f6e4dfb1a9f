"""How much the catalog holds: counted once after each job, since counting all grows with all."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from imagecatalog.store.dialect import upsert
from imagecatalog.store.images import INDEX
from imagecatalog.store.schema import manifest, repository, tally


def keep_counts(c: Connection) -> None:
    """Count repositories and images, those that are gone too; indexes do not count."""
    images = select(func.count()).select_from(manifest).where(manifest.c.kind != INDEX)
    repositories = select(func.count()).select_from(repository)
    upsert(
        c,
        tally,
        [
            {"name": "images", "value": c.execute(images).scalar_one()},
            {"name": "repositories", "value": c.execute(repositories).scalar_one()},
        ],
    )


def read_counts(c: Connection) -> dict[str, int]:
    """``images`` and ``repositories`` as they were counted last."""
    kept = dict(c.execute(select(tally.c.name, tally.c.value)).all())
    return {"images": 0, "repositories": 0} | kept
