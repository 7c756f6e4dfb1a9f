"""What is judged against advisories, and the findings: of package versions, never of images."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)

from imagecatalog.store.schema.columns import Id, metadata, number, to

scope = Table(
    "scope",
    metadata,
    number(),
    Column("name", Text, nullable=False, unique=True, comment="debian/bookworm, pypi and the like"),
    comment="where advisories speak: a release of a distribution, or a language's packages",
)

scope_chunk = Table(
    "scope_chunk",
    metadata,
    to("scope_id", "scope.id", "a distribution's release", primary_key=True),
    to("chunk_id", "package_chunk.id", "a chunk of some image of it", primary_key=True),
    sqlite_with_rowid=False,
    comment="which chunks have their members among the components of a scope",
)

unenrolled = Table(
    "unenrolled",
    metadata,
    Column("distro_id", Id, primary_key=True, autoincrement=False, comment="distro; 0: none known"),
    Column("manifest_id", Id, nullable=False, comment="the last image that may not be enrolled"),
    sqlite_with_rowid=False,
    comment="distributions some of whose images have their packages not among the components yet",
)

component = Table(
    "component",
    metadata,
    number(),
    to("scope_id", "scope.id", "where it is judged", nullable=False),
    Column("name", Text, nullable=False, comment="source package, or a language's package"),
    Column("version", Text, nullable=False, comment="the version that advisories are held against"),
    Column("key", LargeBinary, nullable=False, comment="the same as a byte key that sorts"),
    Column("pending", Boolean, nullable=False, comment="true: new, not judged yet"),
    UniqueConstraint("scope_id", "name", "version"),
    Index(None, "scope_id", "name", "key"),
    Index(None, "pending", "scope_id", "name"),
    comment="a version of what advisories name, stored once however many images hold it",
)

component_package = Table(
    "component_package",
    metadata,
    to("package_version_id", "package_version.id", "what is installed", primary_key=True),
    to("component_id", "component.id", "what is judged for it", primary_key=True, index=True),
    sqlite_with_rowid=False,
    comment="which component each package version is judged by, in every scope it occurs in",
)

ruling = Table(
    "ruling",
    metadata,
    to("scope_id", "scope.id", "where", primary_key=True),
    Column("name", Text, primary_key=True, comment="source package, or a language's package"),
    to("advisory_id", "advisory.id", "the fault, or a notice", primary_key=True, index=True),
    Column("place", Integer, primary_key=True, comment="the lowest counts of what a version is in"),
    Column("low_key", LargeBinary, comment="first version with the fault; null: from the first"),
    Column("high_key", LargeBinary, comment="where the fault ends; null: nowhere"),
    Column("high_inclusive", Boolean, nullable=False, comment="whether that one has it too"),
    Column("state", Text, nullable=False, comment="as of a finding, or not-affected"),
    Column("fixed", Text, comment="first version without the fault; null: no fix is out"),
    Column("reason", Text, comment="no-dsa, postponed, ignored, end-of-life, or null"),
    Column(
        "severity", SmallInteger, nullable=False, comment="0 unknown, 1 negligible … 5 critical"
    ),
    Column("urgency", Text, comment="the feed's own word"),
    Column("feed", Text, nullable=False, comment="the feed whose word counts"),
    Column(
        "counted", Boolean, nullable=False, comment="false: a notice or alias of one that counts"
    ),
    sqlite_with_rowid=False,
    comment="what counts of what all feeds say of a package that some image holds",
)

finding = Table(
    "finding",
    metadata,
    to("component_id", "component.id", "what has the fault", primary_key=True),
    to("advisory_id", "advisory.id", "the fault, or a notice", primary_key=True, index=True),
    Column("state", Text, nullable=False, comment="fix-out, no-fix, wont-fix or undetermined"),
    Column("fixed", Text, comment="first version without it; null: no fix is out"),
    Column("reason", Text, comment="no-dsa, postponed, ignored, end-of-life, or null"),
    Column(
        "severity", SmallInteger, nullable=False, comment="0 unknown, 1 negligible … 5 critical"
    ),
    Column("urgency", Text, comment="the feed's own word"),
    Column("feed", Text, nullable=False, comment="the feed whose word counts"),
    Column(
        "counted", Boolean, nullable=False, comment="false: a notice or alias of one that counts"
    ),
    sqlite_with_rowid=False,
    comment="a component that has a fault; fixed and not affected ones have no row",
)

standing = Table(
    "standing",
    metadata,
    to("scope_id", "scope.id", "the distribution's release", primary_key=True),
    to("set_id", "package_set.id", "the packages", primary_key=True),
    Column("fixable", Integer, nullable=False, comment="faults that a fix is out for"),
    Column("unfixed", Integer, nullable=False, comment="faults without one"),
    Column("undetermined", Integer, nullable=False, comment="faults that nobody has determined"),
    Column("severity", SmallInteger, nullable=False, comment="worst of those with a fix out"),
    Column("exploited", Integer, nullable=False, comment="faults known to be exploited"),
    Column("kinds", Text, nullable=False, comment="types of the packages, each with how many"),
    Column("stale", Boolean, nullable=False, comment="true: to be added up anew"),
    sqlite_with_rowid=False,
    comment="the sum of a set's findings, kept for what runs",
)

standing_component = Table(
    "standing_component",
    metadata,
    to("component_id", "component.id", "what has faults", primary_key=True),
    Column("scope_id", Id, primary_key=True, comment="the distribution's release"),
    Column("set_id", Id, primary_key=True, comment="the packages"),
    ForeignKeyConstraint(
        ["scope_id", "set_id"],
        ["standing.scope_id", "standing.set_id"],
        ondelete="CASCADE",
        name="fk_standing_component_standing",
    ),
    Index(None, "scope_id", "set_id"),
    sqlite_with_rowid=False,
    comment="the components with findings of each set that runs",
)
