"""Repositories, tags with their past, images and indexes by digest."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, and_, func, or_, select, update

from imagecatalog.domain.answers import RepositorySummary, TagPeriod
from imagecatalog.domain.images import Descriptor
from imagecatalog.domain.packages import Distro, Unknown
from imagecatalog.domain.refs import Digest
from imagecatalog.errors import NotFound
from imagecatalog.store.dialect import batches, insert_new, upsert
from imagecatalog.store.layers import put_layers
from imagecatalog.store.page import Page, make_cursor, read_cursor
from imagecatalog.store.schema import (
    distro,
    index_member,
    manifest,
    manifest_layer,
    repository,
    repository_manifest,
    run,
    run_image,
    tag,
    tag_period,
)
from imagecatalog.store.shelf import Shelf

INDEX, IMAGE, UNREAD = 0, 1, 2

# The numbers stand in databases: only ever append.
MEDIA_TYPES = (
    "",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
)

# Bytes that differ from their digest, or are not there, may be so at the next try; other faults stay.
_WORTH_ANOTHER_TRY = ("digest-mismatch", "member-missing", "missing", "too-slow", "truncated")


class KnownManifest(Struct, frozen=True):
    """A manifest that the catalog holds."""

    number: int
    kind: int
    settled: bool
    """Reading it again would tell nothing new."""


class ImageFacts(Struct, frozen=True, kw_only=True):
    """An image as it goes into the catalog; the ids are the store's own."""

    digest: Digest
    media_type: str
    layers: tuple[Descriptor, ...] = ()
    config_digest: Digest | None = None
    platform: str | None = None
    created: datetime | None = None
    distro_id: int | None = None
    own_setup_id: int | None = None
    setup_id: int | None = None
    set_id: int | None = None
    unknown: Unknown | None = None
    reader: int | None = None


def put_repository(c: Connection, name: str) -> int:
    """The id of a repository, written if it is new; no other process writes to it meanwhile."""
    find = select(repository.c.id).where(repository.c.name == name)
    find = find.with_for_update(key_share=True)
    found = c.scalar(find)
    if found is None:
        insert_new(c, repository, [{"name": name}])
        found = c.execute(find).scalar_one()
    return int(found)


def put_distro(c: Connection, shelf: Shelf, value: Distro) -> int:
    """The id of a distribution's release, written if it is new."""
    if value not in shelf.distros:
        row = {
            "os_id": value.id,
            "version_id": value.version_id or "",
            "codename": value.codename or "",
            "pretty": value.pretty or "",
        }
        insert_new(c, distro, [row])
        find = select(distro.c.id).where(*(distro.c[name] == text for name, text in row.items()))
        shelf.distros[value] = c.execute(find).scalar_one()
    return shelf.distros[value]


def find_manifests(
    c: Connection, digests: Iterable[Digest], *, reader: int
) -> dict[Digest, KnownManifest]:
    """Those of the manifests that the catalog holds, as the given reader of contents sees them."""
    found = {}
    columns = (manifest.c.digest, manifest.c.id, manifest.c.kind)
    for batch in batches(set(digests)):
        query = select(*columns, manifest.c.reader, manifest.c.unknown_code).where(
            manifest.c.digest.in_(batch)
        )
        for digest, number, kind, read_by, unknown in c.execute(query):
            settled = unknown not in _WORTH_ANOTHER_TRY and (kind == INDEX or read_by == reader)
            found[digest] = KnownManifest(number, kind, settled)
    # An index is as settled as the images in it.
    indexes = [known.number for known in found.values() if known.kind == INDEX]
    unsettled = _list_unsettled(c, indexes, reader)
    return {
        digest: msgspec.structs.replace(known, settled=False)
        if known.number in unsettled
        else known
        for digest, known in found.items()
    }


def _list_unsettled(c: Connection, indexes: Collection[int], reader: int) -> set[int]:
    """Those of the indexes in which an image is worth another try."""
    unsettled: set[int] = set()
    for batch in batches(indexes):
        query = (
            select(index_member.c.index_id)
            .join(manifest, manifest.c.id == index_member.c.manifest_id)
            .where(
                index_member.c.index_id.in_(batch),
                or_(
                    manifest.c.reader.is_distinct_from(reader),
                    manifest.c.unknown_code.in_(_WORTH_ANOTHER_TRY),
                ),
            )
        )
        unsettled.update(c.scalars(query))
    return unsettled


def put_images(
    c: Connection,
    shelf: Shelf,
    images: Sequence[ImageFacts],
    *,
    kind: int = IMAGE,
    now: datetime,
) -> list[int]:
    """Write images, or write them anew where they are known; their first sight stays."""
    rows = {facts.digest: _row(facts, kind, now) for facts in images}
    written = upsert(
        c,
        manifest,
        list(rows.values()),
        key=["digest"],
        keep=["first_seen"],
        returned=[manifest.c.digest, manifest.c.id],
    )
    numbers = {digest: int(number) for digest, number in written}
    put_layers(c, shelf, [layer for facts in images for layer in facts.layers])
    insert_new(
        c,
        manifest_layer,
        [
            {
                "manifest_id": numbers[facts.digest],
                "position": position,
                "layer_id": shelf.layers[layer.digest],
            }
            for facts in images
            for position, layer in enumerate(facts.layers)
        ],
    )
    return [numbers[facts.digest] for facts in images]


def _row(facts: ImageFacts, kind: int, now: datetime) -> dict[str, Any]:
    return {
        "digest": facts.digest,
        "kind": kind,
        "media_type": _media_number(facts.media_type),
        "config_digest": facts.config_digest,
        "platform": facts.platform,
        "created": facts.created,
        "first_seen": now,
        "distro_id": facts.distro_id,
        "own_setup_id": facts.own_setup_id,
        "setup_id": facts.setup_id,
        "set_id": facts.set_id,
        "unknown_code": facts.unknown and facts.unknown.code,
        "unknown_reason": facts.unknown and facts.unknown.reason,
        "reader": facts.reader,
    }


def put_index(
    c: Connection,
    shelf: Shelf,
    digest: Digest,
    media_type: str,
    members: Sequence[int],
    *,
    missing: Sequence[Digest] = (),
    now: datetime,
) -> int:
    """Write an index over images that are there; ``missing`` are those that its source lacks."""
    why = None
    if missing:
        why = Unknown("member-missing", f"the registry lacks its {', '.join(missing)}")
    facts = ImageFacts(digest=digest, media_type=media_type, unknown=why)
    (number,) = put_images(c, shelf, [facts], kind=INDEX, now=now)
    insert_new(
        c,
        index_member,
        [
            {"index_id": number, "manifest_id": member, "position": position}
            for position, member in enumerate(members)
        ],
    )
    return number


def put_unread(
    c: Connection,
    shelf: Shelf,
    digest: Digest,
    media_type: str,
    *,
    platform: str | None = None,
    why: Unknown,
    reader: int,
    now: datetime,
) -> int:
    """Write that a manifest is there and why nothing is known of it, but what an index says."""
    facts = ImageFacts(
        digest=digest, media_type=media_type, platform=platform, unknown=why, reader=reader
    )
    return put_images(c, shelf, [facts], kind=UNREAD, now=now)[0]


def _media_number(media_type: str) -> int:
    return MEDIA_TYPES.index(media_type) if media_type in MEDIA_TYPES else 0


def list_members(c: Connection, indexes: Collection[int]) -> dict[int, list[int]]:
    """The images of each index, in its order."""
    members: dict[int, list[int]] = {}
    for batch in batches(indexes):
        query = (
            select(index_member.c.index_id, index_member.c.manifest_id)
            .where(index_member.c.index_id.in_(batch))
            .order_by(index_member.c.index_id, index_member.c.position)
        )
        for index, member in c.execute(query):
            members.setdefault(index, []).append(member)
    return members


def point_tags(
    c: Connection, repository_id: int, tags: Mapping[str, int], *, now: datetime
) -> None:
    """Make the repository's tags be exactly these, each pointing to a manifest, from ``now``.

    A tag that pointed elsewhere, or is no longer there, keeps its past.
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
    insert_new(
        c,
        repository_manifest,
        [{"repository_id": repository_id, "manifest_id": number} for number in manifests],
    )
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


def count_running(c: Connection, manifests: Collection[int]) -> dict[int, int]:
    """How many containers run each image now; images that do not run are left out."""
    counts: dict[int, int] = {}
    for batch in batches(set(manifests)):
        query = (
            select(run_image.c.manifest_id, func.count())
            .join(run, and_(run.c.run_image_id == run_image.c.id, run.c.until.is_(None)))
            .where(run_image.c.manifest_id.in_(batch))
            .group_by(run_image.c.manifest_id)
        )
        counts.update((number, count) for number, count in c.execute(query))
    return counts


def list_tag_names(c: Connection, manifests: Collection[int]) -> dict[int, list[str]]:
    """Whole names (``registry/path:tag``) that point, or else pointed, to each image, newest first.

    An image that only an index names goes by the index's tags.
    """
    names: dict[int, list[str]] = {}
    for batch in batches(set(manifests)):
        parents = select(
            index_member.c.manifest_id, index_member.c.index_id.label("pointed")
        ).where(index_member.c.manifest_id.in_(batch))
        selves = select(manifest.c.id, manifest.c.id.label("pointed")).where(
            manifest.c.id.in_(batch)
        )
        ways = selves.union(parents).subquery()
        query = (
            select(ways.c.id, repository.c.name, tag.c.name)
            .join(tag_period, tag_period.c.manifest_id == ways.c.pointed)
            .join(tag, tag.c.id == tag_period.c.tag_id)
            .join(repository, repository.c.id == tag.c.repository_id)
            .order_by(
                ways.c.id,
                tag_period.c.until.is_not(None),
                tag.c.name == "latest",
                tag_period.c.since.desc(),
                tag.c.name.desc(),
            )
        )
        for number, path, name in c.execute(query):
            whole = f"{path}:{name}"
            if whole not in names.setdefault(number, []):
                names[number].append(whole)
    return names


def best_names(c: Connection, manifests: Collection[int]) -> dict[int, str]:
    """One name for each image: by its newest tag, else by repository and digest."""
    names = {number: known[0] for number, known in list_tag_names(c, manifests).items()}
    nameless = set(manifests) - names.keys()
    for batch in batches(nameless):
        query = (
            select(manifest.c.id, repository.c.name, manifest.c.digest)
            .join(repository_manifest, repository_manifest.c.manifest_id == manifest.c.id)
            .join(repository, repository.c.id == repository_manifest.c.repository_id)
            .where(manifest.c.id.in_(batch))
        )
        for number, path, digest in c.execute(query):
            names.setdefault(number, f"{path}@{digest}")
    return names


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


def find_by_digest_start(c: Connection, text: str, *, limit: int = 20) -> list[tuple[int, Digest]]:
    """Images and indexes whose digest or configuration digest starts so (``sha256:`` may be left out)."""
    encoded = text.removeprefix("sha256:").lower()
    if not encoded or len(encoded) > 64 or any(sign not in "0123456789abcdef" for sign in encoded):
        return []
    low = Digest("sha256:" + encoded.ljust(64, "0"))
    high = Digest("sha256:" + encoded.ljust(64, "f"))
    query = (
        select(manifest.c.id, manifest.c.digest)
        .where(
            or_(
                manifest.c.digest.between(low, high),
                manifest.c.config_digest.between(low, high),
            )
        )
        .order_by(manifest.c.digest)
        .limit(limit)
    )
    return [(number, digest) for number, digest in c.execute(query)]
