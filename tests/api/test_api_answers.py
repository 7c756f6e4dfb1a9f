"""What ``/api/v1`` answers, asked of a catalog that the real jobs filled."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from fastapi.testclient import TestClient

from imagecatalog.domain import answers, feeds, pasts
from imagecatalog.store.page import Page

Get = Callable[..., Any]

REPOSITORY = "registry.example.org/services/edge-proxy"
LISTS: dict[str, type[msgspec.Struct]] = {
    "/outdated": answers.OutdatedImage,
    "/outdated?all=true": answers.OutdatedImage,
    "/running": answers.RunningItem,
    f"/images?repository={REPOSITORY}": answers.ImageSummary,
    "/repositories": answers.RepositorySummary,
    f"/repositories/{REPOSITORY}/tags": answers.TagPeriod,
    "/packages/base-files/images": answers.Holder,
    "/search?q=edge": answers.SearchHit,
    "/clusters": pasts.ClusterItem,
    "/registries": answers.Health,
    "/feeds": feeds.FeedItem,
}
PAGED = [path for path in LISTS if "/tags" not in path and "/search" not in path][:6]


def _walk(client: TestClient, path: str, limit: int) -> list[Any]:
    """All items, by following the ``Link`` header from page to page."""
    items: list[Any] = []
    url = f"/api/v1{path}{'&' if '?' in path else '?'}limit={limit}"
    while url:
        answer = client.get(url)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert len(page["items"]) <= limit
        items += page["items"]
        link = answer.links.get("next")
        assert (link is None) == (page["next"] is None)
        url = link["url"] if link else ""
    return items


@pytest.mark.parametrize("path", LISTS)
def test_lists_hold_items_of_their_kind(client: TestClient, path: str) -> None:
    answer = client.get(f"/api/v1{path}")
    assert answer.headers["content-type"] == "application/json"
    page = msgspec.json.decode(answer.content, type=Page[LISTS[path]])  # type: ignore[name-defined]
    assert page.items


@pytest.mark.parametrize("path", PAGED)
def test_pages_put_together_are_the_list(client: TestClient, path: str) -> None:
    whole = _walk(client, path, 1000)
    assert len(whole) > 5
    assert _walk(client, path, 3) == whole
    keys = [msgspec.json.encode(item) for item in whole]
    assert len(set(keys)) == len(keys)


def test_a_list_without_a_limit_is_bounded(get: Get) -> None:
    page = get("/running")
    assert len(page["items"]) == 100
    assert page["next"]


def test_each_number_of_the_overview_is_the_length_of_its_list(get: Get) -> None:
    overview = get("/overview")
    assert sum(overview["by_status"].values()) == overview["running"]
    assert overview["by_status"]["security-update"] > 0
    assert overview["by_status"]["unknown"] > 0
    for status, count in overview["by_status"].items():
        items = get("/outdated", status=status, limit=1000)["items"]
        assert len(items) == count
        assert {item["status"] for item in items} <= {status}


def test_the_worst_come_first_and_unknown_ones_say_why(get: Get) -> None:
    items = get("/outdated", limit=1000)["items"]
    ranks = [answers.STATUS_ORDER.index(item["status"]) for item in items]
    assert ranks == sorted(ranks)
    for item in items:
        if item["status"] == "unknown":
            assert item["reason"]
        if item["status"] == "security-update":
            assert any(update["security"] for update in item["updates"])


def test_filters_keep_what_they_say(get: Get) -> None:
    north = get("/running", cluster="north", limit=1000)["items"]
    assert {item["cluster"] for item in north} == {"north"}
    assert len(north) < len(get("/running", limit=1000)["items"])
    urgent = get("/outdated", security=True, limit=1000)["items"]
    assert {item["status"] for item in urgent} == {"security-update"}
    assert len(get("/outdated", all=True, limit=1000)["items"]) > len(urgent)
    assert get("/outdated", namespace="nowhere")["items"] == []
    assert get("/running", at="2020-01-01T00:00:00Z")["items"] == []
    proxies = get("/repositories", search="proxy")["items"]
    assert [item["repository"] for item in proxies] == [REPOSITORY]


def test_an_image_is_found_by_each_of_its_names(get: Get, worst: Any) -> None:
    by_digest = get(f"/images/{worst['digest']}")
    assert by_digest["verdict"]["status"] == worst["status"]
    assert by_digest["updates"] == worst["updates"]
    digits = worst["digest"].removeprefix("sha256:")
    assert get(f"/images/{digits[:12]}") == by_digest
    assert get(f"/images/{quote(worst['image'])}")["digest"] == worst["digest"]
    assert get(f"/images/{quote(worst['image'], safe='')}")["digest"] == worst["digest"]


def test_the_packages_of_an_image_are_those_of_its_detail(get: Get, worst: Any) -> None:
    detail = get(f"/images/{worst['digest']}")
    listed = get(f"/images/{worst['digest']}/packages")
    for part in ("packages", "builds", "inventories", "lineage"):
        by_name, by_digest = (get(f"/images/{worst[key]}/{part}") for key in ("image", "digest"))
        assert by_name == by_digest
    assert listed == {"items": detail["packages"], "next": None}
    candidates = {p["package"]: p["candidate"] for p in listed["items"] if p["candidate"]}
    assert candidates == {u["package"]: u["candidate"] for u in detail["updates"]}


def test_holders_below_a_version_hold_lower_ones(get: Get, worst: Any) -> None:
    update = worst["updates"][0]
    path = f"/packages/{quote(update['package'], safe='')}/images"
    below = get(path, below=update["candidate"], limit=1000)["items"]
    assert worst["digest"] in {item["digest"] for item in below}
    assert update["candidate"] not in {item["version"] for item in below}
    assert len(below) < len(get(path, limit=1000)["items"])
    assert get("/packages/no-such-package/images") == {"items": [], "next": None}


def test_search_finds_what_was_named(get: Get, worst: Any) -> None:
    hits = get("/search", q=worst["digest"][:19])["items"]
    assert [hit["kind"] for hit in hits] == ["image"]
    kinds = {hit["kind"] for hit in get("/search", q="checkout")["items"]}
    assert {"repository", "namespace"} <= kinds
    assert get("/search", q="openssl")["items"][0]["kind"] == "package"


# --- caching, CSV, HEAD ---------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/v1/overview", "/api/v1/running?limit=5", "/", "/outdated"])
def test_what_the_asker_has_is_not_sent_again(client: TestClient, path: str) -> None:
    first = client.get(path)
    tag = first.headers["etag"]
    assert tag.startswith('"')
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = client.get(path, headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
    assert client.get(path, headers={"If-None-Match": '"other"'}).content == first.content


def test_different_answers_have_different_tags(client: TestClient) -> None:
    paths = ["/api/v1/running?limit=1", "/api/v1/running?limit=2", "/api/v1/outdated"]
    assert len({client.get(path).headers["etag"] for path in paths}) == 3


@pytest.mark.parametrize("path", LISTS)
def test_csv_has_the_rows_of_the_list(client: TestClient, path: str) -> None:
    if "/search" in path:
        return
    whole = (
        _walk(client, path, 1000) if path in PAGED else client.get(f"/api/v1{path}").json()["items"]
    )
    route, _, query = path.partition("?")
    answer = client.get(f"/api/v1{route}.csv?{query}")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.reader(io.StringIO(answer.text)))
    assert tuple(rows[0]) == LISTS[path].__struct_fields__
    assert len(rows) == len(whole) + 1
    by_name = [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]
    for row, item in zip(by_name, whole, strict=True):
        for name, value in item.items():
            if isinstance(value, str):
                assert row[name] == value
            elif isinstance(value, list | dict):
                assert msgspec.json.decode(row[name]) == value
    same = client.get(f"/api/v1{path}{'&' if '?' in path else '?'}format=csv")
    assert same.content == answer.content


def test_csv_is_whole_unless_a_limit_is_given(client: TestClient) -> None:
    everything = client.get("/api/v1/running.csv").text.splitlines()
    assert len(everything) > 101
    some = client.get("/api/v1/running.csv?limit=2").text.splitlines()
    assert some == everything[:3]


def test_head_answers_as_get_without_the_body(client: TestClient) -> None:
    for path in ("/", "/api/v1/overview", "/healthz", "/static/style.css"):
        got, asked = client.get(path), client.head(path)
        assert asked.status_code == 200
        assert asked.content == b""
        assert asked.headers.get("etag") == got.headers.get("etag")
        assert asked.headers["content-length"] == got.headers["content-length"]


def test_alive_and_ready(client: TestClient) -> None:
    assert client.get("/healthz").text == "ok\n"
    assert client.get("/readyz").text == "ready\n"
