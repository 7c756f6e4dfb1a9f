"""Lineage, history and differences over HTTP, on the sample fleet."""

from __future__ import annotations

import csv
import io
from typing import Any

from fastapi.testclient import TestClient

CHECKOUT = "registry.example.org/services/checkout"
IMAGE = f"{CHECKOUT}:2026-10-28-1"


def test_the_lineage_of_an_image_by_name_and_by_digest(get: Any) -> None:
    found = get(f"/images/{IMAGE}/lineage")
    assert found["image"] == IMAGE
    assert [(one["role"], one["evidence"], one["depth"]) for one in found["ancestors"]] == [
        ("base", "annotation", 1),
        ("base", "registered", 2),
    ]
    assert found["ancestors"][0]["image"].startswith("registry.example.org/openjdk-17-jre:")
    assert found["ancestors"][0]["also"] == ["layers"]
    assert found["running"] > 0
    assert get(f"/images/{found['digest']}/lineage") == found
    base = get(f"/images/{found['ancestors'][1]['digest']}/lineage")
    below = {one["digest"]: one for one in base["descendants"]}
    assert below[found["digest"]]["depth"] == 2
    few = get(f"/images/{base['digest']}/lineage", limit=1)
    assert (len(few["descendants"]), few["more_descendants"]) == (1, True)


def test_what_an_ancestor_brought_stands_at_packages_and_updates(get: Any) -> None:
    image = get(f"/images/{IMAGE}")
    base = get(f"/images/{IMAGE}/lineage")["ancestors"][1]["image"]
    brought = {one["package"]: one["inherited_from"] for one in image["packages"]}
    assert brought["base-files"] == base
    assert all(one["inherited_from"] == brought[one["package"]] for one in image["updates"])
    listed = get("/outdated", image=IMAGE)["items"][0]
    assert listed["updates"] == image["updates"]


def test_history_is_paged_and_has_its_csv(client: TestClient, get: Any) -> None:
    whole = get(f"/images/{CHECKOUT}/history", limit=1000)
    assert whole["next"] is None
    assert {one["event"] for one in whole["items"]} == {"tag", "build", "run"}
    first = get(f"/images/{CHECKOUT}/history", limit=2)
    rest = get(f"/images/{CHECKOUT}/history", limit=1000, after=first["next"])
    assert first["items"] + rest["items"] == whole["items"]
    text = client.get(f"/api/v1/images/{CHECKOUT}/history.csv").text
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["at"] for row in rows] == [one["at"] for one in whole["items"]]
    assert get(f"/images/{IMAGE}/history")["items"][0]["image"] == IMAGE


def test_a_diff_of_two_images_and_to_the_newest(client: TestClient, get: Any) -> None:
    newest = get("/diff", a=IMAGE)
    assert newest["b"].startswith(CHECKOUT)
    assert newest["packages"]["upgraded"]
    assert get("/diff", a=IMAGE, b=newest["b_digest"]) == newest
    back = get("/diff", a=newest["b"], b=IMAGE)
    assert len(back["packages"]["downgraded"]) == len(newest["packages"]["upgraded"])
    assert client.get("/api/v1/diff").status_code == 422
    assert client.get("/api/v1/diff", params={"a": newest["b"]}).status_code == 400


def test_an_image_that_nobody_knows_is_not_found(client: TestClient) -> None:
    for path in ("images/nobody:1/lineage", "images/nobody:1/history", "diff?a=nobody:1"):
        answer = client.get(f"/api/v1/{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
