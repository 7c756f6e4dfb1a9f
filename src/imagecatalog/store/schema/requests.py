"""What somebody wants looked at in a registry, before the next sync or by it."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, Table, Text, UniqueConstraint

from imagecatalog.store.schema.columns import Moment, metadata, number

sync_request = Table(
    "sync_request",
    metadata,
    number(),
    Column("repository", Text, nullable=False, comment="registry and path"),
    Column("reference", Text, nullable=False, comment="tag or digest in it"),
    Column(
        "origin",
        Text,
        nullable=False,
        comment="push: its registry told of it; running: it runs and was never met",
    ),
    Column("asked", Integer, nullable=False, comment="how often it was asked for"),
    Column("received", Moment, nullable=False, comment="when it was first asked for"),
    Column(
        "due",
        Moment,
        nullable=False,
        comment="from when on it is to be looked at; later while a job is at it",
    ),
    Column("tries", Integer, nullable=False, comment="how often that failed"),
    Column("problem", Text, comment="why it failed last"),
    UniqueConstraint("repository", "reference", "origin"),
    Index(None, "origin", "due"),
    comment="tags and digests that are to be looked at in a registry",
)
