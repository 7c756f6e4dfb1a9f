"""Databases that refuse or fail: each error has its kind and a sentence, and nothing is half done."""

from __future__ import annotations

import shutil
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo, sql
from sqlalchemy import URL, event, make_url
from tests_store import NOON, PutImage, package

from imagecatalog.errors import (
    BadName,
    DatabaseError,
    DatabaseFull,
    DatabaseLocked,
    DatabaseNotReady,
    DatabaseReadOnly,
    DatabaseTooNew,
    NotADatabase,
)
from imagecatalog.store import engine, health, repositories
from imagecatalog.store.engine import Catalog, initialise

Make = Callable[..., str]


@pytest.fixture
def path(tmp_path: Path, sqlite_template: Path) -> Path:
    """An initialised SQLite file."""
    return Path(shutil.copy(sqlite_template, tmp_path / "catalog.sqlite"))


def write(catalog: Catalog, *names: str) -> None:
    with catalog.write() as c:
        for name in names or ("x",):
            health.note_try(c, "registry", name, at=NOON, seconds=1.0)


def names(catalog: Catalog) -> list[str]:
    with catalog.read() as c:
        return [item.name for item in health.list_health(c)]


# --- on both databases --------------------------------------------------------------------------


def test_a_transaction_that_fails_leaves_nothing(catalog: Catalog, put_image: PutImage) -> None:
    def fail() -> None:
        with catalog.write() as c:
            health.note_try(c, "registry", "x", at=NOON, seconds=1.0)
            put_image(c, "one", [package("ssl")])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert names(catalog) == []
    with catalog.read() as c:
        assert c.exec_driver_sql("SELECT count(*) FROM manifest").scalar() == 0


def test_a_newer_release_is_neither_read_nor_migrated(catalog_url: str) -> None:
    with closing(Catalog.open(catalog_url)) as catalog, catalog.write() as c:
        c.exec_driver_sql("UPDATE alembic_version SET version_num = '9999_of_tomorrow'")
    for use in (Catalog.open, initialise):
        with pytest.raises(DatabaseTooNew, match="9999_of_tomorrow") as told:
            use(catalog_url)
        assert told.value.hint


def test_an_empty_database_is_not_ready(empty_url: str) -> None:
    if empty_url.startswith("sqlite"):
        Path(make_url(empty_url).database or "").touch()
    with pytest.raises(DatabaseNotReady, match="not initialised") as told:
        Catalog.open(empty_url)
    assert "init" in str(told.value.hint)


# --- SQLite -------------------------------------------------------------------------------------


def test_a_full_disk(path: Path) -> None:
    with closing(Catalog.open(str(path))) as catalog:
        write(catalog, "before")

        def bound(c: sqlite3.Connection, _: object) -> None:
            c.execute("PRAGMA max_page_count = 1")  # no more than there are

        event.listen(catalog._engine, "connect", bound)
        catalog._engine.dispose()
        with pytest.raises(DatabaseFull, match="no room left") as told:
            write(catalog, *(f"{number}" * 20 for number in range(10_000)))
        assert str(path) in told.value.message
        assert names(catalog) == ["before"]


def test_a_lock_that_is_not_given_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_BUSY_SECONDS", 0.2)
    with (
        closing(Catalog.open(str(path))) as catalog,
        closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with pytest.raises(DatabaseLocked, match="held by another process"):
            write(catalog)
        assert time.monotonic() - began > 0.15
        assert names(catalog) == []  # reading goes on
        other.execute("COMMIT")
        write(catalog)


def test_a_lock_is_waited_for_half_a_minute() -> None:
    assert engine._BUSY_SECONDS == 30


def test_damage_is_found_when_it_is_met(path: Path) -> None:
    with closing(Catalog.open(str(path))) as catalog:
        write(catalog)
    with path.open("r+b") as file:
        file.seek(8192)
        file.write(b"\xff" * (path.stat().st_size - 8192))

    def use() -> None:
        with closing(Catalog.open(str(path))) as catalog:
            write(catalog)
            names(catalog)

    with pytest.raises(NotADatabase, match="damaged") as told:
        use()
    assert "backup" in str(told.value.hint)


def test_another_programs_file_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "places.sqlite"
    with closing(sqlite3.connect(path)) as c, c:
        c.execute("CREATE TABLE moz_places (url TEXT)")
    before = path.read_bytes()
    with pytest.raises(NotADatabase, match="another program"):
        initialise(str(path))
    with pytest.raises(DatabaseNotReady):
        Catalog.open(str(path))
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["places.sqlite"]


def test_ours_is_written_ahead(path: Path) -> None:
    with closing(sqlite3.connect(path)) as c:
        assert c.execute("PRAGMA journal_mode").fetchone() == ("wal",)


# --- PostgreSQL ---------------------------------------------------------------------------------


@pytest.fixture
def url(make_postgresql: Make) -> URL:
    """An initialised database on PostgreSQL."""
    return make_url(make_postgresql(initialised=True))


def plain(url: URL) -> str:
    return url.render_as_string(hide_password=False)


def refuse(url: URL, kind: type[DatabaseError], sentence: str) -> DatabaseError:
    """Check that both ways in are refused so, without the password; the error."""
    for use in (Catalog.open, initialise):
        with pytest.raises(kind, match=sentence) as told:
            use(plain(url))
        assert type(told.value) is kind
        assert told.value.hint
        assert "s3cret" not in f"{told.value.message} {told.value.hint}"
    return told.value


def test_a_port_where_nobody_listens(url: URL) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    nowhere = URL.create("postgresql", "x", "s3cret", "127.0.0.1", port, "catalog")
    refuse(nowhere, DatabaseError, "does not answer")


def test_a_port_where_something_else_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        silent = URL.create(
            "postgresql", "x", "s3cret", "127.0.0.1", port, "catalog", {"connect_timeout": "2"}
        )
        refuse(silent, DatabaseError, "does not answer")


@pytest.fixture
def login(postgresql_server: str) -> Iterator[dict[str, str]]:
    """A user who must give a password."""
    given = conninfo.conninfo_to_dict(postgresql_server)
    if given.get("password"):
        yield {"username": str(given.get("user")), "password": "s3cret and wrong"}
        return
    # Ours trusts whoever reaches it, so one line before its rules asks this user for more.
    rule = "local all careful scram-sha-256"
    write = "COPY (SELECT unnest(%s::text[])) TO {} WITH (DELIMITER E'\\x01')"
    with psycopg.connect(postgresql_server, autocommit=True) as c:
        row = c.execute("SELECT current_setting('hba_file')").fetchone()
        assert row is not None
        file = str(row[0])
        [(rules,)] = c.execute("SELECT pg_read_file(%s)", [file]).fetchall()
        before = [line for line in str(rules).splitlines() if line != rule]
        order = sql.SQL(write).format(sql.Literal(file))  # type: ignore[arg-type]
        c.execute("DROP ROLE IF EXISTS careful")
        c.execute("CREATE ROLE careful LOGIN PASSWORD 'right'")
        cursor = psycopg.ClientCursor(c)
        cursor.execute(order, [[rule, *before]])
        c.execute("SELECT pg_reload_conf()")
        yield {"username": "careful", "password": "s3cret and wrong"}
        cursor.execute(order, [before])
        c.execute("SELECT pg_reload_conf()")
        c.execute("DROP ROLE careful")


def test_a_wrong_password(url: URL, login: dict[str, str]) -> None:
    wrong = url.set(username=login["username"], password=login["password"])
    for _ in range(300):  # until the server has read its rules again
        try:
            Catalog.open(plain(wrong)).close()
        except DatabaseError:
            break
        time.sleep(0.1)
    assert "password" in str(refuse(wrong, DatabaseError, "does not let us in").hint)


def test_an_unknown_user(url: URL) -> None:
    refuse(url.set(username="nobody_of_ours"), DatabaseError, "does not let us in")


def test_a_database_that_is_not_there(url: URL) -> None:
    refuse(url.set(database="not_there"), DatabaseNotReady, "is not there")


def test_transactions_that_only_read(url: URL) -> None:
    """A standby, or a role that may not write: questions are answered, nothing is written."""
    with closing(Catalog.open(plain(url))) as catalog:
        write(catalog, "before")
    query = {"options": "-c default_transaction_read_only=on"}
    with closing(Catalog.open(plain(url.update_query_dict(query)))) as catalog:
        assert names(catalog) == ["before"]
        with pytest.raises(DatabaseReadOnly, match="cannot be written"):
            write(catalog, "after")
        assert names(catalog) == ["before"]


def test_a_server_that_goes_away_comes_back(url: URL, postgresql_server: str) -> None:
    with closing(Catalog.open(plain(url))) as catalog:

        def lose() -> None:
            ours = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
            with catalog.write() as c:
                health.note_try(c, "registry", "x", at=NOON, seconds=1.0)
                with psycopg.connect(postgresql_server, autocommit=True) as other:
                    other.execute(ours, [url.database])
                c.exec_driver_sql("SELECT 1")

        with pytest.raises(DatabaseError, match="does not answer") as told:
            lose()
        assert told.value.hint
        assert names(catalog) == []
        write(catalog)
        assert names(catalog) == ["x"]


def test_a_text_that_no_database_can_hold_is_a_wrong_word(catalog: Catalog) -> None:
    with pytest.raises(BadName, match="UTF-8"), catalog.read() as c:
        repositories.list_repositories(c, search="\udcff")


def test_sources_that_nobody_names_any_more_are_forgotten(catalog: Catalog) -> None:
    with catalog.write() as c:
        for name in ("apt", "apt a", "apt b"):
            health.note_try(c, "feed", name, at=NOON, seconds=1.0)
        health.note_try(c, "registry", "apt c", at=NOON, seconds=1.0)
        health.forget_others(c, "feed", "apt ", {"apt b"})
        assert [item.name for item in health.list_health(c)] == ["apt", "apt b", "apt c"]
