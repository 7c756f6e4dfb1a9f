"""The tables of what DebMonitor's clients tell, and what a DebMonitor was told: a part of step 0007."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def make_debmonitor() -> None:
    """Make the tables, and the columns of what runs."""
    _make_reports()
    _make_pushes()
    _extend_runs()


def _make_reports() -> None:
    op.create_table(
        "debmonitor_report",
        sa.Column("id", _ID, nullable=False, comment="our own number"),
        sa.Column(
            "name",
            sa.Text().with_variant(sa.Text(collation="C"), "postgresql"),
            nullable=False,
            comment="registry/path:tag as it was told",
        ),
        sa.Column(
            "manifest_id", _ID, nullable=True, comment="what the name meant; null: not met yet"
        ),
        sa.Column("os", sa.Text(), nullable=False, comment="as it was told, such as Debian 12"),
        sa.Column("told_by", sa.Text(), nullable=False, comment="whose token or certificate"),
        sa.Column("received", sa.BigInteger(), nullable=False, comment="when it was told last"),
        sa.Column("digest", sa.LargeBinary(), nullable=False, comment="of os and lists"),
        sa.Column(
            "updates", sa.Integer(), nullable=False, comment="how many packages it says to upgrade"
        ),
        sa.Column(
            "body",
            sa.LargeBinary(),
            nullable=False,
            comment="the lists as JSON, compressed by zlib",
        ),
        sa.ForeignKeyConstraint(
            ["manifest_id"], ["manifest.id"], name=op.f("fk_debmonitor_report_manifest_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_debmonitor_report")),
        sa.UniqueConstraint("name", name=op.f("uq_debmonitor_report_name")),
        comment="what debmonitor-client told of an image, by the name it gave",
    )
    op.create_index(
        op.f("ix_debmonitor_report_manifest_id"),
        "debmonitor_report",
        ["manifest_id"],
        unique=False,
    )


def _make_pushes() -> None:
    op.create_table(
        "debmonitor_push",
        sa.Column("server", sa.Text(), nullable=False, comment="address of a DebMonitor"),
        sa.Column("kind", sa.Text(), nullable=False, comment="image or cluster"),
        sa.Column("name", sa.Text(), nullable=False, comment="as it was told there"),
        sa.Column("digest", sa.LargeBinary(), nullable=False, comment="of what was told"),
        sa.Column("pushed", sa.BigInteger(), nullable=False, comment="when"),
        sa.PrimaryKeyConstraint("server", "kind", "name", name=op.f("pk_debmonitor_push")),
        comment="what a DebMonitor was told last, so that only what changed is told again",
        sqlite_with_rowid=False,
    )


def _extend_runs() -> None:
    op.add_column(
        "cluster",
        sa.Column(
            "last_told",
            sa.BigInteger(),
            nullable=True,
            comment="when DebMonitor's feeder last told what runs in it",
        ),
    )
    op.add_column(
        "run",
        sa.Column(
            "origin",
            sa.Text(),
            nullable=True,
            comment="who told of it beside scans; null: a scan of pods",
        ),
    )
