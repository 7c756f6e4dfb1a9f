"""VEX documents as wholes: which there are, and one that was uploaded taken back. It stays listed."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from imagecatalog.domain.suppressions import VexDocumentItem
from imagecatalog.errors import NotFound, UsageError
from imagecatalog.store.deferrals import LARGEST
from imagecatalog.store.schema import vex_document, vex_statement
from imagecatalog.store.vex import is_suppressing

_ALL = select(vex_document).order_by(vex_document.c.feed, vex_document.c.part)


def list_documents(c: Connection) -> tuple[VexDocumentItem, ...]:
    """All that are kept, those that were uploaded first, by name; the withdrawn ones too."""
    rows = c.execute(_ALL).all()
    return _describe(c, rows)


def find_document(c: Connection, text: str) -> VexDocumentItem:
    """A document by our number of it, or by its name; raises NotFound, and UsageError for several."""
    number = int(text) if text.isascii() and text.isdigit() and len(text) < len(str(LARGEST)) else 0
    rows = c.execute(_ALL.where(vex_document.c.id == number)).all()
    rows = rows or c.execute(_ALL.where(vex_document.c.part == text)).all()
    if not rows:
        raise NotFound(
            f"there is no VEX document {text[:200]!r}", hint="see: imagecatalog vex documents"
        )
    if len(rows) > 1:
        numbers = ", ".join(str(row.id) for row in rows)
        raise UsageError(f"several VEX documents have that name: {numbers}", hint="give the number")
    return _describe(c, rows)[0]


def withdraw_document(
    c: Connection, text: str, *, by: str, now: datetime
) -> tuple[VexDocumentItem, bool]:
    """Take back a document that was uploaded: from now on it suppresses nothing. It stays listed.

    False where that was done before. Raises as ``find_document`` does, and UsageError for one that a
    feed has.
    """
    found = find_document(c, text)
    if found.feed != "upload":
        raise UsageError(
            f"{found.document} was not uploaded: it is told where [feeds] vex leads",
            hint="take it away there and refresh vex, or: imagecatalog feeds forget vex",
        )
    if found.state == "withdrawn":
        return found, False
    c.execute(
        vex_document.update()
        .where(vex_document.c.id == found.id, vex_document.c.withdrawn_at.is_(None))
        .values(withdrawn_by=by, withdrawn_at=now)
    )
    return find_document(c, str(found.id)), True


def is_withdrawn(c: Connection, part: str) -> bool:
    """Whether the upload of that name was taken back."""
    query = select(vex_document.c.id).where(
        vex_document.c.feed == "upload",
        vex_document.c.part == part,
        vex_document.c.withdrawn_at.is_not(None),
    )
    return c.scalar(query) is not None


def _describe(c: Connection, rows: Any) -> tuple[VexDocumentItem, ...]:
    told, applied = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    columns = ("feed", "part", "status", "image_digest", "tag", "version", "within")
    query = select(*(vex_statement.c[name] for name in columns))
    if len(rows) == 1:
        query = query.where(vex_statement.c.part == rows[0].part)
    for row in c.execute(query):
        told[row.feed, row.part] += 1
        applied[row.feed, row.part] += row.within is None and is_suppressing(row)
    return tuple(
        VexDocumentItem(
            id=row.id,
            document=row.part,
            feed=row.feed,
            author=row.author,
            format=row.format,
            statements=told[row.feed, row.part],
            applied=applied[row.feed, row.part],
            received=row.received,
            state="in-force" if row.withdrawn_at is None else "withdrawn",
            withdrawn_by=row.withdrawn_by,
            withdrawn=row.withdrawn_at,
        )
        for row in rows
    )
