"""The tables that matching rests on: a part of step 0007."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def make_matching() -> None:
    """Make them, and turn those of what the feeds say, with what is in them."""
    _make_rulings()
    _make_unenrolled()
    _turn_covers()
    _make_unjudged()
    op.execute("CREATE TEMPORARY TABLE affected_before AS SELECT * FROM affected")
    op.drop_table("affected")
    _make_affected()
    _fill_affected()
    op.execute("DROP TABLE affected_before")


def _column(
    name: str, kind: sa.types.TypeEngine[Any], comment: str, *, nullable: bool = False
) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=nullable, comment=comment)


def _text(name: str, comment: str, *, nullable: bool = False) -> sa.Column[Any]:
    return _column(name, sa.Text(), comment, nullable=nullable)


def _name() -> sa.Column[Any]:
    return _text("name", "source package, or a language's package")


def _range() -> tuple[sa.Column[Any], ...]:
    binary = sa.LargeBinary()
    return (
        _column(
            "low_key", binary, "first version with the fault; null: from the first", nullable=True
        ),
        _column("high_key", binary, "where the fault ends; null: nowhere", nullable=True),
        _column("high_inclusive", sa.Boolean(), "whether that one has it too"),
    )


def _to(table: str, name: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([name], [f"{target}.id"], name=op.f(f"fk_{table}_{name}"))


def _key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=op.f(f"pk_{table}"))


def _index(table: str, *columns: str) -> None:
    op.create_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table, list(columns), unique=False)


def _make_rulings() -> None:
    op.create_table(
        "ruling",
        _column("scope_id", _ID, "where"),
        _name(),
        _column("advisory_id", _ID, "the fault, or a notice"),
        _column("place", sa.Integer(), "the lowest counts of what a version is in"),
        *_range(),
        _text("state", "as of a finding, or not-affected"),
        _text("fixed", "first version without the fault; null: no fix is out", nullable=True),
        _text("reason", "no-dsa, postponed, ignored, end-of-life, or null", nullable=True),
        _column("severity", sa.SmallInteger(), "0 unknown, 1 negligible … 5 critical"),
        _text("urgency", "the feed's own word", nullable=True),
        _text("feed", "the feed whose word counts"),
        _column("counted", sa.Boolean(), "false: a notice or alias of one that counts"),
        _to("ruling", "advisory_id", "advisory"),
        _to("ruling", "scope_id", "scope"),
        _key("ruling", "scope_id", "name", "advisory_id", "place"),
        comment="what counts of what all feeds say of a package that some image holds",
        sqlite_with_rowid=False,
    )
    _index("ruling", "advisory_id")


def _make_unenrolled() -> None:
    """All images that are there wait to be enrolled."""
    distro = sa.Column(
        "distro_id", _ID, nullable=False, autoincrement=False, comment="distro; 0: none known"
    )
    op.create_table(
        "unenrolled",
        distro,
        _column("manifest_id", _ID, "the last image that may not be enrolled"),
        _key("unenrolled", "distro_id"),
        comment="distributions some of whose images have their packages not among the components yet",
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO unenrolled (distro_id, manifest_id) SELECT d.id, m.last "
        "FROM (SELECT id FROM distro UNION ALL SELECT 0) d, (SELECT max(id) AS last FROM manifest) m "
        "WHERE m.last IS NOT NULL"
    )


def _turn_covers() -> None:
    """Have what a notice covers say which feed says so."""
    op.execute("CREATE TEMPORARY TABLE cover_before AS SELECT * FROM advisory_cover")
    op.drop_table("advisory_cover")
    op.create_table(
        "advisory_cover",
        _text("feed", "who says so"),
        _text("part", "the feed's part that says so"),
        _column("advisory_id", _ID, "the notice"),
        _column("covered_id", _ID, "a fault that it is about"),
        _to("advisory_cover", "advisory_id", "advisory"),
        _to("advisory_cover", "covered_id", "advisory"),
        _key("advisory_cover", "feed", "part", "advisory_id", "covered_id"),
        comment="the faults that a notice bundles, as a DSA its CVEs",
        sqlite_with_rowid=False,
    )
    _index("advisory_cover", "advisory_id")
    _index("advisory_cover", "covered_id")
    # A notice was a part by its own name, of the one list that has it.
    op.execute(
        "INSERT INTO advisory_cover (feed, part, advisory_id, covered_id) "
        "SELECT p.feed, p.part, b.advisory_id, b.covered_id FROM cover_before b "
        "JOIN advisory a ON a.id = b.advisory_id JOIN feed_part p ON p.part = a.name"
    )
    op.execute("DROP TABLE cover_before")


def _make_unjudged() -> None:
    op.create_table(
        "unjudged",
        _column("scope_id", _ID, "where"),
        _name(),
        _to("unjudged", "scope_id", "scope"),
        _key("unjudged", "scope_id", "name"),
        comment="of what the advisories changed since it was judged last",
        sqlite_with_rowid=False,
    )


def _make_affected() -> None:
    op.create_table(
        "affected",
        _column("id", _ID, "our own number"),
        _text("feed", "who says so"),
        _text("part", "the feed's part that it is of"),
        _column("advisory_id", _ID, "the fault"),
        _column("scope_id", _ID, "where"),
        _name(),
        _text("status", "fixed, open, not-affected, undetermined"),
        *_range(),
        _text("fixed", "first version without the fault", nullable=True),
        _text("urgency", "the feed's own word", nullable=True),
        _text("reason", "no-dsa, postponed, ignored, end-of-life and the like", nullable=True),
        _to("affected", "advisory_id", "advisory"),
        _to("affected", "scope_id", "scope"),
        _key("affected", "id"),
        comment="what a feed says of a fault in a package: a row for each range of versions",
    )
    _index("affected", "advisory_id")
    _index("affected", "feed", "part")
    _index("affected", "scope_id", "name")


def _fill_affected() -> None:
    """Keep what was told until it is told anew, in more detail."""
    op.execute(
        "INSERT INTO scope (name) SELECT DISTINCT distro || '/' || release FROM affected_before"
    )
    op.execute(
        "INSERT INTO affected (feed, part, advisory_id, scope_id, name, status, high_key, "
        "high_inclusive, fixed, urgency, reason) SELECT b.feed, b.part, b.advisory_id, s.id, "
        "b.source, b.status, b.fixed_key, FALSE, b.fixed, b.urgency, b.reason "
        "FROM affected_before b JOIN scope s ON s.name = b.distro || '/' || b.release"
    )
    op.execute("INSERT INTO unjudged SELECT DISTINCT scope_id, name FROM affected")
    op.execute("DELETE FROM feed_file")
    told = sa.table("feed_part", sa.column("digest", sa.LargeBinary()))
    op.execute(told.update().values(digest=b""))
