"""Debian's docker-registry tells a server of ours what is pushed into it: it is known in seconds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from command_line import COMMAND, clean_environment, imagecatalog
from registry_server import DockerRegistry, free_port

from imagecatalog import sample
from imagecatalog.store import repositories
from imagecatalog.store.engine import Catalog

pytestmark = pytest.mark.real

SECRET = "a-secret-that-both-sides-have"
OLD, NEW = "services/ledger:2026-10-22-1", "services/ledger:2026-11-20-1"
SOON = 10.0
"""Seconds within which a push is known; as a rule it is two."""


class House:
    """A registry that tells our server of pushes, and the server, which can be killed."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.registry = DockerRegistry(
            folder / "registry", notify=(f"{self.url}/hooks/registry", SECRET)
        )
        (folder / "secret").write_text(f"{SECRET}\n")
        self.config = folder / "config.toml"
        self.config.write_text(
            f'database = "{folder}/catalog.sqlite"\n'
            f'[[registry]]\nurl = "{self.registry.url}"\nexclude_tags = ["^tmp"]\n'
            '[hooks]\nregistry_secret = "file:secret"\n'
            "[feeds]\n"
            "apt = false\ndebian-tracker = false\nosv = false\nalpine-secdb = false\n"
            "kev = false\nepss = false\nvex = false\n"
        )
        self._server: subprocess.Popen[bytes] | None = None
        imagecatalog("--config", self.config, "init")
        self.registry.start()

    def serve(self) -> None:
        """Start the server; returns when it answers and its first jobs are done."""
        self._server = subprocess.Popen(
            [str(COMMAND), "--config", str(self.config), "serve", "--port", str(self.port)],
            env=clean_environment(), stderr=subprocess.DEVNULL,
        )  # fmt: skip
        wait_for(lambda: {job["name"] for job in self.ask("/jobs") if job["last_good"]} >= {"sync"})

    def kill(self) -> None:
        """End the server as a power cut does."""
        assert self._server is not None
        os.kill(self._server.pid, signal.SIGKILL)
        self._server.wait(timeout=30)
        self._server = None

    def close(self) -> None:
        if self._server is not None:
            self._server.terminate()
            self._server.wait(timeout=30)
        self.registry.stop()

    def push(self, reference: str, name: str) -> None:
        self.registry.push(f"oci:{sample.images()}:{sample.REGISTRY}/{reference}", name)

    def held(self) -> set[str]:
        """The tags that the catalog holds, without a server."""
        catalog = Catalog.open(str(self.config.with_name("catalog.sqlite")))
        with closing(catalog), catalog.read() as c:
            names = repositories.list_repository_names(c, self.registry.host)
            return {
                f"{name}:{tag}" for name in names for tag in repositories.list_current_tags(c, name)
            }

    def ask(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/api/v1{path}", timeout=10) as answer:
            return json.load(answer)["items"]

    def tags(self, repository: str) -> dict[str, str]:
        """What each tag points to now."""
        known = {one["repository"] for one in self.ask("/repositories")}
        name = f"{self.registry.host}/{repository}"
        if name not in known:
            return {}
        periods = self.ask(f"/repositories/{name}/tags")
        return {one["tag"]: one["digest"] for one in periods if one["until"] is None}


def wait_for(is_so: Callable[[], bool], seconds: float = 60.0) -> float:
    """Until it is so; how long that took."""
    begun = time.monotonic()
    while time.monotonic() < begun + seconds:
        try:
            if is_so():
                return time.monotonic() - begun
        except OSError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} seconds")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.close()


def test_what_is_pushed_moved_and_deleted_is_known_in_seconds(house: House) -> None:
    house.serve()
    assert house.tags("app") == {}
    house.push(OLD, "app:1.0")
    took = wait_for(lambda: "1.0" in house.tags("app"), SOON)
    first = house.tags("app")["1.0"]
    (image,) = house.ask(f"/images?repository={house.registry.host}/app")
    assert image["digest"] == first
    assert house.ask(f"/images/{first}/packages")
    house.push(NEW, "app:1.0")
    wait_for(lambda: house.tags("app")["1.0"] != first, SOON)
    house.push(OLD, "app:tmp-1")
    house.push(OLD, "app:1.1")
    wait_for(lambda: house.tags("app").get("1.1") == first, SOON)
    assert "tmp-1" not in house.tags("app"), "left out by the configuration"
    house.registry.delete("app:1.0")
    wait_for(lambda: house.tags("app") == {"1.1": first}, SOON)
    assert took < SOON


def test_what_was_told_before_a_kill_is_looked_at_after_it(house: House) -> None:
    """Also what the registry could not tell: it tells again until it is answered."""
    house.serve()
    house.push(OLD, "app:1.0")
    house.kill()
    house.push(NEW, "app:2.0")
    house.serve()
    wait_for(lambda: set(house.tags("app")) == {"1.0", "2.0"}, 30)
    house.push(NEW, "web:1")
    wait_for(lambda: "1" in house.tags("web"), 30)


def test_one_image_is_read_by_hand(house: House) -> None:
    house.push(OLD, "app:1.0")
    house.push(NEW, "app:2.0")
    house.push(NEW, "web:1.0")
    name = f"{house.registry.host}/app"

    def sync(image: str, expect: int = 0) -> str:
        done = imagecatalog("--config", house.config, "sync", "--image", image, expect=expect)
        return done.stderr

    sync(f"{name}:1.0")
    assert house.held() == {f"{name}:1.0"}
    sync(name)
    assert house.held() == {f"{name}:1.0", f"{name}:2.0"}
    assert f"{name}@sha256:0000" in sync(f"{name}@sha256:{'0' * 64}", expect=1)
    assert "no registry is configured that has docker.io/library/app" in sync("app:1.0", expect=2)
