"""Repositories, tags with their past, images and indexes by digest."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, and_, func, or_, select

from imagecatalog.domain.contents import FileProblem
from imagecatalog.domain.images import Descriptor
from imagecatalog.domain.packages import Distro, Unknown
from imagecatalog.domain.refs import Digest
from imagecatalog.store import standing_images
from imagecatalog.store.builds import list_given_names
from imagecatalog.store.chains import put_chains
from imagecatalog.store.dialect import batches, insert_new, upsert
from imagecatalog.store.edges import note_changes
from imagecatalog.store.labels import put_labels
from imagecatalog.store.layers import put_layers
from imagecatalog.store.schema import (
    distro,
    index_member,
    manifest,
    repository,
    repository_manifest,
    run,
    run_image,
    tag,
    tag_period,
)
from imagecatalog.store.shelf import Shelf

INDEX, IMAGE, UNREAD = 0, 1, 2

INDEX_READER = 1
"""Version of what is read of an index: with that of an older release it is read once more."""

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
    problems: tuple[FileProblem, ...] = ()
    reader: int | None = None
    labels: Mapping[str, str] = {}
    """Of its configuration and its manifest's annotations."""


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
            read_with = INDEX_READER if kind == INDEX else reader
            settled = unknown not in _WORTH_ANOTHER_TRY and read_by == read_with
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
    put_layers(c, shelf, [layer for facts in images for layer in facts.layers])
    piles = {facts.digest: tuple(layer.digest for layer in facts.layers) for facts in images}
    chains = put_chains(c, shelf, piles.values())
    rows = {
        facts.digest: _row(facts, kind, chains.get(piles[facts.digest]), now) for facts in images
    }
    written = upsert(
        c,
        manifest,
        list(rows.values()),
        key=["digest"],
        keep=["first_seen"],
        returned=[manifest.c.digest, manifest.c.id],
    )
    numbers = {digest: int(number) for digest, number in written}
    note_changes(c, rows, spreads=True)
    standing_images.forget_images(c, numbers.values())
    put_labels(c, shelf, {numbers[facts.digest]: facts.labels for facts in images})
    return [numbers[facts.digest] for facts in images]


def _row(facts: ImageFacts, kind: int, pile: bytes | None, now: datetime) -> dict[str, Any]:
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
        "problems": msgspec.json.encode(facts.problems).decode() if facts.problems else None,
        "reader": facts.reader,
        "chain": pile,
        "inventory_id": None,
    }


def put_index(
    c: Connection,
    shelf: Shelf,
    digest: Digest,
    media_type: str,
    members: Sequence[int],
    *,
    missing: Sequence[Digest] = (),
    settled: bool = True,
    now: datetime,
) -> int:
    """Write an index over images that are there; ``missing`` are those that its source lacks.

    One that is not ``settled`` is read again the next time.
    """
    why = None
    if missing:
        why = Unknown("member-missing", f"the registry lacks its {', '.join(missing)}")
    reader = INDEX_READER if settled else None
    facts = ImageFacts(digest=digest, media_type=media_type, unknown=why, reader=reader)
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


def list_members_by_platform(
    c: Connection, indexes: Collection[int]
) -> dict[int, dict[int, str | None]]:
    """The images of each index, in its order, each with its platform."""
    members: dict[int, dict[int, str | None]] = {}
    for batch in batches(indexes):
        query = (
            select(index_member.c.index_id, index_member.c.manifest_id, manifest.c.platform)
            .join(manifest, manifest.c.id == index_member.c.manifest_id)
            .where(index_member.c.index_id.in_(batch))
            .order_by(index_member.c.index_id, index_member.c.position)
        )
        for index, member, platform in c.execute(query):
            members.setdefault(index, {})[member] = platform
    return members


def count_running(c: Connection, manifests: Collection[int]) -> dict[int, int]:
    """How many containers run each image now; images that do not run are left out."""
    counts: dict[int, int] = {}
    for batch in batches(set(manifests)):
        query = (
            select(run_image.c.manifest_id, func.sum(run.c.replicas))
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
    """One name for each image: by its newest tag, else a build's, else by repository and digest."""
    names = {number: known[0] for number, known in list_tag_names(c, manifests).items()}
    names |= list_given_names(c, set(manifests) - names.keys())
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
