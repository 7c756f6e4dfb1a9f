"""Where one image came from, and whether something newer than it or its base is there."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from msgspec import Struct

from imagecatalog.catalog.lineage import list_bases
from imagecatalog.config import LineRule
from imagecatalog.domain.lineage import BuildItem, InventoryItem, Lineage
from imagecatalog.matching.lines import Lines
from imagecatalog.planning.ancestry import find_image, lineage
from imagecatalog.store import builds, disagreements, lookups
from imagecatalog.store.engine import Connection

_CHILDREN = 12


class ImageOrigin(Struct, frozen=True, kw_only=True):
    """What is known of an image's making."""

    lineage: Lineage
    """Its descendants are but the first few."""
    builds: tuple[BuildItem, ...]
    inventories: tuple[InventoryItem, ...]
    """Who told of its packages, the list that counts first."""
    newer: str | None
    """The newest tag of its line, where that is another image."""
    newer_base: str | None
    """The same of its base's line."""


def image_origin(
    c: Connection, reference: str, *, now: datetime, rules: Sequence[LineRule] = ()
) -> ImageOrigin:
    """The origin of an image, named as for ``image_detail``. Raises NotFound and BadName.

    ``rules`` say which tags follow one another. Whether it runs plays no part here.
    """
    number = find_image(c, reference)
    base = list_bases(c, [number]).get(number)
    newer = _find_newer(c, [number] if base is None else [number, base], rules)
    return ImageOrigin(
        lineage=lineage(c, reference, now=now, limit=_CHILDREN),
        builds=builds.list_builds(c, number),
        inventories=disagreements.list_inventories(c, number),
        newer=newer.get(number),
        newer_base=None if base is None else newer.get(base),
    )


def _find_newer(
    c: Connection, numbers: Collection[int], rules: Sequence[LineRule]
) -> dict[int, str]:
    """The newest tag of the line of each image that is not itself the newest."""
    lines = Lines(c, rules)
    keys = lines.of(numbers)
    heads = lines.heads(keys.values())
    rows = lookups.list_images(c, keys.keys())
    return {
        number: heads[key].name
        for number, key in keys.items()
        if key in heads and heads[key].on(rows[number].platform) != number
    }
