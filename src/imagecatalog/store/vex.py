"""VEX documents as they are kept: each replaces what the one of its name said before."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, and_, select

from imagecatalog.domain.suppressions import VexDocument, VexItem, VexStatement
from imagecatalog.store import findings
from imagecatalog.store.advisories import put_names
from imagecatalog.store.dialect import batches, insert, upsert
from imagecatalog.store.page import Page, make_cursor, read_cursor
from imagecatalog.store.schema import advisory, feed_part, vex_document, vex_statement

Source = Literal["vex", "upload"]
_OF_DOCUMENT = and_(
    vex_document.c.feed == vex_statement.c.feed, vex_document.c.part == vex_statement.c.part
)
_AT_ONCE = 5000


def list_documents(c: Connection, feed: Source) -> dict[str, bytes]:
    """The documents that are kept, by name, each with the digest of its bytes."""
    query = select(feed_part.c.part, feed_part.c.digest).where(feed_part.c.feed == feed)
    return {part: bytes(digest) for part, digest in c.execute(query)}


def put_document(
    c: Connection,
    feed: Source,
    part: str,
    document: VexDocument,
    digest: bytes,
    *,
    now: datetime,
) -> None:
    """Keep what a document says instead of what the one of its name said before.

    What claims to be said in the time to come is said now: else it could never be taken back.
    """
    numbers = _put_names(c, document.statements)
    _drop_statements(c, feed, [part])
    rows = (
        _row(statement, document, now) | {"feed": feed, "part": part, "advisory_id": numbers[name]}
        for statement in document.statements
        for name in statement.names
    )
    for batch in batches(rows, _AT_ONCE):
        c.execute(vex_statement.insert(), batch)
    upsert(c, feed_part, [{"feed": feed, "part": part, "digest": digest}])
    told = {"author": document.author, "format": document.format, "received": now}
    told |= {"withdrawn_by": None, "withdrawn_at": None}
    c.execute(
        insert(c, vex_document)
        .values(feed=feed, part=part, **told)
        .on_conflict_do_update(index_elements=["feed", "part"], set_=told)
    )


def drop_documents(c: Connection, feed: Source, parts: Collection[str]) -> None:
    """Retract what these documents say, as if they had never been told."""
    for batch in batches(sorted(parts)):
        _drop_statements(c, feed, batch)
        for table in (feed_part, vex_document):
            c.execute(table.delete().where(table.c.feed == feed, table.c.part.in_(batch)))


def _drop_statements(c: Connection, feed: Source, parts: Sequence[str]) -> None:
    c.execute(
        vex_statement.delete().where(vex_statement.c.feed == feed, vex_statement.c.part.in_(parts))
    )


def digest_of(body: bytes) -> bytes:
    """What tells a document from a later one of its name."""
    return hashlib.sha256(body).digest()


def _row(statement: VexStatement, document: VexDocument, now: datetime) -> dict[str, Any]:
    issued = statement.issued or document.issued
    return {
        "author": document.author,
        "status": statement.status,
        "justification": statement.justification,
        "statement": statement.statement,
        "issued": None if issued is None else min(issued, now),
        "image_digest": statement.image_digest,
        "repository": statement.repository,
        "tag": statement.tag,
        "type": statement.type,
        "namespace": statement.namespace,
        "name": statement.name,
        "version": statement.version,
        "scope": statement.scope,
        "within": statement.within,
    }


def _put_names(c: Connection, statements: Iterable[VexStatement]) -> dict[str, int]:
    """The numbers of the faults that are spoken of, written where they are new."""
    names = sorted({name for statement in statements for name in statement.names})
    columns = (advisory.c.name, advisory.c.id)
    numbers: dict[str, int] = {}
    for batch in batches(names):
        numbers |= dict(c.execute(select(*columns).where(advisory.c.name.in_(batch))).all())
    if len(numbers) < len(names):
        # Whoever writes names does it alone, as feeds do: in two orders two would wait for each other.
        findings.lock(c)
        numbers |= put_names(c, [name for name in names if name not in numbers])
    return numbers


def list_statements(
    c: Connection,
    *,
    advisories: Collection[int] | None = None,
    limit: int | None = None,
    after: str | None = None,
) -> Page[VexItem]:
    """What the documents say, by the name of the fault; ``advisories`` keeps those of these numbers."""
    query = (
        select(
            advisory.c.name.label("fault"),
            vex_statement,
            vex_document.c.id.label("document_id"),
            vex_document.c.withdrawn_by,
            vex_document.c.withdrawn_at,
        )
        .join(advisory, advisory.c.id == vex_statement.c.advisory_id)
        .outerjoin(vex_document, _OF_DOCUMENT)
        .order_by(vex_statement.c.advisory_id, vex_statement.c.id)
    )
    if advisories is not None:
        query = query.where(vex_statement.c.advisory_id.in_(sorted(advisories)))
    if (place := read_cursor(after, tuple[int, int])) is not None:
        query = query.where(
            (vex_statement.c.advisory_id > place[0])
            | ((vex_statement.c.advisory_id == place[0]) & (vex_statement.c.id > place[1]))
        )
    if limit is not None:
        query = query.limit(limit + 1)
    rows: Sequence[Any] = c.execute(query).all()
    shown = rows if limit is None else rows[:limit]
    more = len(rows) > len(shown)
    cursor = make_cursor(shown[-1].advisory_id, shown[-1].id) if more else None
    return Page(tuple(_item(row) for row in shown), cursor)


def _item(row: Any) -> VexItem:
    return VexItem(
        advisory=row.fault,
        status=row.status,
        author=row.author,
        product=_describe(row),
        justification=row.justification,
        statement=row.statement,
        issued=row.issued,
        expires=row.expires,
        applied=row.within is None and is_suppressing(row) and row.withdrawn_at is None,
        document=row.part,
        feed=row.feed,
        document_id=row.document_id,
        state="in-force" if row.withdrawn_at is None else "withdrawn",
        withdrawn_by=row.withdrawn_by,
        withdrawn=row.withdrawn_at,
    )


def is_suppressing(row: Any) -> bool:
    """Whether a statement spares what it names.

    ``fixed`` tells something only of a version: of all versions of a thing it cannot be true.
    """
    if row.status == "fixed":
        return bool(row.image_digest or row.tag or row.version)
    return bool(row.status == "not_affected")


def _describe(row: Any) -> str:
    """The product: a package, where it is meant, and the image."""
    package = ""
    if row.name:
        package = "/".join(part for part in (row.type, row.namespace, row.name) if part)
        package += f" {row.version}" if row.version else ""
        package += f" of {row.scope}" if row.scope else ""
    image = row.repository or ""
    image += f":{row.tag}" if row.tag else ""
    image += f"@{row.image_digest}" if row.image_digest else ""
    named = " in ".join(part for part in (package, image) if part)
    if row.within is None:
        return named
    return f"{named} within {row.within}" if named else str(row.within)
