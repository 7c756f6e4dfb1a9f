"""Clair as one more source: which images it holds, what it finds in them, what it notified of."""

from __future__ import annotations

from sqlalchemy import Column, Integer, LargeBinary, SmallInteger, Table, Text

from imagecatalog.store.schema.columns import Moment, metadata, number, to

clair_server = Table(
    "clair_server",
    metadata,
    number(),
    Column("url", Text, nullable=False, unique=True, comment="as configured"),
    Column("index_state", Text, comment="its indexer's; another one means: index anew"),
    Column("updates", Text, comment="fingerprint of its last updates; null: it never updated"),
    Column("updated", Moment, comment="the newest of them"),
    Column("checked", Moment, comment="when it last answered"),
    Column("problem_code", Text, comment="why it could not be asked; null: it answered"),
    Column("problem_reason", Text, comment="the same as a sentence"),
    comment="a Clair as it last answered",
)

clair_image = Table(
    "clair_image",
    metadata,
    to("manifest_id", "manifest.id", "the image", primary_key=True),
    to("server_id", "clair_server.id", "who was handed it", nullable=False, index=True),
    Column("index_state", Text, comment="the indexer's when it was indexed; null: it is not"),
    Column("indexed", Moment, comment="when"),
    Column("updates", Text, comment="which updates its report rests on; null: read it anew"),
    Column("reported", Moment, comment="when its report was last read"),
    Column("unread", Integer, nullable=False, comment="members of the report not understood"),
    Column("wanted", Moment, nullable=False, comment="when it was last wanted there"),
    Column("tried", Moment, comment="when handing it over or reading last failed"),
    Column("taken", Moment, comment="since when a job is at it; null: none is"),
    Column("problem_code", Text, comment="why Clair says nothing of it; null: it does"),
    Column("problem_reason", Text, comment="the same as a sentence"),
    sqlite_with_rowid=False,
    comment="an image that Clair was handed, or could not be",
)

clair_package = Table(
    "clair_package",
    metadata,
    number(),
    Column("digest", LargeBinary, nullable=False, unique=True, comment="of all that follows"),
    Column("type", Text, nullable=False, comment="purl type, or empty"),
    Column("name", Text, nullable=False, comment="binary package"),
    Column("version", Text, nullable=False, comment="its version"),
    Column("arch", Text, nullable=False, comment="architecture, or empty"),
    Column("source", Text, nullable=False, comment="source package"),
    Column("source_version", Text, nullable=False, comment="its version"),
    Column("distro", Text, nullable=False, comment="ID and version, or empty: not recognised"),
    Column("origin", Text, nullable=False, comment="repositories and module, or empty"),
    comment="a package version as Clair finds it, stored once",
)

clair_statement = Table(
    "clair_statement",
    metadata,
    number(),
    Column("digest", LargeBinary, nullable=False, unique=True, comment="of all that follows"),
    Column("updater", Text, nullable=False, comment="which of Clair's updaters says so"),
    Column("name", Text, nullable=False, comment="what Clair calls the fault"),
    Column("names", Text, nullable=False, comment="CVE-…, GHSA-… of it; JSON list"),
    Column("package", Text, nullable=False, comment="what it is about"),
    Column(
        "severity", SmallInteger, nullable=False, comment="0 unknown, 1 negligible … 5 critical"
    ),
    Column("urgency", Text, comment="the updater's own word"),
    Column("fixed", Text, comment="first version without it; null: Clair knows none"),
    comment="what Clair holds of a fault in a package, stored once",
)

clair_claim = Table(
    "clair_claim",
    metadata,
    to("package_id", "clair_package.id", "what has the fault", primary_key=True),
    to("statement_id", "clair_statement.id", "the fault", primary_key=True, index=True),
    sqlite_with_rowid=False,
    comment="what Clair holds a package version to have; of every image that holds it",
)

clair_found = Table(
    "clair_found",
    metadata,
    to("manifest_id", "manifest.id", "the image", primary_key=True),
    to("package_id", "clair_package.id", "what is in it", primary_key=True, index=True),
    to("layer_id", "layer.id", "which layer brought it; null: not told"),
    sqlite_with_rowid=False,
    comment="what Clair finds installed in an image",
)

clair_notice = Table(
    "clair_notice",
    metadata,
    number(),
    Column("name", Text, nullable=False, unique=True, comment="the notification's UUID"),
    Column("received", Moment, nullable=False, comment="when Clair told us of it"),
    Column("due", Moment, nullable=False, comment="from when on it is to be fetched"),
    Column("tries", Integer, nullable=False, comment="how often that failed"),
    Column("problem", Text, comment="why it failed last"),
    comment="a notification of Clair's that waits to be fetched",
)
