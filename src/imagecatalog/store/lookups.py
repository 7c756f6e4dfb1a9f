"""Finds an image by any of its names: digest, configuration digest, tag, reference."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, and_, or_, select

from imagecatalog.domain.contents import FileProblem
from imagecatalog.domain.refs import Digest, Reference
from imagecatalog.errors import BadName, NotFound
from imagecatalog.store.builds import find_named
from imagecatalog.store.dialect import batches
from imagecatalog.store.images import (
    INDEX,
    MEDIA_TYPES,
    find_by_digest_start,
    list_members_by_platform,
)
from imagecatalog.store.schema import (
    chain,
    distro,
    index_member,
    layer,
    manifest,
    repository,
    repository_manifest,
    tag,
    tag_period,
)

_USUAL_PLATFORM = "linux/amd64"
_PROBLEMS = msgspec.json.Decoder(tuple[FileProblem, ...])


class ImageRow(Struct, frozen=True, gc=False):
    """An image as a verdict needs it."""

    id: int
    digest: Digest
    kind: int
    platform: str | None
    distro: str | None
    set_id: int | None
    setup_id: int | None
    unknown_code: str | None
    """Why its packages are not known: its layers do not tell, and nobody else does."""
    unknown_reason: str | None
    created: datetime | None
    first_seen: datetime
    media_type: str
    config_digest: Digest | None
    problems: tuple[FileProblem, ...] = ()
    scope_id: int | None = None
    """The scope of its distribution; None where it has none."""


class LayerRow(Struct, frozen=True):
    """A layer of an image."""

    digest: Digest
    size: int
    problem: str | None


def list_images(c: Connection, numbers: Collection[int]) -> dict[int, ImageRow]:
    """These images and indexes."""
    found: dict[int, ImageRow] = {}
    for batch in batches(set(numbers)):
        query = (
            select(
                manifest, distro.c.os_id, distro.c.version_id, distro.c.codename, distro.c.scope_id
            )
            .outerjoin(distro, distro.c.id == manifest.c.distro_id)
            .where(manifest.c.id.in_(batch))
        )
        for row in c.execute(query).all():
            release = " ".join(part for part in (row.os_id, row.version_id or row.codename) if part)
            found[row.id] = ImageRow(
                row.id,
                row.digest,
                row.kind,
                row.platform,
                release or None,
                row.set_id,
                row.setup_id,
                None if row.inventory_id else row.unknown_code,
                None if row.inventory_id else row.unknown_reason,
                row.created,
                row.first_seen,
                MEDIA_TYPES[row.media_type],
                row.config_digest,
                _PROBLEMS.decode(row.problems) if row.problems and not row.inventory_id else (),
                row.scope_id,
            )
    return found


def list_image_ids(c: Connection, *, repository_name: str | None = None) -> list[int]:
    """Every image that some registry still has, or all that one repository has or had.

    With those that no registry showed and whose packages were told.
    """
    query = (
        select(manifest.c.id)
        .join(repository_manifest, repository_manifest.c.manifest_id == manifest.c.id)
        .where(manifest.c.kind != INDEX)
        .distinct()
    )
    if repository_name is None:
        met = select(repository_manifest.c.manifest_id).where(
            repository_manifest.c.manifest_id == manifest.c.id
        )
        told = select(manifest.c.id).where(
            manifest.c.inventory_id.is_not(None), manifest.c.kind != INDEX, ~met.exists()
        )
        there = query.where(repository_manifest.c.gone_at.is_(None))
        return [*c.scalars(there), *c.scalars(told)]
    query = query.join(repository, repository.c.id == repository_manifest.c.repository_id)
    return list(c.scalars(query.where(repository.c.name == repository_name)))


def list_layers(c: Connection, number: int) -> list[LayerRow]:
    """The layers of an image, the base first."""
    up = (
        select(chain.c.parent, chain.c.layer_id, chain.c.depth)
        .join(manifest, manifest.c.chain == chain.c.digest)
        .where(manifest.c.id == number)
        .cte("up", recursive=True)
    )
    up = up.union_all(
        select(chain.c.parent, chain.c.layer_id, chain.c.depth).join(
            up, chain.c.digest == up.c.parent
        )
    )
    query = (
        select(layer.c.digest, layer.c.size, layer.c.problem_reason)
        .join(up, up.c.layer_id == layer.c.id)
        .order_by(up.c.depth)
    )
    return [LayerRow(*row) for row in c.execute(query)]


def list_indexes(c: Connection, number: int) -> list[tuple[int, Digest]]:
    """The indexes that name an image."""
    query = (
        select(manifest.c.id, manifest.c.digest)
        .join(index_member, index_member.c.index_id == manifest.c.id)
        .where(index_member.c.manifest_id == number)
        .order_by(manifest.c.first_seen.desc(), manifest.c.id)
    )
    return [(row.id, row.digest) for row in c.execute(query)]


def list_repositories_of(c: Connection, number: int) -> list[tuple[str, datetime | None]]:
    """The repositories that have or had an image, and since when they no longer have it."""
    query = (
        select(repository.c.name, repository_manifest.c.gone_at)
        .join(repository_manifest, repository_manifest.c.repository_id == repository.c.id)
        .where(repository_manifest.c.manifest_id == number)
        .order_by(repository.c.name)
    )
    return [(row.name, row.gone_at) for row in c.execute(query)]


def find_by_digest(c: Connection, digests: Iterable[Digest]) -> dict[Digest, tuple[int, int]]:
    """Number and kind of the manifests with these digests."""
    found: dict[Digest, tuple[int, int]] = {}
    for batch in batches(set(digests)):
        query = select(manifest.c.digest, manifest.c.id, manifest.c.kind).where(
            manifest.c.digest.in_(batch)
        )
        found.update((row.digest, (row.id, row.kind)) for row in c.execute(query))
    return found


def find_by_config(c: Connection, digests: Iterable[Digest]) -> dict[Digest, list[int]]:
    """The images with these configuration digests, oldest first."""
    found: dict[Digest, list[int]] = {}
    for batch in batches(set(digests)):
        query = (
            select(manifest.c.config_digest, manifest.c.id)
            .where(manifest.c.config_digest.in_(batch))
            .order_by(manifest.c.id)
        )
        for digest, number in c.execute(query):
            found.setdefault(digest, []).append(number)
    return found


def find_tag(c: Connection, name: str, tag_name: str, *, at: datetime | None = None) -> int | None:
    """What a tag points to, or pointed to at that moment."""
    when = (
        tag_period.c.until.is_(None)
        if at is None
        else and_(
            tag_period.c.since <= at, or_(tag_period.c.until.is_(None), tag_period.c.until > at)
        )
    )
    found = c.scalar(
        select(tag_period.c.manifest_id)
        .join(tag, tag.c.id == tag_period.c.tag_id)
        .join(repository, repository.c.id == tag.c.repository_id)
        .where(repository.c.name == name, tag.c.name == tag_name, when)
        .order_by(tag_period.c.since.desc())
        .limit(1)
    )
    return None if found is None else int(found)


def choose_members(c: Connection, numbers: Collection[int]) -> dict[int, int]:
    """For each index the image that is meant where nobody says which: linux/amd64, else its first.

    What has no platform, as a signature, is no image but where there is nothing else.
    """
    return choose_usual(list_members_by_platform(c, numbers))


def choose_usual(members: Mapping[int, Mapping[int, str | None]]) -> dict[int, int]:
    """The same of indexes whose images are at hand, each with its platform."""
    return {
        index: min(many, key=lambda one: (many[one] != _USUAL_PLATFORM, many[one] is None))
        for index, many in members.items()
        if many
    }


def resolve(c: Connection, text: str) -> int:
    """The image or index that a person means: a reference, a digest, or a digest's first letters.

    A name may be given without its registry where that is clear. Raises NotFound, or BadName where
    several images fit.
    """
    if "/" not in text and ":" not in text.removeprefix("sha256:"):
        by_start = find_by_digest_start(c, text) if len(text.removeprefix("sha256:")) >= 6 else []
        if len(by_start) == 1 or (by_start and by_start[0][1] == text):
            return by_start[0][0]
        if by_start:
            several = ", ".join(digest[:23] for _, digest in by_start[:5])
            raise BadName(f"{text} begins several digests: {several}", hint="give more of it")
    reference = Reference.parse(text)
    if reference.digest is not None:
        found = find_by_digest(c, [reference.digest]).get(reference.digest)
        if found is not None:
            return found[0]
    else:
        for name in _candidates(c, text, reference):
            number = _tagged(c, name, reference.tag)
            if number is not None:
                return number
        given = find_named(c, [f"{reference.name}:{reference.tag or 'latest'}"])
        if given is not None:
            return given
    raise NotFound(
        f"no image {text} is known",
        hint="imagecatalog images lists what is; sync brings it up to date",
    )


def _candidates(c: Connection, text: str, reference: Reference) -> list[str]:
    """Repositories that may be meant: the whole name, else those that end so."""
    written = text.partition("@")[0]
    if reference.tag is not None:
        written = written.removesuffix(":" + reference.tag)
    query = (
        select(repository.c.name)
        .where(
            or_(
                repository.c.name.in_([reference.name, written]),
                repository.c.name.endswith("/" + written, autoescape=True),
            )
        )
        .order_by(repository.c.name)
    )
    names = list(c.scalars(query))
    exact = [name for name in (reference.name, written) if name in names]
    if not exact and len(names) > 1:
        raise BadName(
            f"{text} may mean any of {', '.join(names[:5])}", hint="write it with its registry"
        )
    return exact or names


def _tagged(c: Connection, name: str, tag_name: str | None) -> int | None:
    if tag_name is not None:
        now = find_tag(c, name, tag_name)
        return now if now is not None else _last_meaning(c, name, tag_name)
    latest = find_tag(c, name, "latest")
    return latest if latest is not None else _last_meaning(c, name, None)


def _last_meaning(c: Connection, name: str, tag_name: str | None) -> int | None:
    """What a tag that is gone last pointed to; without a tag, the newest that points anywhere."""
    query = (
        select(tag_period.c.manifest_id)
        .join(tag, tag.c.id == tag_period.c.tag_id)
        .join(repository, repository.c.id == tag.c.repository_id)
        .where(repository.c.name == name)
        .order_by(tag_period.c.until.is_not(None), tag_period.c.since.desc(), tag.c.name.desc())
        .limit(1)
    )
    if tag_name is not None:
        query = query.where(tag.c.name == tag_name)
    found = c.scalar(query)
    return None if found is None else int(found)
