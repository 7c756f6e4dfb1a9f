"""Builds, what was told of an image from outside, and what follows from it."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Index,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)

from imagecatalog.store.schema.columns import Exact, Id, Moment, PackedDigest, metadata, number, to

build = Table(
    "build",
    metadata,
    number(),
    Column("digest", LargeBinary, nullable=False, unique=True, comment="of evidence and body"),
    Column("evidence", Text, nullable=False, comment="registered, provenance or annotation"),
    Column(
        "subject", PackedDigest, index=True, comment="what was built; null: its name is pending"
    ),
    Column("image", Exact, comment="the whole name it was given"),
    Column("platform", Text, comment="os/architecture/variant"),
    Column("builder", Text, comment="name of the builder"),
    Column("builder_version", Text, comment="its version"),
    Column("started", Moment, comment="as the builder says"),
    Column("finished", Moment, comment="as the builder says"),
    Column("source_repository", Text, comment="where its source lies"),
    Column("source_revision", Text, comment="commit"),
    Column("source_path", Text, comment="folder in it"),
    Column("link", Text, comment="page of the build"),
    Column("reason", Text, comment="why it was built"),
    Column("told_by", Text, comment="token that registered it, or what it was read from"),
    Column("signature", Text, comment="none, unverified or verified; null: does not apply"),
    Column("received", Moment, nullable=False, comment="when it was first told"),
    Column("body", LargeBinary, nullable=False, comment="all else that was told; JSON by zlib"),
    to("set_id", "package_set.id", "the packages told; null: nothing is told of them"),
    Index(None, "image", "id"),
    comment="a build, as somebody tells of it",
)

build_parent = Table(
    "build_parent",
    metadata,
    to("build_id", "build.id", "the build", primary_key=True),
    Column("position", SmallInteger, primary_key=True, comment="in the order told"),
    Column("role", Text, nullable=False, comment="base, stage or copy"),
    Column("digest", PackedDigest, index=True, comment="which; null: its name is pending"),
    Column("image", Text, comment="the name told, if one was"),
    Column(
        "resolved", Text, comment="given; then: by the tag of that time; later: by its first sight"
    ),
    Index(None, "image", "build_id"),
    sqlite_with_rowid=False,
    comment="what a build was built from",
)
_pending = build_parent.c.digest.is_(None)
Index(None, build_parent.c.image, sqlite_where=_pending, postgresql_where=_pending)

inventory = Table(
    "inventory",
    metadata,
    number(),
    Column("subject", PackedDigest, nullable=False, comment="the image or index it speaks of"),
    Column("digest", LargeBinary, nullable=False, comment="of the list as it was told"),
    Column("kind", Text, nullable=False, comment="sbom or registered"),
    Column("told_by", Text, nullable=False, comment="attached, uploaded, or name of a token"),
    Column("format", Text, nullable=False, comment="CycloneDX 1.6, SPDX 2.3, build"),
    Column("tool", Text, comment="what wrote it"),
    Column("platform", Text, comment="of an index, the image it speaks of; os/architecture"),
    Column("received", Moment, nullable=False, comment="when it was first told"),
    to("set_id", "package_set.id", "its packages", nullable=False),
    to("distro_id", "distro.id", "the distribution it names"),
    Column("problem", Text, comment="what of it was not understood"),
    UniqueConstraint("subject", "digest"),
    comment="a list of an image's packages that somebody tells",
)

attachment = Table(
    "attachment",
    metadata,
    number(),
    Column("subject", PackedDigest, nullable=False, comment="what it is attached to"),
    Column("digest", PackedDigest, nullable=False, index=True, comment="of its bytes"),
    Column(
        "kind", Text, nullable=False, comment="provenance, sbom, signature, other; carrier of those"
    ),
    Column("media_type", Text, nullable=False, comment="of predicate, document or artifact"),
    Column("signature", Text, nullable=False, comment="none, unverified or verified"),
    Column("problem", Text, comment="why it tells us nothing"),
    Column("seen", Moment, nullable=False, comment="when it was first read"),
    UniqueConstraint("subject", "digest"),
    comment="what registries keep beside an image",
)

succession = Table(
    "succession",
    metadata,
    to("manifest_id", "manifest.id", "the image", primary_key=True),
    to("newer_id", "manifest.id", "what the newest tag of its line points to"),
    Column("newer", Text, comment="that tag's whole name; null: it is the newest"),
    to("base_id", "manifest.id", "the newest image of its base's line"),
    Column("base", Text, comment="that tag's whole name; null: it is built on the newest"),
    sqlite_with_rowid=False,
    comment="what came after an image, kept for what runs",
)

edge = Table(
    "edge",
    metadata,
    # No foreign keys: who deletes an image and who weighs edges must not wait for each other.
    Column("child_id", Id, primary_key=True, comment="manifest.id of the image"),
    Column("position", SmallInteger, primary_key=True, comment="its base first"),
    Column("parent_id", Id, comment="manifest.id of the parent; null: the catalog has it not"),
    Column("role", Text, nullable=False, comment="base, stage or copy"),
    Column("evidence", Text, nullable=False, comment="the best that says so"),
    Column("also", Text, comment="what else says so, with blanks between"),
    Column("digest", PackedDigest, comment="as it was told; null: by a name alone, or by layers"),
    Column("image", Text, comment="the name told, if one was"),
    Column("nearest", Boolean, nullable=False, comment="the first base that the catalog has"),
    Index(None, "parent_id", "child_id"),
    sqlite_with_rowid=False,
    comment="the parents of each image that count, weighed from all that is told",
)

lineage_change = Table(
    "lineage_change",
    metadata,
    number(),
    Column("digest", PackedDigest, nullable=False, comment="of whom something was told"),
    Column("spreads", Boolean, nullable=False, comment="what is built on it may change as well"),
    comment="of what the edges are to be weighed anew",
)

plan = Table(
    "plan",
    metadata,
    number(),
    Column("created", Moment, nullable=False, comment="when it was saved"),
    Column("saved_by", Text, comment="token, or null from the command line"),
    Column("question", Text, nullable=False, comment="what was asked; JSON"),
    Column("body", Text, nullable=False, comment="the plan as it was saved; JSON"),
    Column("progress", Text, nullable=False, comment="state of each step; JSON"),
    Column("followed", Moment, comment="when its steps were last looked at"),
    Column("closed", Moment, index=True, comment="when all of it was done; null: open"),
    comment="a plan to rebuild and redeploy, followed until it is done",
)
