"""Findings: what is judged, the advisories' severity, and why a finding does not count.

Revision ID: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from imagecatalog.store.migrations.clair_tables import make_clair
from imagecatalog.store.migrations.debmonitor_tables import make_debmonitor
from imagecatalog.store.migrations.edge_tables import keep_edges
from imagecatalog.store.migrations.matching_tables import make_matching
from imagecatalog.store.migrations.risk_tables import make_risks
from imagecatalog.store.migrations.suppression_tables import make_suppressions

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables; they are filled by the next refresh."""
    _note_contents()
    make_debmonitor()
    op.create_table(
        "scope",
        sa.Column("id", _ID, nullable=False, comment="our own number"),
        sa.Column("name", sa.Text(), nullable=False, comment="debian/bookworm, pypi and the like"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scope")),
        sa.UniqueConstraint("name", name=op.f("uq_scope_name")),
        comment="where advisories speak: a release of a distribution, or a language's packages",
    )
    op.create_table(
        "advisory_alias",
        sa.Column("feed", sa.Text(), nullable=False, comment="who says so"),
        sa.Column("part", sa.Text(), nullable=False, comment="the feed's part that says so"),
        sa.Column("advisory_id", _ID, nullable=False, comment="one name"),
        sa.Column("alias_id", _ID, nullable=False, comment="another name of the same fault"),
        sa.ForeignKeyConstraint(
            ["advisory_id"], ["advisory.id"], name=op.f("fk_advisory_alias_advisory_id")
        ),
        sa.ForeignKeyConstraint(
            ["alias_id"], ["advisory.id"], name=op.f("fk_advisory_alias_alias_id")
        ),
        sa.PrimaryKeyConstraint(
            "feed", "part", "advisory_id", "alias_id", name=op.f("pk_advisory_alias")
        ),
        comment="names of one fault, as the feeds tell them; joined in advisory.fault_id",
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_advisory_alias_advisory_id"), "advisory_alias", ["advisory_id"], unique=False
    )
    op.create_index(
        op.f("ix_advisory_alias_alias_id"), "advisory_alias", ["alias_id"], unique=False
    )
    op.create_table(
        "component",
        sa.Column("id", _ID, nullable=False, comment="our own number"),
        sa.Column("scope_id", _ID, nullable=False, comment="where it is judged"),
        sa.Column(
            "name", sa.Text(), nullable=False, comment="source package, or a language's package"
        ),
        sa.Column(
            "version",
            sa.Text(),
            nullable=False,
            comment="the version that advisories are held against",
        ),
        sa.Column(
            "key", sa.LargeBinary(), nullable=False, comment="the same as a byte key that sorts"
        ),
        sa.Column("pending", sa.Boolean(), nullable=False, comment="true: new, not judged yet"),
        sa.ForeignKeyConstraint(["scope_id"], ["scope.id"], name=op.f("fk_component_scope_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_component")),
        sa.UniqueConstraint(
            "scope_id", "name", "version", name=op.f("uq_component_scope_id_name_version")
        ),
        comment="a version of what advisories name, stored once however many images hold it",
    )
    op.create_index(
        op.f("ix_component_pending_scope_id_name"),
        "component",
        ["pending", "scope_id", "name"],
        unique=False,
    )
    op.create_index(
        op.f("ix_component_scope_id_name_key"),
        "component",
        ["scope_id", "name", "key"],
        unique=False,
    )
    op.create_table(
        "scope_chunk",
        sa.Column("scope_id", _ID, nullable=False, comment="a distribution's release"),
        sa.Column("chunk_id", _ID, nullable=False, comment="a chunk of some image of it"),
        sa.ForeignKeyConstraint(
            ["chunk_id"], ["package_chunk.id"], name=op.f("fk_scope_chunk_chunk_id")
        ),
        sa.ForeignKeyConstraint(["scope_id"], ["scope.id"], name=op.f("fk_scope_chunk_scope_id")),
        sa.PrimaryKeyConstraint("scope_id", "chunk_id", name=op.f("pk_scope_chunk")),
        comment="which chunks have their members among the components of a scope",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "standing",
        sa.Column("scope_id", _ID, nullable=False, comment="the distribution's release"),
        sa.Column("set_id", _ID, nullable=False, comment="the packages"),
        sa.Column("fixable", sa.Integer(), nullable=False, comment="faults that a fix is out for"),
        sa.Column("unfixed", sa.Integer(), nullable=False, comment="faults without one"),
        sa.Column(
            "undetermined",
            sa.Integer(),
            nullable=False,
            comment="faults that nobody has determined",
        ),
        sa.Column(
            "severity", sa.SmallInteger(), nullable=False, comment="worst of those with a fix out"
        ),
        sa.Column(
            "exploited", sa.Integer(), nullable=False, comment="faults known to be exploited"
        ),
        sa.Column(
            "kinds", sa.Text(), nullable=False, comment="types of the packages, each with how many"
        ),
        sa.Column("stale", sa.Boolean(), nullable=False, comment="true: to be added up anew"),
        sa.ForeignKeyConstraint(["scope_id"], ["scope.id"], name=op.f("fk_standing_scope_id")),
        sa.ForeignKeyConstraint(["set_id"], ["package_set.id"], name=op.f("fk_standing_set_id")),
        sa.PrimaryKeyConstraint("scope_id", "set_id", name=op.f("pk_standing")),
        comment="the sum of a set's findings, kept for what runs",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "standing_component",
        sa.Column("component_id", _ID, nullable=False, comment="what has faults"),
        sa.Column("scope_id", _ID, nullable=False, comment="the distribution's release"),
        sa.Column("set_id", _ID, nullable=False, comment="the packages"),
        sa.ForeignKeyConstraint(
            ["component_id"],
            ["component.id"],
            name=op.f("fk_standing_component_component_id"),
        ),
        sa.ForeignKeyConstraint(
            ["scope_id", "set_id"],
            ["standing.scope_id", "standing.set_id"],
            name="fk_standing_component_standing",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "component_id", "scope_id", "set_id", name=op.f("pk_standing_component")
        ),
        comment="the components with findings of each set that runs",
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_standing_component_scope_id_set_id"),
        "standing_component",
        ["scope_id", "set_id"],
        unique=False,
    )
    op.create_table(
        "component_package",
        sa.Column("package_version_id", _ID, nullable=False, comment="what is installed"),
        sa.Column("component_id", _ID, nullable=False, comment="what is judged for it"),
        sa.ForeignKeyConstraint(
            ["component_id"], ["component.id"], name=op.f("fk_component_package_component_id")
        ),
        sa.ForeignKeyConstraint(
            ["package_version_id"],
            ["package_version.id"],
            name=op.f("fk_component_package_package_version_id"),
        ),
        sa.PrimaryKeyConstraint(
            "package_version_id", "component_id", name=op.f("pk_component_package")
        ),
        comment="which component each package version is judged by, in every scope it occurs in",
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_component_package_component_id"),
        "component_package",
        ["component_id"],
        unique=False,
    )
    op.create_table(
        "finding",
        sa.Column("component_id", _ID, nullable=False, comment="what has the fault"),
        sa.Column("advisory_id", _ID, nullable=False, comment="the fault, or a notice"),
        sa.Column(
            "state", sa.Text(), nullable=False, comment="fix-out, no-fix, wont-fix or undetermined"
        ),
        sa.Column(
            "fixed",
            sa.Text(),
            nullable=True,
            comment="first version without it; null: no fix is out",
        ),
        sa.Column(
            "reason",
            sa.Text(),
            nullable=True,
            comment="no-dsa, postponed, ignored, end-of-life, or null",
        ),
        sa.Column(
            "severity",
            sa.SmallInteger(),
            nullable=False,
            comment="0 unknown, 1 negligible … 5 critical",
        ),
        sa.Column("urgency", sa.Text(), nullable=True, comment="the feed's own word"),
        sa.Column("feed", sa.Text(), nullable=False, comment="the feed whose word counts"),
        sa.Column(
            "counted",
            sa.Boolean(),
            nullable=False,
            comment="false: a notice or alias of one that counts",
        ),
        sa.ForeignKeyConstraint(
            ["advisory_id"], ["advisory.id"], name=op.f("fk_finding_advisory_id")
        ),
        sa.ForeignKeyConstraint(
            ["component_id"], ["component.id"], name=op.f("fk_finding_component_id")
        ),
        sa.PrimaryKeyConstraint("component_id", "advisory_id", name=op.f("pk_finding")),
        comment="a component that has a fault; fixed and not affected ones have no row",
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_finding_advisory_id"), "finding", ["advisory_id"], unique=False)
    op.add_column(
        "advisory",
        sa.Column(
            "severity",
            sa.SmallInteger(),
            nullable=True,
            comment="0 unknown, 1 negligible … 5 critical; null: unrated",
        ),
    )
    op.add_column(
        "advisory",
        sa.Column("score", sa.Float(), nullable=True, comment="CVSS base score; null: none"),
    )
    op.add_column(
        "advisory",
        sa.Column(
            "fault_id",
            _ID,
            nullable=True,
            comment="the fault that it is another name of; null: none",
        ),
    )
    op.create_index(op.f("ix_advisory_fault_id"), "advisory", ["fault_id"], unique=False)
    op.add_column(
        "distro",
        sa.Column(
            "scope_id",
            _ID,
            nullable=True,
            comment="whose advisories count; null: not worked out yet",
        ),
    )
    make_suppressions()
    make_risks()
    make_matching()
    keep_edges()
    make_clair()


def _note_contents() -> None:
    """Have images say which of their files were not read, and packages whose they are not."""
    op.add_column(
        "health",
        sa.Column(
            "good_until",
            sa.BigInteger(),
            nullable=True,
            comment="of a feed: when what it told becomes too old; null: never",
        ),
    )
    op.add_column(
        "health",
        sa.Column(
            "address",
            sa.Text(),
            nullable=True,
            comment="of a feed: where it was last read well from",
        ),
    )
    op.add_column(
        "manifest",
        sa.Column(
            "problems",
            sa.Text(),
            nullable=True,
            comment="JSON list of files that could not be read; null: none",
        ),
    )
    op.create_table(
        "third_party",
        sa.Column("package_version_id", _ID, nullable=False, comment="the package"),
        sa.ForeignKeyConstraint(
            ["package_version_id"],
            ["package_version.id"],
            name=op.f("fk_third_party_package_version_id"),
        ),
        sa.PrimaryKeyConstraint("package_version_id", name=op.f("pk_third_party")),
        comment="package versions that the distribution they are installed on did not build",
        sqlite_with_rowid=False,
    )
