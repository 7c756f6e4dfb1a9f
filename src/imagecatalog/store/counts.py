"""How much the catalog holds."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from imagecatalog.store.images import INDEX
from imagecatalog.store.schema import manifest, repository


def count_repositories(c: Connection) -> int:
    """How many repositories are known."""
    return int(c.execute(select(func.count()).select_from(repository)).scalar_one())


def count_images(c: Connection) -> int:
    """How many images are known, those that are gone too; indexes do not count."""
    query = select(func.count()).select_from(manifest).where(manifest.c.kind != INDEX)
    return int(c.execute(query).scalar_one())
