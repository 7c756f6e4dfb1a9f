"""A real server over the sample fleet, and a real browser before it."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, Request, sync_playwright

from imagecatalog.config import Settings
from imagecatalog.jobs.demo import run_demo
from imagecatalog.store.engine import initialise
from imagecatalog.web import create_asgi_app

SCANNED = datetime(2026, 11, 24, 12, tzinfo=UTC)
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
]


@contextmanager
def _serve(database: Path) -> Iterator[str]:
    settings = Settings(database=str(database))
    app = create_asgi_app(settings, clock=lambda: SCANNED + timedelta(minutes=5))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive(), "the server did not start"
                time.sleep(0.02)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=30)
            app.state.service.catalog().close()


@pytest.fixture(scope="session")
def serve() -> Callable[[Path], AbstractContextManager[str]]:
    """Serves the catalog in a file while the block lasts; gives the address."""
    return _serve


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a server over the sample fleet."""
    folder = tmp_path_factory.mktemp("site")
    settings, report = run_demo(folder, now=lambda: SCANNED)
    assert report.failed == ()
    with _serve(Path(settings.database)) as address:
        yield address


@pytest.fixture(scope="session")
def empty_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a server over a catalog that holds nothing yet."""
    database = tmp_path_factory.mktemp("empty") / "catalog.sqlite"
    initialise(str(database))
    with _serve(database) as address:
        yield address


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's Chromium."""
    program = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if program is None:
        pytest.fail("there is no Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens pages that fail the test for any error a browser reports."""
    contexts = []
    said: list[str] = []

    def note_failure(request: Request) -> None:
        # A page that is left before its icon came aborts that request itself.
        if request.failure != "net::ERR_ABORTED":
            said.append(f"{request.url}: {request.failure}")

    def open_page(
        address: str, *, width: int = 1400, scheme: Any = "light", script: bool = True
    ) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            java_script_enabled=script,
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("requestfailed", note_failure)
        answer = page.goto(address)
        assert answer is not None
        assert answer.status == 200
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []
