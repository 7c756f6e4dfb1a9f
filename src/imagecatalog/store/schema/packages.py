"""Package versions, and the sets that images and layers hold."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, LargeBinary, Table, Text, UniqueConstraint

from imagecatalog.store.schema.columns import metadata, number, to

package_version = Table(
    "package_version",
    metadata,
    number(),
    Column("type", Text, nullable=False, comment="purl type"),
    Column("name", Text, nullable=False, comment="binary package"),
    Column("arch", Text, nullable=False, comment="architecture, or all"),
    Column("version", Text, nullable=False, comment="binary version"),
    Column("key", LargeBinary, nullable=False, comment="sorts as the ecosystem sorts versions"),
    Column("source", Text, nullable=False, comment="source package"),
    Column("source_version", Text, nullable=False, comment="source version"),
    UniqueConstraint("name", "version", "arch", "type", "source", "source_version"),
    Index(None, "name", "key"),
    Index(None, "source"),
    comment="a version of a binary package, stored once",
)

third_party = Table(
    "third_party",
    metadata,
    to("package_version_id", "package_version.id", "the package", primary_key=True),
    sqlite_with_rowid=False,
    comment="package versions that the distribution they are installed on did not build",
)

package_chunk = Table(
    "package_chunk",
    metadata,
    number(),
    Column("digest", LargeBinary, nullable=False, unique=True, comment="of its members' ids"),
    comment="the part of a package set whose names share a hash bucket, stored once",
)

package_chunk_member = Table(
    "package_chunk_member",
    metadata,
    to("chunk_id", "package_chunk.id", "the chunk", primary_key=True),
    to("package_version_id", "package_version.id", "in it", primary_key=True, index=True),
    sqlite_with_rowid=False,
    comment="the package versions of a chunk",
)

package_set = Table(
    "package_set",
    metadata,
    number(),
    Column("digest", LargeBinary, nullable=False, unique=True, comment="of its chunks and holds"),
    Column("size", Integer, nullable=False, comment="packages in it"),
    Column("held", Text, comment="JSON list of name:arch kept back by hold"),
    comment="all packages of an image or a layer's database, stored once",
)

package_set_chunk = Table(
    "package_set_chunk",
    metadata,
    to("set_id", "package_set.id", "the set", primary_key=True),
    to("chunk_id", "package_chunk.id", "a part of it", primary_key=True, index=True),
    sqlite_with_rowid=False,
    comment="the chunks of a set",
)
