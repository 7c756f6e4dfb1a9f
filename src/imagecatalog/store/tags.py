"""Tags over time, and a repository's images by age."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from msgspec import Struct
from sqlalchemy import (
    BigInteger,
    Connection,
    Select,
    and_,
    cast,
    func,
    or_,
    select,
    tuple_,
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


def list_tagged(c: Connection, repositories: Collection[str]) -> list[TaggedImage]:
    """Every tag of these repositories with what it points to, in no order."""
    found: list[TaggedImage] = []
    inside = manifest.alias()
    newest_inside = (
        select(func.max(inside.c.created))
        .join(index_member, index_member.c.manifest_id == inside.c.id)
        .where(index_member.c.index_id == manifest.c.id)
        .scalar_subquery()
    )
    for batch in batches(sorted(repositories)):
        query = (
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
            .where(repository.c.name.in_(batch))
        )
        found += (TaggedImage(*row) for row in c.execute(query).all())
    return found


def find_meanings(
    c: Connection, wanted: Collection[tuple[str, str, datetime]]
) -> dict[tuple[str, str, datetime], tuple[int, int]]:
    """What each tag (repository, tag) pointed to at a moment: number and kind.

    Where it did not point anywhere then: what it pointed to last before, else first after.
    """
    numbers = _number_repositories(c, {name for name, _, _ in wanted})
    pairs = {(numbers[name], word) for name, word, _ in wanted if name in numbers}
    periods: dict[tuple[int, str], list[tuple[datetime, int, int]]] = {}
    for batch in batches(sorted(pairs), _FEW):
        query = (
            select(
                tag.c.repository_id,
                tag.c.name,
                tag_period.c.since,
                tag_period.c.manifest_id,
                manifest.c.kind,
            )
            .join(tag_period, tag_period.c.tag_id == tag.c.id)
            .join(manifest, manifest.c.id == tag_period.c.manifest_id)
            .where(tuple_(tag.c.repository_id, tag.c.name).in_(batch))
            .order_by(tag_period.c.since)
        )
        for number, word, since, pointed, kind in c.execute(query):
            periods.setdefault((number, word), []).append((since, pointed, kind))
    found = {}
    for name, word, at in wanted:
        known = periods.get((numbers.get(name, 0), word))
        if known:
            before = [one for one in known if one[0] <= at]
            found[name, word, at] = (before[-1] if before else known[0])[1:]
    return found


def _number_repositories(c: Connection, names: Collection[str]) -> dict[str, int]:
    numbers: dict[str, int] = {}
    for batch in batches(sorted(names)):
        query = select(repository.c.name, repository.c.id).where(repository.c.name.in_(batch))
        numbers.update(c.execute(query).all())
    return numbers


def list_homes(c: Connection, numbers: Collection[int]) -> dict[int, set[str]]:
    """The repositories that have or had each of these images."""
    found: dict[int, set[str]] = {}
    for batch in batches(sorted(numbers)):
        query = (
            select(repository_manifest.c.manifest_id, repository.c.name)
            .join(repository, repository.c.id == repository_manifest.c.repository_id)
            .where(repository_manifest.c.manifest_id.in_(batch))
        )
        for number, name in c.execute(query):
            found.setdefault(number, set()).add(name)
    return found


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
