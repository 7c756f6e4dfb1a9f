"""Package versions, stored once, and sets of them, stored in parts that sets share.

A set is split by a hash of the package name into at most 32 chunks, each stored once. Rebuilt
images differ in a few packages, so they share most chunks: neither the room that a set takes nor
the way from a package to its images goes through a row for each (image, package).
"""

from __future__ import annotations

import hashlib
import json
import zlib
from array import array
from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, bindparam, func, select
from typing_extensions import Buffer

from imagecatalog.domain.packages import Package
from imagecatalog.formats.third_party import is_third_party
from imagecatalog.store.dialect import batches, insert_new, insert_pairs, insert_returning
from imagecatalog.store.schema import (
    package_chunk,
    package_chunk_member,
    package_set,
    package_set_chunk,
    package_version,
    third_party,
)
from imagecatalog.store.shelf import Shelf
from imagecatalog.versions import sort_key

_BUCKETS = 32
_BITS = 56
_NUMBER = (1 << _BITS) - 1
_FEW = 100

_FIELDS = tuple(package_version.c[name] for name in Package.__struct_fields__)
_VERSIONS_OF = select(package_version.c.id, *_FIELDS).where(
    package_version.c.name.in_(bindparam("names", expanding=True))
)
_CHUNKS = select(package_chunk.c.digest, package_chunk.c.id).where(
    package_chunk.c.digest.in_(bindparam("digests", expanding=True))
)
_SETS = select(package_set.c.digest, package_set.c.id).where(
    package_set.c.digest.in_(bindparam("digests", expanding=True))
)
_CHUNKS_OF = select(package_set_chunk.c.chunk_id).where(
    package_set_chunk.c.set_id == bindparam("set_id")
)


class PackageList(Struct, frozen=True):
    """The packages of an image or of a layer's database, and which of them are on hold."""

    packages: tuple[Package, ...]
    held: tuple[str, ...] = ()


def put_sets(c: Connection, shelf: Shelf, lists: Sequence[PackageList]) -> list[int]:
    """The id of the set of each list, written where it is new; the order in a list does not matter."""
    shelf.make_room()
    split = [_split(places) for places in _find_places(c, shelf, lists)]
    _put_chunks(
        c, shelf, {digest: numbers for chunks in split for digest, numbers in chunks.items()}
    )
    digests, rows, chunks_of = [], [], {}
    for chunks, item in zip(split, lists, strict=True):
        numbers = sorted(shelf.chunks[digest] for digest in chunks)
        held = json.dumps(sorted(item.held)) if item.held else None
        digest = _digest_of(array("q", numbers), (held or "").encode())
        digests.append(digest)
        if digest not in shelf.sets and digest not in chunks_of:
            size = sum(map(len, chunks.values()))
            rows.append({"digest": digest, "size": size, "held": held})
            chunks_of[digest] = tuple(numbers)
    _put_sets(c, shelf, rows, chunks_of)
    return [shelf.sets[digest] for digest in digests]


def _find_places(c: Connection, shelf: Shelf, lists: Sequence[PackageList]) -> list[set[int]]:
    """The places on the shelf of the package versions of each list, written where they are new."""
    new = {one for item in lists for one in item.packages if one not in shelf.versions}
    _put_versions(c, shelf, new)
    return [{*map(shelf.versions.__getitem__, item.packages)} for item in lists]


def _split(places: Collection[int]) -> dict[bytes, list[int]]:
    """The chunks of a set: the sorted ids of their members by their digest."""
    ordered = sorted(places)
    numbers = [place & _NUMBER for place in ordered]
    packed = memoryview(array("q", numbers)).cast("B")
    chunks, first = {}, 0
    while first < len(ordered):
        end = bisect_right(ordered, ordered[first] | _NUMBER, first)
        chunks[_digest_of(packed[8 * first : 8 * end])] = numbers[first:end]
        first = end
    return chunks


def list_chunks(c: Connection, shelf: Shelf, set_id: int) -> tuple[int, ...]:
    """The chunks of a set."""
    if set_id not in shelf.set_chunks:
        shelf.set_chunks[set_id] = tuple(c.scalars(_CHUNKS_OF, {"set_id": set_id}))
    return shelf.set_chunks[set_id]


def _digest_of(numbers: Buffer, more: bytes = b"") -> bytes:
    digest = hashlib.sha256(numbers)
    digest.update(more)
    return digest.digest()[:16]


def _put_versions(c: Connection, shelf: Shelf, packages: Collection[Package]) -> None:
    if not packages:
        return
    new = sorted(packages)
    # Few are new to the catalog too: to read all versions of their names would be more work.
    if len(new) > _FEW:
        _find_versions(c, shelf, new)
    missing = [package for package in new if package not in shelf.versions]
    written = insert_returning(
        c,
        package_version,
        [
            {
                "type": package.type,
                "name": package.name,
                "arch": package.arch,
                "version": package.version,
                "key": sort_key(package.type, package.version),
                "source": package.source,
                "source_version": package.source_version,
            }
            for package in missing
        ],
        package_version.c.id,
        *_FIELDS,
    )
    _remember(shelf, written, {package: package for package in missing})
    written_by_others = [
        package
        for package in missing
        if package in shelf.versions and package.type == "deb" and is_third_party(package.version)
    ]
    note_third_party(c, shelf, written_by_others)
    # Some were there, or another process has written them meanwhile.
    _find_versions(c, shelf, [package for package in missing if package not in shelf.versions])


def note_third_party(c: Connection, shelf: Shelf, packages: Iterable[Package]) -> None:
    """Note that the distribution did not build these; they must be on the shelf."""
    numbers = sorted(shelf.versions[package] & _NUMBER for package in packages)
    insert_new(c, third_party, [{"package_version_id": number} for number in numbers])


def find_third_party(c: Connection, set_id: int) -> set[int]:
    """The numbers of the packages of a set that the distribution did not build."""
    query = (
        select(third_party.c.package_version_id)
        .join(
            package_chunk_member,
            package_chunk_member.c.package_version_id == third_party.c.package_version_id,
        )
        .join(package_set_chunk, package_set_chunk.c.chunk_id == package_chunk_member.c.chunk_id)
        .where(package_set_chunk.c.set_id == set_id)
    )
    return {*c.scalars(query)}


def _find_versions(c: Connection, shelf: Shelf, packages: Sequence[Package]) -> None:
    for batch in batches({package.name for package in packages}):
        _remember(shelf, c.execute(_VERSIONS_OF, {"names": batch}))


def _remember(
    shelf: Shelf, rows: Iterable[Any], asked: Mapping[Package, Package] = MappingProxyType({})
) -> None:
    for number, *values in rows:
        # What is asked for again by the same object is found fastest.
        package = Package(*values)
        package = asked.get(package, package)
        bucket = zlib.crc32(package.name.encode()) % _BUCKETS
        shelf.versions[package] = bucket << _BITS | number


def _put_chunks(c: Connection, shelf: Shelf, members: dict[bytes, list[int]]) -> None:
    new = sorted(digest for digest in members if digest not in shelf.chunks)
    if not new:
        return
    columns = package_chunk.c.digest, package_chunk.c.id
    written = insert_returning(c, package_chunk, [{"digest": digest} for digest in new], *columns)
    numbers = {bytes(digest): number for digest, number in written}
    shelf.chunks.update(numbers)
    shelf.members = {number: members[digest] for digest, number in numbers.items()}
    insert_pairs(
        c,
        package_chunk_member,
        [(number, member) for digest, number in numbers.items() for member in members[digest]],
    )
    there = [digest for digest in new if digest not in numbers]
    for batch in batches(there):
        found = c.execute(_CHUNKS, {"digests": batch})
        shelf.chunks.update((bytes(digest), number) for digest, number in found)


def _put_sets(
    c: Connection,
    shelf: Shelf,
    rows: Sequence[dict[str, Any]],
    chunks_of: dict[bytes, tuple[int, ...]],
) -> None:
    rows = sorted(rows, key=lambda row: row["digest"])  # processes that write the same do not cross
    written = insert_returning(c, package_set, rows, package_set.c.digest, package_set.c.id)
    numbers = {bytes(digest): number for digest, number in written}
    insert_pairs(
        c,
        package_set_chunk,
        [(number, chunk) for digest, number in numbers.items() for chunk in chunks_of[digest]],
    )
    there = [digest for digest in chunks_of if digest not in numbers]
    for batch in batches(there):
        found = c.execute(_SETS, {"digests": batch})
        numbers.update((bytes(digest), number) for digest, number in found)
    shelf.sets.update(numbers)
    shelf.set_chunks.update((number, chunks_of[digest]) for digest, number in numbers.items())


def list_packages(c: Connection, set_id: int) -> tuple[Package, ...]:
    """The packages of a set, by name, architecture and version."""
    return tuple(package for _, package in list_numbered(c, set_id))


def count_kinds(c: Connection, set_id: int) -> dict[str, int]:
    """How many packages of each type a set has."""
    query = (
        select(package_version.c.type, func.count())
        .join(
            package_chunk_member, package_chunk_member.c.package_version_id == package_version.c.id
        )
        .join(package_set_chunk, package_set_chunk.c.chunk_id == package_chunk_member.c.chunk_id)
        .where(package_set_chunk.c.set_id == set_id)
        .group_by(package_version.c.type)
    )
    return dict(c.execute(query).all())


def list_members(c: Connection, sets: Collection[int]) -> dict[int, tuple[Package, ...]]:
    """The packages of each of these sets, in their order; a set without packages is left out."""
    found: dict[int, list[Package]] = {}
    for batch in batches(sets):
        rows = c.execute(
            select(package_set_chunk.c.set_id, *_FIELDS)
            .join(
                package_chunk_member,
                package_chunk_member.c.package_version_id == package_version.c.id,
            )
            .join(
                package_set_chunk, package_set_chunk.c.chunk_id == package_chunk_member.c.chunk_id
            )
            .where(package_set_chunk.c.set_id.in_(batch))
        )
        for number, *values in rows:
            found.setdefault(number, []).append(Package(*values))
    return {number: tuple(sorted(packages)) for number, packages in found.items()}


def list_numbered(c: Connection, set_id: int) -> list[tuple[int, Package]]:
    """The packages of a set with their numbers, in their order."""
    rows = c.execute(
        select(package_version.c.id, *_FIELDS)
        .join(
            package_chunk_member,
            package_chunk_member.c.package_version_id == package_version.c.id,
        )
        .join(package_set_chunk, package_set_chunk.c.chunk_id == package_chunk_member.c.chunk_id)
        .where(package_set_chunk.c.set_id == set_id)
    )
    found = [(number, Package(*values)) for number, *values in rows]
    return sorted(found, key=lambda pair: pair[1])


def find_judgeable(
    c: Connection, sets: Collection[int], architectures: Collection[str]
) -> set[int]:
    """Those of the sets that hold a package of Debian for one of these architectures."""
    one = (
        select(package_version.c.id)
        .join(
            package_chunk_member,
            package_chunk_member.c.package_version_id == package_version.c.id,
        )
        .join(package_set_chunk, package_set_chunk.c.chunk_id == package_chunk_member.c.chunk_id)
        .where(
            package_set_chunk.c.set_id == package_set.c.id,
            package_version.c.type == "deb",
            package_version.c.arch.in_(sorted(architectures)),
        )
        .limit(1)
        .scalar_subquery()
    )
    found: set[int] = set()
    for batch in batches(sets):
        query = select(package_set.c.id).where(package_set.c.id.in_(batch), one.is_not(None))
        found.update(c.scalars(query))
    return found


def list_held(c: Connection, sets: Collection[int]) -> dict[int, tuple[str, ...]]:
    """``name:arch`` of the packages on hold, for the sets that have any."""
    held: dict[int, tuple[str, ...]] = {}
    for batch in batches(sets):
        query = select(package_set.c.id, package_set.c.held).where(
            package_set.c.id.in_(batch), package_set.c.held.is_not(None)
        )
        held.update((number, tuple(json.loads(text))) for number, text in c.execute(query))
    return held
