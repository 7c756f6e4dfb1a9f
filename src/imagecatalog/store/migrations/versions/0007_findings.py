"""Findings: what is judged, the advisories' severity, and why a finding does not count.

Revision ID: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from imagecatalog.store.migrations.clair_tables import make_clair
from imagecatalog.store.migrations.debmonitor_tables import make_debmonitor
from imagecatalog.store.migrations.matching_tables import make_matching

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
        "deferral",
        sa.Column("id", _ID, nullable=False, comment="our own number"),
        sa.Column("advisory_id", _ID, nullable=False, comment="the fault put off"),
        sa.Column(
            "package", sa.Text(), nullable=True, comment="binary or source package; null: any"
        ),
        sa.Column(
            "image", sa.Text(), nullable=True, comment="glob on the image's names; null: any"
        ),
        sa.Column("why", sa.Text(), nullable=False, comment="the reason given"),
        sa.Column("made_by", sa.Text(), nullable=False, comment="who put it off"),
        sa.Column("made_at", sa.BigInteger(), nullable=False, comment="when"),
        sa.Column(
            "expires",
            sa.BigInteger(),
            nullable=False,
            comment="until when it counts",
        ),
        sa.Column("withdrawn_by", sa.Text(), nullable=True, comment="who took it back"),
        sa.Column(
            "withdrawn_at",
            sa.BigInteger(),
            nullable=True,
            comment="when; null: not",
        ),
        sa.ForeignKeyConstraint(
            ["advisory_id"], ["advisory.id"], name=op.f("fk_deferral_advisory_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deferral")),
        comment="a fault that somebody decided to live with for a while",
    )
    op.create_index(op.f("ix_deferral_advisory_id"), "deferral", ["advisory_id"], unique=False)
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
        "vex_statement",
        sa.Column("id", _ID, nullable=False, comment="our own number"),
        sa.Column("feed", sa.Text(), nullable=False, comment="vex, or upload"),
        sa.Column("part", sa.Text(), nullable=False, comment="the document"),
        sa.Column("advisory_id", _ID, nullable=False, comment="the fault it speaks of"),
        sa.Column("author", sa.Text(), nullable=False, comment="who says so"),
        sa.Column(
            "status",
            sa.Text(),
            nullable=False,
            comment="not_affected, affected, fixed, under_investigation",
        ),
        sa.Column(
            "justification", sa.Text(), nullable=True, comment="why, in the word of its format"
        ),
        sa.Column("statement", sa.Text(), nullable=True, comment="the author's words"),
        sa.Column(
            "issued",
            sa.BigInteger(),
            nullable=True,
            comment="when it was said; the latest counts",
        ),
        sa.Column(
            "expires",
            sa.BigInteger(),
            nullable=True,
            comment="until when it counts; null: until withdrawn",
        ),
        sa.Column("image_digest", sa.Text(), nullable=True, comment="the image meant; null: any"),
        sa.Column(
            "repository",
            sa.Text(),
            nullable=True,
            comment="the repository meant, registry and path; null: any",
        ),
        sa.Column("tag", sa.Text(), nullable=True, comment="the tag meant; null: any"),
        sa.Column(
            "type",
            sa.Text(),
            nullable=True,
            comment="purl type of the package meant; null: any package",
        ),
        sa.Column(
            "namespace", sa.Text(), nullable=True, comment="purl namespace of the package meant"
        ),
        sa.Column("name", sa.Text(), nullable=True, comment="the package meant"),
        sa.Column(
            "version",
            sa.Text(),
            nullable=True,
            comment="its version, or a range as vers:…; null: any",
        ),
        sa.Column(
            "scope", sa.Text(), nullable=True, comment="the distribution's release meant; null: any"
        ),
        sa.Column(
            "within",
            sa.Text(),
            nullable=True,
            comment="what else it is meant in, which no image tells; null: nothing",
        ),
        sa.ForeignKeyConstraint(
            ["advisory_id"], ["advisory.id"], name=op.f("fk_vex_statement_advisory_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vex_statement")),
        comment="what a VEX document says of a fault in a product",
    )
    op.create_index(
        op.f("ix_vex_statement_advisory_id"), "vex_statement", ["advisory_id"], unique=False
    )
    op.create_index(
        op.f("ix_vex_statement_feed_part"), "vex_statement", ["feed", "part"], unique=False
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
    make_matching()
    _keep_edges()
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


def _keep_edges() -> None:
    """Keep the parents of every image; those there are weighed by the next job that settles."""
    op.drop_table("base_path")
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
    op.execute(
        "INSERT INTO lineage_change (digest, spreads)"
        " SELECT digest, false FROM manifest WHERE kind != 0 ORDER BY id"
    )
