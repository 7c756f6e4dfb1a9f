"""The tables of how bad a fault is and how likely to be exploited: a part of step 0007."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def make_risks() -> None:
    """Make them."""
    _make_ratings()
    _make_scores()
    _make_exploits()


def _make_ratings() -> None:
    op.create_table(
        "rating",
        sa.Column("feed", sa.Text(), nullable=False, comment="who says so"),
        sa.Column("part", sa.Text(), nullable=False, comment="the feed's part that says so"),
        sa.Column("advisory_id", _ID, nullable=False, comment="the fault"),
        sa.Column(
            "system", sa.Text(), nullable=False, comment="CVSS_V2, CVSS_V3, CVSS_V4, or word"
        ),
        sa.Column("vector", sa.Text(), nullable=True, comment="CVSS vector string"),
        sa.Column("score", sa.Float(), nullable=True, comment="its base score"),
        sa.Column(
            "severity",
            sa.SmallInteger(),
            nullable=False,
            comment="0 unknown, 1 negligible … 5 critical",
        ),
        sa.ForeignKeyConstraint(
            ["advisory_id"], ["advisory.id"], name=op.f("fk_rating_advisory_id")
        ),
        sa.PrimaryKeyConstraint("feed", "part", "advisory_id", "system", name=op.f("pk_rating")),
        comment="how bad a fault is, as the feeds tell it",
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_rating_advisory_id"), "rating", ["advisory_id"], unique=False)


def _make_scores() -> None:
    op.create_table(
        "epss",
        sa.Column("advisory_id", _ID, nullable=False, comment="the fault"),
        sa.Column(
            "probability", sa.Float(), nullable=False, comment="of being exploited within 30 days"
        ),
        sa.Column(
            "percentile",
            sa.Float(),
            nullable=False,
            comment="share of faults that are less probable",
        ),
        sa.Column(
            "day",
            sa.BigInteger(),
            nullable=False,
            comment="of the score: models change, never compare days",
        ),
        sa.ForeignKeyConstraint(["advisory_id"], ["advisory.id"], name=op.f("fk_epss_advisory_id")),
        sa.PrimaryKeyConstraint("advisory_id", name=op.f("pk_epss")),
        comment="how probable it is that a fault is exploited (FIRST EPSS)",
        sqlite_with_rowid=False,
    )


def _make_exploits() -> None:
    op.create_table(
        "exploited",
        sa.Column("advisory_id", _ID, nullable=False, comment="the fault"),
        sa.Column(
            "added",
            sa.BigInteger(),
            nullable=False,
            comment="when CISA listed it",
        ),
        sa.Column(
            "due",
            sa.BigInteger(),
            nullable=True,
            comment="until when CISA wants it fixed",
        ),
        sa.Column(
            "ransomware",
            sa.Boolean(),
            nullable=False,
            comment="whether ransomware is known to use it",
        ),
        sa.ForeignKeyConstraint(
            ["advisory_id"], ["advisory.id"], name=op.f("fk_exploited_advisory_id")
        ),
        sa.PrimaryKeyConstraint("advisory_id", name=op.f("pk_exploited")),
        comment="faults known to be exploited (CISA KEV)",
        sqlite_with_rowid=False,
    )
