"""Rows go in as they are, on both databases, whatever stands in their texts."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import select
from tests_store import digest

from imagecatalog.store.dialect import insert_new, insert_returning
from imagecatalog.store.engine import Catalog
from imagecatalog.store.schema import build, build_parent, package_chunk

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
ODD = [
    "",
    "NULL",
    "null",
    '"',
    "\\",
    '\\"',
    "{a,b}",
    "a,b",
    " ",
    "'",
    "%s",
    "?",
    "ü€😀",
    "\n\t",
    None,
]
BYTES = [b"\x00", b"\\x41", b'"', bytes(range(256)), b""]


def test_texts_bytes_and_what_is_missing_stay_as_they_are(catalog: Catalog) -> None:
    rows = [
        {
            "digest": f"{at}".encode(),
            "evidence": "registered",
            "subject": digest(f"{at}") if at % 2 else None,
            "image": text,
            "received": NOON,
            "body": BYTES[at % len(BYTES)],
        }
        for at, text in enumerate(ODD)
    ]
    with catalog.write() as c:
        columns = build.c.digest, build.c.subject, build.c.received, build.c.image
        written = insert_returning(c, build, rows, *columns)
        assert {(bytes(row[0]), *row[1:]) for row in written} == {
            (row["digest"], row["subject"], NOON, row["image"]) for row in rows
        }
        assert insert_returning(c, build, rows, build.c.id) == []
        found = c.execute(
            select(build.c.digest, build.c.subject, build.c.image, build.c.body).order_by(
                build.c.id
            )
        ).all()
    assert [tuple(row) for row in found] == [
        (row["digest"], row["subject"], row["image"], row["body"]) for row in rows
    ]


def test_what_stands_twice_is_written_once_and_the_new_alone_is_told(catalog: Catalog) -> None:
    with catalog.write() as c:
        first = insert_returning(
            c, package_chunk, [{"digest": b"a"}, {"digest": b"a"}], package_chunk.c.id
        )
        more = [{"digest": b"a"}, {"digest": b"b"}]
        second = insert_returning(c, package_chunk, more, package_chunk.c.digest)
        insert_new(c, package_chunk, [])
    assert len(first) == 1
    assert first[0].id >= 1
    assert [bytes(row.digest) for row in second] == [b"b"]


def test_rows_without_anything_to_tell_of_them(catalog: Catalog) -> None:
    with catalog.write() as c:
        row = {"digest": b"x", "evidence": "registered", "received": NOON, "body": b""}
        ((number,),) = insert_returning(c, build, [row], build.c.id)
        parent = {"build_id": number, "position": 0, "role": "base", "digest": digest("base")}
        insert_new(c, build_parent, [parent, {**parent, "position": 1, "digest": None}])
        insert_new(c, build_parent, [parent])
        found = c.execute(select(build_parent.c.position, build_parent.c.digest)).all()
    assert sorted(map(tuple, found)) == [(0, digest("base")), (1, None)]
