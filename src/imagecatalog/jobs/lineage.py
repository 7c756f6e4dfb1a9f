"""Settles what changed in the lineage of images and could not be settled where it was told."""

from __future__ import annotations

from imagecatalog.catalog import lineage
from imagecatalog.store.engine import Catalog

_AT_ONCE = 5000
"""Changes in one transaction."""


def settle_lineage(catalog: Catalog) -> None:
    """Weigh anew whatever waits for it, in transactions of its own; after an upgrade that is all."""
    is_more = True
    while is_more:
        with catalog.write() as c:
            is_more = lineage.settle(c, _AT_ONCE)
