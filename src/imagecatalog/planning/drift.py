"""Drift: a tag has moved, and what was started by its name still runs what it meant before."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from imagecatalog.domain.answers import Drift
from imagecatalog.domain.refs import Reference
from imagecatalog.errors import BadName
from imagecatalog.store import drifts, images
from imagecatalog.store.drifts import Name
from imagecatalog.store.engine import Connection
from imagecatalog.store.runs import AliveImage


def find_drifts(
    c: Connection, items: Iterable[AliveImage], *, at: datetime | None = None
) -> dict[int, Drift]:
    """Of what runs, or ran then, that which its tag no longer means, by the runtime's name for it.

    An image of an index that its tag means is what the tag means, and so is one that is reported by
    an index with what the tag means in it. What is named by its digest has no tag to follow, and what
    was matched by its tag alone cannot tell.
    """
    named = {item: name for item in items if (name := _read_name(item)) is not None}
    pointed = drifts.list_pointed(c, named.values(), at=at)
    moved = {
        item: pointed[name]
        for item, name in named.items()
        if name in pointed and pointed[name].manifest_id not in (item.manifest_id, item.index_id)
    }
    if not moved:
        return {}
    indexes = {one.manifest_id for one in moved.values()}
    members = images.list_members(c, indexes | {i.index_id for i in moved if i.index_id})
    moved = {
        item: one
        for item, one in moved.items()
        if item.manifest_id not in members.get(one.manifest_id, ())
        and one.manifest_id not in members.get(item.index_id or 0, ())
    }
    meant = {number for item in moved for number in (item.manifest_id, item.index_id) if number}
    left = drifts.list_left(c, {one.tag_id for one in moved.values()}, meant, at=at)
    return {
        item.run_image_id: Drift(
            tag=":".join(named[item]),
            digest=str(one.digest),
            since=one.since,
            left=max(
                (
                    left[one.tag_id, number]
                    for number in (item.manifest_id, item.index_id)
                    if number and (one.tag_id, number) in left
                ),
                default=None,
            ),
        )
        for item, one in moved.items()
    }


def _read_name(item: AliveImage) -> Name | None:
    """Repository and tag by which it was started."""
    if item.manifest_id is None or item.matched_by == "tag":
        return None
    try:
        reference = Reference.parse(item.image)
    except BadName:
        return None
    if reference.digest is not None:
        return None
    return reference.name, reference.tag or "latest"
