"""The table of what is to be looked at in registries: a part of step 0008."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def make_requests() -> None:
    """Make the table."""
    op.create_table(
        "sync_request",
        sa.Column("id", _ID, nullable=False, comment="our own number"),
        sa.Column("repository", sa.Text(), nullable=False, comment="registry and path"),
        sa.Column("reference", sa.Text(), nullable=False, comment="tag or digest in it"),
        sa.Column(
            "origin",
            sa.Text(),
            nullable=False,
            comment="push: its registry told of it; running: it runs and was never met",
        ),
        sa.Column("asked", sa.Integer(), nullable=False, comment="how often it was asked for"),
        sa.Column(
            "received", sa.BigInteger(), nullable=False, comment="when it was first asked for"
        ),
        sa.Column(
            "due",
            sa.BigInteger(),
            nullable=False,
            comment="from when on it is to be looked at; later while a job is at it",
        ),
        sa.Column("tries", sa.Integer(), nullable=False, comment="how often that failed"),
        sa.Column("problem", sa.Text(), nullable=True, comment="why it failed last"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sync_request")),
        sa.UniqueConstraint(
            "repository",
            "reference",
            "origin",
            name=op.f("uq_sync_request_repository_reference_origin"),
        ),
        comment="tags and digests that are to be looked at in a registry",
    )
    op.create_index(
        op.f("ix_sync_request_origin_due"), "sync_request", ["origin", "due"], unique=False
    )
