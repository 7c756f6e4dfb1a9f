"""A page of many rows asks the database no more often than a page of few."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import event

from imagecatalog.store.engine import Catalog

MOST = 40
"""Statements that any page may need."""
SOME = 3
"""Statements about what only some rows have, each once for all rows."""


@pytest.fixture
def statements(fleet_catalog: Catalog) -> Iterator[list[str]]:
    """Every statement since the list was last emptied."""
    seen: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_rest: object) -> None:
        seen.append(statement)

    engine = fleet_catalog._engine
    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)


@pytest.mark.parametrize(
    "path",
    [
        "/outdated",
        "/running",
        "/repositories",
        "/images?repository=registry.example.org/services/edge-proxy",
        "/packages/base-files/images",
    ],
)
def test_lists(client: TestClient, statements: list[str], path: str) -> None:
    counts = []
    for limit in (2, 1000):
        statements.clear()
        answer = client.get(f"/api/v1{path}{'&' if '?' in path else '?'}limit={limit}")
        assert answer.status_code == 200
        counts.append((len(answer.json()["items"]), len(statements)))
    (few, asked_for_few), (many, asked_for_many) = counts
    assert few < many
    assert asked_for_many <= asked_for_few + SOME, "statements grow with the rows"
    assert asked_for_many <= MOST


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/outdated",
        "/outdated?all=true",
        "/running",
        "/images",
        "/images/registry.example.org/services/edge-proxy",
        "/packages/base-files",
        "/packages/openssl",
        "/advisories",
        "/advisories/CVE-2026-45447",
        "/running?at=2026-10-05T12:00:00Z",
        "/running/north/finance/Deployment/ledger",
        "/clusters",
        "/patching",
        "/search?q=edge",
        "/health",
    ],
)
def test_pages(client: TestClient, statements: list[str], path: str) -> None:
    assert client.get(path).status_code == 200
    assert 0 < len(statements) <= MOST
