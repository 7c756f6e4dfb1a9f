"""Package lists that somebody told of images, and which list counts for each image.

What was read from an image's layers counts before what an SBOM says, and that before what was
registered with a build; of one kind the newest.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Select, bindparam, func, or_, select, update

from imagecatalog.domain.packages import Distro, Unknown
from imagecatalog.domain.refs import Digest
from imagecatalog.store import standing_images
from imagecatalog.store.dialect import batches, insert_returning
from imagecatalog.store.edges import forget_images, note_changes, note_images
from imagecatalog.store.images import INDEX, UNREAD
from imagecatalog.store.schema import (
    debmonitor_report,
    distro,
    index_member,
    inventory,
    manifest,
    manifest_label,
    run_image,
    succession,
)

KINDS = ("sbom", "registered")
"""The kinds of lists, the one that counts first."""


class InventoryRow(Struct, frozen=True, kw_only=True):
    """A list as it goes into the catalog; its fields are the columns."""

    subject: Digest
    digest: bytes
    """Of the list as it was told: of one image two rows never share it."""
    kind: str
    told_by: str
    format: str
    tool: str | None
    platform: str | None
    received: datetime
    set_id: int
    distro_id: int | None
    problem: str | None


class Subject(Struct, frozen=True):
    """An image whose packages may be told by lists."""

    distro: Distro | None
    id: int
    digest: Digest
    config_digest: Digest | None
    platform: str | None
    own_setup_id: int | None
    setup_id: int | None
    set_id: int | None
    inventory_id: int | None
    distro_id: int | None
    unknown_code: str | None

    @property
    def is_read(self) -> bool:
        """Whether its packages were read from its layers."""
        return self.set_id is not None and self.inventory_id is None and self.unknown_code is None


class Told(Struct, frozen=True):
    """A list that speaks of an image."""

    id: int
    kind: str
    set_id: int
    distro_id: int | None
    distro: Distro | None
    platform: str | None
    """Of the packages, where it is known."""


def put_inventories(c: Connection, rows: Sequence[InventoryRow]) -> dict[tuple[Digest, bytes], int]:
    """Write lists; the numbers of those that are new, by their key."""
    values = [
        {name: getattr(row, name) for name in InventoryRow.__struct_fields__}
        for row in sorted(rows, key=lambda row: (row.subject, row.digest))
    ]
    columns = inventory.c.subject, inventory.c.digest, inventory.c.id
    written = insert_returning(c, inventory, values, *columns)
    return {(subject, bytes(digest)): number for subject, digest, number in written}


_SUBJECTS: Select[Any] = (
    select(
        manifest.c.id,
        manifest.c.digest,
        manifest.c.config_digest,
        manifest.c.platform,
        manifest.c.own_setup_id,
        manifest.c.setup_id,
        manifest.c.set_id,
        manifest.c.inventory_id,
        manifest.c.distro_id,
        manifest.c.unknown_code,
        distro.c.os_id,
        distro.c.version_id,
        distro.c.codename,
        distro.c.pretty,
    )
    .outerjoin(distro, distro.c.id == manifest.c.distro_id)
    .where(manifest.c.id.in_(bindparam("ids", expanding=True)), manifest.c.kind != INDEX)
    .order_by(manifest.c.id)
)
_LOCKED = _SUBJECTS.with_for_update(key_share=True, of=manifest)
_TOLD: Select[Any] = (
    select(
        inventory.c.subject,
        inventory.c.platform,
        inventory.c.id,
        inventory.c.kind,
        inventory.c.set_id,
        inventory.c.distro_id,
        distro.c.os_id,
        distro.c.version_id,
        distro.c.codename,
        distro.c.pretty,
    )
    .outerjoin(distro, distro.c.id == inventory.c.distro_id)
    .where(inventory.c.subject.in_(bindparam("digests", expanding=True)))
    .order_by(inventory.c.received.desc(), inventory.c.id.desc())
)
_INDEXES: Select[Any] = (
    select(index_member.c.manifest_id, index_member.c.index_id, manifest.c.digest)
    .join(manifest, manifest.c.id == index_member.c.index_id)
    .where(index_member.c.manifest_id.in_(bindparam("ids", expanding=True)))
)


def find_subjects(c: Connection, numbers: Collection[int], *, lock: bool = False) -> list[Subject]:
    """These images, indexes left out.

    ``lock``: nobody else points them to lists until the transaction ends.
    """
    found = []
    query = _LOCKED if lock else _SUBJECTS
    for batch in batches(sorted(set(numbers))):
        for *values, os_id, version_id, codename, pretty in c.execute(query, {"ids": batch}):
            found.append(Subject(_distro(os_id, version_id, codename, pretty), *values))
    return found


def _distro(
    os_id: str | None, version_id: str | None, codename: str | None, pretty: str | None
) -> Distro | None:
    if os_id is None:
        return None
    return Distro(os_id, version_id or None, codename or None, pretty or None)


def list_told(c: Connection, subjects: Sequence[Subject]) -> dict[int, list[Told]]:
    """The lists that speak of each image, the one that counts first.

    A list of an index speaks of its only image, or of the one whose platform it names.
    """
    ways = _list_ways(c, subjects)
    found: dict[int, list[Told]] = {}
    for batch in batches(ways):
        for row in c.execute(_TOLD, {"digests": batch}):
            for subject, is_only in ways[row.subject]:
                if is_only or row.platform == subject.platform:
                    told = Told(
                        row.id,
                        row.kind,
                        row.set_id,
                        row.distro_id,
                        _distro(*row[-4:]),
                        row.platform,
                    )
                    found.setdefault(subject.id, []).append(told)
    for many in found.values():
        many.sort(key=lambda told: KINDS.index(told.kind))
    return found


def _list_ways(
    c: Connection, subjects: Sequence[Subject]
) -> dict[Digest, list[tuple[Subject, bool]]]:
    """By digest the images that it may mean, and whether it can mean no other."""
    ways: dict[Digest, list[tuple[Subject, bool]]] = {}
    by_id = {subject.id: subject for subject in subjects}
    for subject in subjects:
        for digest in (subject.digest, subject.config_digest):
            if digest is not None:
                ways.setdefault(digest, []).append((subject, True))
    indexes: list[Any] = []
    for batch in batches(by_id):
        indexes += c.execute(_INDEXES, {"ids": batch})
    sizes = _count_members(c, {row.index_id for row in indexes})
    for row in indexes:
        subject = by_id[row.manifest_id]
        members, of_platforms = sizes[row.index_id]
        is_only = members == 1 or (of_platforms == 1 and subject.platform is not None)
        ways.setdefault(row.digest, []).append((subject, is_only))
    return ways


def _count_members(c: Connection, indexes: Collection[int]) -> dict[int, tuple[int, int]]:
    """How many members each index has, and how many with a platform: a signature has none."""
    counts: dict[int, tuple[int, int]] = {}
    for batch in batches(indexes):
        query = (
            select(index_member.c.index_id, func.count(), func.count(manifest.c.platform))
            .join(manifest, manifest.c.id == index_member.c.manifest_id)
            .where(index_member.c.index_id.in_(batch))
            .group_by(index_member.c.index_id)
        )
        counts.update((row[0], (row[1], row[2])) for row in c.execute(query))
    return counts


_POINT = (
    update(manifest)
    .where(manifest.c.id == bindparam("number"))
    .values(
        set_id=bindparam("to_set"),
        inventory_id=bindparam("to_inventory"),
        distro_id=bindparam("to_distro"),
        setup_id=bindparam("to_setup"),
        platform=func.coalesce(manifest.c.platform, bindparam("or_platform")),
    )
)


def point_images(c: Connection, rows: Sequence[tuple[int, Told, int | None, int | None]]) -> None:
    """Have the list count for an image (number, list, distribution's id, set-up's id)."""
    values = [
        {
            "number": number,
            "to_set": told.set_id,
            "to_inventory": told.id,
            "to_distro": distro_id,
            "to_setup": setup_id,
            "or_platform": told.platform,
        }
        for number, told, distro_id, setup_id in rows
    ]
    if values:
        named = {number for number, told, *_ in rows if told.platform is not None}
        for batch in batches(sorted(named)):
            query = select(manifest.c.id).where(
                manifest.c.id.in_(batch), manifest.c.platform.is_(None)
            )
            note_images(c, list(c.scalars(query)), spreads=True)
        c.execute(_POINT, values)
        standing_images.forget_images(c, {number for number, *_ in rows})


class Meant(Struct, frozen=True):
    """What a digest means: an index, an image, or the images that share a configuration."""

    numbers: list[int]
    is_index: bool


_BY_DIGEST = select(manifest.c.digest, manifest.c.id, manifest.c.kind).where(
    manifest.c.digest.in_(bindparam("digests", expanding=True))
)
_BY_CONFIG = select(manifest.c.config_digest, manifest.c.id).where(
    manifest.c.config_digest.in_(bindparam("digests", expanding=True))
)


def find_meant(c: Connection, digests: Collection[Digest]) -> dict[Digest, Meant]:
    """What these digests mean, as manifests' or else as configurations', as far as it was met."""
    found: dict[Digest, Meant] = {}
    for batch in batches(digests):
        for digest, number, kind in c.execute(_BY_DIGEST, {"digests": batch}):
            found[digest] = Meant([number], kind == INDEX)
    for batch in batches(set(digests) - found.keys()):
        for digest, number in c.execute(_BY_CONFIG, {"digests": batch}):
            found.setdefault(digest, Meant([], False)).numbers.append(number)
    return found


class UnmetRow(Struct, frozen=True):
    """An image that was told of and never met, with its packages where those were told too."""

    digest: Digest
    platform: str | None
    set_id: int | None = None
    inventory_id: int | None = None
    distro_id: int | None = None
    setup_id: int | None = None


def put_unmet(
    c: Connection, rows: Iterable[UnmetRow], *, why: Unknown, now: datetime
) -> dict[Digest, int]:
    """Write images that were told of; the numbers of those that were not there already."""
    values = [
        {
            **{name: getattr(row, name) for name in UnmetRow.__struct_fields__},
            "kind": UNREAD,
            "media_type": 0,
            "first_seen": now,
            "unknown_code": why.code,
            "unknown_reason": why.reason,
        }
        for row in sorted(rows, key=lambda row: row.digest)
    ]
    written = dict(insert_returning(c, manifest, values, manifest.c.digest, manifest.c.id))
    note_changes(c, written, spreads=True)
    return written


def lock_images(c: Connection, digests: Collection[Digest]) -> None:
    """Have nobody else change these, met so far, until the transaction ends; all writers in one order."""
    if c.dialect.name == "sqlite":
        return  # has one writer
    for batch in batches(set(digests)):
        query = select(manifest.c.id).where(manifest.c.digest.in_(batch)).order_by(manifest.c.id)
        c.execute(query.with_for_update(key_share=True))


def drop_phantoms(c: Connection, configs: Collection[Digest]) -> None:
    """Forget images known only by what turned out to be the digest of a configuration.

    What runs under such a digest is matched anew.
    """
    phantoms: list[int] = []
    for told in batches(set(configs)):
        query = select(manifest.c.id).where(
            manifest.c.digest.in_(told), manifest.c.kind == UNREAD, manifest.c.reader.is_(None)
        )
        phantoms += c.scalars(query)
    forget_matches(c, phantoms)
    standing_images.forget_images(c, phantoms)
    for batch in batches(phantoms):
        c.execute(manifest_label.delete().where(manifest_label.c.manifest_id.in_(batch)))
        follows = [succession.c[name].in_(batch) for name in ("manifest_id", "newer_id", "base_id")]
        c.execute(succession.delete().where(or_(*follows)))
        reported = debmonitor_report.c.manifest_id.in_(batch)
        c.execute(update(debmonitor_report).where(reported).values(manifest_id=None))
        forget_images(c, batch)
        c.execute(manifest.delete().where(manifest.c.id.in_(batch)))


def forget_matches(c: Connection, numbers: Collection[int]) -> None:
    """Have what runs as one of these matched anew."""
    for batch in batches(numbers):
        c.execute(
            update(run_image)
            .where(run_image.c.manifest_id.in_(batch))
            .values(manifest_id=None, index_id=None, matched_by=None)
        )
