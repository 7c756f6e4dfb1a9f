"""Which images hold a package: from its versions by their chunks and sets, never image by image."""

from __future__ import annotations

from contextlib import suppress

from sqlalchemy import ColumnElement, Connection, Join, and_, func, or_, select, tuple_

from imagecatalog.domain.answers import Holder
from imagecatalog.domain.packages import Package
from imagecatalog.errors import BadName
from imagecatalog.store.images import best_names, count_running
from imagecatalog.store.page import Page, make_cursor, read_cursor
from imagecatalog.store.schema import (
    manifest,
    package_chunk_member,
    package_set_chunk,
    package_version,
)
from imagecatalog.versions import ORDERED, deb, key

__all__ = ["list_holders", "list_versions"]


def list_versions(c: Connection, name: str) -> tuple[tuple[Package, int], ...]:
    """The versions of a package that some image holds, newest first, with how many images do."""
    columns = [package_version.c[field] for field in Package.__struct_fields__]
    rows = c.execute(
        select(*columns, func.count(manifest.c.id))
        .select_from(_holding())
        .where(package_version.c.name == name)
        .group_by(package_version.c.id)
        .order_by(package_version.c.key.desc(), package_version.c.arch)
    )
    return tuple((Package(*values), count) for *values, count in rows)


# The way that the indices lead: the first page of a hundred thousand images needs no sorting.
_ORDER = (
    package_version.c.key,
    package_version.c.id,
    package_chunk_member.c.chunk_id,
    package_set_chunk.c.set_id,
    manifest.c.id,
)


def list_holders(
    c: Connection,
    name: str,
    *,
    below: str | None = None,
    kind: str | None = None,
    limit: int | None = None,
    after: str | None = None,
) -> Page[Holder]:
    """The images that hold a binary package, the oldest version first.

    Of a name that is a source package's alone those that hold any of its binary packages.
    ``below`` keeps versions that sort before it in the package's own ecosystem, ``kind`` those of
    packages of that type. Raises BadName if
    it is none of Debian's.
    """
    place = read_cursor(after, tuple[bytes, int, int, int, int])
    binary = c.scalar(select(package_version.c.id).where(package_version.c.name == name).limit(1))
    named = package_version.c.source if binary is None else package_version.c.name
    query = (
        select(*_ORDER, manifest.c.digest, package_version.c.name, package_version.c.version)
        .select_from(_holding())
        .where(named == name)
        .order_by(*_ORDER)
    )
    if below is not None:
        query = query.where(_is_below(below))
    if kind is not None:
        query = query.where(package_version.c.type == kind)
    if place is not None:
        query = query.where(package_version.c.key >= place[0], tuple_(*_ORDER) > tuple_(*place))
    if limit is not None:
        query = query.limit(limit + 1)
    rows = list(c.execute(query))
    more = limit is not None and len(rows) > limit
    rows = rows[:limit]
    numbers = [row[4] for row in rows]
    names = best_names(c, numbers)
    running = count_running(c, numbers)
    items = tuple(
        Holder(
            image=names.get(number, str(digest)),
            digest=str(digest),
            package=package,
            version=version,
            running=running.get(number, 0),
        )
        for *_, number, digest, package, version in rows
    )
    return Page(items, make_cursor(*rows[-1][:5]) if more else None)


def _is_below(version: str) -> ColumnElement[bool]:
    """Whether a package version sorts before this one, which not every ecosystem may allow."""
    keys = {"deb": deb.key(version)}
    for kind in sorted(ORDERED):
        with suppress(BadName):
            keys[kind] = key(kind, version)
    return or_(
        *(
            and_(package_version.c.type == kind, package_version.c.key < bound)
            for kind, bound in keys.items()
        )
    )


def _holding() -> Join:
    """Package versions joined with the images that hold them."""
    return (
        package_version.join(
            package_chunk_member,
            package_chunk_member.c.package_version_id == package_version.c.id,
        )
        .join(package_set_chunk, package_set_chunk.c.chunk_id == package_chunk_member.c.chunk_id)
        .join(manifest, manifest.c.set_id == package_set_chunk.c.set_id)
    )
