"""Opens the catalog's database; the only place where transactions begin and end."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    NoSuchModuleError,
    OperationalError,
)
from sqlalchemy.pool import QueuePool

from imagecatalog.errors import (
    BadName,
    ConfigError,
    DatabaseConflict,
    DatabaseError,
    DatabaseFull,
    DatabaseLocked,
    DatabaseNotReady,
    DatabaseReadOnly,
    DatabaseTooNew,
    NotADatabase,
)
from imagecatalog.store.migrations import HEAD, REVISIONS

__all__ = ["Catalog", "Connection", "initialise"]

_BUSY_SECONDS = 30
_PATIENCE = {"connect_timeout": 10}
"""Seconds, for PostgreSQL; libpq's own is without end."""


def database_url(database: str) -> URL:
    """The URL of a path (SQLite) or of a ``sqlite:`` or ``postgresql:`` URL; ConfigError otherwise."""
    if "://" not in database:
        return URL.create("sqlite", database=str(Path(database).expanduser()))
    try:
        url = make_url(database)
    except ArgumentError:
        raise ConfigError("the database's URL cannot be read") from None
    if url.drivername in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    if url.drivername in ("sqlite", "postgresql+psycopg"):
        return url
    raise ConfigError(
        f"no database of the kind {url.drivername!r} is supported",
        hint="give a path, sqlite:///PATH or postgresql://…",
    )


class Catalog:
    """An open catalog. Safe to share between threads; connections are not."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, database: str) -> Catalog:
        """Open a database that ``initialise`` made; raises the DatabaseError family."""
        url = database_url(database)
        if url.drivername == "sqlite" and url.database and not Path(url.database).exists():
            raise DatabaseNotReady(
                f"there is no database at {url.database}",
                hint=f"make it with: imagecatalog --database {url.database} init",
            )
        _refuse_folder(url)
        catalog = cls(_engine(url))
        try:
            catalog.check_revision()
        except BaseException:
            catalog.close()
            raise
        return catalog

    def check_revision(self) -> None:
        """Raise DatabaseNotReady or DatabaseTooNew unless the schema is this release's."""
        with self.read() as c:
            found = _revision(c)
        if found == HEAD:
            return
        name = self._engine.url.render_as_string(hide_password=True)
        if found is not None and found not in REVISIONS:
            raise DatabaseTooNew(
                f"{name} was written by a newer release (its schema is {found}, ours {HEAD})",
                hint="run that release, or restore a backup made before the upgrade",
            )
        raise DatabaseNotReady(
            f"{name} is " + ("not initialised" if found is None else "of an older release"),
            hint="run: imagecatalog init",
        )

    @property
    def embedded(self) -> bool:
        """Whether this is one SQLite file, and not a database server."""
        return self._engine.dialect.name == "sqlite"

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view of the catalog; nothing done with it stays."""
        with _told(self._engine.url), self._engine.connect() as c:
            if self.embedded:
                yield c
            else:
                snapshot = c.execution_options(isolation_level="REPEATABLE READ")
                # Not postgresql_readonly: taken back, that would allow writing where the server's
                # own default forbids it.
                snapshot.exec_driver_sql("SET TRANSACTION READ ONLY")
                yield snapshot

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction: kept when the block ends, dropped whole when it raises."""
        with (
            _told(self._engine.url),
            self._engine.connect() as c,
            c.execution_options(imagecatalog_write=True).begin(),
        ):
            yield c

    def close(self) -> None:
        """Give back all connections."""
        self._engine.dispose()


def initialise(database: str) -> None:
    """Create or migrate a database to this release's schema; idempotent, in one transaction.

    Raises DatabaseTooNew for a database of a newer release, NotADatabase for another program's
    SQLite file, and the DatabaseError family.
    """
    from imagecatalog.store.migrations.env import migrate

    url = database_url(database)
    if url.drivername == "sqlite" and url.database and url.database != ":memory:":
        try:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DatabaseError(
                f"cannot make the folder of {url.database}: {error.strerror}"
            ) from error
    _refuse_folder(url)
    catalog = Catalog(_engine(url))
    try:
        with catalog.write() as c:
            found = _revision(c)
            if found is None and catalog.embedded and inspect(c).get_table_names():
                raise NotADatabase(
                    f"{url.database} holds the tables of another program",
                    hint="give a path of its own",
                )
            if found is None or found in REVISIONS:
                migrate(c)
        catalog.close()  # what connects from now on finds a database of ours
        catalog.check_revision()
    finally:
        catalog.close()


def _refuse_folder(url: URL) -> None:
    if url.drivername == "sqlite" and url.database and Path(url.database).is_dir():
        raise NotADatabase(f"{url.database} is a folder", hint="give the path of a file")


def _revision(c: Connection) -> str | None:
    if not c.dialect.has_table(c, "alembic_version"):
        return None
    found = c.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return None if found is None else str(found)


def _engine(url: URL) -> Engine:
    if url.drivername != "sqlite":
        try:
            patience = {} if "connect_timeout" in url.query else _PATIENCE
            return create_engine(url, pool_pre_ping=True, connect_args=patience)
        except (ImportError, NoSuchModuleError):
            raise ConfigError(
                "PostgreSQL needs its driver", hint="pip install 'imagecatalog[postgres]'"
            ) from None
    engine = create_engine(
        url,
        poolclass=QueuePool,
        connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False},
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    # We write BEGIN ourselves: Python's own begins too late for a consistent read.
    connection.isolation_level = None
    # Nothing is changed in a file that may turn out to be another program's.
    ours = "SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'"
    if connection.execute(ours).fetchone():
        connection.execute("PRAGMA journal_mode = WAL")
    for setting in (
        "synchronous = FULL",
        "foreign_keys = ON",
        "cache_size = -65536",
        "mmap_size = 268435456",
        "temp_store = MEMORY",
    ):
        connection.execute(f"PRAGMA {setting}")


def _begin_sqlite(c: Connection) -> None:
    writes = c.get_execution_options().get("imagecatalog_write")
    c.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


_FAULTS: tuple[tuple[str, type[DatabaseError], str, str], ...] = (
    (
        r"password|pg_hba\.conf|role .* does not exist",
        DatabaseError,
        "does not let us in",
        "check the user and the password in its URL",
    ),
    (
        r"database .* does not exist",
        DatabaseNotReady,
        "is not there",
        "make it with createdb, then run: imagecatalog init",
    ),
    (
        r"readonly|read-only|read-write mode",
        DatabaseReadOnly,
        "cannot be written",
        "check its owner and rights",
    ),
    (
        r"disk is full|no space left",
        DatabaseFull,
        "has no room left on its disk",
        "free some room",
    ),
    (
        r"disk i/o error",
        DatabaseError,
        "could not be read or written: disk I/O error",
        "is the disk full or failing, or a limit on the size of files too low?",
    ),
    (
        r"deadlock|could not serialize",
        DatabaseConflict,
        "was written by two processes that waited for each other, and one had to give way",
        "try the very same again",
    ),
    (
        r"locked|busy",
        DatabaseLocked,
        f"was held by another process for over {_BUSY_SECONDS} s",
        "is another imagecatalog writing to it? try again when it is done",
    ),
    (
        r"not a database|malformed|encrypted",
        NotADatabase,
        "is not a database of ours, or is damaged",
        "give another path, or restore a backup",
    ),
    (
        r"no such table|relation .* does not exist",
        DatabaseNotReady,
        "is not initialised",
        "run: imagecatalog init",
    ),
    (r"unable to open", DatabaseError, "cannot be opened", "check the path and its rights"),
)
"""What the drivers say, in lower case, and what it means; the first that fits."""


@contextmanager
def _told(url: URL) -> Iterator[None]:
    """Turn the driver's errors into sentences; those that are a fault of ours pass."""
    try:
        yield
    except UnicodeEncodeError:
        raise BadName("a text that is asked for is not UTF-8", hint="write it anew") from None
    except (IntegrityError, DataError):
        raise
    except DBAPIError as error:
        name = (
            url.database if url.drivername == "sqlite" else url.render_as_string(hide_password=True)
        )
        text = str(error.orig).lower()
        for words, kind, sentence, hint in _FAULTS:
            if re.search(words, text):
                raise kind(f"the database {name} {sentence}", hint=hint) from error
        if error.connection_invalidated or (
            url.drivername != "sqlite" and isinstance(error, OperationalError | InterfaceError)
        ):
            first = str(error.orig).strip().splitlines()[0]
            raise DatabaseError(
                f"the database {name} does not answer: {first}",
                hint="check that it runs, and the host and the port in its URL",
            ) from error
        raise
