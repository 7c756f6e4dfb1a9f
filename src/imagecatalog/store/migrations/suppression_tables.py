"""The tables of what is deferred and of VEX: a part of step 0007."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def make_suppressions() -> None:
    """Make them."""
    _make_deferrals()
    _make_vex()


def _make_deferrals() -> None:
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


def _make_vex() -> None:
    op.create_table(
        "vex_document",
        sa.Column("id", _ID, nullable=False, comment="our own number"),
        _told("feed", "vex, or upload", nullable=False),
        _told("part", "its name", nullable=False),
        _told("author", "who says so", nullable=False),
        _told("format", "OpenVEX, CSAF, CycloneDX, with the version", nullable=False),
        sa.Column(
            "received",
            sa.BigInteger(),
            nullable=False,
            comment="when it was first or last another",
        ),
        _told("withdrawn_by", "who took it back here"),
        _moment("withdrawn_at", "when; null: not"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vex_document")),
        sa.UniqueConstraint("feed", "part", name=op.f("uq_vex_document_feed_part")),
        comment="a VEX document; one that was taken back suppresses nothing, and stays",
    )
    _make_statements()


def _make_statements() -> None:
    op.create_table(
        "vex_statement",
        sa.Column("id", _ID, nullable=False, comment="our own number"),
        _told("feed", "vex, or upload", nullable=False),
        _told("part", "the document", nullable=False),
        sa.Column("advisory_id", _ID, nullable=False, comment="the fault it speaks of"),
        _told("author", "who says so", nullable=False),
        _told("status", "not_affected, affected, fixed, under_investigation", nullable=False),
        _told("justification", "why, in the word of its format"),
        _told("statement", "the author's words"),
        _moment("issued", "when it was said; the latest counts"),
        _moment("expires", "until when it counts; null: until withdrawn"),
        _told("image_digest", "the image meant; null: any"),
        _told("repository", "the repository meant, registry and path; null: any"),
        _told("tag", "the tag meant; null: any"),
        _told("type", "purl type of the package meant; null: any package"),
        _told("namespace", "purl namespace of the package meant"),
        _told("name", "the package meant"),
        _told("version", "its version, or a range as vers:…; null: any"),
        _told("scope", "the distribution's release meant; null: any"),
        _told("within", "what else it is meant in, which no image tells; null: nothing"),
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


def _told(name: str, comment: str, *, nullable: bool = True) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable, comment=comment)


def _moment(name: str, comment: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=True, comment=comment)
