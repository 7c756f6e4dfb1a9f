"""Tags over time, and a repository's images by age."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import (
    BigInteger,
    Connection,
    Select,
    Text,
    and_,
    cast,
    func,
    or_,
    select,
    type_coerce,
)

from imagecatalog.domain.refs import Digest
from imagecatalog.store.dialect import batches
from imagecatalog.store.images import INDEX
from imagecatalog.store.schema import (
    index_member,
    manifest,
    repository,
    repository_manifest,
    tag,
    tag_period,
)

_FEW = 300
"""Pairs in one statement."""


class AgedImage(Struct, frozen=True):
    """An image of a repository with its place in the order by age."""

    id: int
    moment: int
    """Seconds since 1970 in UTC: when it was made, else when it was first seen."""
    gone: datetime | None


class TaggedImage(Struct, frozen=True, gc=False):
    """What a tag points to now. Moments are seconds since 1970 in UTC."""

    repository: str
    tag: str
    manifest_id: int
    kind: int
    since: int
    created: int | None
    """Of an index: of the newest image in it."""


def _tagged() -> Select[Any]:
    inside = manifest.alias()
    newest_inside = (
        select(func.max(inside.c.created))
        .join(index_member, index_member.c.manifest_id == inside.c.id)
        .where(index_member.c.index_id == manifest.c.id)
        .scalar_subquery()
    )
    return (
        select(
            repository.c.name,
            tag.c.name,
            tag_period.c.manifest_id,
            manifest.c.kind,
            # A repository has many tags, and to make a datetime of each takes long.
            type_coerce(tag_period.c.since, BigInteger),
            func.coalesce(manifest.c.created, newest_inside, type_=BigInteger()),
        )
        .join(tag, tag.c.repository_id == repository.c.id)
        .join(tag_period, and_(tag_period.c.tag_id == tag.c.id, tag_period.c.until.is_(None)))
        .join(manifest, manifest.c.id == tag_period.c.manifest_id)
    )


_TAGGED = _tagged()


def list_tagged(c: Connection, repositories: Collection[str]) -> list[TaggedImage]:
    """Every tag of these repositories with what it points to, in no order."""
    return [
        TaggedImage(*row)
        for batch in batches(sorted(repositories))
        for row in c.execute(_TAGGED.where(repository.c.name.in_(batch))).all()
    ]


def list_some_tagged(c: Connection, tags: Collection[int]) -> list[TaggedImage]:
    """The same of some tags, by their numbers."""
    return [
        TaggedImage(*row)
        for batch in batches(sorted(tags))
        for row in c.execute(_TAGGED.where(tag.c.id.in_(batch))).all()
    ]


def list_names(
    c: Connection, repositories: Collection[str]
) -> Iterator[tuple[str, list[str], list[str]]]:
    """Of each repository the names of its tags that point somewhere now, and their numbers as text.

    A row for each repository: a row for each tag takes longer than to take it apart.
    """
    for batch in batches(sorted(repositories)):
        query = (
            select(
                repository.c.name,
                func.aggregate_strings(tag.c.name, " "),
                func.aggregate_strings(cast(tag.c.id, Text), " "),
            )
            .join(tag, tag.c.repository_id == repository.c.id)
            .join(tag_period, and_(tag_period.c.tag_id == tag.c.id, tag_period.c.until.is_(None)))
            .where(repository.c.name.in_(batch))
            .group_by(repository.c.name)
        )
        for name, tags, numbers in c.execute(query).all():
            yield name, tags.split(" "), numbers.split(" ")


def list_periods(
    c: Connection, numbers: Collection[int]
) -> list[tuple[str, Digest, datetime, datetime | None]]:
    """Whole names that pointed to any of these: what, from when, until when; those that do first."""
    found: list[tuple[str, Digest, datetime, datetime | None]] = []
    for batch in batches(numbers):
        query = (
            select(
                repository.c.name,
                tag.c.name.label("tag"),
                manifest.c.digest,
                tag_period.c.since,
                tag_period.c.until,
            )
            .join(tag, tag.c.id == tag_period.c.tag_id)
            .join(repository, repository.c.id == tag.c.repository_id)
            .join(manifest, manifest.c.id == tag_period.c.manifest_id)
            .where(tag_period.c.manifest_id.in_(batch))
            .order_by(tag_period.c.until.is_not(None), tag_period.c.since.desc(), tag.c.name)
        )
        found += [
            (f"{row.name}:{row.tag}", row.digest, row.since, row.until) for row in c.execute(query)
        ]
    return found


def list_last_met(
    c: Connection,
    *,
    among: Select[tuple[int]] | None = None,
    after: tuple[int, int] | None = None,
    limit: int | None = None,
) -> list[AgedImage]:
    """Every image, or those ``among``, the last that the catalog met first; ``moment`` is when."""
    there = select(repository_manifest.c.manifest_id).where(
        repository_manifest.c.manifest_id == manifest.c.id,
        repository_manifest.c.gone_at.is_(None),
    )
    left = (
        select(func.max(repository_manifest.c.gone_at))
        .where(repository_manifest.c.manifest_id == manifest.c.id)
        .scalar_subquery()
    )
    query = (
        select(manifest.c.id, cast(manifest.c.first_seen, BigInteger), there.exists(), left)
        .where(manifest.c.kind != INDEX)
        .order_by(manifest.c.id.desc())
    )
    if among is not None:
        query = query.where(manifest.c.id.in_(among))
    if after is not None:
        query = query.where(manifest.c.id < after[1])
    if limit is not None:
        query = query.limit(limit)
    return [
        AgedImage(number, moment, None if is_there else gone)
        for number, moment, is_there, gone in c.execute(query)
    ]


def list_newest(
    c: Connection,
    name: str,
    *,
    among: Select[tuple[int]] | None = None,
    after: tuple[int, int] | None = None,
    limit: int | None = None,
) -> list[AgedImage]:
    """The images of a repository, or those ``among``, the newest first, those that are gone too."""
    moment = cast(func.coalesce(manifest.c.created, manifest.c.first_seen), BigInteger)
    query = (
        select(manifest.c.id, moment.label("moment"), repository_manifest.c.gone_at)
        .join(repository_manifest, repository_manifest.c.manifest_id == manifest.c.id)
        .join(repository, repository.c.id == repository_manifest.c.repository_id)
        .where(repository.c.name == name, manifest.c.kind != INDEX)
        .order_by(moment.desc(), manifest.c.id.desc())
    )
    if among is not None:
        query = query.where(manifest.c.id.in_(among))
    if after is not None:
        query = query.where(
            or_(moment < after[0], and_(moment == after[0], manifest.c.id < after[1]))
        )
    if limit is not None:
        query = query.limit(limit)
    return [AgedImage(row.id, row.moment, row.gone_at) for row in c.execute(query)]
