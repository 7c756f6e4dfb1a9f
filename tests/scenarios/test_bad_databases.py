"""Databases that cannot be used: what is told, what to do about it, and that nothing is harmed."""

from __future__ import annotations

import os
import random
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from bad_registry import BadRegistry, debian, serve
from bad_shop import CommandLine

COMMAND = [sys.executable, "-c", "from imagecatalog.cli.main import main; raise SystemExit(main())"]
VERBS = ("init", "sync", "record", "refresh", "outdated", "running")


@pytest.fixture
def registry() -> Iterator[BadRegistry]:
    with serve() as registry:
        registry.tag("app", registry.add_image(debian(app="1.0-1")))
        yield registry


def words(verb: str, registry: BadRegistry, folder: Path) -> tuple[str, ...]:
    """A verb with what it needs."""
    dump = folder / "pods.json"
    dump.write_text('{"kind": "List", "items": []}')
    return {
        "sync": ("sync", registry.url),
        "record": ("record", "--from-dump", f"a={dump}"),
        "refresh": ("refresh", "apt"),
    }.get(verb, (verb,))


def make_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def make_newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as c, c:
        c.execute("UPDATE alembic_version SET version_num = '9999_of_tomorrow'")


def make_foreign(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as c, c:
        c.execute("CREATE TABLE moz_places (url TEXT)")


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 3)


BROKEN: dict[str, tuple[Callable[[Path], object], str, tuple[str, ...]]] = {
    "absent": (Path.unlink, "there is no database", VERBS[1:]),
    "a folder": (make_directory, "is a folder", VERBS),
    "text": (lambda path: path.write_text("# my notes\n" * 99), "is not a database of ours", VERBS),
    "noise": (
        lambda path: path.write_bytes(random.Random(1).randbytes(9999)),
        "is not a database of ours",
        VERBS,
    ),
    "empty": (lambda path: path.write_bytes(b""), "is not initialised", VERBS[1:]),
    "another program's": (make_foreign, "", VERBS),
    "newer": (make_newer, "was written by a newer release", VERBS),
    "cut short": (cut, "", VERBS),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_database_that_is_none(
    command: CommandLine, registry: BadRegistry, case: str, tmp_path: Path
) -> None:
    spoil, sentence, verbs = BROKEN[case]
    path = Path(command.database)
    spoil(path)
    before = path.read_bytes() if path.is_file() else path.exists()
    for verb in verbs:
        said = command.run(*words(verb, registry, tmp_path), expect=2)
        assert sentence in said.err, verb
        assert command.database in said.err
        assert "\nhint: " in said.err
        assert (path.read_bytes() if path.is_file() else path.exists()) == before


def test_a_folder_that_cannot_be_made(command: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    command.database = str(tmp_path / "file/below/catalog.sqlite")
    assert "cannot make the folder" in command.run("init", expect=2).err


def test_a_database_held_by_another(
    command: CommandLine, registry: BadRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Questions are answered meanwhile, and what waited for too long changed nothing."""
    command.run("sync", registry.url)
    known = command.show(f"{registry.host}/app:1")
    for number in range(50):
        registry.tag(f"more/{number}", registry.add_image(debian(app=f"{number}")))
    with (
        monkeypatch.context() as patch,
        closing(sqlite3.connect(command.database, isolation_level=None)) as other,
    ):
        patch.setattr("imagecatalog.store.engine._BUSY_SECONDS", 0.2)
        other.execute("BEGIN IMMEDIATE")
        for verb in ("init", "sync", "record", "refresh"):
            said = command.run(*words(verb, registry, tmp_path), expect=2)
            assert "was held by another process" in said.err
            assert "\nhint: " in said.err
        assert command.show(f"{registry.host}/app:1") == known
        other.execute("ROLLBACK")
    command.run("sync", registry.url)
    assert command.packages(f"{registry.host}/more/7:1") == {"app": "7"}


def run(
    command: CommandLine, *line: str | Path, before: Callable[[], object] | None = None
) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own; as root, without root's right to pass over modes."""
    plain = ["setpriv", "--bounding-set=-dac_override", "--"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*plain, *COMMAND, "--database", command.database, *map(str, line)],
        capture_output=True, text=True, check=False, timeout=60, preexec_fn=before,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert "fault of ours" not in done.stderr
    return done


@pytest.mark.parametrize("what", ["the file", "the file and its folder"])
def test_a_database_that_may_only_be_read(
    command: CommandLine, registry: BadRegistry, tmp_path: Path, what: str
) -> None:
    command.run("sync", registry.url)
    known = command.show(f"{registry.host}/app:1")
    folder = tmp_path / "kept"
    folder.mkdir()
    path = Path(shutil.move(command.database, folder))
    command.database = str(path)
    registry.tag("new", registry.add_image(debian(new="1.0-1")))
    path.chmod(0o444)
    if "folder" in what:
        folder.chmod(0o555)
    try:
        for verb in ("sync", "record", "refresh"):
            done = run(command, *words(verb, registry, tmp_path))
            assert done.returncode == 2, (verb, done)
            assert done.stdout == ""
            assert done.stderr.startswith("error: ")
            assert command.database in done.stderr
            assert "cannot be written" in done.stderr, verb
            assert "hint: check its owner and rights" in done.stderr
        done = run(command, "show", f"{registry.host}/app:1", "--format", "json")
        if "folder" in what:  # not even a file beside it, which SQLite needs to read
            assert (done.returncode, done.stdout) == (2, "")
            assert done.stderr.startswith("error: ")
        else:
            assert done.returncode == 0, done
            assert '"app"' in done.stdout
    finally:
        folder.chmod(0o755)
        path.chmod(0o644)
    assert command.show(f"{registry.host}/app:1") == known
    command.run("show", f"{registry.host}/new:1", expect=3)


def test_a_file_that_may_grow_no_more(
    command: CommandLine, registry: BadRegistry, tmp_path: Path
) -> None:
    command.run("sync", registry.url)
    known = command.show(f"{registry.host}/app:1")
    for number in range(20):
        packages = {f"p{n}x{number}": f"{n}.{number}" for n in range(300)}
        registry.tag("big", registry.add_image(debian(**packages)), f"{number}")
    limit = Path(command.database).stat().st_size + 4096

    def limit_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = run(command, "sync", registry.url, before=limit_files)
    assert done.returncode == 2, done
    assert done.stdout == ""
    assert command.database in done.stderr
    assert "disk" in done.stderr
    assert "\nhint: " in done.stderr
    assert command.show(f"{registry.host}/app:1") == known
    command.run("sync", registry.url)
    assert len(command.packages(f"{registry.host}/big:7")) == 300
