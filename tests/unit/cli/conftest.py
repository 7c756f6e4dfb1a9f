"""A catalog filled with the sample fleet, and a server that serves it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import uvicorn

from imagecatalog.config import Settings
from imagecatalog.jobs.demo import run_demo
from imagecatalog.store.engine import Catalog
from imagecatalog.web import create_asgi_app


@pytest.fixture(scope="session")
def sample_settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The settings of a catalog that holds the sample fleet; not to be written to."""
    folder: Path = tmp_path_factory.mktemp("sample")
    settings, _ = run_demo(folder, now=lambda: datetime.now(UTC))
    return settings


@contextmanager
def _serving(settings: Settings) -> Iterator[str]:
    """The address of a server of this catalog."""
    catalog = Catalog.open(settings.database)
    config = uvicorn.Config(
        create_asgi_app(settings, catalog), port=0, log_config=None, access_log=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    (listener,) = server.servers[0].sockets
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join()
    catalog.close()


@pytest.fixture(scope="session")
def sample_server(sample_settings: Settings) -> Iterator[str]:
    """The address of a server of the same catalog."""
    with _serving(sample_settings) as address:
        yield address


@pytest.fixture
def serve_catalog() -> Iterator[Callable[[str], str]]:
    """Serves the catalogs of these URLs to the end of the test."""
    with ExitStack() as servers:
        yield lambda url: servers.enter_context(_serving(Settings(database=url)))
