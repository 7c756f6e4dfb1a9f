"""Errors: problem+json for programs, pages for browsers, all faults at once, nothing leaked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from imagecatalog.config import Settings
from imagecatalog.errors import CatalogError
from imagecatalog.planning import staleness
from imagecatalog.store.engine import initialise
from imagecatalog.web import create_asgi_app

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def _problem(answer: Any, status: int, code: str) -> Any:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["code"] == code
    assert problem["title"]
    assert problem["detail"]
    return problem


@pytest.fixture
def missing(tmp_path: Path) -> TestClient:
    """An application whose database was not made yet."""
    app = create_asgi_app(Settings(database=str(tmp_path / "none.sqlite")))
    return TestClient(app, raise_server_exceptions=False)


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/nothing", "/api/v2/images", "/static/x.js"])
def test_no_such_path(client: TestClient, path: str) -> None:
    _problem(client.get(path), 404, "not-found")


def test_no_such_method(client: TestClient) -> None:
    answer = client.post("/api/v1/images")
    _problem(answer, 405, "method-not-allowed")
    assert "GET" in answer.headers["allow"]


@pytest.mark.parametrize(
    "path",
    [
        "/images/sha256:" + "0" * 64,
        "/images/0123456789ab",
        "/images/registry.example.org/none:1.0",
        "/images?repository=registry.example.org/none",
        "/repositories/registry.example.org/none/tags",
    ],
)
def test_what_the_catalog_does_not_hold(client: TestClient, path: str) -> None:
    _problem(client.get(f"/api/v1{path}"), 404, "not-found")
    csv, _, query = path.partition("?")
    if "tags" in path or query:
        _problem(client.get(f"/api/v1{csv}.csv?{query}"), 404, "not-found")


@pytest.mark.parametrize("path", ["/images/UPPER:1", "/images/sha256:xyz", "/images/a b"])
def test_names_that_are_none(client: TestClient, path: str) -> None:
    answer = client.get(f"/api/v1{path}")
    assert answer.status_code in (400, 404)
    _problem(answer, answer.status_code, answer.json()["code"])


@pytest.mark.parametrize("cursor", ["x", "!!!!", "gaFh", "AAAA", "é", "kA", "zzzzzzzzzzzzzzzzzzzz"])
@pytest.mark.parametrize(
    "path", ["/outdated", "/running", "/repositories", "/packages/openssl/images"]
)
def test_cursors_not_of_our_making(client: TestClient, path: str, cursor: str) -> None:
    _problem(client.get(f"/api/v1{path}", params={"after": cursor}), 400, "bad-name")


def test_all_faults_of_a_request_are_told_at_once(client: TestClient) -> None:
    query = {"limit": "0", "at": "yesterday", "clustr": "north", "format": "xml"}
    problem = _problem(client.get("/api/v1/running", params=query), 422, "invalid-request")
    assert {fault["parameter"] for fault in problem["errors"]} == query.keys()
    assert all(fault["detail"] for fault in problem["errors"])


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "1e9", "9" * 40, "ten", ""])
def test_limits_are_bounded(client: TestClient, limit: str) -> None:
    answer = client.get("/api/v1/running", params={"limit": limit})
    problem = _problem(answer, 422, "invalid-request")
    assert [fault["parameter"] for fault in problem["errors"]] == ["limit"]


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/running?cluster=%00",
        "/api/v1/search?q=%00",
        "/api/v1/images/%00",
        "/api/v1/packages/%00/images",
        "/images/%00",
        "/search?q=a%00",
        "/image?ref=%00",
    ],
)
def test_no_name_holds_a_nul(client: TestClient, path: str) -> None:
    _problem(client.get(path), 422, "invalid-request")


def test_a_time_may_come_with_or_without_its_zone(client: TestClient) -> None:
    plain, zulu, offset = (
        client.get("/api/v1/running", params={"at": at}).json()["items"]
        for at in ("2026-11-24T12:01:00", "2026-11-24T12:01:00Z", "2026-11-24T13:01:00+01:00")
    )
    assert plain
    assert plain == zulu == offset
    for at in ("9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59"):
        _problem(client.get("/api/v1/running", params={"at": at}), 422, "invalid-request")


def test_a_database_that_is_not_there_is_told_and_tried_again(
    missing: TestClient, tmp_path: Path
) -> None:
    problem = _problem(missing.get("/api/v1/overview"), 503, "database-not-ready")
    assert "init" in problem["hint"]
    _problem(missing.get("/readyz"), 503, "database-not-ready")
    assert missing.get("/healthz").status_code == 200
    page = missing.get("/", headers=BROWSER)
    assert page.status_code == 503
    assert "there is no database" in page.text
    initialise(str(tmp_path / "none.sqlite"))
    assert missing.get("/readyz").status_code == 200
    assert missing.get("/api/v1/overview").json()["running"] == 0
    missing.app.state.service.catalog().close()  # type: ignore[attr-defined]


def test_browsers_get_pages(client: TestClient) -> None:
    for path, status, words in [
        ("/nothing", 404, "There is nothing at /nothing."),
        ("/image/sha256:" + "0" * 64, 404, "To the overview"),
        ("/outdated?limt=3&statsu=x", 422, "statsu"),
        ("/running?at=yesterday", 422, "at"),
        ("/image", 422, "ref"),
    ]:
        answer = client.get(path, headers=BROWSER)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert words in answer.text
    _problem(client.get("/api/v1/nothing", headers=BROWSER), 404, "not-found")


@pytest.mark.parametrize("path", ["/", "/api/v1/overview"])
def test_our_own_faults_say_nothing_of_the_inside(
    client: TestClient, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise RuntimeError("the secret of the inside")

    monkeypatch.setattr(staleness, "overview", fail)
    answer = client.get(path, headers=BROWSER)
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "internal" in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_every_error_of_the_tree_is_answered(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def below(cls: type[CatalogError]) -> list[type[CatalogError]]:
        return [cls, *(one for sub in cls.__subclasses__() for one in below(sub))]

    for cls in below(CatalogError):
        error = cls.__new__(cls)
        CatalogError.__init__(error, "what happened", hint="what to do")

        def fail(*_args: object, error: CatalogError = error, **_options: object) -> None:
            raise error

        monkeypatch.setattr(staleness, "overview", fail)
        problem = _problem(client.get("/api/v1/overview"), cls.http_status, cls.code)
        assert (problem["detail"], problem["hint"]) == ("what happened", "what to do")
