"""What each feed told, counted; and all of it forgotten where somebody wants that."""

from __future__ import annotations

from collections.abc import Collection

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, func, select

from imagecatalog.errors import NotFound
from imagecatalog.store import advisories, findings, vex
from imagecatalog.store.dialect import batches
from imagecatalog.store.schema import epss, exploited, feed_file, feed_part, health

_LISTS = {"kev": exploited, "epss": epss}
"""Feeds that are a list each, and no parts."""
_UPLOADS = "upload"
"""Documents that were uploaded: no feed has them."""


class _Kept(Struct):
    feed: str = ""


_KEPT = msgspec.json.Decoder(_Kept)


def count_records(c: Connection) -> dict[str, int]:
    """How many records each file of a feed tells, by name; those that tell none are left out."""
    query = select(feed_part.c.feed, func.count()).group_by(feed_part.c.feed)
    found = {feed: count for feed, count in c.execute(query) if feed != _UPLOADS}
    for name, table in _LISTS.items():
        if count := c.scalar(select(func.count()).select_from(table)):
            found[name] = count
    return found


def forget_feed(c: Connection, name: str) -> tuple[tuple[str, ...], int]:
    """Retract all that a feed told, or one file of it, as if it had never been read.

    What that changes is kept as not judged yet. Gives the feeds' names, and how many records they
    told. Raises NotFound for one of which nothing is known.
    """
    told = count_records(c)
    tried = set(c.scalars(select(health.c.name).where(health.c.kind == "feed")))
    known = sorted(told.keys() | tried)
    gone = tuple(one for one in known if one == name or one.startswith(f"{name} "))
    if not gone:
        raise NotFound(
            f"no feed {name!r} was ever read",
            hint=f"known are {', '.join(known)}" if known else "imagecatalog refresh reads them",
        )
    if told.keys() & _LISTS.keys() & set(gone):
        _empty(c, name)
    if "vex" in gone:
        vex.drop_documents(c, "vex", vex.list_documents(c, "vex"))
    for feed in gone:
        advisories.retract_feed(c, feed)
    _forget_tries(c, gone)
    return gone, sum(told.get(one, 0) for one in gone)


def _empty(c: Connection, name: str) -> None:
    findings.lock(c)
    c.execute(_LISTS[name].delete())
    findings.drop_standings(c)


def _forget_tries(c: Connection, gone: Collection[str]) -> None:
    """Files are read anew though they are what they were, and nobody says when that was done."""
    kept = c.execute(select(feed_file.c.address, feed_file.c.state)).all()
    addresses = [address for address, state in kept if _KEPT.decode(state).feed in gone]
    for batch in batches(sorted(addresses)):
        c.execute(feed_file.delete().where(feed_file.c.address.in_(batch)))
    for batch in batches(sorted(gone)):
        c.execute(health.delete().where(health.c.kind == "feed", health.c.name.in_(batch)))
