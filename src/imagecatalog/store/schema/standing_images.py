"""The images that run, beside the sums of their findings."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, ForeignKeyConstraint, Index, Table

from imagecatalog.store.schema.columns import Id, PackedDigest, metadata

standing_image = Table(
    "standing_image",
    metadata,
    Column(
        "manifest_id",
        Id,
        ForeignKey("manifest.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
        comment="an image",
    ),
    Column("scope_id", Id, nullable=False, comment="its distribution's release"),
    Column("set_id", Id, nullable=False, comment="its packages"),
    Column("digest", PackedDigest, nullable=False, comment="its digest"),
    ForeignKeyConstraint(
        ["scope_id", "set_id"],
        ["standing.scope_id", "standing.set_id"],
        ondelete="CASCADE",
        name="fk_standing_image_standing",
    ),
    Index(None, "scope_id", "set_id"),
    comment="the images that run, by their packages: what a fault is in is read without the others",
)
