"""Plans over HTTP: asked for, saved with a token, watched."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from registration import asking, make_token

from imagecatalog.config import Settings
from imagecatalog.store.engine import Catalog


@pytest.fixture
def own_fleet(fleet: Settings, tmp_path: Path) -> Iterator[Catalog]:
    """A copy of the sample fleet to write to."""
    path = tmp_path / "catalog.sqlite"
    shutil.copy(fleet.database, path)
    catalog = Catalog.open(str(path))
    yield catalog
    catalog.close()


def test_a_plan_is_asked_for(get: Callable[..., Any]) -> None:
    plan = get("/plan")
    assert plan["asked"] == "imagecatalog plan"
    assert plan["waves"]
    step = plan["waves"][0][0]
    assert {"rebuild", "reason", "from", "after", "fixes", "docker_pkg", "state"} <= step.keys()
    assert {"cluster", "namespace", "workload", "from", "to"} <= plan["redeploy"][0].keys()
    assert all(one["reason"] for one in plan["remaining"])
    assert (plan["id"], plan["state"]) == (None, None)


def test_the_same_question_gives_the_same_bytes(client: TestClient) -> None:
    first = client.get("/api/v1/plan", params={"security": "true"})
    assert first.headers["etag"] == client.get("/api/v1/plan?security=true").headers["etag"]


def test_every_affected_workload_moves_or_its_image_remains(get: Callable[..., Any]) -> None:
    plan = get("/plan")
    moves = {(one["workload"], one["from"]) for one in plan["redeploy"]}
    remaining = {one["image"] for one in plan["remaining"]}
    for item in get("/outdated", limit=1000)["items"]:
        if item["status"] not in ("security-update", "update", "unknown"):
            continue
        for place in item["running"]:
            assert (place["workload"], item["image"]) in moves or item["image"] in remaining


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("package=nobody-has-this", 404, "not-found"),
        ("for=CVE-1999-0000", 404, "not-found"),
        ("for=pkg:nothing", 400, "bad-name"),
        ("image=nobody/has:this", 404, "not-found"),
        ("image=services/ledger:2026-11-20-1&security=true", 400, "usage"),
        ("max_parallel=0", 422, "invalid-request"),
        ("severity=high", 422, "invalid-request"),
    ],
)
def test_what_makes_no_sense_is_a_problem(
    client: TestClient, query: str, status: int, code: str
) -> None:
    answer = client.get(f"/api/v1/plan?{query}")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["detail"]


def test_saving_wants_a_token_that_may(own_fleet: Catalog) -> None:
    with asking(own_fleet) as client:
        assert client.post("/api/v1/plans").status_code == 401
    with asking(own_fleet, secret=make_token(own_fleet, "reader", scopes=["read"])) as client:
        assert client.post("/api/v1/plans").status_code == 403
        assert client.get("/api/v1/plans").json() == {"items": [], "next": None}


def test_a_saved_plan_is_listed_and_found_again(own_fleet: Catalog) -> None:
    with asking(own_fleet, secret=make_token(own_fleet)) as client:
        answer = client.post("/api/v1/plans", params={"security": "true"})
        assert answer.status_code == 201
        saved: Any = answer.json()
        assert (saved["id"], saved["state"]) == (1, "open")
        assert answer.headers["location"] == "/api/v1/plans/1"
        assert client.get("/api/v1/plans/1").json() == saved
        (one,) = client.get("/api/v1/plans").json()["items"]
        assert (one["asked"], one["state"]) == ("imagecatalog plan --security", "open")
        assert client.get("/api/v1/plans.csv").text.startswith("id,asked,state")
        assert client.get("/api/v1/plans/2").status_code == 404
