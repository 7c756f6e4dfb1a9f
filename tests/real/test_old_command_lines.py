"""The ancestor's command lines and its gunicorn line work as written: production calls them so."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from api_server import ApiServer, make_pod
from command_line import clean_environment, imagecatalog

pytestmark = pytest.mark.real

IMAGE = "docker-registry.example.org/team/web:1.0"
DIGEST = f"sha256:{'ab' * 32}"
IMAGE_ID = f"docker-registry.example.org/team/web@{DIGEST}"


@pytest.fixture
def first() -> Iterator[ApiServer]:
    """A cluster of 120 pods, so three pages."""
    server = ApiServer([make_pod(number, "web", IMAGE, IMAGE_ID) for number in range(120)])
    yield server
    server.close()


@pytest.fixture
def second() -> Iterator[ApiServer]:
    """A cluster of one pod."""
    server = ApiServer([make_pod(1, "jobs", IMAGE, IMAGE_ID)])
    yield server
    server.close()


def running(database: Path) -> dict[str, int]:
    """How many containers run in each cluster, by the command line."""
    listed = imagecatalog(f"--database={database}", "running", "--format", "json").stdout
    counts: dict[str, int] = {}
    for item in json.loads(listed):
        assert (item["image"], item["digest"], item["known"]) == (IMAGE, DIGEST, False)
        counts[item["cluster"]] = counts.get(item["cluster"], 0) + 1
    return counts


def test_flags_as_the_ancestor_took_them(
    first: ApiServer, second: ApiServer, tmp_path: Path
) -> None:
    database = tmp_path / "catalog.sqlite"
    one = first.write_kubeconfig(tmp_path / "one.config")
    other = second.write_kubeconfig(tmp_path / "other.config")
    assert imagecatalog(f"--database={database}", "init").stdout == ""
    imagecatalog(f"--database={database}", f"--clusters=a:{one},b:{other}", "record")
    assert running(database) == {"a": 240, "b": 2}
    assert len(first.requests) == 3


def test_the_environment_instead_of_flags(
    first: ApiServer, second: ApiServer, tmp_path: Path
) -> None:
    database = tmp_path / "catalog.sqlite"
    one = first.write_kubeconfig(tmp_path / "one.config")
    other = second.write_kubeconfig(tmp_path / "other.config")
    environ = {
        "IMAGE_CATALOG_DB": str(database),
        "IMAGE_CATALOG_KUBERNETES_CLUSTERS": f"a:{one} b:{other}",
    }
    imagecatalog("init", environ=environ)
    imagecatalog("init", environ=environ)
    imagecatalog("record", environ=environ)
    assert running(database) == {"a": 240, "b": 2}


def test_one_cluster_fails_and_the_other_is_recorded(
    first: ApiServer, second: ApiServer, tmp_path: Path
) -> None:
    database = tmp_path / "catalog.sqlite"
    one = first.write_kubeconfig(tmp_path / "one.config")
    other = second.write_kubeconfig(tmp_path / "other.config")
    clusters = f"--clusters=a:{one},b:{other}"
    imagecatalog(f"--database={database}", "init")
    imagecatalog(f"--database={database}", clusters, "record")
    second.forbidden = True
    first.pods = first.pods[:30]
    done = imagecatalog(f"--database={database}", clusters, "record", expect=1)
    assert "b" in done.stderr
    assert "cannot list" in done.stderr
    # What ran in the silent cluster still counts as running: nobody saw it end.
    assert running(database) == {"a": 60, "b": 2}


def get(address: str) -> tuple[int, str, bytes]:
    """Status, media type and body."""
    with urllib.request.urlopen(address, timeout=20) as answer:
        return answer.status, answer.headers.get_content_type(), answer.read()


def wait_until_served(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """Give a server a minute."""
    for _ in range(600):
        assert server.poll() is None, log.read_text()
        try:
            get(address)
            return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    pytest.fail(f"no answer: {log.read_text()}")


def test_the_gunicorn_line_with_its_plain_worker(second: ApiServer, tmp_path: Path) -> None:
    database, log = tmp_path / "catalog.sqlite", tmp_path / "gunicorn.log"
    environ = {
        "IMAGE_CATALOG_DB": str(database),
        "IMAGE_CATALOG_KUBERNETES_CLUSTERS": f"b:{second.write_kubeconfig(tmp_path / 'b.config')}",
    }
    imagecatalog("init", environ=environ)
    imagecatalog("record", environ=environ)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    with log.open("wb") as out:
        server = subprocess.Popen(
            [Path(sys.executable).with_name("gunicorn"), "--bind", f"127.0.0.1:{port}",
             "imagecatalog.web:create_app()"],
            env=clean_environment(environ), cwd=tmp_path, stdout=out, stderr=out,
        )  # fmt: skip
    try:
        wait_until_served(f"{address}/healthz", server, log)
        status, kind, page = get(f"{address}/")
        assert (status, kind) == (200, "text/html")
        assert b"</html>" in page
        status, kind, body = get(f"{address}/api/v1/running")
        assert (status, kind) == (200, "application/json")
        answer = json.loads(body)
        assert [item["namespace"] for item in answer["items"]] == ["jobs", "jobs"]
        assert answer["next"] is None
        with pytest.raises(urllib.error.HTTPError) as refused:
            get(f"{address}/api/v1/images/{DIGEST}")
        assert refused.value.code == 404
        assert refused.value.headers.get_content_type() == "application/problem+json"
        refused.value.close()
    finally:
        os.kill(server.pid, signal.SIGTERM)
        server.wait(60)
    said = log.read_text()
    assert "Using worker: sync" in said
    assert "Traceback" not in said
