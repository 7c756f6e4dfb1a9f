"""Layers, stored once, and what was read out of each, read once."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select, update

from imagecatalog.domain.contents import LayerEntry, LayerReading, PackageDatabase
from imagecatalog.domain.images import Descriptor
from imagecatalog.domain.packages import Unknown
from imagecatalog.domain.refs import Digest
from imagecatalog.store.dialect import batches, insert_new, insert_returning
from imagecatalog.store.packages import (
    PackageList,
    list_held,
    list_members,
    note_third_party,
    put_sets,
)
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
    problem = reading.problem
    # First, so that another process that reads the same layer waits here.
    c.execute(
        update(layer)
        .where(layer.c.id == number)
        .values(
            reader=reading.reader,
            problem_code=problem and problem.code,
            problem_reason=problem and problem.reason,
        )
    )
    c.execute(layer_entry.delete().where(layer_entry.c.layer_id == number))
    databases = [entry.database for entry in reading.entries if entry.database is not None]
    lists = [PackageList(database.packages, database.held) for database in databases]
    sets = iter(put_sets(c, shelf, lists))
    note_third_party(c, shelf, {one for database in databases for one in database.foreign})
    blobs = _put_blobs(c, {entry.data for entry in reading.entries if entry.data is not None})
    insert_new(
        c,
        layer_entry,
        [
            {
                "layer_id": number,
                "position": position,
                "path": entry.path,
                "kind": entry.kind,
                "target": entry.target,
                "blob_id": None if entry.data is None else blobs[entry.data],
                "set_id": entry.database and next(sets),
                "problem": entry.database and entry.database.problem,
            }
            for position, entry in enumerate(reading.entries)
        ],
    )


def _put_blobs(c: Connection, contents: Collection[bytes]) -> dict[bytes, int]:
    """The id of each, written if it is new; in one order, so that processes do not block each other."""
    by_digest = {hashlib.sha256(data).digest(): data for data in contents}
    found = _find_blobs(c, by_digest)
    new = sorted(by_digest.keys() - found.keys())
    insert_new(
        c,
        blob,
        [{"digest": digest, "data": zlib.compress(by_digest[digest])} for digest in new],
    )
    found |= _find_blobs(c, new)
    return {by_digest[digest]: number for digest, number in found.items()}


def _find_blobs(c: Connection, digests: Iterable[bytes]) -> dict[bytes, int]:
    found: dict[bytes, int] = {}
    for batch in batches(digests):
        query = select(blob.c.digest, blob.c.id).where(blob.c.digest.in_(batch))
        found.update((bytes(digest), number) for digest, number in c.execute(query))
    return found


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
    ).all()
    sets = {row.set_id for row in rows if row.set_id is not None}
    packages, held = list_members(c, sets), list_held(c, sets)
    databases = {
        number: PackageList(packages.get(number, ()), held.get(number, ())) for number in sets
    }
    problem = Unknown(found.problem_code, found.problem_reason) if found.problem_code else None
    return LayerReading(digest, reader, tuple(_entry(row, databases) for row in rows), problem)


def _entry(row: Any, databases: Mapping[int, PackageList]) -> LayerEntry:
    database = None
    if row.set_id is not None:
        found = databases[row.set_id]
        database = PackageDatabase(found.packages, found.held, row.problem)
    return LayerEntry(
        path=row.path,
        kind=row.kind,
        data=None if row.data is None else zlib.decompress(row.data),
        target=row.target,
        database=database,
    )
