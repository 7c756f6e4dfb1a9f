"""What ran when, over HTTP: the sample fleet has a past of sixteen weeks."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from fastapi.testclient import TestClient

Get = Callable[..., Any]

BEFORE, WITHIN, GAP = "2026-07-01T00:00:00Z", "2026-11-02T12:00:00Z", "2026-10-05T12:00:00Z"
LEDGER = "north/finance/Deployment/ledger"
FAULT = "CVE-2026-45447"


def test_a_moment_past_has_other_images(get: Get) -> None:
    then = get("/running", at=WITHIN, limit=1000)
    now = get("/running", limit=1000)
    assert {one["image"] for one in then["items"]} != {one["image"] for one in now["items"]}
    for item in then["items"]:
        assert item["since"] <= WITHIN
        assert item["until"] is None or item["until"] > WITHIN
    assert [one["known"] for one in then["clusters"]] == [True, True]


def test_where_nobody_looked_that_is_said(get: Get) -> None:
    found = get("/running", at=BEFORE)
    assert found["items"] == []
    assert [(one["cluster"], one["known"]) for one in found["clusters"]] == [
        ("north", False),
        ("south", False),
    ]
    assert found["clusters"][0]["note"].startswith("not known: the first scan of north was ")
    found = get("/running", at=GAP, cluster="south")
    assert [one["known"] for one in found["clusters"]] == [False]
    assert found["items"], "as the last scan saw it"
    notes = {one["name"]: one["note"] for one in get("/clusters", at=GAP)["items"]}
    assert notes["north"] is None
    assert "the last whole scan of south before that moment was" in notes["south"]


def test_teams_and_states_are_told(get: Get) -> None:
    found = get("/running", team="messaging", limit=1000)["items"]
    assert {one["team"] for one in found} == {"messaging"}
    assert "ImagePullBackOff" in {one["state_reason"] for one in found}
    matched = {one["matched_by"] for one in get("/running", limit=1000)["items"]}
    assert matched == {"manifest", "index", "config", None}


def test_a_cluster_tells_how_far_it_is_known(get: Get) -> None:
    for one in get("/clusters")["items"]:
        assert one["kind"] == "cluster"
        assert one["type"] == "kubernetes"
        assert one["last_scan"] == one["last_good"]
        assert one["first_scan"] < WITHIN
        assert (one["late"], one["known"], one["last_error"]) == (False, True, None)
        here = get("/running", cluster=one["name"], limit=1000)["items"]
        assert one["containers"] == len(here)
        assert one["unknown"] == len({item["image"] for item in here if not item["known"]})


def test_a_workload_has_its_past(get: Get, client: TestClient) -> None:
    past = get(f"/workloads/{LEDGER}")
    assert past["team"] == "finance"
    tags = [stay["image"].rpartition(":")[2] for stay in past["stays"]]
    assert tags == ["2026-11-20-1", "2026-10-22-1", "2026-08-11-1"]
    for after, before in pairwise(past["stays"]):
        assert before["to"] == after["from"]
    assert past["stays"][-1]["replicas"][-1]["replicas"] == 3
    history = get(f"/images/{LEDGER}/history")["items"]
    assert [one["image"] for one in history] == [one["image"] for one in past["stays"]]
    rows = list(csv.DictReader(io.StringIO(client.get(f"/api/v1/workloads/{LEDGER}.csv").text)))
    assert [row["image"] for row in rows] == [one["image"] for one in past["stays"]]
    south = get("/workloads/south/storefront/Deployment/storefront")
    assert len(south["gaps"]) == 1
    for wrong, status in (("north/finance/Deployment/none", 404), ("nothing", 400)):
        assert client.get(f"/api/v1/workloads/{wrong}").status_code == status


def test_an_exposure_is_told_in_spans(get: Get, client: TestClient) -> None:
    found = get(f"/exposure/{FAULT}")
    affected = get(f"/affected/{FAULT}")
    assert found["containers"] == affected["containers"]
    assert found["fix_told_by"] == "notice"
    still = [one for one in found["items"] if one["still"]]
    over = [one for one in found["items"] if not one["still"]]
    assert still
    assert over
    assert found["items"] == [*still, *over]
    assert all((one["to"] is None) == one["still"] for one in found["items"])
    assert found["steps"][-1]["containers"] == found["containers"]
    rows = list(csv.DictReader(io.StringIO(client.get(f"/api/v1/exposure/{FAULT}.csv").text)))
    assert len(rows) == len(found["items"])
    one = get(f"/exposure/{FAULT}", limit=1)
    assert (len(one["items"]), one["more"]) == (1, len(found["items"]) - 1)


def test_times_to_patch_add_up(get: Get, client: TestClient) -> None:
    found = get("/patching")
    for part in ("by_severity", "by_team"):
        for number in ("patched", "waiting", "rebuilt"):
            assert sum(one[number] for one in found[part]) == found["total"][number]
    assert found["total"]["patched"] > 0
    assert found["total"]["rebuilt_median"] <= found["total"]["deployed_median"]
    assert found["total"]["deployed_median"] <= found["total"]["deployed_p90"]
    assert found["unknown"]
    teams = {one["team"]: one for one in found["by_team"]}
    mine = get("/patching", team="finance")
    assert mine["total"]["patched"] == teams["finance"]["patched"]
    rows = list(csv.DictReader(io.StringIO(client.get("/api/v1/patching.csv").text)))
    assert len(rows) == len(found["by_severity"]) + len(found["by_team"])
    assert client.get("/api/v1/patching", params={"cluster": "none"}).status_code == 404


@pytest.mark.parametrize("back", ["0", "7"])
def test_the_slider_leads_to_a_moment(client: TestClient, back: str) -> None:
    answer = client.get("/running/back", params={"back": back, "cluster": "north"})
    assert answer.status_code == 302
    place = answer.headers["location"]
    assert "cluster=north" in place
    assert ("at=2026-11-17T12%3A05%3A00Z" in place) == (back == "7")
