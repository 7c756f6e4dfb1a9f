"""Repositories, tags with their past, images, layers and labels."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)

from imagecatalog.store.schema.columns import Id, Moment, PackedDigest, metadata, number, to

repository = Table(
    "repository",
    metadata,
    number(),
    Column("name", Text, nullable=False, unique=True, comment="registry and path"),
    comment="a repository of a registry",
)

tag = Table(
    "tag",
    metadata,
    number(),
    to("repository_id", "repository.id", "whose tag", nullable=False),
    Column("name", Text, nullable=False, comment="the tag alone"),
    UniqueConstraint("repository_id", "name"),
    comment="a tag that a repository has or had",
)

manifest = Table(
    "manifest",
    metadata,
    number(),
    Column("digest", PackedDigest, nullable=False, unique=True, comment="of the manifest's bytes"),
    Column("kind", SmallInteger, nullable=False, comment="0 index, 1 image, 2 not read"),
    Column("media_type", SmallInteger, nullable=False, comment="number in images.MEDIA_TYPES"),
    Column("config_digest", PackedDigest, index=True, comment="the image ID of Docker"),
    Column("platform", Text, comment="os/architecture/variant"),
    Column("created", Moment, comment="as the configuration says"),
    Column("first_seen", Moment, nullable=False, comment="when we met it"),
    to("distro_id", "distro.id", "distribution inside"),
    to("own_setup_id", "apt_setup.id", "what apt is told inside; null without apt sources"),
    to("setup_id", "apt_setup.id", "the set-up judged by: its own, or the configured one"),
    to("set_id", "package_set.id", "packages inside; null when unknown"),
    Column("unknown_code", Text, comment="why the packages are not known"),
    Column("unknown_reason", Text, comment="the same as a sentence"),
    Column("problems", Text, comment="JSON list of files that could not be read; null: none"),
    Column("reader", SmallInteger, comment="version of the reader of its contents"),
    Column("chain", LargeBinary, index=True, comment="its layers; null: none, or not read"),
    to("inventory_id", "inventory.id", "who told its packages; null: its layers"),
    Index(None, "set_id"),
    comment="an image or an index, by digest",
)

index_member = Table(
    "index_member",
    metadata,
    to("index_id", "manifest.id", "the index", primary_key=True),
    to("manifest_id", "manifest.id", "an image in it", primary_key=True, index=True),
    Column("position", SmallInteger, nullable=False, comment="order in the index"),
    sqlite_with_rowid=False,
    comment="which images an index names",
)

tag_period = Table(
    "tag_period",
    metadata,
    to("tag_id", "tag.id", "which tag", primary_key=True),
    Column("since", Moment, primary_key=True, comment="first seen pointing there"),
    Column("until", Moment, comment="seen elsewhere or gone; null: still"),
    to("manifest_id", "manifest.id", "what it pointed to", nullable=False, index=True),
    sqlite_with_rowid=False,
    comment="what each tag pointed to, and when",
)

repository_manifest = Table(
    "repository_manifest",
    metadata,
    to("repository_id", "repository.id", "where", primary_key=True),
    to("manifest_id", "manifest.id", "what", primary_key=True, index=True),
    Column("gone_at", Moment, comment="when the registry no longer had it; null: it has"),
    sqlite_with_rowid=False,
    comment="which repository holds which manifest",
)

layer = Table(
    "layer",
    metadata,
    number(),
    Column("digest", PackedDigest, nullable=False, unique=True, comment="of the blob"),
    Column("size", BigInteger, nullable=False, comment="bytes as stored in the registry"),
    Column("reader", SmallInteger, comment="version of the reader; null: not read yet"),
    Column("problem_code", Text, comment="why it could not be read"),
    Column("problem_reason", Text, comment="the same as a sentence"),
    comment="a layer, stored once",
)

chain = Table(
    "chain",
    metadata,
    Column("digest", LargeBinary, primary_key=True, comment="of its layers' digests, 16 bytes"),
    Column(
        "parent", LargeBinary, index=True, comment="the same without the last layer; null: none"
    ),
    to("layer_id", "layer.id", "the last layer", nullable=False),
    Column("depth", SmallInteger, nullable=False, comment="layers in it"),
    sqlite_with_rowid=False,
    comment="layers one on another from the base on, each such pile stored once",
)

blob = Table(
    "blob",
    metadata,
    number(),
    Column("digest", LargeBinary, nullable=False, unique=True, comment="SHA-256 of the data"),
    Column("data", LargeBinary, nullable=False, comment="compressed by zlib"),
    comment="a small file found in layers, stored once",
)

layer_entry = Table(
    "layer_entry",
    metadata,
    to("layer_id", "layer.id", "the layer", primary_key=True),
    Column("position", Integer, primary_key=True, comment="order in the reading"),
    Column("path", Text, nullable=False, comment="relative path"),
    Column("kind", Text, nullable=False, comment="file, link, whiteout or opaque"),
    Column("target", Text, comment="of a link"),
    to("blob_id", "blob.id", "a file's bytes"),
    to("set_id", "package_set.id", "a package database's content"),
    Column("problem", Text, comment="what of the package database was not read"),
    sqlite_with_rowid=False,
    comment="the few paths of a layer that matter",
)

label = Table(
    "label",
    metadata,
    number(),
    Column("digest", LargeBinary, nullable=False, unique=True, comment="of key and value"),
    Column("key", Text, nullable=False, index=True, comment="as the image writes it"),
    Column("value", Text, nullable=False, comment="as the image writes it, cut where endless"),
    comment="a label of configurations or an annotation of manifests, stored once",
)

manifest_label = Table(
    "manifest_label",
    metadata,
    to("manifest_id", "manifest.id", "the image", primary_key=True),
    to("label_id", "label.id", "what it carries", primary_key=True, index=True),
    sqlite_with_rowid=False,
    comment="the labels and annotations of an image",
)

distro = Table(
    "distro",
    metadata,
    number(),
    Column("os_id", Text, nullable=False, comment="ID of os-release"),
    Column("version_id", Text, nullable=False, comment="VERSION_ID, or empty"),
    Column("codename", Text, nullable=False, comment="VERSION_CODENAME, or empty"),
    Column("pretty", Text, nullable=False, comment="PRETTY_NAME, or empty"),
    Column("scope_id", Id, comment="whose advisories count; null: not worked out yet"),
    UniqueConstraint("os_id", "version_id", "codename", "pretty"),
    comment="a release of a distribution",
)
