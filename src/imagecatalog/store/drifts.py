"""What tags mean, and when they left an image: each tag by its name, through indexes."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

from msgspec import Struct
from sqlalchemy import (
    ColumnElement,
    Connection,
    Text,
    and_,
    column,
    func,
    literal,
    or_,
    select,
    true,
    values,
)

from imagecatalog.domain.refs import Digest
from imagecatalog.store.dialect import batches
from imagecatalog.store.runs import AliveImage
from imagecatalog.store.schema import (
    index_member,
    manifest,
    repository,
    run,
    run_image,
    tag,
    tag_period,
)

Name = tuple[str, str]
"""Repository, tag."""


class PointedTag(Struct, frozen=True):
    """What a tag points to, or pointed to at a moment."""

    tag_id: int
    manifest_id: int
    digest: Digest
    since: datetime


def list_pointed(
    c: Connection, names: Iterable[Name], *, at: datetime | None = None
) -> dict[Name, PointedTag]:
    """What each of these tags points to, or pointed to then; those that do not are left out."""
    when: ColumnElement[bool] = tag_period.c.until.is_(None)
    if at is not None:
        still = or_(tag_period.c.until.is_(None), tag_period.c.until > at)
        when = and_(tag_period.c.since <= at, still)
    found: dict[Name, PointedTag] = {}
    for batch in batches(sorted(set(names))):
        wanted = (
            values(column("repository", Text), column("tag", Text), name="wanted")
            .data(batch)
            .cte("wanted")
        )
        query = (
            select(
                wanted.c.repository,
                wanted.c.tag,
                tag.c.id,
                tag_period.c.manifest_id,
                manifest.c.digest,
                tag_period.c.since,
            )
            .select_from(wanted)
            .join(repository, repository.c.name == wanted.c.repository)
            .join(tag, and_(tag.c.repository_id == repository.c.id, tag.c.name == wanted.c.tag))
            .join(tag_period, and_(tag_period.c.tag_id == tag.c.id, when))
            .join(manifest, manifest.c.id == tag_period.c.manifest_id)
        )
        for path, name, *rest in c.execute(query):
            found[path, name] = PointedTag(*rest)
    return found


def list_left(
    c: Connection,
    tags: Collection[int],
    images: Collection[int],
    *,
    at: datetime | None = None,
) -> dict[tuple[int, int], datetime]:
    """When each of these tags last left each of these images, by (tag, image), if it ever had it.

    A tag has an image also by an index that names it.
    """
    found: dict[tuple[int, int], datetime] = {}
    past = true() if at is None else tag_period.c.until <= at
    for some in batches(sorted(tags)):
        for many in batches(sorted(images)):
            over = tag_period.c.until.is_not(None) & tag_period.c.tag_id.in_(some) & past
            last = func.max(tag_period.c.until, type_=tag_period.c.until.type)
            itself = (
                select(tag_period.c.tag_id, tag_period.c.manifest_id, last)
                .where(over, tag_period.c.manifest_id.in_(many))
                .group_by(tag_period.c.tag_id, tag_period.c.manifest_id)
            )
            inside = (
                select(tag_period.c.tag_id, index_member.c.manifest_id, last)
                .join(index_member, index_member.c.index_id == tag_period.c.manifest_id)
                .where(over, index_member.c.manifest_id.in_(many))
                .group_by(tag_period.c.tag_id, index_member.c.manifest_id)
            )
            for number, image, until in c.execute(itself.union_all(inside)):
                key = (number, image)
                found[key] = max(until, found.get(key, until))
    return found


def list_running_names(c: Connection, manifest_id: int) -> list[AliveImage]:
    """The names by which an image runs now; how many containers is not counted."""
    open_ = select(run.c.id).where(run.c.until.is_(None), run.c.run_image_id == run_image.c.id)
    names = run_image.c
    query = select(
        names.id,
        names.image,
        names.image_id,
        names.manifest_id,
        names.index_id,
        names.matched_by,
        literal(0),
    ).where(run_image.c.manifest_id == manifest_id, open_.exists())
    return [AliveImage(*row) for row in c.execute(query)]
