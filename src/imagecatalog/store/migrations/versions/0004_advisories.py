"""Advisories, and which source packages each of them affects.

Revision ID: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables of what the feeds of advisories say."""
    op.create_table(
        "advisory",
        sa.Column("id", _ID, nullable=False, comment="our own number"),
        sa.Column("name", sa.Text(), nullable=False, comment="CVE-…, DSA-… and the like"),
        sa.Column(
            "description", sa.Text(), nullable=True, comment="as a feed has it, cut where long"
        ),
        sa.Column("published", sa.BigInteger(), nullable=True, comment="as a feed has it"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_advisory")),
        sa.UniqueConstraint("name", name=op.f("uq_advisory_name")),
        comment="a known fault, or a notice that bundles some",
    )
    op.create_table(
        "feed_file",
        sa.Column("address", sa.Text(), nullable=False, comment="where it was fetched"),
        sa.Column(
            "state",
            sa.Text(),
            nullable=False,
            comment="what the next conditional fetch needs; JSON",
        ),
        sa.PrimaryKeyConstraint("address", name=op.f("pk_feed_file")),
        comment="the files of feeds that were last applied",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "feed_part",
        sa.Column("feed", sa.Text(), nullable=False, comment="which feed"),
        sa.Column("part", sa.Text(), nullable=False, comment="what of it: a source package, a DSA"),
        sa.Column(
            "digest",
            sa.LargeBinary(),
            nullable=False,
            comment="of its bytes when it was last applied",
        ),
        sa.PrimaryKeyConstraint("feed", "part", name=op.f("pk_feed_part")),
        comment="what was applied of each feed, so that only what changed is looked at",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "advisory_cover",
        sa.Column("advisory_id", _ID, nullable=False, comment="the notice"),
        sa.Column("covered_id", _ID, nullable=False, comment="a fault that it is about"),
        sa.ForeignKeyConstraint(
            ["advisory_id"], ["advisory.id"], name=op.f("fk_advisory_cover_advisory_id")
        ),
        sa.ForeignKeyConstraint(
            ["covered_id"], ["advisory.id"], name=op.f("fk_advisory_cover_covered_id")
        ),
        sa.PrimaryKeyConstraint("advisory_id", "covered_id", name=op.f("pk_advisory_cover")),
        comment="the faults that a notice bundles, as a DSA its CVEs",
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_advisory_cover_covered_id"), "advisory_cover", ["covered_id"], unique=False
    )
    op.create_table(
        "affected",
        sa.Column("id", _ID, nullable=False, comment="our own number"),
        sa.Column("feed", sa.Text(), nullable=False, comment="who says so"),
        sa.Column("part", sa.Text(), nullable=False, comment="the feed's part that it is of"),
        sa.Column("advisory_id", _ID, nullable=False, comment="the fault"),
        sa.Column("distro", sa.Text(), nullable=False, comment="ID of os-release"),
        sa.Column("release", sa.Text(), nullable=False, comment="codename"),
        sa.Column("source", sa.Text(), nullable=False, comment="source package"),
        sa.Column(
            "status", sa.Text(), nullable=False, comment="fixed, open, not-affected, undetermined"
        ),
        sa.Column(
            "fixed", sa.Text(), nullable=True, comment="first source version without the fault"
        ),
        sa.Column(
            "fixed_key",
            sa.LargeBinary(),
            nullable=True,
            comment="the same as a byte key that sorts",
        ),
        sa.Column("urgency", sa.Text(), nullable=True, comment="the feed's own word"),
        sa.Column(
            "reason",
            sa.Text(),
            nullable=True,
            comment="of an open one: no-dsa, postponed, ignored, end-of-life",
        ),
        sa.ForeignKeyConstraint(
            ["advisory_id"], ["advisory.id"], name=op.f("fk_affected_advisory_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_affected")),
        sa.UniqueConstraint(
            "advisory_id",
            "distro",
            "release",
            "source",
            "feed",
            "part",
            name=op.f("uq_affected_advisory_id_distro_release_source_feed_part"),
        ),
        comment="what a feed says of a fault in a source package of a release",
    )
    op.create_index(op.f("ix_affected_feed_part"), "affected", ["feed", "part"], unique=False)
    op.create_index(
        op.f("ix_affected_source_distro_release"),
        "affected",
        ["source", "distro", "release"],
        unique=False,
    )
