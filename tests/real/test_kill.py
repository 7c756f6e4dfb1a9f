"""kill -9 at two hundred random moments: nothing reported as done is lost, and a rerun completes.

Each of ``sync``, ``record`` and ``refresh`` begins from the same catalog each time, is killed at a
random moment of its work, then run again to its end: the answers are those of an undisturbed run.
"""

from __future__ import annotations

import multiprocessing
import random
import re
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from multiprocessing import connection
from pathlib import Path

import msgspec
import pytest
from api_server import ApiServer, make_pod
from killed_child import run_command
from small_fleet import SmallFleet

from imagecatalog.planning.moments import running
from imagecatalog.planning.staleness import outdated
from imagecatalog.store.engine import Catalog
from imagecatalog.store.repositories import list_repositories, tag_history

pytestmark = pytest.mark.real

KILLS = {"sync": 80, "record": 60, "refresh": 60}
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
_TIMES = ("since", "seen", "until", "newest_seen", "last_good", "waiting_since")

# Each process is forked from one that has everything imported, so that the random moments fall
# into the work and not into the start of an interpreter.
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(
    ["killed_child", "imagecatalog.cli.main", "imagecatalog.jobs.sync", "imagecatalog.jobs.record",
     "imagecatalog.jobs.refresh", "imagecatalog.store.engine", "imagecatalog.cli.progress"]
)  # fmt: skip
_turn = threading.Lock()
"""Who starts or joins a process reads how all others ended, which no two threads may do at once."""


@dataclass(frozen=True)
class Scene:
    """A command, the catalog it begins from, and what an undisturbed run makes of it."""

    words: tuple[str, ...]
    before: Path
    after: object
    seconds: float
    fleet: SmallFleet


def start(words: tuple[str, ...], database: Path, fleet: SmallFleet) -> multiprocessing.Process:
    """Begin one command line over this database; its outputs go into a log beside it."""
    config = fleet.write_config(database)
    log = database.with_suffix(".log")
    process = _processes.Process(target=run_command, args=(["--config", str(config), *words], log))
    with _turn:
        process.start()
    return process  # type: ignore[return-value]


def is_running(process: multiprocessing.Process) -> bool:
    """Whether it has not ended yet."""
    return not connection.wait([process.sentinel], 0)


def join(process: multiprocessing.Process) -> None:
    """Wait for its end."""
    assert connection.wait([process.sentinel], 300), "it hangs"
    with _turn:
        process.join()


def run(words: tuple[str, ...], database: Path, fleet: SmallFleet) -> float:
    """Run one command line to its good end; seconds it took."""
    began = time.monotonic()
    process = start(words, database, fleet)
    join(process)
    assert process.exitcode == 0, database.with_suffix(".log").read_text()
    return time.monotonic() - began


def copy_database(source: Path, target: Path) -> Path:
    """A fresh copy, nothing of an older one left beside it."""
    for suffix in ("", "-wal", "-shm"):
        target.with_name(target.name + suffix).unlink(missing_ok=True)
    shutil.copyfile(source, target)
    return target


def _timeless(value: object) -> object:
    if isinstance(value, dict):
        return {key: _timeless(item) for key, item in value.items() if key not in _TIMES}
    return [_timeless(item) for item in value] if isinstance(value, (list, tuple)) else value


def answers(database: Path) -> object:
    """All that the catalog answers, without the moments at which it learnt it."""
    catalog = Catalog.open(str(database))
    try:
        with catalog.read() as c:
            repositories = list_repositories(c).items
            tags = {item.repository: tag_history(c, item.repository) for item in repositories}
            found = (
                repositories, tags, running(c, now=NOW).items, outdated(c, now=NOW, all_images=True).items
            )  # fmt: skip
            return _timeless(msgspec.to_builtins(found))
    finally:
        catalog.close()


def check_sync(database: Path, log: str, fleet: SmallFleet) -> None:
    """Every repository reported as synced has its tags, and its images their packages."""
    catalog = Catalog.open(str(database))
    try:
        with catalog.read() as c:
            listed = {item.image: item for item in outdated(c, now=NOW, all_images=True).items}
            for name in re.findall(r"^synced (\S+)", log, re.MULTILINE):
                tags = {period.tag: period.digest for period in tag_history(c, name)}
                assert tags == fleet.tags[name]
                assert all(listed[f"{name}:{tag}"].distro == "debian 12" for tag in tags)
    finally:
        catalog.close()


def check_record(database: Path, log: str, fleet: SmallFleet) -> None:
    """Every cluster reported as scanned is there whole, every other not at all."""
    done = set(re.findall(r"^scanned (\S+)", log, re.MULTILINE))
    with sqlite3.connect(database) as c:
        query = (
            "select c.name, count(*) from run r join cluster c on c.id = r.cluster_id group by 1"
        )
        counted = dict(c.execute(query).fetchall())
    c.close()
    assert done <= counted.keys()
    assert set(counted.values()) <= {240}


def check_refresh(database: Path, log: str, fleet: SmallFleet) -> None:
    """Every archive reported as fetched has a good moment and its offers."""
    with sqlite3.connect(database) as c:
        query = (
            "select r.uri || ' ' || r.suite, count(p.name) from apt_release r"
            " join apt_release_index i on i.release_id = r.id"
            " join apt_package p on p.index_id = i.index_id where r.good is not null group by 1"
        )
        offers = dict(c.execute(query).fetchall())
    c.close()
    for name in re.findall(r"^fetched (\S+ \S+)", log, re.MULTILINE):
        assert offers[name] > 0


CHECKS: dict[str, Callable[[Path, str, SmallFleet], None]] = {
    "sync": check_sync,
    "record": check_record,
    "refresh": check_refresh,
}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Scene]]:
    """Each command with the catalog before it."""
    folder = tmp_path_factory.mktemp("kill")
    fleet = SmallFleet(folder / "fleet")
    named = [
        (name, tag, digest) for name, tags in fleet.tags.items() for tag, digest in tags.items()
    ]
    pods = [
        make_pod(number, f"team-{number % 3}", f"{name}:{tag}", f"{name}@{digest}")
        for number, (name, tag, digest) in enumerate(named * 10)
    ]
    servers = [ApiServer(pods), ApiServer(pods)]
    clusters = ",".join(
        f"{name}:{server.write_kubeconfig(folder / name)}"
        for name, server in zip("ab", servers, strict=True)
    )
    steps = {
        "sync": ("sync", f"oci:{fleet.layout}"),
        "record": (f"--clusters={clusters}", "record"),
        "refresh": ("refresh", "apt"),
    }
    database = folder / "catalog.sqlite"
    run(("init",), database, fleet)
    found = {}
    for name, words in steps.items():
        before = folder / f"before-{name}.sqlite"
        with sqlite3.connect(database) as source, sqlite3.connect(before) as target:
            source.backup(target)
        source.close()
        target.close()
        seconds = min(
            run(words, copy_database(before, folder / "timed.sqlite"), fleet) for _ in range(2)
        )
        run(words, database, fleet)
        found[name] = Scene(words, before, answers(database), seconds, fleet)
    yield found
    for server in servers:
        server.close()


def kill_once(
    scene: Scene, verb: str, folder: Path, number: int, delay: float
) -> tuple[bool, bool]:
    """Kill one run after ``delay`` seconds and check all that must hold.

    Gives whether it was still at work, and whether it had reported anything by then.
    """
    database = copy_database(scene.before, folder / f"{verb}-{number}.sqlite")
    process = start(scene.words, database, scene.fleet)
    log = database.with_suffix(".log")
    if number % 2:  # every other one while it speaks, for that is when something can be lost
        while is_running(process) and not (log.exists() and log.stat().st_size):
            time.sleep(0.001)
        delay *= 0.05
    time.sleep(delay)
    process.kill()
    join(process)
    said = log.read_text() if log.exists() else ""
    where = f"{verb} killed after {delay:.3f} s of {scene.seconds:.3f} s; it had said:\n{said}"
    try:
        with sqlite3.connect(database) as c:
            assert c.execute("pragma integrity_check").fetchall() == [("ok",)]
        c.close()
        CHECKS[verb](database, said, scene.fleet)
        run(scene.words, database, scene.fleet)
        assert answers(database) == scene.after
    except AssertionError as problem:
        problem.add_note(where)
        raise
    return process.exitcode != 0, bool(said)


@pytest.mark.parametrize("verb", KILLS)
def test_nothing_is_lost_however_it_ends(
    verb: str, scenes: dict[str, Scene], tmp_path: Path
) -> None:
    scene, seed = scenes[verb], random.randrange(1 << 32)
    print(f"seed {seed}")
    moments = random.Random(seed)
    delays = [moments.uniform(0, scene.seconds * 1.1) for _ in range(KILLS[verb])]
    with ThreadPoolExecutor(2) as pool:
        kill = partial(kill_once, scene, verb, tmp_path)
        killed = list(pool.map(kill, range(len(delays)), delays))
    # Were most runs over before they were killed, or none had spoken, this would have tried little.
    assert sum(at_work for at_work, _ in killed) > len(killed) / 3
    assert (True, True) in killed
