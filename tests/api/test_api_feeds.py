"""Feeds over HTTP: listed with what they told, and forgotten by who may decide."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from registration import Clock, make_token

from imagecatalog.config import Settings
from imagecatalog.domain.advisories import Advisory, Affected, AffectedRange, FeedPart
from imagecatalog.store import advisories, health
from imagecatalog.store.affected import find_affected
from imagecatalog.store.engine import Catalog
from imagecatalog.web import create_asgi_app


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client(catalog: Catalog, clock: Clock) -> Iterator[TestClient]:
    """Of a server that has read one file of OSV, which is switched off since."""
    span = AffectedRange(None, b"\x20", fixed="2.0")
    said = Affected(advisory="X-1", scope="pypi", name="a", status="fixed", ranges=(span,))
    part = FeedPart(name="X-1", digest=b"x", advisories=(Advisory(name="X-1"),), affected=(said,))
    with catalog.write() as c:
        advisories.apply_feed(c, "osv PyPI", [part], where="here")
        for name in ("osv", "osv PyPI"):
            health.note_try(
                c,
                "feed",
                name,
                at=clock(),
                seconds=1.0,
                detail="1 records",
                good_for=timedelta(days=2),
                address="https://osv.example.org/",
            )
        health.note_try(c, "feed", "kev", at=clock(), seconds=1.0, error="it is empty")
    app = create_asgi_app(Settings(feeds={"osv": False}), catalog, clock=clock)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def listed(client: TestClient) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in client.get("/api/v1/feeds").json()["items"]}


def test_feeds_are_listed_with_what_they_told(client: TestClient, clock: Clock) -> None:
    found = listed(client)
    assert {name: (one["state"], one["records"]) for name, one in found.items()} == {
        "kev": ("never", 0),
        "osv": ("off", 1),
        "osv PyPI": ("off", 1),
    }
    assert found["osv PyPI"]["where"] == "https://osv.example.org/"
    assert not found["osv PyPI"]["too_old"]
    assert found["kev"]["last_error"] == "it is empty"
    clock.now += timedelta(days=3)
    assert listed(client)["osv PyPI"]["too_old"]
    page = client.get("/health").text
    assert "switched off" in page
    assert client.get("/api/v1/feeds.csv").text.startswith("kind,name,last_good,last_tried,")


def test_who_may_decide_has_one_forgotten(client: TestClient, catalog: Catalog) -> None:
    tokens = {
        scope: make_token(catalog, scope, scopes=[scope]) for scope in ("decide", "record", "read")
    }
    few = make_token(catalog, "few", scopes=["decide"], repositories=["team/*"])

    def forget(name: str, token: str) -> Any:
        return client.delete(f"/api/v1/feeds/{name}", headers={"Authorization": f"Bearer {token}"})

    for token in (tokens["record"], tokens["read"], few):
        assert forget("osv PyPI", token).status_code == 403
    assert client.delete("/api/v1/feeds/osv").status_code == 401
    gone = forget("osv PyPI", tokens["decide"])
    assert (gone.status_code, gone.json()) == (
        200,
        {"name": "osv PyPI", "feeds": ["osv PyPI"], "records": 1, "is_off": True},
    )
    assert listed(client).keys() == {"osv", "kev"}
    with catalog.read() as c:
        assert not find_affected(c, "X-1")
    again = forget("osv PyPI", tokens["decide"])
    assert (again.status_code, again.json()["code"]) == (404, "not-found")
    assert forget("apt", tokens["decide"]).status_code == 400
