"""The few differences between SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Column, Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

T = TypeVar("T")

BATCH = 1000
"""Values in one IN list: well below SQLite's limit of 32,766 variables."""


def insert(c: Connection, table: Table) -> Any:
    """An INSERT of the connection's own dialect, which knows ON CONFLICT."""
    return _insert(c.dialect.name, table)


# Building a statement costs more than running it: those of every image are built once.
@lru_cache
def _insert(dialect: str, table: Table) -> Any:
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


@lru_cache
def _insert_new(dialect: str, table: Table, returned: tuple[Column[Any], ...]) -> Any:
    statement = _insert(dialect, table).on_conflict_do_nothing()
    return statement.returning(*returned) if returned else statement


@lru_cache
def _upsert(
    dialect: str,
    table: Table,
    key: tuple[str, ...],
    names: tuple[str, ...],
    returned: tuple[Column[Any], ...],
) -> Any:
    statement = _insert(dialect, table)
    values = {name: statement.excluded[name] for name in names}
    statement = statement.on_conflict_do_update(index_elements=key, set_=values)
    return statement.returning(*returned) if returned else statement


def insert_new(c: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows, leaving out those that are there already."""
    if rows:
        c.execute(_insert_new(c.dialect.name, table, ()), rows)


def insert_returning(
    c: Connection, table: Table, rows: Sequence[dict[str, Any]], *columns: Column[Any]
) -> list[Any]:
    """Insert rows, leaving out those that are there already; these columns of the new ones."""
    if not rows:
        return []
    return list(c.execute(_insert_new(c.dialect.name, table, columns), rows))


def insert_pairs(c: Connection, table: Table, rows: Sequence[tuple[int, int]]) -> None:
    """Insert rows of a table of two numbers, leaving out those that are there already; many, fast."""
    if not rows:
        return
    first, second = (column.name for column in table.columns)
    into = f"INSERT INTO {table.name} ({first}, {second})"
    if c.dialect.name == "postgresql":
        values = "SELECT * FROM unnest(%s::bigint[], %s::bigint[])"
        columns: Any = tuple(map(list, zip(*rows, strict=True)))
    else:
        values, columns = "VALUES (?, ?)", rows
    c.exec_driver_sql(f"{into} {values} ON CONFLICT DO NOTHING", columns)


def upsert(
    c: Connection,
    table: Table,
    rows: Sequence[dict[str, Any]],
    *,
    keep: Sequence[str] = (),
    key: Sequence[str] = (),
    returned: Sequence[Column[Any]] = (),
) -> list[Any]:
    """Insert rows; where the key (the primary key) is there, overwrite all other columns but ``keep``.

    Gives the columns asked for of every row.
    """
    if not rows:
        return []
    unique = tuple(key) or tuple(column.name for column in table.primary_key)
    names = tuple(name for name in rows[0] if name not in unique and name not in keep)
    found = c.execute(_upsert(c.dialect.name, table, unique, names, tuple(returned)), rows)
    return list(found) if returned else []


def lock_table(c: Connection, table: Table) -> None:
    """Keep others from writing to a table; on SQLite whoever writes is alone anyway."""
    if c.dialect.name == "postgresql":
        c.exec_driver_sql(f"LOCK TABLE {table.name} IN SHARE ROW EXCLUSIVE MODE")


def batches(items: Iterable[T], size: int = BATCH) -> Iterator[list[T]]:
    """The items in lists of at most ``size``."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
