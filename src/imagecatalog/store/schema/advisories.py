"""Advisories, and which packages each of them affects."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    Index,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
)

from imagecatalog.store.schema.columns import Id, Moment, metadata, number, to

advisory = Table(
    "advisory",
    metadata,
    number(),
    Column("name", Text, nullable=False, unique=True, comment="CVE-…, DSA-… and the like"),
    Column("description", Text, comment="as a feed has it, cut where long"),
    Column("published", Moment, comment="as a feed has it"),
    Column("severity", SmallInteger, comment="0 unknown, 1 negligible … 5 critical; null: unrated"),
    Column("score", Float, comment="CVSS base score; null: none"),
    Column("fault_id", Id, index=True, comment="the fault that it is another name of; null: none"),
    comment="a known fault, or a notice that bundles some",
)

advisory_cover = Table(
    "advisory_cover",
    metadata,
    Column("feed", Text, primary_key=True, comment="who says so"),
    Column("part", Text, primary_key=True, comment="the feed's part that says so"),
    to("advisory_id", "advisory.id", "the notice", primary_key=True, index=True),
    to("covered_id", "advisory.id", "a fault that it is about", primary_key=True, index=True),
    sqlite_with_rowid=False,
    comment="the faults that a notice bundles, as a DSA its CVEs",
)

affected = Table(
    "affected",
    metadata,
    number(),
    Column("feed", Text, nullable=False, comment="who says so"),
    Column("part", Text, nullable=False, comment="the feed's part that it is of"),
    to("advisory_id", "advisory.id", "the fault", nullable=False, index=True),
    to("scope_id", "scope.id", "where", nullable=False),
    Column("name", Text, nullable=False, comment="source package, or a language's package"),
    Column("status", Text, nullable=False, comment="fixed, open, not-affected, undetermined"),
    Column("low_key", LargeBinary, comment="first version with the fault; null: from the first"),
    Column("high_key", LargeBinary, comment="where the fault ends; null: nowhere"),
    Column("high_inclusive", Boolean, nullable=False, comment="whether that one has it too"),
    Column("fixed", Text, comment="first version without the fault"),
    Column("urgency", Text, comment="the feed's own word"),
    Column("reason", Text, comment="no-dsa, postponed, ignored, end-of-life and the like"),
    Index(None, "scope_id", "name"),
    Index(None, "feed", "part"),
    comment="what a feed says of a fault in a package: a row for each range of versions",
)

unjudged = Table(
    "unjudged",
    metadata,
    to("scope_id", "scope.id", "where", primary_key=True),
    Column("name", Text, primary_key=True, comment="source package, or a language's package"),
    sqlite_with_rowid=False,
    comment="of what the advisories changed since it was judged last",
)

feed_file = Table(
    "feed_file",
    metadata,
    Column("address", Text, primary_key=True, comment="where it was fetched"),
    Column("state", Text, nullable=False, comment="what the next conditional fetch needs; JSON"),
    sqlite_with_rowid=False,
    comment="the files of feeds that were last applied",
)

feed_part = Table(
    "feed_part",
    metadata,
    Column("feed", Text, primary_key=True, comment="which feed"),
    Column("part", Text, primary_key=True, comment="what of it: a source package, a DSA"),
    Column("digest", LargeBinary, nullable=False, comment="of its bytes when it was last applied"),
    sqlite_with_rowid=False,
    comment="what was applied of each feed, so that only what changed is looked at",
)

advisory_alias = Table(
    "advisory_alias",
    metadata,
    Column("feed", Text, primary_key=True, comment="who says so"),
    Column("part", Text, primary_key=True, comment="the feed's part that says so"),
    to("advisory_id", "advisory.id", "one name", primary_key=True, index=True),
    to("alias_id", "advisory.id", "another name of the same fault", primary_key=True, index=True),
    sqlite_with_rowid=False,
    comment="names of one fault, as the feeds tell them; joined in advisory.fault_id",
)

rating = Table(
    "rating",
    metadata,
    Column("feed", Text, primary_key=True, comment="who says so"),
    Column("part", Text, primary_key=True, comment="the feed's part that says so"),
    to("advisory_id", "advisory.id", "the fault", primary_key=True, index=True),
    Column("system", Text, primary_key=True, comment="CVSS_V2, CVSS_V3, CVSS_V4, or word"),
    Column("vector", Text, comment="CVSS vector string"),
    Column("score", Float, comment="its base score"),
    Column(
        "severity", SmallInteger, nullable=False, comment="0 unknown, 1 negligible … 5 critical"
    ),
    sqlite_with_rowid=False,
    comment="how bad a fault is, as the feeds tell it",
)

exploited = Table(
    "exploited",
    metadata,
    to("advisory_id", "advisory.id", "the fault", primary_key=True),
    Column("added", Moment, nullable=False, comment="when CISA listed it"),
    Column("due", Moment, comment="until when CISA wants it fixed"),
    Column("ransomware", Boolean, nullable=False, comment="whether ransomware is known to use it"),
    sqlite_with_rowid=False,
    comment="faults known to be exploited (CISA KEV)",
)

epss = Table(
    "epss",
    metadata,
    to("advisory_id", "advisory.id", "the fault", primary_key=True),
    Column("probability", Float, nullable=False, comment="of being exploited within 30 days"),
    Column("percentile", Float, nullable=False, comment="share of faults that are less probable"),
    Column(
        "day", Moment, nullable=False, comment="of the score: models change, never compare days"
    ),
    sqlite_with_rowid=False,
    comment="how probable it is that a fault is exploited (FIRST EPSS)",
)
