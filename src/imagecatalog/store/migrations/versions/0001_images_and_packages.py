"""What there is: repositories, tags, images, layers, packages.

Revision ID: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables of what a sync reads."""
    op.create_table(
        "apt_setup",
        sa.Column("id", _ID, nullable=False, comment="our own number"),
        sa.Column("digest", sa.LargeBinary(), nullable=False, comment="of the body"),
        sa.Column(
            "body", sa.LargeBinary(), nullable=False, comment="sources, pins, keyrings; MessagePack"
        ),
        sa.Column(
            "problem", sa.Text(), nullable=True, comment="why verdicts under it are incomplete"
        ),
        sa.Column(
            "checked",
            sa.BigInteger(),
            nullable=True,
            comment="the oldest moment any of its archives was well; null: never",
        ),
        sa.Column(
            "generation", sa.Integer(), nullable=False, comment="grows when its updates change"
        ),
        sa.Column(
            "inputs",
            sa.LargeBinary(),
            nullable=True,
            comment="fingerprint of the indices it was last judged by",
        ),
        sa.Column(
            "pending",
            sa.Boolean(),
            nullable=False,
            comment="some package under it waits for judgement",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_apt_setup")),
        sa.UniqueConstraint("digest", name=op.f("uq_apt_setup_digest")),
        comment="what apt is told in an image, stored once",
    )
    op.create_table(
        "blob",
        sa.Column("id", _ID, nullable=False, comment="our own number"),
        sa.Column("digest", sa.LargeBinary(), nullable=False, comment="SHA-256 of the data"),
        sa.Column("data", sa.LargeBinary(), nullable=False, comment="compressed by zlib"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_blob")),
        sa.UniqueConstraint("digest", name=op.f("uq_blob_digest")),
        comment="a small file found in layers, stored once",
    )
    op.create_table(
        "distro",
        sa.Column("id", _ID, nullable=False, comment="our own number"),
        sa.Column("os_id", sa.Text(), nullable=False, comment="ID of os-release"),
        sa.Column("version_id", sa.Text(), nullable=False, comment="VERSION_ID, or empty"),
        sa.Column("codename", sa.Text(), nullable=False, comment="VERSION_CODENAME, or empty"),
        sa.Column("pretty", sa.Text(), nullable=False, comment="PRETTY_NAME, or empty"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_distro")),
        sa.UniqueConstraint(
            "os_id",
            "version_id",
            "codename",
            "pretty",
            name=op.f("uq_distro_os_id_version_id_codename_pretty"),
        ),
        comment="a release of a distribution",
    )
    op.create_table(
        "layer",
        sa.Column("id", _ID, nullable=False, comment="our own number"),
        sa.Column("digest", sa.LargeBinary(), nullable=False, comment="of the blob"),
        sa.Column(
            "size", sa.BigInteger(), nullable=False, comment="bytes as stored in the registry"
        ),
        sa.Column(
            "reader",
            sa.SmallInteger(),
            nullable=True,
            comment="version of the reader; null: not read yet",
        ),
        sa.Column("problem_code", sa.Text(), nullable=True, comment="why it could not be read"),
        sa.Column("problem_reason", sa.Text(), nullable=True, comment="the same as a sentence"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_layer")),
        sa.UniqueConstraint("digest", name=op.f("uq_layer_digest")),
        comment="a layer, stored once",
    )
    op.create_table(
        "package_chunk",
        sa.Column("id", _ID, nullable=False, comment="our own number"),
        sa.Column("digest", sa.LargeBinary(), nullable=False, comment="of its members' ids"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_package_chunk")),
        sa.UniqueConstraint("digest", name=op.f("uq_package_chunk_digest")),
        comment="the part of a package set whose names share a hash bucket, stored once",
    )
    op.create_table(
        "package_set",
        sa.Column("id", _ID, nullable=False, comment="our own number"),
        sa.Column("digest", sa.LargeBinary(), nullable=False, comment="of its chunks and holds"),
        sa.Column("size", sa.Integer(), nullable=False, comment="packages in it"),
        sa.Column(
            "held", sa.Text(), nullable=True, comment="JSON list of name:arch kept back by hold"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_package_set")),
        sa.UniqueConstraint("digest", name=op.f("uq_package_set_digest")),
        comment="all packages of an image or a layer's database, stored once",
    )
    op.create_table(
        "package_version",
        sa.Column("id", _ID, nullable=False, comment="our own number"),
        sa.Column("type", sa.Text(), nullable=False, comment="purl type"),
        sa.Column("name", sa.Text(), nullable=False, comment="binary package"),
        sa.Column("arch", sa.Text(), nullable=False, comment="architecture, or all"),
        sa.Column("version", sa.Text(), nullable=False, comment="binary version"),
        sa.Column(
            "key", sa.LargeBinary(), nullable=False, comment="sorts as the ecosystem sorts versions"
        ),
        sa.Column("source", sa.Text(), nullable=False, comment="source package"),
        sa.Column("source_version", sa.Text(), nullable=False, comment="source version"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_package_version")),
        sa.UniqueConstraint(
            "name",
            "version",
            "arch",
            "type",
            "source",
            "source_version",
            name=op.f("uq_package_version_name_version_arch_type_source_source_version"),
        ),
        comment="a version of a binary package, stored once",
    )
    op.create_index(
        op.f("ix_package_version_name_key"), "package_version", ["name", "key"], unique=False
    )
    op.create_index(op.f("ix_package_version_source"), "package_version", ["source"], unique=False)
    op.create_table(
        "repository",
        sa.Column("id", _ID, nullable=False, comment="our own number"),
        sa.Column("name", sa.Text(), nullable=False, comment="registry and path"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_repository")),
        sa.UniqueConstraint("name", name=op.f("uq_repository_name")),
        comment="a repository of a registry",
    )
    op.create_table(
        "layer_entry",
        sa.Column("layer_id", _ID, nullable=False, comment="the layer"),
        sa.Column("position", sa.Integer(), nullable=False, comment="order in the reading"),
        sa.Column("path", sa.Text(), nullable=False, comment="relative path"),
        sa.Column("kind", sa.Text(), nullable=False, comment="file, link, whiteout or opaque"),
        sa.Column("target", sa.Text(), nullable=True, comment="of a link"),
        sa.Column("blob_id", _ID, nullable=True, comment="a file's bytes"),
        sa.Column("set_id", _ID, nullable=True, comment="a package database's content"),
        sa.Column(
            "problem", sa.Text(), nullable=True, comment="what of the package database was not read"
        ),
        sa.ForeignKeyConstraint(["blob_id"], ["blob.id"], name=op.f("fk_layer_entry_blob_id")),
        sa.ForeignKeyConstraint(["layer_id"], ["layer.id"], name=op.f("fk_layer_entry_layer_id")),
        sa.ForeignKeyConstraint(["set_id"], ["package_set.id"], name=op.f("fk_layer_entry_set_id")),
        sa.PrimaryKeyConstraint("layer_id", "position", name=op.f("pk_layer_entry")),
        comment="the few paths of a layer that matter",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "manifest",
        sa.Column("id", _ID, nullable=False, comment="our own number"),
        sa.Column("digest", sa.LargeBinary(), nullable=False, comment="of the manifest's bytes"),
        sa.Column(
            "kind", sa.SmallInteger(), nullable=False, comment="0 index, 1 image, 2 not read"
        ),
        sa.Column(
            "media_type", sa.SmallInteger(), nullable=False, comment="number in images.MEDIA_TYPES"
        ),
        sa.Column(
            "config_digest", sa.LargeBinary(), nullable=True, comment="the image ID of Docker"
        ),
        sa.Column("platform", sa.Text(), nullable=True, comment="os/architecture/variant"),
        sa.Column("created", sa.BigInteger(), nullable=True, comment="as the configuration says"),
        sa.Column("first_seen", sa.BigInteger(), nullable=False, comment="when we met it"),
        sa.Column("distro_id", _ID, nullable=True, comment="distribution inside"),
        sa.Column(
            "own_setup_id",
            _ID,
            nullable=True,
            comment="what apt is told inside; null without apt sources",
        ),
        sa.Column(
            "setup_id",
            _ID,
            nullable=True,
            comment="the set-up judged by: its own, or the configured one",
        ),
        sa.Column("set_id", _ID, nullable=True, comment="packages inside; null when unknown"),
        sa.Column(
            "unknown_code", sa.Text(), nullable=True, comment="why the packages are not known"
        ),
        sa.Column("unknown_reason", sa.Text(), nullable=True, comment="the same as a sentence"),
        sa.Column(
            "reader",
            sa.SmallInteger(),
            nullable=True,
            comment="version of the reader of its contents",
        ),
        sa.ForeignKeyConstraint(["distro_id"], ["distro.id"], name=op.f("fk_manifest_distro_id")),
        sa.ForeignKeyConstraint(
            ["own_setup_id"], ["apt_setup.id"], name=op.f("fk_manifest_own_setup_id")
        ),
        sa.ForeignKeyConstraint(["set_id"], ["package_set.id"], name=op.f("fk_manifest_set_id")),
        sa.ForeignKeyConstraint(["setup_id"], ["apt_setup.id"], name=op.f("fk_manifest_setup_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_manifest")),
        sa.UniqueConstraint("digest", name=op.f("uq_manifest_digest")),
        comment="an image or an index, by digest",
    )
    op.create_index(op.f("ix_manifest_config_digest"), "manifest", ["config_digest"], unique=False)
    op.create_index(op.f("ix_manifest_set_id"), "manifest", ["set_id"], unique=False)
    op.create_table(
        "package_chunk_member",
        sa.Column("chunk_id", _ID, nullable=False, comment="the chunk"),
        sa.Column("package_version_id", _ID, nullable=False, comment="in it"),
        sa.ForeignKeyConstraint(
            ["chunk_id"], ["package_chunk.id"], name=op.f("fk_package_chunk_member_chunk_id")
        ),
        sa.ForeignKeyConstraint(
            ["package_version_id"],
            ["package_version.id"],
            name=op.f("fk_package_chunk_member_package_version_id"),
        ),
        sa.PrimaryKeyConstraint(
            "chunk_id", "package_version_id", name=op.f("pk_package_chunk_member")
        ),
        comment="the package versions of a chunk",
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_package_chunk_member_package_version_id"),
        "package_chunk_member",
        ["package_version_id"],
        unique=False,
    )
    op.create_table(
        "package_set_chunk",
        sa.Column("set_id", _ID, nullable=False, comment="the set"),
        sa.Column("chunk_id", _ID, nullable=False, comment="a part of it"),
        sa.ForeignKeyConstraint(
            ["chunk_id"], ["package_chunk.id"], name=op.f("fk_package_set_chunk_chunk_id")
        ),
        sa.ForeignKeyConstraint(
            ["set_id"], ["package_set.id"], name=op.f("fk_package_set_chunk_set_id")
        ),
        sa.PrimaryKeyConstraint("set_id", "chunk_id", name=op.f("pk_package_set_chunk")),
        comment="the chunks of a set",
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_package_set_chunk_chunk_id"), "package_set_chunk", ["chunk_id"], unique=False
    )
    op.create_table(
        "tag",
        sa.Column("id", _ID, nullable=False, comment="our own number"),
        sa.Column("repository_id", _ID, nullable=False, comment="whose tag"),
        sa.Column("name", sa.Text(), nullable=False, comment="the tag alone"),
        sa.ForeignKeyConstraint(
            ["repository_id"], ["repository.id"], name=op.f("fk_tag_repository_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tag")),
        sa.UniqueConstraint("repository_id", "name", name=op.f("uq_tag_repository_id_name")),
        comment="a tag that a repository has or had",
    )
    op.create_table(
        "index_member",
        sa.Column("index_id", _ID, nullable=False, comment="the index"),
        sa.Column("manifest_id", _ID, nullable=False, comment="an image in it"),
        sa.Column("position", sa.SmallInteger(), nullable=False, comment="order in the index"),
        sa.ForeignKeyConstraint(
            ["index_id"], ["manifest.id"], name=op.f("fk_index_member_index_id")
        ),
        sa.ForeignKeyConstraint(
            ["manifest_id"], ["manifest.id"], name=op.f("fk_index_member_manifest_id")
        ),
        sa.PrimaryKeyConstraint("index_id", "manifest_id", name=op.f("pk_index_member")),
        comment="which images an index names",
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_index_member_manifest_id"), "index_member", ["manifest_id"], unique=False
    )
    op.create_table(
        "manifest_layer",
        sa.Column("manifest_id", _ID, nullable=False, comment="the image"),
        sa.Column("position", sa.SmallInteger(), nullable=False, comment="0 is the base"),
        sa.Column("layer_id", _ID, nullable=False, comment="the layer"),
        sa.ForeignKeyConstraint(
            ["layer_id"], ["layer.id"], name=op.f("fk_manifest_layer_layer_id")
        ),
        sa.ForeignKeyConstraint(
            ["manifest_id"], ["manifest.id"], name=op.f("fk_manifest_layer_manifest_id")
        ),
        sa.PrimaryKeyConstraint("manifest_id", "position", name=op.f("pk_manifest_layer")),
        comment="the layers of an image in order",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "repository_manifest",
        sa.Column("repository_id", _ID, nullable=False, comment="where"),
        sa.Column("manifest_id", _ID, nullable=False, comment="what"),
        sa.Column(
            "gone_at",
            sa.BigInteger(),
            nullable=True,
            comment="when the registry no longer had it; null: it has",
        ),
        sa.ForeignKeyConstraint(
            ["manifest_id"], ["manifest.id"], name=op.f("fk_repository_manifest_manifest_id")
        ),
        sa.ForeignKeyConstraint(
            ["repository_id"], ["repository.id"], name=op.f("fk_repository_manifest_repository_id")
        ),
        sa.PrimaryKeyConstraint(
            "repository_id", "manifest_id", name=op.f("pk_repository_manifest")
        ),
        comment="which repository holds which manifest",
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_repository_manifest_manifest_id"),
        "repository_manifest",
        ["manifest_id"],
        unique=False,
    )
    op.create_table(
        "tag_period",
        sa.Column("tag_id", _ID, nullable=False, comment="which tag"),
        sa.Column("since", sa.BigInteger(), nullable=False, comment="first seen pointing there"),
        sa.Column(
            "until", sa.BigInteger(), nullable=True, comment="seen elsewhere or gone; null: still"
        ),
        sa.Column("manifest_id", _ID, nullable=False, comment="what it pointed to"),
        sa.ForeignKeyConstraint(
            ["manifest_id"], ["manifest.id"], name=op.f("fk_tag_period_manifest_id")
        ),
        sa.ForeignKeyConstraint(["tag_id"], ["tag.id"], name=op.f("fk_tag_period_tag_id")),
        sa.PrimaryKeyConstraint("tag_id", "since", name=op.f("pk_tag_period")),
        comment="what each tag pointed to, and when",
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_tag_period_manifest_id"), "tag_period", ["manifest_id"], unique=False)
