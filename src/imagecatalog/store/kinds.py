"""How many packages of each type sets have, added up by the chunks that they share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from sqlalchemy import Connection, func, select

from imagecatalog.store.dialect import batches
from imagecatalog.store.schema import package_chunk_member, package_set_chunk, package_version

Kinds = tuple[tuple[str, int], ...]
"""Types of packages, each with how many, by type."""


def count_kinds(c: Connection, sets: Collection[int]) -> dict[int, Kinds]:
    """How many packages of each type each of these sets has; sets without any are left out."""
    chunks_of = list_chunks_of(c, sets)
    inside: dict[int, Counter[str]] = {}
    for batch in batches(sorted({chunk for many in chunks_of.values() for chunk in many})):
        query = (
            select(package_chunk_member.c.chunk_id, package_version.c.type, func.count())
            .join(
                package_version, package_version.c.id == package_chunk_member.c.package_version_id
            )
            .where(package_chunk_member.c.chunk_id.in_(batch))
            .group_by(package_chunk_member.c.chunk_id, package_version.c.type)
        )
        for chunk, kind, many in c.execute(query):
            inside.setdefault(chunk, Counter())[kind] += many
    found = {}
    for set_id, chunks in chunks_of.items():
        kinds = Counter[str]()
        for chunk in chunks:
            kinds.update(inside.get(chunk, ()))
        if kinds:
            found[set_id] = tuple(sorted(kinds.items()))
    return found


def list_chunks_of(c: Connection, sets: Collection[int]) -> dict[int, list[int]]:
    """The chunks that each of these sets is made of."""
    found: dict[int, list[int]] = {}
    for batch in batches(sorted(set(sets))):
        query = select(package_set_chunk.c.set_id, package_set_chunk.c.chunk_id).where(
            package_set_chunk.c.set_id.in_(batch)
        )
        for set_id, chunk in c.execute(query):
            found.setdefault(set_id, []).append(chunk)
    return found
