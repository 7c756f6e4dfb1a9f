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
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, select

from imagecatalog.domain.packages import Package
from imagecatalog.store.dialect import batches, insert_new
from imagecatalog.store.schema import (
    package_chunk,
    package_chunk_member,
    package_set,
    package_set_chunk,
    package_version,
)
from imagecatalog.versions import sort_key

_BUCKETS = 32
_REMEMBERED = 500_000


class PackageShelf:
    """Writes packages and sets, remembering the ids it met. One for a job; not for two databases.

    What it remembers of a transaction that was dropped must go too: ``forget`` after a failure.
    """

    def __init__(self) -> None:
        self._versions: dict[Package, tuple[int, int]] = {}
        self._chunks: dict[bytes, int] = {}
        self._sets: dict[bytes, int] = {}

    def forget(self) -> None:
        """Start anew: nothing of what was written is taken for granted."""
        self._versions.clear()
        self._chunks.clear()
        self._sets.clear()

    def put_set(self, c: Connection, packages: Iterable[Package], held: Sequence[str] = ()) -> int:
        """The id of the set of these packages, written if it is new; order does not matter."""
        distinct = set(packages)
        if len(self._versions) > _REMEMBERED:
            self.forget()
        self._put_versions(c, distinct)
        buckets: dict[int, list[int]] = {}
        for package in distinct:
            number, bucket = self._versions[package]
            buckets.setdefault(bucket, []).append(number)
        members = {}
        for numbers in buckets.values():
            numbers.sort()
            members[hashlib.sha256(array("q", numbers).tobytes()).digest()[:16]] = numbers
        self._put_chunks(c, members)
        chunks = sorted(self._chunks[digest] for digest in members)
        holds = json.dumps(sorted(held)) if held else None
        content = array("q", chunks).tobytes() + (holds or "").encode()
        digest = hashlib.sha256(content).digest()[:16]
        if digest not in self._sets:
            self._sets[digest] = _put_set(c, digest, chunks, len(distinct), holds)
        return self._sets[digest]

    def _put_versions(self, c: Connection, packages: set[Package]) -> None:
        new = [package for package in packages if package not in self._versions]
        if not new:
            return
        self._find_versions(c, new)
        missing = sorted(package for package in new if package not in self._versions)
        insert_new(
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
        )
        self._find_versions(c, missing)

    def _find_versions(self, c: Connection, packages: Sequence[Package]) -> None:
        columns = [package_version.c[name] for name in Package.__struct_fields__]
        for batch in batches({package.name for package in packages}):
            names = package_version.c.name.in_(batch)
            versions = {package.version for package in packages if package.name in set(batch)}
            query = select(package_version.c.id, *columns).where(names)
            if len(versions) <= 2 * len(batch):
                query = query.where(package_version.c.version.in_(versions))
            for number, *values in c.execute(query):
                package = Package(*values)
                bucket = zlib.crc32(package.name.encode()) % _BUCKETS
                self._versions[package] = (number, bucket)

    def _put_chunks(self, c: Connection, members: dict[bytes, list[int]]) -> None:
        new = [digest for digest in members if digest not in self._chunks]
        if not new:
            return
        self._find_chunks(c, new)
        missing = sorted(digest for digest in new if digest not in self._chunks)
        insert_new(c, package_chunk, [{"digest": digest} for digest in missing])
        self._find_chunks(c, missing)
        insert_new(
            c,
            package_chunk_member,
            [
                {"chunk_id": self._chunks[digest], "package_version_id": number}
                for digest in missing
                for number in members[digest]
            ],
        )

    def _find_chunks(self, c: Connection, digests: Sequence[bytes]) -> None:
        if digests:
            found = select(package_chunk.c.digest, package_chunk.c.id).where(
                package_chunk.c.digest.in_(digests)
            )
            self._chunks.update((bytes(digest), number) for digest, number in c.execute(found))


def _put_set(
    c: Connection, digest: bytes, chunks: Sequence[int], size: int, held: str | None
) -> int:
    find = select(package_set.c.id).where(package_set.c.digest == digest)
    found = c.scalar(find)
    if found is None:
        insert_new(c, package_set, [{"digest": digest, "size": size, "held": held}])
        found = c.execute(find).scalar_one()
        insert_new(c, package_set_chunk, [{"set_id": found, "chunk_id": chunk} for chunk in chunks])
    return int(found)


def list_packages(c: Connection, set_id: int) -> tuple[Package, ...]:
    """The packages of a set, by name, architecture and version."""
    return tuple(package for _, package in list_numbered(c, set_id))


def list_numbered(c: Connection, set_id: int) -> list[tuple[int, Package]]:
    """The packages of a set with their numbers, in their order."""
    columns = [package_version.c[name] for name in Package.__struct_fields__]
    rows = c.execute(
        select(package_version.c.id, *columns)
        .join(
            package_chunk_member,
            package_chunk_member.c.package_version_id == package_version.c.id,
        )
        .join(package_set_chunk, package_set_chunk.c.chunk_id == package_chunk_member.c.chunk_id)
        .where(package_set_chunk.c.set_id == set_id)
    )
    found = [(number, Package(*values)) for number, *values in rows]
    return sorted(found, key=lambda pair: pair[1])


def list_held(c: Connection, set_id: int) -> tuple[str, ...]:
    """``name:arch`` of a set's packages on hold."""
    held = c.scalar(select(package_set.c.held).where(package_set.c.id == set_id))
    return tuple(json.loads(held)) if held else ()
