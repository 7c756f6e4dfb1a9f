"""The images that run, beside the sums of their findings.

Their sums may be dropped before they are: then they count as not kept. A foreign key would have who
drops sums wait for who writes images, and the other way round.
"""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Table

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
    Index(None, "scope_id", "set_id"),
    comment="the images that run, by their packages: what a fault is in is read without the others",
)
