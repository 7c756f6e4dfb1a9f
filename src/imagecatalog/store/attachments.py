"""What is kept beside images, and which images it may speak of."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct
from sqlalchemy import Connection, delete, exists, or_, select

from imagecatalog.domain.answers import AttachmentItem
from imagecatalog.domain.builds import Signature
from imagecatalog.domain.refs import Digest
from imagecatalog.formats.oci import OCI_INDEX
from imagecatalog.store.dialect import batches, upsert
from imagecatalog.store.edges import forget_images, note_images
from imagecatalog.store.schema import (
    attachment,
    index_member,
    manifest,
    manifest_label,
    repository,
    repository_manifest,
    run_image,
    succession,
    tag,
    tag_period,
)

Kind = Literal["provenance", "sbom", "signature", "other", "carrier"]
"""A carrier is a manifest or index that holds the others: remembered, so that it is read once."""

_RECENT = timedelta(days=7)
_NO_DATE = timedelta(days=3650)
"""Images made so long before they were met tell no true date: builds that can be repeated say 1970."""


class AttachmentRow(Struct, frozen=True, kw_only=True):
    """An attachment as it goes into the catalog."""

    subject: Digest
    digest: Digest
    kind: Kind
    media_type: str = ""
    signature: Signature = "none"
    problem: str | None = None


def put_attachments(c: Connection, rows: Collection[AttachmentRow], *, now: datetime) -> None:
    """Write attachments, or write them anew where they are known; their first sight stays."""
    values = {
        (row.subject, row.digest): {
            "subject": row.subject,
            "digest": row.digest,
            "kind": row.kind,
            "media_type": row.media_type,
            "signature": row.signature,
            "problem": row.problem,
            "seen": now,
        }
        for row in rows
    }
    upsert(
        c,
        attachment,
        [values[key] for key in sorted(values)],
        key=["subject", "digest"],
        keep=["seen"],
    )


def list_known(c: Connection, subject: Digest, *, late: bool = False) -> set[Digest]:
    """What was read of all that is attached to an image: the attachments and what carries them.

    With ``late`` also what was found before the image was met, and therefore not read.
    """
    query = select(attachment.c.digest).where(attachment.c.subject == subject)
    if not late:
        query = query.where(or_(attachment.c.kind != "carrier", attachment.c.problem.is_(None)))
    return set(c.scalars(query))


def find_artifacts(c: Connection, digests: Collection[Digest]) -> set[Digest]:
    """Those manifests that are known to be attached to an image, and are none themselves.

    One that was read before its image was met is left out once that is there.
    """
    found: set[Digest] = set()
    for batch in batches(set(digests)):
        met = exists().where(manifest.c.digest == attachment.c.subject)
        query = select(attachment.c.digest).where(
            attachment.c.digest.in_(batch),
            attachment.c.kind == "carrier",
            # An index is no artifact by itself: who lists it as one could hide an image.
            attachment.c.media_type != OCI_INDEX,
            or_(attachment.c.problem.is_(None), ~met),
        )
        found.update(c.scalars(query))
    return found


def list_identities(c: Connection, subject: Digest) -> dict[Digest, Digest]:
    """Digests by which a statement may name an image, each with the image or index it means.

    An image goes by its own digest, its configuration's, and those of the indexes that name it; an
    index by its own and those of its images. Empty for an image never met.
    """
    number = c.scalar(select(manifest.c.id).where(manifest.c.digest == subject))
    if number is None:
        return {}
    above = select(index_member.c.index_id).where(index_member.c.manifest_id == number)
    below = select(index_member.c.manifest_id).where(index_member.c.index_id == number)
    query = select(manifest.c.digest, manifest.c.config_digest, manifest.c.id).where(
        or_(manifest.c.id == number, manifest.c.id.in_(above), manifest.c.id.in_(below))
    )
    rows = list(c.execute(query))
    means = {config: digest for digest, config, _ in rows if config is not None}
    return means | {digest: digest for digest, _, _ in rows}


def list_recent(
    c: Connection, numbers: Collection[int], *, since: datetime, now: datetime
) -> list[Digest]:
    """Those images and indexes to which something may yet be attached, by their digests.

    They were met after ``since``; or within a week, unless they were made long before that, as most
    that a first sync meets.
    """
    found: list[Digest] = []
    columns = (manifest.c.digest, manifest.c.created, manifest.c.first_seen)
    for batch in batches(set(numbers)):
        query = select(*columns).where(
            manifest.c.id.in_(batch), manifest.c.first_seen > now - _RECENT
        )
        found += [
            digest
            for digest, created, met in c.execute(query)
            if met >= since or created is None or not _RECENT < met - created < _NO_DATE
        ]
    return sorted(found)


def list_attachments(c: Connection, number: int) -> tuple[AttachmentItem, ...]:
    """What is attached to an image or to the indexes that name it, the newest first."""
    indexes = select(index_member.c.index_id).where(index_member.c.manifest_id == number)
    subjects = select(manifest.c.digest).where(
        or_(manifest.c.id == number, manifest.c.id.in_(indexes))
    )
    query = (
        select(attachment)
        .where(attachment.c.subject.in_(subjects), attachment.c.kind != "carrier")
        .order_by(attachment.c.seen.desc(), attachment.c.id)
    )
    return tuple(
        AttachmentItem(
            kind=row.kind,
            media_type=row.media_type,
            digest=str(row.digest),
            subject=str(row.subject),
            signature=row.signature,
            seen=row.seen,
            problem=row.problem,
        )
        for row in c.execute(query)
    )


def forget_as_images(c: Connection, name: str, tags: Collection[str]) -> None:
    """Forget tags of a repository that stand for attachments, and what they point to, as images.

    An older release took them for images. What runs, or has another name, stays.
    """
    here = select(repository.c.id).where(repository.c.name == name).scalar_subquery()
    for batch in batches(tags):
        found = list(
            c.execute(
                select(tag.c.id, tag_period.c.manifest_id)
                .join(tag_period, tag_period.c.tag_id == tag.c.id)
                .where(tag.c.repository_id == here, tag.c.name.in_(batch))
            )
        )
        tags_of = {number for number, _ in found}
        c.execute(delete(tag_period).where(tag_period.c.tag_id.in_(tags_of)))
        c.execute(delete(tag).where(tag.c.id.in_(tags_of)))
        pointed = {number for _, number in found}
        members = select(index_member.c.manifest_id).where(index_member.c.index_id.in_(pointed))
        below = set(c.scalars(members))
        note_images(c, below, spreads=True)
        _forget(c, pointed)
        _forget(c, below)


def _forget(c: Connection, numbers: Collection[int]) -> None:
    kept = (
        exists().where(tag_period.c.manifest_id == manifest.c.id),
        exists().where(index_member.c.manifest_id == manifest.c.id),
        exists().where(
            or_(run_image.c.manifest_id == manifest.c.id, run_image.c.index_id == manifest.c.id)
        ),
        exists().where(
            or_(succession.c.newer_id == manifest.c.id, succession.c.base_id == manifest.c.id)
        ),
    )
    for batch in batches(numbers):
        query = select(manifest.c.id).where(manifest.c.id.in_(batch), ~or_(*kept))
        ends = list(c.scalars(query))
        forget_images(c, ends)
        for column in (
            index_member.c.index_id,
            manifest_label.c.manifest_id,
            repository_manifest.c.manifest_id,
            succession.c.manifest_id,
            manifest.c.id,
        ):
            c.execute(delete(column.table).where(column.in_(ends)))
