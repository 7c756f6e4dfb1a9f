"""The few differences between SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Column, Connection, Dialect, Table, TypeDecorator
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


class _ArrayInsert:
    """Inserts rows into PostgreSQL by an array for each column, leaving out those that are there.

    So the text is the same for any number of rows, and both driver and server have read it already:
    row by row, or by a text as long as the rows are many, it took twice the time.
    """

    def __init__(
        self, dialect: Dialect, table: Table, names: Sequence[str], returned: Sequence[Column[Any]]
    ) -> None:
        quote = dialect.identifier_preparer.quote
        columns = [table.c[name] for name in names]
        self._packers = [(column.name, _packer(column, dialect)) for column in columns]
        self._readers = [_reader(column, dialect) for column in returned]
        arrays = ", ".join(f"%s::{_name_type(column, dialect)}[]" for column in columns)
        into = f"INSERT INTO {quote(table.name)} ({', '.join(map(quote, names))})"
        self._text = " ".join((into, "SELECT * FROM unnest(", arrays, ") ON CONFLICT DO NOTHING"))
        if returned:
            self._text += " RETURNING " + ", ".join(quote(column.name) for column in returned)

    def __call__(self, c: Connection, rows: Sequence[dict[str, Any]]) -> list[Any]:
        """Insert rows; what is asked for of the new ones."""
        arrays = [
            write_array([row[name] if pack is None else pack(row[name]) for row in rows])
            for name, pack in self._packers
        ]
        answer = c.exec_driver_sql(self._text, tuple(arrays))
        if not any(self._readers):
            return list(answer) if self._readers else []
        return [
            tuple(
                part if read is None else read(part)
                for part, read in zip(row, self._readers, strict=True)
            )
            for row in answer
        ]


def _packer(column: Column[Any], dialect: Dialect) -> Callable[[Any], Any] | None:
    kind = column.type
    if isinstance(kind, TypeDecorator):
        return lambda value: kind.process_bind_param(value, dialect)
    return None


def _reader(column: Column[Any], dialect: Dialect) -> Callable[[Any], Any] | None:
    kind = column.type
    if isinstance(kind, TypeDecorator):
        return lambda value: kind.process_result_value(value, dialect)
    return None


def _name_type(column: Column[Any], dialect: Dialect) -> str:
    """What PostgreSQL calls its type, without the order of its texts: an array has none."""
    return column.type.compile(dialect).partition(" COLLATE ")[0]


def write_array(values: Iterable[Any]) -> str:
    """As PostgreSQL reads arrays; its driver writes them more slowly."""
    return f"{{{','.join(map(_write_element, values))}}}"


def _write_element(value: Any) -> str:
    match value:
        case None:
            return "NULL"
        case str():
            escaped = value.replace("\\", "\\\\").replace('"', '\\"')
            return f'"{escaped}"'
        case bytes() | bytearray() | memoryview():
            return f'"\\\\x{value.hex()}"'
    return str(value)


@lru_cache(maxsize=1000)
def _array_insert(
    dialect: Dialect, table: Table, names: tuple[str, ...], returned: tuple[Column[Any], ...]
) -> _ArrayInsert:
    return _ArrayInsert(dialect, table, names, returned)


def insert_new(c: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows, leaving out those that are there already."""
    if not rows:
        return
    if c.dialect.name == "postgresql":
        _array_insert(c.dialect, table, tuple(rows[0]), ())(c, rows)
    else:
        c.execute(_insert_new(c.dialect.name, table, ()), rows)


def insert_returning(
    c: Connection, table: Table, rows: Sequence[dict[str, Any]], *columns: Column[Any]
) -> list[Any]:
    """Insert rows, leaving out those that are there already; these columns of the new ones."""
    if not rows:
        return []
    if c.dialect.name == "postgresql":
        return _array_insert(c.dialect, table, tuple(rows[0]), columns)(c, rows)
    return list(c.execute(_insert_new(c.dialect.name, table, columns), rows))


def insert_pairs(c: Connection, table: Table, rows: Sequence[tuple[int, int]]) -> None:
    """Insert rows of a table of two numbers, leaving out those that are there already; many, fast."""
    if not rows:
        return
    first, second = (column.name for column in table.columns)
    into = f"INSERT INTO {table.name} ({first}, {second})"
    if c.dialect.name == "postgresql":
        values = "SELECT * FROM unnest(%s::bigint[], %s::bigint[])"
        columns: Any = tuple(map(write_array, zip(*rows, strict=True)))
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


def lock_table(c: Connection, table: Table, *, mode: str = "SHARE ROW EXCLUSIVE") -> None:
    """Keep others from writing to a table; on SQLite whoever writes is alone anyway.

    In mode ``EXCLUSIVE`` also from holding rows of it that they read; in ``ROW SHARE`` from nothing
    but that mode.
    """
    if c.dialect.name == "postgresql":
        c.exec_driver_sql(f"LOCK TABLE {table.name} IN {mode} MODE")


def batches(items: Iterable[T], size: int = BATCH) -> Iterator[list[T]]:
    """The items in lists of at most ``size``."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
