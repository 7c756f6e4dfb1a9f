"""What registering a build of 400 packages costs, beside the bare insert of its rows.

On SQLite and PostgreSQL, by one client and by sixteen at once: over HTTP from a served application,
by the catalog's own call, and the bare insert of the (image, package) edges, each durable. The
processor time is that of the process which does it, without that of PostgreSQL's.
"""

from __future__ import annotations

import http.client
import os
import re
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from benchmarks.builds import PACKAGES, make_builds
from benchmarks.fleet import START
from benchmarks.postgresql import serve_postgresql
from imagecatalog.catalog.tellings import prepare
from imagecatalog.config import Settings
from imagecatalog.domain.builds import Build
from imagecatalog.domain.refs import encode_hook
from imagecatalog.store.engine import Catalog, initialise
from imagecatalog.web.service import Service

CLIENTS = 16
WARM, ALONE, AT_ONCE = 60, 300, 1200
"""Registrations before anything is measured, then by one client, then by all."""

Act = Callable[[int], None]
Way = tuple[Act, Callable[[], float]]
"""Registers the build of a number; and how many seconds of processor its process has used."""


def run() -> None:
    """Print each way on each database, and its ratio to the bare insert."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _compare("SQLite", lambda part: str(folder / f"{part}.sqlite"), _bare_sqlite)
        with serve_postgresql() as make:
            _compare("PostgreSQL", make, _bare_postgresql)


def _compare(title: str, place: Callable[[str], str], bare: Callable[[str], Any]) -> None:
    print(f"\nregister a build of {PACKAGES} packages, {title}")
    ways: dict[str, Callable[[str], Any]] = {
        "bare insert": bare,
        "catalog's call": _call,
        "over HTTP": _over_http,
    }
    limits: dict[int, float] = {}
    for position, (way, prepare_way) in enumerate(ways.items()):
        with prepare_way(place(f"part{position}")) as (act, used):
            for number in range(WARM):
                act(number)
            for clients, count in ((1, ALONE), (CLIENTS, AT_ONCE)):
                first = WARM if clients == 1 else WARM + ALONE
                before = used()
                median, high, rate = _measure(act, range(first, first + count), clients)
                processor = (used() - before) / count * 1000
                limit = limits.setdefault(clients, rate)
                print(
                    f"  {way:15} {clients:2} {'client ' if clients == 1 else 'clients'}"
                    f"  p50 {median:7.2f} ms  p95 {high:7.2f} ms  processor {processor:5.2f} ms"
                    f"  {rate:6.0f} a second  {rate / limit:5.2f} of the bare insert",
                    flush=True,
                )


def _measure(act: Act, numbers: Sequence[int], clients: int) -> tuple[float, float, float]:
    """Median and 95th percentile in milliseconds, and how many a second."""
    taken: list[float] = []

    def work(part: Sequence[int]) -> None:
        for number in part:
            began = time.perf_counter()
            act(number)
            taken.append((time.perf_counter() - began) * 1000)

    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(work, [numbers[start::clients] for start in range(clients)]))
    rate = len(taken) / (time.perf_counter() - began)
    taken.sort()
    return statistics.median(taken), taken[int(len(taken) * 0.95)], rate


def _builds() -> list[Build]:
    return list(make_builds(WARM + ALONE + AT_ONCE))


@contextmanager
def _call(url: str) -> Iterator[Way]:
    """The call that the route makes, in this process."""
    told = _builds()
    initialise(url)
    catalog = Catalog.open(url)
    sources = {"debian 12": ("deb https://apt.example.org/debian bookworm main",)}
    service = Service(msgspec.structs.replace(Settings(), apt_sources=sources), catalog)

    def act(number: int) -> None:
        telling = prepare(told[number], told_by="ci")
        service.registrar.register(telling, check=lambda *_: None, now=START)

    yield act, time.process_time
    catalog.close()


@contextmanager
def _over_http(url: str) -> Iterator[Way]:
    """POST /api/v1/builds to ``imagecatalog serve``, each client over a connection of its own."""
    bodies = [write_body(one) for one in _builds()]
    command = [str(Path(sys.executable).with_name("imagecatalog")), "--database", url]
    initialise(url)
    token = subprocess.run(
        [*command, "token", "create", "--scope", "register"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "config.toml")
        config.write_text(
            '[apt.sources]\n"debian 12" = ["deb https://apt.example.org/debian bookworm main"]\n'
        )
        words = [*command, "--config", str(config), "serve", "--port", "0", "--no-jobs"]
        with serve(words) as (port, used):
            mine = threading.local()

            def act(number: int) -> None:
                if not hasattr(mine, "connection"):
                    mine.connection = http.client.HTTPConnection("127.0.0.1", port)
                mine.connection.request("POST", "/api/v1/builds", bodies[number], headers)
                answer = mine.connection.getresponse()
                answer.read()
                if answer.status != 201:
                    raise SystemExit(f"the server answered {answer.status}")

            yield act, used


@contextmanager
def serve(command: Sequence[str]) -> Iterator[tuple[int, Callable[[], float]]]:
    """The port of a server, and what it has used of the processor."""
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
                break
        else:
            raise SystemExit("the server did not start")
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield int(found[1]), partial(_processor_time, process.pid)
    finally:
        process.terminate()
        process.wait(timeout=30)


def _processor_time(process: int) -> float:
    """Seconds, of a process that runs (proc(5))."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def write_body(build: Build) -> bytes:
    """The build as it is registered over HTTP."""
    told = msgspec.to_builtins(build, enc_hook=encode_hook, builtin_types=(str,))
    whole = {name: told[name] for name in ("image", "digest", "platform", "started", "finished")}
    whole |= {name: told[name] for name in ("parents", "packages")}
    whole["builder"] = {"name": build.builder, "version": build.builder_version}
    whole["source"] = {name: told[f"source_{name}"] for name in ("repository", "revision", "path")}
    whole["distro"] = {"id": "debian", "version_id": "12", "codename": "bookworm"}
    return msgspec.json.encode(whole)


def _edges() -> list[list[tuple[int, int]]]:
    numbers: dict[Any, int] = {}
    return [
        [(image, numbers.setdefault(one, len(numbers))) for one in build.packages or ()]
        for image, build in enumerate(_builds())
    ]


@contextmanager
def _bare_sqlite(path: str) -> Iterator[Way]:
    edges = _edges()
    db = sqlite3.connect(path, check_same_thread=False)
    db.executescript(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
        "CREATE TABLE edge (image INTEGER, package INTEGER, PRIMARY KEY (image, package))"
        " WITHOUT ROWID; CREATE INDEX back ON edge (package, image);"
    )
    writing = threading.Lock()

    def act(number: int) -> None:
        with writing, db:
            db.executemany("INSERT INTO edge VALUES (?, ?)", edges[number])

    yield act, time.process_time
    db.close()


@contextmanager
def _bare_postgresql(url: str) -> Iterator[Way]:
    edges = _edges()
    with psycopg.connect(url) as db:
        db.execute("CREATE TABLE edge (image BIGINT, package BIGINT, PRIMARY KEY (image, package))")
        db.execute("CREATE INDEX back ON edge (package, image)")
    mine = threading.local()

    def act(number: int) -> None:
        if not hasattr(mine, "db"):
            mine.db = psycopg.connect(url)
        with mine.db.transaction(), mine.db.cursor().copy("COPY edge FROM STDIN") as copy:
            for edge in edges[number]:
                copy.write_row(edge)

    yield act, time.process_time


if __name__ == "__main__":
    run()
