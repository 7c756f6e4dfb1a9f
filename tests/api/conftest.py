"""A server's application over the sample fleet, filled once by the jobs that a user runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from imagecatalog.config import Settings
from imagecatalog.jobs.demo import run_demo
from imagecatalog.store.engine import Catalog
from imagecatalog.web import create_asgi_app

SCANNED = datetime(2026, 11, 24, 12, tzinfo=UTC)
ASKED = SCANNED + timedelta(minutes=5)

Get = Callable[..., Any]


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of an SQLite catalog that holds the sample fleet; only to be read."""
    folder: Path = tmp_path_factory.mktemp("fleet")
    settings, report = run_demo(folder, now=lambda: SCANNED)
    assert report.failed == ()
    return settings


@pytest.fixture(scope="session")
def fleet_catalog(fleet: Settings) -> Iterator[Catalog]:
    """The same, opened."""
    catalog = Catalog.open(fleet.database)
    yield catalog
    catalog.close()


@pytest.fixture(scope="session")
def fleet_app(fleet: Settings, fleet_catalog: Catalog) -> FastAPI:
    """The application over the fleet, five minutes after its scan."""
    return create_asgi_app(fleet, fleet_catalog, clock=lambda: ASKED)


@pytest.fixture(scope="session")
def client(fleet_app: FastAPI) -> Iterator[TestClient]:
    """Asks the application in process."""
    with TestClient(fleet_app, raise_server_exceptions=False, follow_redirects=False) as client:
        yield client


@pytest.fixture(scope="session")
def get(client: TestClient) -> Get:
    """The JSON of a path below ``/api/v1`` that answers 200."""

    def ask(path: str, **query: object) -> Any:
        answer = client.get(f"/api/v1{path}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return ask


@pytest.fixture(scope="session")
def worst(get: Get) -> Any:
    """The worst image that runs."""
    return get("/outdated", limit=1)["items"][0]
