"""What is known of an image's parents and children: claims of builds, and layers begun with."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Select, and_, bindparam, false, func, select

from imagecatalog.domain.builds import Evidence, Role
from imagecatalog.domain.refs import Digest
from imagecatalog.store.dialect import batches
from imagecatalog.store.images import IMAGE, INDEX
from imagecatalog.store.schema import (
    build,
    build_parent,
    chain,
    index_member,
    manifest,
    package_chunk_member,
    package_set_chunk,
    package_version,
    repository_manifest,
)


class Subject(Struct, frozen=True):
    """An image by all the digests under which somebody may speak of it."""

    id: int
    digest: Digest
    config_digest: Digest | None
    platform: str | None
    chain: bytes | None
    indexes: tuple[Digest, ...] = ()

    @property
    def names(self) -> tuple[Digest, ...]:
        """Every digest that means it, each once."""
        own = () if self.config_digest is None else (self.config_digest,)
        return tuple(dict.fromkeys((self.digest, *own, *self.indexes)))


class Claim(Struct, frozen=True):
    """What one build says of one of its parents."""

    build: int
    subject: Digest
    evidence: Evidence
    platform: str | None
    """Of the build; None: of every image of the index it names."""
    received: datetime
    role: Role
    digest: Digest | None
    image: str | None


class Known(Struct, frozen=True):
    """An image that a digest may mean, with the platform that tells it from others."""

    id: int
    platform: str | None
    is_member: bool
    """Of the index that the digest names."""


_SUBJECTS: Select[Any] = select(
    manifest.c.id,
    manifest.c.digest,
    manifest.c.config_digest,
    manifest.c.platform,
    manifest.c.chain,
).where(manifest.c.id.in_(bindparam("ids", expanding=True)), manifest.c.kind != INDEX)

_INDEXES_OF: Select[Any] = (
    select(index_member.c.manifest_id, manifest.c.digest)
    .join(manifest, manifest.c.id == index_member.c.index_id)
    .where(index_member.c.manifest_id.in_(bindparam("ids", expanding=True)))
    .order_by(manifest.c.id)
)

MOST_BUILDS = 100
"""Builds of one image that are heard, of each evidence: the last told. One may be built the same daily."""


def _make_claims() -> Select[Any]:
    columns = (build.c.id, build.c.subject, build.c.evidence, build.c.platform, build.c.received)
    order = (build.c.received.desc(), build.c.id.desc())
    place = func.row_number().over(partition_by=(build.c.subject, build.c.evidence), order_by=order)
    ranked = (
        select(*columns, place.label("place"))
        .where(build.c.subject.in_(bindparam("digests", expanding=True)))
        .subquery()
    )
    return (
        select(
            ranked.c.id,
            ranked.c.subject,
            ranked.c.evidence,
            ranked.c.platform,
            ranked.c.received,
            build_parent.c.role,
            build_parent.c.digest,
            build_parent.c.image,
        )
        .join(build_parent, build_parent.c.build_id == ranked.c.id)
        .where(ranked.c.place <= MOST_BUILDS)
        .order_by(ranked.c.received.desc(), ranked.c.id.desc(), build_parent.c.position)
    )


_CLAIMS = _make_claims()


def list_subjects(c: Connection, numbers: Collection[int]) -> dict[int, Subject]:
    """Those of the numbers that are images, each with the indexes it is in."""
    found: dict[int, Subject] = {}
    for batch in batches(set(numbers)):
        indexes: dict[int, list[Digest]] = {}
        for number, digest in c.execute(_INDEXES_OF, {"ids": batch}):
            indexes.setdefault(number, []).append(digest)
        for row in c.execute(_SUBJECTS, {"ids": batch}):
            found[row.id] = Subject(
                row.id,
                row.digest,
                row.config_digest,
                row.platform,
                row.chain,
                tuple(indexes.get(row.id, ())),
            )
    return found


def list_claims(c: Connection, digests: Iterable[Digest]) -> dict[Digest, list[Claim]]:
    """What builds of these subjects say of their parents, the last told first."""
    found: dict[Digest, list[Claim]] = {}
    for batch in batches(set(digests)):
        for row in c.execute(_CLAIMS, {"digests": batch}):
            claim = Claim(*row)
            found.setdefault(claim.subject, []).append(claim)
    return found


_BY_DIGEST: Select[Any] = select(
    manifest.c.digest, manifest.c.id, manifest.c.kind, manifest.c.platform
).where(manifest.c.digest.in_(bindparam("digests", expanding=True)))

_MEMBERS: Select[Any] = (
    select(index_member.c.index_id, manifest.c.id, manifest.c.platform)
    .join(manifest, manifest.c.id == index_member.c.manifest_id)
    .where(index_member.c.index_id.in_(bindparam("ids", expanding=True)))
    .order_by(index_member.c.index_id, index_member.c.position)
)

_BY_CONFIG: Select[Any] = (
    select(manifest.c.config_digest, manifest.c.id, manifest.c.platform)
    .where(manifest.c.config_digest.in_(bindparam("digests", expanding=True)))
    .order_by(manifest.c.id)
)


def find_meant(c: Connection, digests: Iterable[Digest]) -> dict[Digest, list[Known]]:
    """The images that each digest may mean: a manifest, an index's images, those of a configuration."""
    found: dict[Digest, list[Known]] = {}
    wanted = set(digests)
    indexes: dict[int, Digest] = {}
    for batch in batches(wanted):
        for digest, number, kind, platform in c.execute(_BY_DIGEST, {"digests": batch}):
            if kind == INDEX:
                indexes[number] = digest
            else:
                found[digest] = [Known(number, platform, False)]
    for numbers in batches(indexes):
        for index, number, platform in c.execute(_MEMBERS, {"ids": numbers}):
            found.setdefault(indexes[index], []).append(Known(number, platform, True))
    for batch in batches(wanted - found.keys() - set(indexes.values())):
        for digest, number, platform in c.execute(_BY_CONFIG, {"digests": batch}):
            found.setdefault(digest, []).append(Known(number, platform, False))
    return found


def _is_held(pile: Any) -> Any:
    """Whether a chain is all the layers of some image."""
    # PostgreSQL would answer an EXISTS from a list of all images, which it made first.
    one = select(manifest.c.id).where(manifest.c.chain == pile, manifest.c.kind == IMAGE).limit(1)
    return one.scalar_subquery().is_not(None).label("held")


def _make_nearest() -> Select[Any]:
    up = (
        select(chain.c.digest.label("below"), chain.c.parent, _is_held(chain.c.parent))
        .where(chain.c.digest.in_(bindparam("ends", expanding=True)))
        .cte("up", recursive=True)
    )
    up = up.union_all(
        select(up.c.below, chain.c.parent, _is_held(chain.c.parent))
        .join(chain, chain.c.digest == up.c.parent)
        .where(up.c.held == false())
    )
    return select(up.c.below, up.c.parent).where(up.c.held)


_NEAREST = _make_nearest()

MOST_EQUAL = 200
"""Images of the very same layers that are looked at: those made first."""


def _make_holding() -> Select[Any]:
    order = (manifest.c.created.is_(None), manifest.c.created, manifest.c.digest)
    place = func.row_number().over(partition_by=manifest.c.chain, order_by=order)
    ranked = (
        select(manifest.c.chain, manifest.c.id, place.label("place"))
        .where(manifest.c.chain.in_(bindparam("ends", expanding=True)), manifest.c.kind == IMAGE)
        .subquery()
    )
    return (
        select(ranked.c.chain, ranked.c.id)
        .where(ranked.c.place <= MOST_EQUAL)
        .order_by(ranked.c.chain, ranked.c.place)
    )


_HOLDING = _make_holding()

_HOMES: Select[Any] = select(
    repository_manifest.c.manifest_id, repository_manifest.c.repository_id
).where(repository_manifest.c.manifest_id.in_(bindparam("ids", expanding=True)))


def find_nearest(c: Connection, ends: Collection[bytes]) -> dict[bytes, bytes]:
    """The longest proper beginning of each chain that some image consists of."""
    found: dict[bytes, bytes] = {}
    for batch in batches(set(ends)):
        rows = c.execute(_NEAREST, {"ends": batch})
        found.update((bytes(below), bytes(nearest)) for below, nearest in rows)
    return found


def list_of_chains(c: Connection, ends: Collection[bytes]) -> dict[bytes, list[int]]:
    """The first 200 images that consist of each chain: made first, first; then by digest."""
    found: dict[bytes, list[int]] = {}
    for batch in batches(set(ends)):
        for end, number in c.execute(_HOLDING, {"ends": batch}):
            found.setdefault(bytes(end), []).append(number)
    return found


def list_homes(c: Connection, numbers: Collection[int]) -> dict[int, set[int]]:
    """The repositories that have or had each image."""
    found: dict[int, set[int]] = {}
    for batch in batches(set(numbers)):
        for number, home in c.execute(_HOMES, {"ids": batch}):
            found.setdefault(number, set()).add(home)
    return found


def _make_descent() -> Select[Any]:
    down = (
        select(chain.c.digest, _is_held(chain.c.digest))
        .where(chain.c.parent.in_(bindparam("ends", expanding=True)))
        .cte("down", recursive=True)
    )
    down = down.union_all(
        select(chain.c.digest, _is_held(chain.c.digest))
        .join(down, chain.c.parent == down.c.digest)
        .where(down.c.held == false())
    )
    return (
        select(manifest.c.id)
        .join(down, and_(manifest.c.chain == down.c.digest, down.c.held))
        .where(manifest.c.kind == IMAGE)
        .limit(bindparam("most"))
    )


_DESCENT = _make_descent()


def list_begun_with(c: Connection, ends: Collection[bytes], limit: int) -> list[int]:
    """Images that begin with one of these chains and go on, none of another image in between."""
    found: list[int] = []
    for batch in batches(set(ends)):
        if len(found) < limit:
            found += c.scalars(_DESCENT, {"ends": batch, "most": limit - len(found)})
    return found


_CLAIMING: Select[Any] = (
    select(build.c.subject)
    .join(build_parent, build_parent.c.build_id == build.c.id)
    .where(
        build_parent.c.digest.in_(bindparam("digests", expanding=True)),
        build.c.subject.is_not(None),
    )
    .distinct()
    .limit(bindparam("most"))
)


def list_claiming(c: Connection, digests: Iterable[Digest], limit: int) -> list[Digest]:
    """What builds that name one of these as a parent were builds of."""
    found: list[Digest] = []
    for batch in batches(set(digests)):
        if len(found) < limit:
            found += c.scalars(_CLAIMING, {"digests": batch, "most": limit - len(found)})
    return found


_CONTENTS: Select[Any] = (
    select(
        manifest.c.id,
        package_version.c.type,
        package_version.c.name,
        package_version.c.arch,
        package_version.c.version,
    )
    .outerjoin(package_set_chunk, package_set_chunk.c.set_id == manifest.c.set_id)
    .outerjoin(
        package_chunk_member, package_chunk_member.c.chunk_id == package_set_chunk.c.chunk_id
    )
    .outerjoin(package_version, package_version.c.id == package_chunk_member.c.package_version_id)
    .where(manifest.c.id.in_(bindparam("images", expanding=True)), manifest.c.set_id.is_not(None))
)


def list_contents(
    c: Connection, images: Collection[int]
) -> dict[int, set[tuple[str, str, str, str]]]:
    """Type, name, architecture and version of the packages of each image of which they are known."""
    found: dict[int, set[tuple[str, str, str, str]]] = {}
    for batch in batches(set(images), 100):
        for number, kind, *rest in c.execute(_CONTENTS, {"images": batch}):
            inside = found.setdefault(number, set())
            if kind is not None:
                inside.add((kind, *rest))
    return found
