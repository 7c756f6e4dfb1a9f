"""The real podman's API: what runs on a host is known by what a registry says of its images."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import imagecatalog
from container_host import ContainerHost
from registry_server import DockerRegistry

pytestmark = pytest.mark.real


@pytest.fixture
def host(tmp_path: Path) -> Iterator[ContainerHost]:
    folder = tmp_path / "engine"
    folder.mkdir()
    engine = ContainerHost(folder)
    engine.start()
    try:
        yield engine
    finally:
        engine.stop()


def ask(database: Path, *words: str) -> Any:
    return json.loads(imagecatalog("--database", database, *words, "--format", "json").stdout)


def test_what_runs_on_a_host_is_known_by_its_registry(
    host: ContainerHost, docker_registry: DockerRegistry, tmp_path: Path
) -> None:
    database = tmp_path / "catalog.sqlite"
    web, own = f"{docker_registry.host}/acme/web:1", "localhost/made-here:1"
    host.make_image(web)
    host.push(web)
    host.run(
        "shop_web_1", web, com__docker__compose__project="shop", com__docker__compose__service="web"
    )
    host.run("db", web, PODMAN_SYSTEMD_UNIT="db.service", team="storage")
    # The name is of another image from now on, and that runs too.
    host.make_image(web, "other")
    host.run("plain", web)
    host.make_image(own, "own")
    host.run("tried", own)
    host.run("ended", own)
    host.end("ended")

    imagecatalog("--database", database, "init")
    imagecatalog("--database", database, "sync", docker_registry.url)
    record = ("--database", database, "--clusters", f"build-1:{host.address}", "record")
    assert "cluster build-1: 4 containers, 4 new" in imagecatalog(*record).stderr
    running = {one["pod_name"]: one for one in ask(database, "running")}
    assert {
        name: (one["namespace"], one["workload"], one["container"], one["known"])
        for name, one in running.items()
    } == {
        "shop_web_1": ("shop", "Compose/shop-web", "web", True),
        "db": ("default", "Unit/db.service", "db", True),
        "plain": ("default", "Container/plain", "plain", False),
        "tried": ("default", "Container/tried", "tried", False),
    }
    assert {running[name]["digest"] for name in ("shop_web_1", "db")} == {
        ask(database, "show", web)["digest"]
    }
    assert (running["db"]["image"], running["db"]["team"]) == (web, "storage")

    host.end("db")
    assert "3 containers, 0 new, 1 ended" in imagecatalog(*record).stderr
    assert "host build-1: answers, as podman" in imagecatalog(*record[:4], "doctor").stdout


def test_whom_the_socket_does_not_let_in_is_told_what_to_do(host: ContainerHost) -> None:
    if os.getuid() == 0:
        drop = f"os.setuid({pwd.getpwnam('nobody').pw_uid})"
    else:
        host.socket.chmod(0)
        drop = ""
    program = f"""
import os
from imagecatalog.config import HostSetting
from imagecatalog.errors import AccessDenied
from imagecatalog.sources.docker_host import scan_host
{drop}
try:
    scan_host(HostSetting("build-1", {host.address!r}))
except AccessDenied as error:
    print(error.message)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert "may not be opened by this user" in done.stdout, done.stderr
