"""The tables of the kept lineage: a part of step 0007."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def keep_edges() -> None:
    """Keep the parents of every image; those there are weighed by the next job that settles."""
    op.drop_table("base_path")
    _make_edges()
    _make_changes()
    op.execute(
        "INSERT INTO lineage_change (digest, spreads)"
        " SELECT digest, false FROM manifest WHERE kind != 0 ORDER BY id"
    )


def _make_edges() -> None:
    op.create_table(
        "edge",
        sa.Column("child_id", _ID, nullable=False, comment="manifest.id of the image"),
        sa.Column("position", sa.SmallInteger(), nullable=False, comment="its base first"),
        sa.Column(
            "parent_id",
            _ID,
            nullable=True,
            comment="manifest.id of the parent; null: the catalog has it not",
        ),
        sa.Column("role", sa.Text(), nullable=False, comment="base, stage or copy"),
        sa.Column("evidence", sa.Text(), nullable=False, comment="the best that says so"),
        sa.Column(
            "also", sa.Text(), nullable=True, comment="what else says so, with blanks between"
        ),
        sa.Column(
            "digest",
            sa.LargeBinary(),
            nullable=True,
            comment="as it was told; null: by a name alone, or by layers",
        ),
        sa.Column("image", sa.Text(), nullable=True, comment="the name told, if one was"),
        sa.Column(
            "nearest",
            sa.Boolean(),
            nullable=False,
            comment="the first base that the catalog has",
        ),
        sa.PrimaryKeyConstraint("child_id", "position", name=op.f("pk_edge")),
        comment="the parents of each image that count, weighed from all that is told",
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_edge_parent_id_child_id"), "edge", ["parent_id", "child_id"], unique=False
    )


def _make_changes() -> None:
    op.create_table(
        "lineage_change",
        sa.Column("id", _ID, nullable=False, comment="our own number"),
        sa.Column("digest", sa.LargeBinary(), nullable=False, comment="of whom something was told"),
        sa.Column(
            "spreads",
            sa.Boolean(),
            nullable=False,
            comment="what is built on it may change as well",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lineage_change")),
        comment="of what the edges are to be weighed anew",
    )
