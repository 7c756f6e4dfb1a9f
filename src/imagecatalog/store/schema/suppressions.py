"""Why a finding does not count: statements of VEX documents, and deferrals of our own."""

from __future__ import annotations

from sqlalchemy import Column, Index, Table, Text, UniqueConstraint

from imagecatalog.store.schema.columns import Moment, metadata, number, to

vex_document = Table(
    "vex_document",
    metadata,
    number(),
    Column("feed", Text, nullable=False, comment="vex, or upload"),
    Column("part", Text, nullable=False, comment="its name"),
    Column("author", Text, nullable=False, comment="who says so"),
    Column("format", Text, nullable=False, comment="OpenVEX, CSAF, CycloneDX, with the version"),
    Column("received", Moment, nullable=False, comment="when it was first or last another"),
    Column("withdrawn_by", Text, comment="who took it back here"),
    Column("withdrawn_at", Moment, comment="when; null: not"),
    UniqueConstraint("feed", "part"),
    comment="a VEX document; one that was taken back suppresses nothing, and stays",
)

vex_statement = Table(
    "vex_statement",
    metadata,
    number(),
    Column("feed", Text, nullable=False, comment="vex, or upload"),
    Column("part", Text, nullable=False, comment="the document"),
    to("advisory_id", "advisory.id", "the fault it speaks of", nullable=False, index=True),
    Column("author", Text, nullable=False, comment="who says so"),
    Column(
        "status", Text, nullable=False, comment="not_affected, affected, fixed, under_investigation"
    ),
    Column("justification", Text, comment="why, in the word of its format"),
    Column("statement", Text, comment="the author's words"),
    Column("issued", Moment, comment="when it was said; the latest counts"),
    Column("expires", Moment, comment="until when it counts; null: until withdrawn"),
    Column("image_digest", Text, comment="the image meant; null: any"),
    Column("repository", Text, comment="the repository meant, registry and path; null: any"),
    Column("tag", Text, comment="the tag meant; null: any"),
    Column("type", Text, comment="purl type of the package meant; null: any package"),
    Column("namespace", Text, comment="purl namespace of the package meant"),
    Column("name", Text, comment="the package meant"),
    Column("version", Text, comment="its version, or a range as vers:…; null: any"),
    Column("scope", Text, comment="the distribution's release meant; null: any"),
    Column("within", Text, comment="what else it is meant in, which no image tells; null: nothing"),
    Index(None, "feed", "part"),
    comment="what a VEX document says of a fault in a product",
)

deferral = Table(
    "deferral",
    metadata,
    number(),
    to("advisory_id", "advisory.id", "the fault put off", nullable=False, index=True),
    Column("package", Text, comment="binary or source package; null: any"),
    Column("image", Text, comment="glob on the image's names; null: any"),
    Column("why", Text, nullable=False, comment="the reason given"),
    Column("made_by", Text, nullable=False, comment="who put it off"),
    Column("made_at", Moment, nullable=False, comment="when"),
    Column("expires", Moment, nullable=False, comment="until when it counts"),
    Column("withdrawn_by", Text, comment="who took it back"),
    Column("withdrawn_at", Moment, comment="when; null: not"),
    comment="a fault that somebody decided to live with for a while",
)
