"""Layers, stored once, and what was read out of each, read once."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, insert, select, update

from imagecatalog.domain.contents import LayerEntry, LayerReading, PackageDatabase
from imagecatalog.domain.images import Descriptor
from imagecatalog.domain.packages import Unknown
from imagecatalog.domain.refs import Digest
from imagecatalog.store.dialect import batches, insert_new, insert_returning
from imagecatalog.store.packages import PackageList, list_held, list_packages, put_sets
from imagecatalog.store.schema import blob, layer, layer_entry
from imagecatalog.store.shelf import Shelf


def put_layers(c: Connection, shelf: Shelf, layers: Iterable[Descriptor]) -> None:
    """Have the shelf know the id of each layer, written where it is new."""
    new = {item.digest: item.size for item in layers if item.digest not in shelf.layers}
    rows = [{"digest": digest, "size": size} for digest, size in sorted(new.items())]
    written = insert_returning(c, layer, rows, layer.c.digest, layer.c.id)
    shelf.layers.update((digest, number) for digest, number in written)
    there = [digest for digest in new if digest not in shelf.layers]
    if there:
        shelf.layers.update(_find(c, there))


def _find(c: Connection, digests: Sequence[Digest]) -> dict[Digest, int]:
    found: dict[Digest, int] = {}
    for batch in batches(digests):
        query = select(layer.c.digest, layer.c.id).where(layer.c.digest.in_(batch))
        found.update((digest, number) for digest, number in c.execute(query))
    return found


def put_reading(c: Connection, shelf: Shelf, reading: LayerReading) -> None:
    """Keep what was read out of a layer; the layer itself must be there. A newer reading wins."""
    number = c.execute(select(layer.c.id).where(layer.c.digest == reading.digest)).scalar_one()
    c.execute(layer_entry.delete().where(layer_entry.c.layer_id == number))
    problem = reading.problem
    c.execute(
        update(layer)
        .where(layer.c.id == number)
        .values(
            reader=reading.reader,
            problem_code=problem and problem.code,
            problem_reason=problem and problem.reason,
        )
    )
    rows = [_entry_row(c, shelf, entry) for entry in reading.entries]
    if rows:
        keys = {"layer_id": number}
        c.execute(
            insert(layer_entry),
            [keys | {"position": position} | row for position, row in enumerate(rows)],
        )


def _entry_row(c: Connection, shelf: Shelf, entry: LayerEntry) -> dict[str, Any]:
    database = entry.database
    return {
        "path": entry.path,
        "kind": entry.kind,
        "target": entry.target,
        "blob_id": None if entry.data is None else _put_blob(c, entry.data),
        "set_id": database and _put_database(c, shelf, database),
        "problem": database and database.problem,
    }


def _put_database(c: Connection, shelf: Shelf, database: PackageDatabase) -> int:
    return put_sets(c, shelf, [PackageList(database.packages, database.held)])[0]


def _put_blob(c: Connection, data: bytes) -> int:
    digest = hashlib.sha256(data).digest()
    find = select(blob.c.id).where(blob.c.digest == digest)
    found = c.scalar(find)
    if found is None:
        insert_new(c, blob, [{"digest": digest, "data": zlib.compress(data)}])
        found = c.execute(find).scalar_one()
    return int(found)


def get_reading(c: Connection, digest: Digest, *, reader: int) -> LayerReading | None:
    """What this version of the reader once read in the layer; None if it has yet to."""
    found = c.execute(
        select(layer.c.id, layer.c.problem_code, layer.c.problem_reason).where(
            layer.c.digest == digest, layer.c.reader == reader
        )
    ).one_or_none()
    if found is None:
        return None
    rows = c.execute(
        select(layer_entry, blob.c.data)
        .outerjoin(blob, blob.c.id == layer_entry.c.blob_id)
        .where(layer_entry.c.layer_id == found.id)
        .order_by(layer_entry.c.position)
    )
    problem = Unknown(found.problem_code, found.problem_reason) if found.problem_code else None
    return LayerReading(digest, reader, tuple(_entry(c, row) for row in rows), problem)


def _entry(c: Connection, row: Any) -> LayerEntry:
    database = None
    if row.set_id is not None:
        packages, held = (
            list_packages(c, row.set_id),
            list_held(c, [row.set_id]).get(row.set_id, ()),
        )
        database = PackageDatabase(packages, held, row.problem)
    return LayerEntry(
        path=row.path,
        kind=row.kind,
        data=None if row.data is None else zlib.decompress(row.data),
        target=row.target,
        database=database,
    )
