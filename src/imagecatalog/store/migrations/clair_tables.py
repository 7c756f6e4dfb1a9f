"""The tables of Clair as one more source: a part of step 0007."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def make_clair() -> None:
    """Make them, those that others refer to first."""
    _make_servers()
    _make_packages()
    _make_links()
    _make_images()


def _column(
    name: str, kind: sa.types.TypeEngine[Any], comment: str, *, nullable: bool = False
) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=nullable, comment=comment)


def _text(name: str, comment: str, *, nullable: bool = False) -> sa.Column[Any]:
    return _column(name, sa.Text(), comment, nullable=nullable)


def _moment(name: str, comment: str, *, nullable: bool = True) -> sa.Column[Any]:
    return _column(name, sa.BigInteger(), comment, nullable=nullable)


def _number() -> sa.Column[Any]:
    return _column("id", _ID, "our own number")


def _key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=op.f(f"pk_{table}"))


def _once(table: str, column: str) -> sa.UniqueConstraint:
    return sa.UniqueConstraint(column, name=op.f(f"uq_{table}_{column}"))


def _to(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [target], name=op.f(f"fk_{table}_{column}"))


def _index(table: str, column: str) -> None:
    op.create_index(op.f(f"ix_{table}_{column}"), table, [column], unique=False)


def _make_servers() -> None:
    name = "clair_server"
    op.create_table(
        name,
        _number(),
        _text("url", "as configured"),
        _text("index_state", "its indexer's; another one means: index anew", nullable=True),
        _text("updates", "fingerprint of its last updates; null: it never updated", nullable=True),
        _moment("updated", "the newest of them"),
        _moment("checked", "when it last answered"),
        _text("problem_code", "why it could not be asked; null: it answered", nullable=True),
        _text("problem_reason", "the same as a sentence", nullable=True),
        _key(name, "id"),
        _once(name, "url"),
        comment="a Clair as it last answered",
    )
    name = "clair_notice"
    op.create_table(
        name,
        _number(),
        _text("name", "the notification's UUID"),
        _moment("received", "when Clair told us of it", nullable=False),
        _moment("due", "from when on it is to be fetched", nullable=False),
        _column("tries", sa.Integer(), "how often that failed"),
        _text("problem", "why it failed last", nullable=True),
        _key(name, "id"),
        _once(name, "name"),
        comment="a notification of Clair's that waits to be fetched",
    )


def _make_packages() -> None:
    name = "clair_package"
    op.create_table(
        name,
        _number(),
        _column("digest", sa.LargeBinary(), "of all that follows"),
        _text("type", "purl type, or empty"),
        _text("name", "binary package"),
        _text("version", "its version"),
        _text("arch", "architecture, or empty"),
        _text("source", "source package"),
        _text("source_version", "its version"),
        _text("distro", "ID and version, or empty: not recognised"),
        _text("origin", "repositories and module, or empty"),
        _key(name, "id"),
        _once(name, "digest"),
        comment="a package version as Clair finds it, stored once",
    )
    name = "clair_statement"
    op.create_table(
        name,
        _number(),
        _column("digest", sa.LargeBinary(), "of all that follows"),
        _text("updater", "which of Clair's updaters says so"),
        _text("name", "what Clair calls the fault"),
        _text("names", "CVE-…, GHSA-… of it; JSON list"),
        _text("package", "what it is about"),
        _column("severity", sa.SmallInteger(), "0 unknown, 1 negligible … 5 critical"),
        _text("urgency", "the updater's own word", nullable=True),
        _text("fixed", "first version without it; null: Clair knows none", nullable=True),
        _key(name, "id"),
        _once(name, "digest"),
        comment="what Clair holds of a fault in a package, stored once",
    )


def _make_links() -> None:
    name = "clair_claim"
    op.create_table(
        name,
        _column("package_id", _ID, "what has the fault"),
        _column("statement_id", _ID, "the fault"),
        _to(name, "package_id", "clair_package.id"),
        _to(name, "statement_id", "clair_statement.id"),
        _key(name, "package_id", "statement_id"),
        comment="what Clair holds a package version to have; of every image that holds it",
        sqlite_with_rowid=False,
    )
    _index(name, "statement_id")
    name = "clair_found"
    op.create_table(
        name,
        _column("manifest_id", _ID, "the image"),
        _column("package_id", _ID, "what is in it"),
        _column("layer_id", _ID, "which layer brought it; null: not told", nullable=True),
        _to(name, "layer_id", "layer.id"),
        _to(name, "manifest_id", "manifest.id"),
        _to(name, "package_id", "clair_package.id"),
        _key(name, "manifest_id", "package_id"),
        comment="what Clair finds installed in an image",
        sqlite_with_rowid=False,
    )
    _index(name, "package_id")


def _make_images() -> None:
    name = "clair_image"
    op.create_table(
        name,
        _column("manifest_id", _ID, "the image"),
        _column("server_id", _ID, "who was handed it"),
        _text("index_state", "the indexer's when it was indexed; null: it is not", nullable=True),
        _moment("indexed", "when"),
        _text("updates", "which updates its report rests on; null: read it anew", nullable=True),
        _moment("reported", "when its report was last read"),
        _column("unread", sa.Integer(), "members of the report not understood"),
        _moment("wanted", "when it was last wanted there", nullable=False),
        _moment("tried", "when handing it over or reading last failed"),
        _moment("taken", "since when a job is at it; null: none is"),
        _text("problem_code", "why Clair says nothing of it; null: it does", nullable=True),
        _text("problem_reason", "the same as a sentence", nullable=True),
        _to(name, "manifest_id", "manifest.id"),
        _to(name, "server_id", "clair_server.id"),
        _key(name, "manifest_id"),
        comment="an image that Clair was handed, or could not be",
        sqlite_with_rowid=False,
    )
    _index(name, "server_id")
