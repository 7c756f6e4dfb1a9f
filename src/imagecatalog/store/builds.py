"""Builds as their tellers have them, and the names that they gave to images."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, bindparam, or_, select, tuple_

from imagecatalog.domain.builds import Evidence, Role, Signature
from imagecatalog.domain.lineage import BuildItem, ParentItem, RegisteredName
from imagecatalog.domain.refs import Digest
from imagecatalog.store.dialect import batches, insert_new, insert_returning
from imagecatalog.store.edges import note_changes
from imagecatalog.store.page import Page, make_cursor, read_cursor
from imagecatalog.store.schema import build, build_parent, index_member, manifest


class BuildRow(Struct, frozen=True, kw_only=True):
    """A build as it goes into the catalog; its fields are the columns."""

    digest: bytes
    """Of evidence and body: two rows never share it."""
    evidence: Evidence
    subject: Digest | None
    image: str | None
    """The whole name with its registry and tag, so that it can be compared with tags."""
    platform: str | None
    builder: str | None
    builder_version: str | None
    started: datetime | None
    finished: datetime | None
    source_repository: str | None
    source_revision: str | None
    source_path: str | None
    link: str | None
    reason: str | None
    told_by: str | None
    signature: Signature | None
    received: datetime
    body: bytes
    set_id: int | None


class ParentRow(Struct, frozen=True):
    """What a build was built from; without ``digest`` its name waits to be settled."""

    role: Role
    digest: Digest | None
    image: str | None
    resolved: str | None


class KnownBuild(Struct, frozen=True):
    """A build that was told before."""

    id: int
    subject: Digest | None
    pending: tuple[str, ...]
    """The names of parents that wait to be settled."""


_FIND = select(build.c.digest, build.c.id, build.c.subject).where(
    build.c.digest.in_(bindparam("keys", expanding=True))
)
_WAITING = (
    select(build_parent.c.build_id, build_parent.c.image)
    .where(
        build_parent.c.build_id.in_(bindparam("builds", expanding=True)),
        build_parent.c.digest.is_(None),
    )
    .order_by(build_parent.c.build_id, build_parent.c.position)
)


def find_builds(c: Connection, keys: Collection[bytes]) -> dict[bytes, KnownBuild]:
    """The builds of these evidences and bodies that were told before, by their key."""
    found: dict[bytes, KnownBuild] = {}
    for batch in batches(keys):
        rows = c.execute(_FIND, {"keys": batch}).all()
        pending: dict[int, list[str]] = {}
        for chunk in batches([row.id for row in rows]):
            for number, name in c.execute(_WAITING, {"builds": chunk}):
                pending.setdefault(number, []).append(name or "")
        for key, number, subject in rows:
            found[bytes(key)] = KnownBuild(number, subject, tuple(pending.get(number, ())))
    return found


def put_builds(
    c: Connection, rows: Sequence[BuildRow], parents: Mapping[bytes, Sequence[ParentRow]]
) -> dict[bytes, int]:
    """Write builds, and their parents by their key; the numbers of those that are new, likewise."""
    values = [
        {name: getattr(row, name) for name in BuildRow.__struct_fields__}
        for row in sorted(rows, key=lambda row: row.digest)
    ]
    written = insert_returning(c, build, values, build.c.digest, build.c.id)
    numbers = {bytes(digest): int(number) for digest, number in written}
    for is_own in (True, False):  # what an image says itself, its children may just have inherited
        told = (
            row.subject
            for row in rows
            if row.subject and row.digest in numbers and (row.evidence == "annotation") == is_own
        )
        note_changes(c, told, spreads=is_own)
    insert_new(
        c,
        build_parent,
        [
            {
                "build_id": number,
                "position": position,
                "role": parent.role,
                "digest": parent.digest,
                "image": parent.image,
                "resolved": parent.resolved,
            }
            for key, number in numbers.items()
            for position, parent in enumerate(parents[key])
        ],
    )
    return numbers


def drop_builds(c: Connection, subject: Digest, evidence: Evidence, *, but: int) -> None:
    """Forget what was told of an image with this evidence before, but that one build."""
    old = (build.c.subject == subject, build.c.evidence == evidence, build.c.id != but)
    numbers = select(build.c.id).where(*old)
    note_changes(c, [subject], spreads=True)
    c.execute(build_parent.delete().where(build_parent.c.build_id.in_(numbers)))
    c.execute(build.delete().where(*old))


def list_subjects(c: Connection, number: int) -> dict[Digest, bool]:
    """The digests by which somebody may speak of an image; whether each is an index's that it is in."""
    own = c.execute(
        select(manifest.c.digest, manifest.c.config_digest).where(manifest.c.id == number)
    ).one_or_none()
    if own is None:
        return {}
    indexes = c.scalars(
        select(manifest.c.digest)
        .join(index_member, index_member.c.index_id == manifest.c.id)
        .where(index_member.c.manifest_id == number)
    )
    return dict.fromkeys(indexes, True) | {digest: False for digest in own if digest is not None}


def list_builds(c: Connection, number: int) -> tuple[BuildItem, ...]:
    """The builds that claim an image, or an index that it is in: the last told first."""
    subjects = list_subjects(c, number)
    platform = c.scalar(select(manifest.c.platform).where(manifest.c.id == number))
    rows = [
        row
        for row in c.execute(
            select(build)
            .where(build.c.subject.in_(subjects))
            .order_by(build.c.received.desc(), build.c.id.desc())
            .limit(_LISTED)
        )
        if not (subjects[row.subject] and row.platform and platform and row.platform != platform)
    ]
    parents = _list_parents(c, [row.id for row in rows])
    return tuple(_item(row, parents.get(row.id, ())) for row in rows)


_LISTED = 200
"""Builds of one image: more are of no use to a person."""


def _item(row: Any, parents: Sequence[ParentItem]) -> BuildItem:
    return BuildItem(
        evidence=row.evidence,
        image=row.image,
        digest=None if row.subject is None else str(row.subject),
        platform=row.platform,
        builder=row.builder,
        builder_version=row.builder_version,
        started=row.started,
        finished=row.finished,
        source_repository=row.source_repository,
        source_revision=row.source_revision,
        source_path=row.source_path,
        link=row.link,
        reason=row.reason,
        told_by=row.told_by,
        signature=row.signature,
        received=row.received,
        parents=tuple(parents),
    )


def _list_parents(c: Connection, builds: Collection[int]) -> dict[int, list[ParentItem]]:
    parents: dict[int, list[ParentItem]] = {}
    for batch in batches(builds):
        query = (
            select(build_parent)
            .where(build_parent.c.build_id.in_(batch))
            .order_by(build_parent.c.build_id, build_parent.c.position)
        )
        for row in c.execute(query):
            digest = None if row.digest is None else str(row.digest)
            item = ParentItem(image=row.image, digest=digest, role=row.role, resolved=row.resolved)
            parents.setdefault(row.build_id, []).append(item)
    return parents


def list_registered(
    c: Connection, repository: str, *, limit: int, after: str | None = None
) -> Page[RegisteredName]:
    """The names below a repository that registered builds gave, and to which images; by name."""
    place = read_cursor(after, tuple[str, int])
    query = (
        select(build.c.id, build.c.image, build.c.subject, build.c.builder)
        .where(
            build.c.evidence == "registered",
            build.c.image > f"{repository}:",
            build.c.image < f"{repository};",  # the character after the colon
        )
        .order_by(build.c.image, build.c.id)
        .limit(limit + 1)
    )
    if place:
        query = query.where(tuple_(build.c.image, build.c.id) > tuple_(*place))
    rows = c.execute(query).all()
    more = make_cursor(rows[limit - 1].image, rows[limit - 1].id) if len(rows) > limit else None
    return Page(
        tuple(
            RegisteredName(
                image=row.image,
                digest=None if row.subject is None else str(row.subject),
                builder=row.builder,
            )
            for row in rows[:limit]
        ),
        more,
    )


def find_named(c: Connection, names: Collection[str]) -> int | None:
    """The image or index that the last build gave one of these whole names to, if it is known."""
    found = c.scalar(
        select(manifest.c.id)
        .join(
            build,
            or_(build.c.subject == manifest.c.digest, build.c.subject == manifest.c.config_digest),
        )
        .where(build.c.image.in_(names), build.c.evidence == "registered")
        .order_by(build.c.id.desc(), manifest.c.id)
        .limit(1)
    )
    return None if found is None else int(found)


def list_given_names(c: Connection, manifests: Collection[int]) -> dict[int, str]:
    """The name that the last build gave to each image, for those that have one."""
    names: dict[int, str] = {}
    for batch in batches(set(manifests)):
        query = (
            select(manifest.c.id, manifest.c.digest, build.c.image)
            .join(build, build.c.subject == manifest.c.digest)
            .where(manifest.c.id.in_(batch), build.c.image.is_not(None))
            .order_by(build.c.id)
        )
        for number, digest, name in c.execute(query):
            is_tagged = ":" in name.rpartition("/")[2]
            names[number] = name if is_tagged else f"{name}@{digest}"
    return names
