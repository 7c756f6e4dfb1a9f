"""Repositories: what each holds and held, its tags with their past, and what it lost."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, and_, func, select, update

from imagecatalog.domain.answers import RepositorySummary, TagPeriod
from imagecatalog.domain.refs import Digest
from imagecatalog.errors import NotFound
from imagecatalog.store.dialect import batches, insert_new, insert_returning
from imagecatalog.store.edges import note_images
from imagecatalog.store.images import INDEX
from imagecatalog.store.page import Page, make_cursor, read_cursor
from imagecatalog.store.schema import (
    manifest,
    repository,
    repository_manifest,
    run,
    run_image,
    tag,
    tag_period,
)


def put_repository(c: Connection, name: str) -> int:
    """The id of a repository, written if it is new; no other process writes to it meanwhile."""
    find = select(repository.c.id).where(repository.c.name == name)
    find = find.with_for_update(key_share=True)
    found = c.scalar(find)
    if found is None:
        insert_new(c, repository, [{"name": name}])
        found = c.execute(find).scalar_one()
    return int(found)


def point_tags(
    c: Connection,
    repository_id: int,
    tags: Mapping[str, int],
    *,
    before: Mapping[str, int] | None = None,
    now: datetime,
) -> None:
    """Make the repository's tags be exactly these, each pointing to a manifest, from ``now``.

    A tag that pointed elsewhere, or is no longer there, keeps its past. One that does not point to
    where it did ``before`` was moved by somebody who looked later, and stays as it is.
    """
    current = {
        name: (number, target)
        for name, number, target in c.execute(
            select(tag.c.name, tag.c.id, tag_period.c.manifest_id)
            .outerjoin(
                tag_period, and_(tag_period.c.tag_id == tag.c.id, tag_period.c.until.is_(None))
            )
            .where(tag.c.repository_id == repository_id)
        )
    }
    if before is not None:
        moved = {name for name, (_, target) in current.items() if target != before.get(name)}
        tags = {name: target for name, target in tags.items() if name not in moved}
        current = {name: known for name, known in current.items() if name not in moved}
    ended = [
        number
        for name, (number, target) in current.items()
        if target is not None and tags.get(name) != target
    ]
    for batch in batches(ended):
        # A tag that moves twice within one second: the pointing in between leaves no trace.
        still = tag_period.c.until.is_(None) & tag_period.c.tag_id.in_(batch)
        c.execute(tag_period.delete().where(still, tag_period.c.since >= now))
        c.execute(update(tag_period).where(still).values(until=now))
    insert_new(
        c,
        tag,
        [{"repository_id": repository_id, "name": name} for name in tags if name not in current],
    )
    moved = {name for name, target in tags.items() if current.get(name, (0, None))[1] != target}
    if moved:
        numbers = dict(
            c.execute(
                select(tag.c.name, tag.c.id).where(tag.c.repository_id == repository_id)
            ).all()
        )
        insert_new(
            c,
            tag_period,
            [
                {"tag_id": numbers[name], "since": now, "manifest_id": tags[name]}
                for name in sorted(moved)
            ],
        )


def list_present(c: Connection, name: str) -> dict[Digest, int]:
    """The manifests that the repository had when it was last looked at."""
    query = (
        select(manifest.c.digest, manifest.c.id)
        .join(repository_manifest, repository_manifest.c.manifest_id == manifest.c.id)
        .join(repository, repository.c.id == repository_manifest.c.repository_id)
        .where(repository.c.name == name, repository_manifest.c.gone_at.is_(None))
    )
    return dict(c.execute(query).all())


def list_current_tags(c: Connection, name: str) -> dict[str, int]:
    """What each tag of a repository points to now."""
    query = (
        select(tag.c.name, tag_period.c.manifest_id)
        .join(tag_period, and_(tag_period.c.tag_id == tag.c.id, tag_period.c.until.is_(None)))
        .join(repository, repository.c.id == tag.c.repository_id)
        .where(repository.c.name == name)
    )
    return dict(c.execute(query).all())


def mark_present(c: Connection, repository_id: int, manifests: Collection[int]) -> None:
    """Note that the repository has these manifests."""
    came = insert_returning(
        c,
        repository_manifest,
        [{"repository_id": repository_id, "manifest_id": number} for number in manifests],
        repository_manifest.c.manifest_id,
    )
    # Of images with the same layers one that is elsewhere is rather the base.
    note_images(c, {row.manifest_id for row in came}, spreads=True)
    for batch in batches(manifests):
        c.execute(
            update(repository_manifest)
            .where(
                repository_manifest.c.repository_id == repository_id,
                repository_manifest.c.manifest_id.in_(batch),
                repository_manifest.c.gone_at.is_not(None),
            )
            .values(gone_at=None)
        )


def mark_gone(
    c: Connection, repository_id: int, manifests: Collection[int], *, now: datetime
) -> None:
    """Note that the repository no longer has these manifests; what they were stays known."""
    for batch in batches(manifests):
        c.execute(
            update(repository_manifest)
            .where(
                repository_manifest.c.repository_id == repository_id,
                repository_manifest.c.manifest_id.in_(batch),
                repository_manifest.c.gone_at.is_(None),
            )
            .values(gone_at=now)
        )


def list_repository_names(c: Connection, prefix: str) -> dict[str, int]:
    """Every repository whose name starts so, with its id."""
    escaped = prefix.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")
    query = select(repository.c.name, repository.c.id).where(
        repository.c.name.like(escaped + "%", escape="\\")
    )
    return dict(c.execute(query).all())


def tag_history(c: Connection, name: str) -> tuple[TagPeriod, ...]:
    """What each tag of a repository pointed to: by tag, the newest period first; or NotFound."""
    number = c.scalar(select(repository.c.id).where(repository.c.name == name))
    if number is None:
        raise NotFound(f"no repository {name} is known", hint="imagecatalog images lists them")
    rows = c.execute(
        select(tag.c.name, manifest.c.digest, tag_period.c.since, tag_period.c.until)
        .join(tag_period, tag_period.c.tag_id == tag.c.id)
        .join(manifest, manifest.c.id == tag_period.c.manifest_id)
        .where(tag.c.repository_id == number)
        .order_by(tag.c.name, tag_period.c.since.desc())
    )
    return tuple(
        TagPeriod(tag=text, digest=str(digest), since=since, until=until)
        for text, digest, since, until in rows
    )


def list_repositories(
    c: Connection, *, search: str | None = None, limit: int | None = None, after: str | None = None
) -> Page[RepositorySummary]:
    """Repositories by name, each with its counts; ``search`` keeps names that contain it."""
    last = read_cursor(after, tuple[str])
    query = select(repository.c.id, repository.c.name).order_by(repository.c.name)
    if search:
        query = query.where(repository.c.name.icontains(search, autoescape=True))
    if last is not None:
        query = query.where(repository.c.name > last[0])
    if limit is not None:
        query = query.limit(limit + 1)
    rows = [(number, name) for number, name in c.execute(query)]
    more = limit is not None and len(rows) > limit
    rows = rows[:limit]
    summaries = _summarise(c, rows)
    return Page(summaries, make_cursor(rows[-1][1]) if more else None)


def _summarise(c: Connection, rows: Sequence[tuple[int, str]]) -> tuple[RepositorySummary, ...]:
    numbers = [number for number, _ in rows]
    images: dict[int, int] = {}
    running: dict[int, int] = {}
    tags: dict[int, int] = {}
    newest: dict[int, tuple[str, datetime]] = {}
    for batch in batches(numbers):
        here = repository_manifest.c.repository_id.in_(batch)
        held = (
            select(repository_manifest.c.repository_id, func.count())
            .join(manifest, manifest.c.id == repository_manifest.c.manifest_id)
            .where(here, manifest.c.kind != INDEX)
            .group_by(repository_manifest.c.repository_id)
        )
        images.update(c.execute(held).all())
        alive = (
            select(run_image.c.manifest_id)
            .join(run, and_(run.c.run_image_id == run_image.c.id, run.c.until.is_(None)))
            .where(run_image.c.manifest_id.is_not(None))
        )
        runs = (
            select(repository_manifest.c.repository_id, func.count())
            .where(here, repository_manifest.c.manifest_id.in_(alive))
            .group_by(repository_manifest.c.repository_id)
        )
        running.update(c.execute(runs).all())
        current = (
            select(tag.c.repository_id, tag.c.name, tag_period.c.since)
            .join(tag_period, and_(tag_period.c.tag_id == tag.c.id, tag_period.c.until.is_(None)))
            .where(tag.c.repository_id.in_(batch))
            .order_by(tag_period.c.since, tag.c.name != "latest", tag.c.name)
        )
        for number, name, since in c.execute(current):
            tags[number] = tags.get(number, 0) + 1
            newest[number] = (name, since)
    return tuple(
        RepositorySummary(
            repository=name,
            tags=tags.get(number, 0),
            images=images.get(number, 0),
            running=running.get(number, 0),
            newest_tag=newest[number][0] if number in newest else None,
            newest_seen=newest[number][1] if number in newest else None,
        )
        for number, name in rows
    )
