"""The agent as a process, beside a real server that is killed and comes back."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from container_engine import EngineStub, engine_container
from imagecatalog.domain.access import Token, hash_secret, make_secret
from imagecatalog.jobs.schedule import utc_now
from imagecatalog.store import access
from imagecatalog.store.engine import Catalog

COMMAND = str(Path(sys.executable).with_name("imagecatalog"))
SERVERS = {
    "uvicorn": [COMMAND, "serve", "--no-jobs", "--port", "{port}"],
    "gunicorn": [sys.executable, "-m", "gunicorn", "--workers", "2", "--bind", "127.0.0.1:{port}",
                 "--log-level", "warning", "imagecatalog.web:create_app()"],
}  # fmt: skip


@contextmanager
def process(words: Sequence[str], log: Path, **environ: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a group of its own, of which nothing is left."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("IMAGE_CATALOG")}
    with log.open("ab") as out:
        child = subprocess.Popen(
            words, stdout=out, stderr=out, env=kept | environ, start_new_session=True
        )
    try:
        yield child
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
        child.wait(30)


def await_that(is_so: Callable[[], object], log: Path, *, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.1)


class Workplace:
    """A database, a server that may be away, a host that runs containers, and its agent."""

    def __init__(self, folder: Path, engine: EngineStub, server: str) -> None:
        self.folder = folder
        self.engine = engine
        self.database = str(folder / "catalog.sqlite")
        self.log = folder / "agent.log"
        self.server_log = folder / "server.log"
        self.buffer = folder / "buffer"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._words = [word.format(port=self.port) for word in SERVERS[server]]
        self.token_file = folder / "token"
        self.token_file.write_text(f"{self.make_token('agent')}\n")

    def make_token(self, name: str) -> str:
        secret = make_secret()
        catalog = Catalog.open(self.database)
        with catalog.write() as c:
            token = Token(name=name, scopes=("record",), repositories=(), created=utc_now())
            access.add_token(c, token, hash_secret(secret))
        catalog.close()
        return secret

    @contextmanager
    def serving(self) -> Iterator[subprocess.Popen[bytes]]:
        with process(self._words, self.server_log, IMAGE_CATALOG_DB=self.database) as child:
            await_that(self._is_up, self.server_log)
            yield child

    def _is_up(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    @contextmanager
    def agent(self, *words: str) -> Iterator[subprocess.Popen[bytes]]:
        command = [
            COMMAND, "agent", "--server", f"http://127.0.0.1:{self.port}", "--buffer",
            str(self.buffer), "--token-file", str(self.token_file), "--cluster",
            f"build-1:{self.engine.address}", *words,
        ]  # fmt: skip
        with process(command, self.log) as child:
            yield child

    def run(self, *names: str) -> None:
        """From now on these containers run."""
        self.engine.answers["/containers/json"] = [engine_container(name) for name in names]

    def running(self, at: str | None = None) -> set[str]:
        query = urlencode({"at": at} if at else {})
        url = f"http://127.0.0.1:{self.port}/api/v1/running?{query}"
        with urllib.request.urlopen(url) as answer:
            return {one["pod_name"] for one in json.load(answer)["items"]}

    def waiting(self) -> int:
        return len(list(self.buffer.glob("build-1/scan-*.json.gz")))


@pytest.fixture(params=SERVERS)
def place(
    request: pytest.FixtureRequest, sqlite_template: Path, tmp_path: Path
) -> Iterator[Workplace]:
    shutil.copy(sqlite_template, tmp_path / "catalog.sqlite")
    with (
        tempfile.TemporaryDirectory(prefix="engine-") as folder,
        EngineStub(Path(folder) / "sock").serving() as engine,
    ):
        yield Workplace(tmp_path, engine, request.param)


def test_what_ran_while_the_server_was_away_is_known(place: Workplace) -> None:
    place.run("a", "b", "c", "d")
    with place.agent("--every", "1"):
        with place.serving() as server:
            await_that(lambda: place.running() == set("abcd"), place.log)
            os.killpg(server.pid, signal.SIGKILL)
        for name in "xy":
            place.run("a", "b", "c", name)
            before = place.waiting()
            # Of the first of two the list may have been asked for before.
            await_that(lambda least=before + 2: place.waiting() >= least, place.log)
    # The agent is killed too, and so is what it may have been writing.
    (place.buffer / "build-1" / "scan-000000000999.json.gz.new").write_bytes(b"half a scan")
    place.run("a", "b", "c", "z")
    with place.serving(), place.agent("--every", "1") as agent:
        await_that(lambda: place.running() == set("abcz"), place.log)
        await_that(lambda: not place.waiting(), place.log)
        agent.terminate()
        assert agent.wait(30) == 0
        moments = sorted({one["at"] for one in list_told(place.log)})
        seen = [place.running(at) for at in moments]
        stages = [
            pods for number, pods in enumerate(seen) if number == 0 or pods != seen[number - 1]
        ]
        assert stages == [set("abcd"), set("abcx"), set("abcy"), set("abcz")]
    said = place.log.read_text()
    assert "no connection" in said
    assert "waiting to be told" in said
    assert "changed pod" in said
    assert "Traceback" not in said + place.server_log.read_text()


def list_told(log: Path) -> list[dict[str, Any]]:
    """What the log says was told, in its order."""
    told = []
    for line in log.read_text().splitlines():
        moment, _, rest = line.partition(" build-1: told of ")
        if rest:
            assert moment.endswith("Z")
            told.append({"at": rest.split()[0]})
    return told


@pytest.mark.parametrize("place", ["uvicorn"], indirect=True)
def test_a_token_may_be_replaced_and_a_catalog_begun_anew(
    place: Workplace, sqlite_template: Path
) -> None:
    place.run("a", "b")
    good = place.token_file.read_text()
    with place.agent("--every", "1") as agent:
        with place.serving() as server:
            await_that(lambda: place.running() == {"a", "b"}, place.log)
            place.token_file.write_text("ic_nobodys\n")
            await_that(lambda: "there is no such token" in place.log.read_text(), place.log)
            assert place.waiting()
            place.token_file.write_text(good)
            await_that(lambda: not place.waiting(), place.log)
            os.killpg(server.pid, signal.SIGKILL)
        for file in place.folder.glob("catalog.sqlite*"):
            file.unlink()
        shutil.copy(sqlite_template, place.database)
        place.token_file.write_text(place.make_token("another"))
        place.run("a", "c")
        with place.serving():
            await_that(lambda: place.running() == {"a", "c"}, place.log)
            agent.send_signal(signal.SIGINT)
            assert agent.wait(30) == 0
    assert "all is told anew" in place.log.read_text()


@pytest.mark.parametrize("place", ["uvicorn"], indirect=True)
def test_once_says_by_its_status_whether_all_was_told(place: Workplace) -> None:
    place.run("a")
    with place.agent("--once") as agent:
        assert agent.wait(60) == 1
    assert place.waiting() == 1
    with place.serving():
        with place.agent("--once") as agent:
            assert agent.wait(60) == 0
        assert place.waiting() == 0
        assert place.running() == {"a"}
        place.engine.answers["/containers/json"] = (500, {"message": "out of order"})
        with place.agent("--once") as agent:
            assert agent.wait(60) == 1
        assert place.running() == {"a"}
        with urllib.request.urlopen(f"http://127.0.0.1:{place.port}/api/v1/clusters") as answer:
            (cluster,) = json.load(answer)["items"]
        assert "answered 500" in cluster["last_error"]
    assert "build-1: not scanned: host build-1" in place.log.read_text()
