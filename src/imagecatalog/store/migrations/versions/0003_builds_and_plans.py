"""Where images come from: builds, inventories, labels, plans, tokens, layers as a tree.

Revision ID: 0003
"""

from __future__ import annotations

import hashlib
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_EXACT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_BATCH = 1000


def upgrade() -> None:
    """Make the tables of builds and plans, and turn lists of layers into chains."""
    op.create_table(
        "attachment",
        sa.Column("id", _ID, nullable=False, comment="our own number"),
        sa.Column("subject", sa.LargeBinary(), nullable=False, comment="what it is attached to"),
        sa.Column("digest", sa.LargeBinary(), nullable=False, comment="of its bytes"),
        sa.Column(
            "kind",
            sa.Text(),
            nullable=False,
            comment="provenance, sbom, signature, other; carrier of those",
        ),
        sa.Column(
            "media_type", sa.Text(), nullable=False, comment="of predicate, document or artifact"
        ),
        sa.Column("signature", sa.Text(), nullable=False, comment="none, unverified or verified"),
        sa.Column("problem", sa.Text(), nullable=True, comment="why it tells us nothing"),
        sa.Column("seen", sa.BigInteger(), nullable=False, comment="when it was first read"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attachment")),
        sa.UniqueConstraint("subject", "digest", name=op.f("uq_attachment_subject_digest")),
        comment="what registries keep beside an image",
    )
    op.create_index(op.f("ix_attachment_digest"), "attachment", ["digest"], unique=False)
    op.create_table(
        "build",
        sa.Column("id", _ID, nullable=False, comment="our own number"),
        sa.Column("digest", sa.LargeBinary(), nullable=False, comment="of evidence and body"),
        sa.Column(
            "evidence", sa.Text(), nullable=False, comment="registered, provenance or annotation"
        ),
        sa.Column(
            "subject",
            sa.LargeBinary(),
            nullable=True,
            comment="what was built; null: its name is pending",
        ),
        sa.Column("image", _EXACT, nullable=True, comment="the whole name it was given"),
        sa.Column("platform", sa.Text(), nullable=True, comment="os/architecture/variant"),
        sa.Column("builder", sa.Text(), nullable=True, comment="name of the builder"),
        sa.Column("builder_version", sa.Text(), nullable=True, comment="its version"),
        sa.Column("started", sa.BigInteger(), nullable=True, comment="as the builder says"),
        sa.Column("finished", sa.BigInteger(), nullable=True, comment="as the builder says"),
        sa.Column("source_repository", sa.Text(), nullable=True, comment="where its source lies"),
        sa.Column("source_revision", sa.Text(), nullable=True, comment="commit"),
        sa.Column("source_path", sa.Text(), nullable=True, comment="folder in it"),
        sa.Column("link", sa.Text(), nullable=True, comment="page of the build"),
        sa.Column("reason", sa.Text(), nullable=True, comment="why it was built"),
        sa.Column(
            "told_by",
            sa.Text(),
            nullable=True,
            comment="token that registered it, or what it was read from",
        ),
        sa.Column(
            "signature",
            sa.Text(),
            nullable=True,
            comment="none, unverified or verified; null: does not apply",
        ),
        sa.Column("received", sa.BigInteger(), nullable=False, comment="when it was first told"),
        sa.Column(
            "body", sa.LargeBinary(), nullable=False, comment="all else that was told; JSON by zlib"
        ),
        sa.Column(
            "set_id",
            _ID,
            nullable=True,
            comment="the packages told; null: nothing is told of them",
        ),
        sa.ForeignKeyConstraint(["set_id"], ["package_set.id"], name=op.f("fk_build_set_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_build")),
        sa.UniqueConstraint("digest", name=op.f("uq_build_digest")),
        comment="a build, as somebody tells of it",
    )
    op.create_index(op.f("ix_build_image_id"), "build", ["image", "id"], unique=False)
    op.create_index(op.f("ix_build_subject"), "build", ["subject"], unique=False)
    op.create_table(
        "label",
        sa.Column("id", _ID, nullable=False, comment="our own number"),
        sa.Column("digest", sa.LargeBinary(), nullable=False, comment="of key and value"),
        sa.Column("key", sa.Text(), nullable=False, comment="as the image writes it"),
        sa.Column(
            "value", sa.Text(), nullable=False, comment="as the image writes it, cut where endless"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_label")),
        sa.UniqueConstraint("digest", name=op.f("uq_label_digest")),
        comment="a label of configurations or an annotation of manifests, stored once",
    )
    op.create_index(op.f("ix_label_key"), "label", ["key"], unique=False)
    op.create_table(
        "plan",
        sa.Column("id", _ID, nullable=False, comment="our own number"),
        sa.Column("created", sa.BigInteger(), nullable=False, comment="when it was saved"),
        sa.Column(
            "saved_by", sa.Text(), nullable=True, comment="token, or null from the command line"
        ),
        sa.Column("question", sa.Text(), nullable=False, comment="what was asked; JSON"),
        sa.Column("body", sa.Text(), nullable=False, comment="the plan as it was saved; JSON"),
        sa.Column("progress", sa.Text(), nullable=False, comment="state of each step; JSON"),
        sa.Column(
            "followed", sa.BigInteger(), nullable=True, comment="when its steps were last looked at"
        ),
        sa.Column(
            "closed", sa.BigInteger(), nullable=True, comment="when all of it was done; null: open"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plan")),
        comment="a plan to rebuild and redeploy, followed until it is done",
    )
    op.create_index(op.f("ix_plan_closed"), "plan", ["closed"], unique=False)
    op.create_table(
        "token",
        sa.Column("id", _ID, nullable=False, comment="our own number"),
        sa.Column("name", sa.Text(), nullable=False, comment="what people call it"),
        sa.Column("hash", sa.LargeBinary(), nullable=False, comment="SHA-256 of the secret"),
        sa.Column(
            "scopes", sa.Text(), nullable=False, comment="JSON list of register, record, read"
        ),
        sa.Column(
            "repositories", sa.Text(), nullable=False, comment="JSON list of globs; empty: all"
        ),
        sa.Column("created", sa.BigInteger(), nullable=False, comment="when it was made"),
        sa.Column(
            "expires", sa.BigInteger(), nullable=True, comment="from then on refused; null: never"
        ),
        sa.Column(
            "revoked",
            sa.BigInteger(),
            nullable=True,
            comment="from then on refused; null: in force",
        ),
        sa.Column(
            "used", sa.BigInteger(), nullable=True, comment="last used, to the hour; null: never"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_token")),
        sa.UniqueConstraint("hash", name=op.f("uq_token_hash")),
        sa.UniqueConstraint("name", name=op.f("uq_token_name")),
        comment="who may write, by a secret that only its owner has",
    )
    op.create_table(
        "build_parent",
        sa.Column("build_id", _ID, nullable=False, comment="the build"),
        sa.Column("position", sa.SmallInteger(), nullable=False, comment="in the order told"),
        sa.Column("role", sa.Text(), nullable=False, comment="base, stage or copy"),
        sa.Column(
            "digest", sa.LargeBinary(), nullable=True, comment="which; null: its name is pending"
        ),
        sa.Column("image", sa.Text(), nullable=True, comment="the name told, if one was"),
        sa.Column(
            "resolved",
            sa.Text(),
            nullable=True,
            comment="given; then: by the tag of that time; later: by its first sight",
        ),
        sa.ForeignKeyConstraint(["build_id"], ["build.id"], name=op.f("fk_build_parent_build_id")),
        sa.PrimaryKeyConstraint("build_id", "position", name=op.f("pk_build_parent")),
        comment="what a build was built from",
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_build_parent_digest"), "build_parent", ["digest"], unique=False)
    op.create_index(
        op.f("ix_build_parent_image_build_id"), "build_parent", ["image", "build_id"], unique=False
    )
    op.create_index(
        op.f("ix_build_parent_image"),
        "build_parent",
        ["image"],
        unique=False,
        sqlite_where=sa.text("digest IS NULL"),
        postgresql_where=sa.text("digest IS NULL"),
    )
    op.create_table(
        "chain",
        sa.Column(
            "digest", sa.LargeBinary(), nullable=False, comment="of its layers' digests, 16 bytes"
        ),
        sa.Column(
            "parent",
            sa.LargeBinary(),
            nullable=True,
            comment="the same without the last layer; null: none",
        ),
        sa.Column("layer_id", _ID, nullable=False, comment="the last layer"),
        sa.Column("depth", sa.SmallInteger(), nullable=False, comment="layers in it"),
        sa.ForeignKeyConstraint(["layer_id"], ["layer.id"], name=op.f("fk_chain_layer_id")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_chain")),
        comment="layers one on another from the base on, each such pile stored once",
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_chain_parent"), "chain", ["parent"], unique=False)
    op.create_table(
        "inventory",
        sa.Column("id", _ID, nullable=False, comment="our own number"),
        sa.Column(
            "subject", sa.LargeBinary(), nullable=False, comment="the image or index it speaks of"
        ),
        sa.Column("digest", sa.LargeBinary(), nullable=False, comment="of the list as it was told"),
        sa.Column("kind", sa.Text(), nullable=False, comment="sbom or registered"),
        sa.Column(
            "told_by", sa.Text(), nullable=False, comment="attached, uploaded, or name of a token"
        ),
        sa.Column("format", sa.Text(), nullable=False, comment="CycloneDX 1.6, SPDX 2.3, build"),
        sa.Column("tool", sa.Text(), nullable=True, comment="what wrote it"),
        sa.Column(
            "platform",
            sa.Text(),
            nullable=True,
            comment="of an index, the image it speaks of; os/architecture",
        ),
        sa.Column("received", sa.BigInteger(), nullable=False, comment="when it was first told"),
        sa.Column("set_id", _ID, nullable=False, comment="its packages"),
        sa.Column("distro_id", _ID, nullable=True, comment="the distribution it names"),
        sa.Column("problem", sa.Text(), nullable=True, comment="what of it was not understood"),
        sa.ForeignKeyConstraint(["distro_id"], ["distro.id"], name=op.f("fk_inventory_distro_id")),
        sa.ForeignKeyConstraint(["set_id"], ["package_set.id"], name=op.f("fk_inventory_set_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inventory")),
        sa.UniqueConstraint("subject", "digest", name=op.f("uq_inventory_subject_digest")),
        comment="a list of an image's packages that somebody tells",
    )
    op.create_table(
        "manifest_label",
        sa.Column("manifest_id", _ID, nullable=False, comment="the image"),
        sa.Column("label_id", _ID, nullable=False, comment="what it carries"),
        sa.ForeignKeyConstraint(
            ["label_id"], ["label.id"], name=op.f("fk_manifest_label_label_id")
        ),
        sa.ForeignKeyConstraint(
            ["manifest_id"], ["manifest.id"], name=op.f("fk_manifest_label_manifest_id")
        ),
        sa.PrimaryKeyConstraint("manifest_id", "label_id", name=op.f("pk_manifest_label")),
        comment="the labels and annotations of an image",
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_manifest_label_label_id"), "manifest_label", ["label_id"], unique=False
    )
    op.create_table(
        "base_path",
        sa.Column("manifest_id", _ID, nullable=False, comment="the image"),
        sa.Column(
            "bases",
            sa.LargeBinary(),
            nullable=False,
            comment="ids, the nearest first; MessagePack",
        ),
        sa.ForeignKeyConstraint(
            ["manifest_id"], ["manifest.id"], name=op.f("fk_base_path_manifest_id")
        ),
        sa.PrimaryKeyConstraint("manifest_id", name=op.f("pk_base_path")),
        comment="what an image is built on, kept for what runs",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "succession",
        sa.Column("manifest_id", _ID, nullable=False, comment="the image"),
        sa.Column(
            "newer_id", _ID, nullable=True, comment="what the newest tag of its line points to"
        ),
        sa.Column(
            "newer",
            sa.Text(),
            nullable=True,
            comment="that tag's whole name; null: it is the newest",
        ),
        sa.Column("base_id", _ID, nullable=True, comment="the newest image of its base's line"),
        sa.Column(
            "base",
            sa.Text(),
            nullable=True,
            comment="that tag's whole name; null: it is built on the newest",
        ),
        sa.ForeignKeyConstraint(["base_id"], ["manifest.id"], name=op.f("fk_succession_base_id")),
        sa.ForeignKeyConstraint(
            ["manifest_id"], ["manifest.id"], name=op.f("fk_succession_manifest_id")
        ),
        sa.ForeignKeyConstraint(["newer_id"], ["manifest.id"], name=op.f("fk_succession_newer_id")),
        sa.PrimaryKeyConstraint("manifest_id", name=op.f("pk_succession")),
        comment="what came after an image, kept for what runs",
        sqlite_with_rowid=False,
    )
    op.add_column(
        "manifest",
        sa.Column(
            "chain", sa.LargeBinary(), nullable=True, comment="its layers; null: none, or not read"
        ),
    )
    op.create_index(op.f("ix_manifest_chain"), "manifest", ["chain"], unique=False)
    _refer_to_inventories()
    _chain_layers(op.get_bind())
    op.drop_table("manifest_layer")


def _refer_to_inventories() -> None:
    if op.get_bind().dialect.name == "sqlite":
        # SQLite adds a reference with its column only; a table cannot be made anew while others
        # refer to it.
        op.execute(
            "ALTER TABLE manifest ADD COLUMN inventory_id INTEGER "
            "CONSTRAINT fk_manifest_inventory_id REFERENCES inventory (id)"
        )
        return
    column = sa.Column(
        "inventory_id", _ID, nullable=True, comment="who told its packages; null: its layers"
    )
    op.add_column("manifest", column)
    op.create_foreign_key(
        op.f("fk_manifest_inventory_id"), "manifest", "inventory", ["inventory_id"], ["id"]
    )


def _chain_layers(c: sa.Connection) -> None:
    """Write the layers of each image as a chain, some images at a time."""
    last = 0
    while True:
        numbers = list(
            c.scalars(
                sa.text(
                    "SELECT DISTINCT manifest_id FROM manifest_layer WHERE manifest_id > :last "
                    "ORDER BY manifest_id LIMIT :batch"
                ),
                {"last": last, "batch": _BATCH},
            )
        )
        if not numbers:
            return
        rows = c.execute(
            sa.text(
                "SELECT l.manifest_id, l.layer_id, layer.digest FROM manifest_layer l "
                "JOIN layer ON layer.id = l.layer_id WHERE l.manifest_id > :last "
                "AND l.manifest_id <= :next ORDER BY l.manifest_id, l.position"
            ),
            {"last": last, "next": numbers[-1]},
        )
        _write_chains(c, rows.all())
        last = numbers[-1]


def _write_chains(c: sa.Connection, rows: Any) -> None:
    nodes: dict[bytes, dict[str, Any]] = {}
    ends = []
    for number, layers in groupby(rows, key=lambda row: row.manifest_id):
        parent: bytes | None = None
        for depth, row in enumerate(layers, 1):
            digest = hashlib.sha256((parent or b"") + bytes(row.digest)).digest()[:16]
            nodes[digest] = {
                "digest": digest,
                "parent": parent,
                "layer_id": row.layer_id,
                "depth": depth,
            }
            parent = digest
        ends.append({"number": number, "chain": parent})
    c.execute(
        sa.text(
            "INSERT INTO chain (digest, parent, layer_id, depth) "
            "VALUES (:digest, :parent, :layer_id, :depth) ON CONFLICT DO NOTHING"
        ),
        list(nodes.values()),
    )
    c.execute(sa.text("UPDATE manifest SET chain = :chain WHERE id = :number"), ends)
