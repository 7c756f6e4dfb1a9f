"""``create_app()`` under each kind of server, from the two variables of the environment."""

from __future__ import annotations

import asyncio
import io
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from imagecatalog.config import Settings
from imagecatalog.errors import ConfigError
from imagecatalog.web import create_app


@pytest.fixture
def variables(fleet: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_CATALOG_DB", fleet.database)
    monkeypatch.setenv("IMAGE_CATALOG_KUBERNETES_CLUSTERS", "north:/none, south:/none")


def _environ(path: str) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "limit=1",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "3691",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }


def test_two_arguments_are_wsgi(variables: None) -> None:
    told: list[Any] = []
    body = b"".join(create_app()(_environ("/api/v1/running"), lambda *a: told.append(a)))
    status, headers, *_ = told[0]
    assert status.startswith("200")
    assert dict(headers)["content-type"] == "application/json"
    assert len(json.loads(body)["items"]) == 1


def test_three_arguments_are_asgi(variables: None) -> None:
    sent: list[Any] = []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/healthz",
        "raw_path": b"/healthz",
        "query_string": b"",
        "root_path": "",
        "headers": [],
        "server": ("127.0.0.1", 3691),
        "client": ("127.0.0.1", 1),
    }

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    # In a thread of its own: the browser of other tests keeps an event loop running in this one.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: asyncio.run(create_app()(scope, receive, send))).result()
    assert sent[0]["status"] == 200
    assert sent[1]["body"] == b"ok\n"


def test_nothing_starts_before_the_first_request(variables: None) -> None:
    before = threading.active_count()
    create_app()
    assert threading.active_count() == before


def test_without_a_database_it_says_which_setting_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("IMAGE_CATALOG_DB", raising=False)
    monkeypatch.setenv("IMAGE_CATALOG_CONFIG", str(tmp_path / "none.toml"))
    with pytest.raises(ConfigError, match=r"none\.toml"):
        create_app()


@pytest.fixture
def address() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


COMMANDS = {
    "gunicorn, sync workers": ["-m", "gunicorn", "--workers", "2", "--bind", "{}"],
    "gunicorn, threads": ["-m", "gunicorn", "--threads", "4", "--bind", "{}"],
    "gunicorn, preloaded": ["-m", "gunicorn", "--preload", "--bind", "{}"],
    "gunicorn, ASGI": ["-m", "gunicorn", "-k", "asgi", "--bind", "{}"],
}


@pytest.fixture(params=COMMANDS)
def served(request: pytest.FixtureRequest, fleet: Settings, address: str) -> Iterator[str]:
    command = [part.format(address) for part in COMMANDS[request.param]]
    process = subprocess.Popen(
        [sys.executable, *command, "--log-level", "warning", "imagecatalog.web:create_app()"],
        env={**os.environ, "IMAGE_CATALOG_DB": fleet.database, "PYTHONWARNINGS": "default"},
        stderr=subprocess.PIPE,
    )
    try:
        _wait(address, process)
        yield f"http://{address}"
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=30)
        assert b"Traceback" not in errors, errors.decode()


def _wait(address: str, process: subprocess.Popen[bytes]) -> None:
    host, _, port = address.partition(":")
    for _ in range(300):
        assert process.poll() is None, "the server left"
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail("the server did not start")


def test_gunicorn_serves_pages_and_api(served: str) -> None:
    for path, kind in [
        ("/", "text/html; charset=utf-8"),
        ("/api/v1/overview", "application/json"),
        ("/api/v1/running.csv", "text/csv; charset=utf-8"),
        ("/static/style.css", "text/css; charset=utf-8"),
        ("/readyz", "text/plain; charset=utf-8"),
    ] * 3:
        with urllib.request.urlopen(served + path, timeout=30) as answer:
            assert answer.headers["content-type"] == kind
            assert answer.read()
