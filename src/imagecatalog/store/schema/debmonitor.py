"""What DebMonitor's clients tell of images by their names, and what DebMonitors were told by us."""

from __future__ import annotations

from sqlalchemy import Column, Integer, LargeBinary, Table, Text

from imagecatalog.store.schema.columns import Exact, Moment, metadata, number, to

debmonitor_report = Table(
    "debmonitor_report",
    metadata,
    number(),
    Column("name", Exact, nullable=False, unique=True, comment="registry/path:tag as it was told"),
    to("manifest_id", "manifest.id", "what the name meant; null: not met yet", index=True),
    Column("os", Text, nullable=False, comment="as it was told, such as Debian 12"),
    Column("told_by", Text, nullable=False, comment="whose token or certificate"),
    Column("received", Moment, nullable=False, comment="when it was told last"),
    Column("digest", LargeBinary, nullable=False, comment="of os and lists"),
    Column("updates", Integer, nullable=False, comment="how many packages it says to upgrade"),
    Column("body", LargeBinary, nullable=False, comment="the lists as JSON, compressed by zlib"),
    comment="what debmonitor-client told of an image, by the name it gave",
)

debmonitor_push = Table(
    "debmonitor_push",
    metadata,
    Column("server", Text, primary_key=True, comment="address of a DebMonitor"),
    Column("kind", Text, primary_key=True, comment="image or cluster"),
    Column("name", Text, primary_key=True, comment="as it was told there"),
    Column("digest", LargeBinary, nullable=False, comment="of what was told"),
    Column("pushed", Moment, nullable=False, comment="when"),
    sqlite_with_rowid=False,
    comment="what a DebMonitor was told last, so that only what changed is told again",
)
