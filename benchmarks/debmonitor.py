"""What it costs to take what DebMonitor's clients send: an image of 400 packages, and a cluster.

Over HTTP, from ``imagecatalog serve`` on SQLite, by one client. Each image is known already, so that
its packages become a list of it; then the very same is told again. A cluster of so many images in
three namespaces is told, and told again.
"""

from __future__ import annotations

import http.client
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from benchmarks.builds import make_builds
from benchmarks.registering import serve, write_body
from imagecatalog.domain.builds import Build
from imagecatalog.store.engine import initialise

IMAGES = 200
NAMESPACES = 3


def run() -> None:
    """Print the medians, and the processor time of the server."""
    builds = list(make_builds(IMAGES))
    with tempfile.TemporaryDirectory() as folder:
        database = str(Path(folder, "catalog.sqlite"))
        command = [str(Path(sys.executable).with_name("imagecatalog")), "--database", database]
        initialise(database)
        secret = subprocess.run(
            [*command, "token", "create", "--scope", "register", "--scope", "record"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        with serve([*command, "serve", "--port", "0", "--no-jobs"]) as (port, used):
            client = _Client(port, secret, used)
            for build in builds:
                client.post("/api/v1/builds", _without_packages(build))
            told = [(f"/images/{build.image}/update", _message(build)) for build in builds]
            cluster = ("/kubernetes/update", _cluster(builds))
            print("\ntake what DebMonitor's clients send, SQLite, over HTTP")
            client.measure("an image of 400 packages, new", told)
            client.measure("the very same again", told)
            client.measure(f"{IMAGES} images × {NAMESPACES} namespaces, new", [cluster])
            client.measure("the very same again", [cluster])


class _Client:
    def __init__(self, port: int, secret: str, used: Callable[[], float]) -> None:
        self._used = used
        self._connection = http.client.HTTPConnection("127.0.0.1", port)
        self._headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}

    def post(self, path: str, body: bytes) -> None:
        self._connection.request("POST", path, body, self._headers)
        answer = self._connection.getresponse()
        answer.read()
        if answer.status != 201:
            raise SystemExit(f"the server answered {answer.status} to {path}")

    def measure(self, what: str, told: Sequence[tuple[str, bytes]]) -> None:
        """Tell all of it, and print what one takes."""
        taken = []
        before = self._used()
        for path, body in told:
            began = time.perf_counter()
            self.post(path, body)
            taken.append((time.perf_counter() - began) * 1000)
        processor = (self._used() - before) / len(told) * 1000
        print(
            f"  {what:36} p50 {median(taken):7.1f} ms  max {max(taken):7.1f} ms"
            f"  processor {processor:6.1f} ms",
            flush=True,
        )


def _without_packages(build: Build) -> bytes:
    told: dict[str, Any] = msgspec.json.decode(write_body(build))
    del told["packages"]
    return msgspec.json.encode(told)


def _message(build: Build) -> bytes:
    """A whole message, of which every twentieth package is upgradable."""
    packages = build.packages or ()
    return msgspec.json.encode(
        {
            "api_version": "v1",
            "image_name": build.image,
            "os": "Debian 12",
            "update_type": "full",
            "installed": [
                {"name": one.name, "version": one.version, "source": one.source} for one in packages
            ],
            "uninstalled": [],
            "upgradable": [
                {
                    "name": one.name,
                    "version_from": one.version,
                    "version_to": f"{one.version}+deb12u9",
                    "source": one.source,
                }
                for one in packages[::20]
            ],
        }
    )


def _cluster(builds: Iterable[Build]) -> bytes:
    counts = {f"namespace{number}": number + 1 for number in range(NAMESPACES)}
    return msgspec.json.encode(
        {"cluster": "eqiad", "images": {b.image or "": counts for b in builds}}
    )
