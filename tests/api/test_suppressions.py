"""Deferrals and VEX over HTTP: who may decide, what is refused, and that nothing disappears."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from registration import NOON, Clock, make_token

from imagecatalog.config import DeferralSettings, Settings
from imagecatalog.domain.access import Scope
from imagecatalog.store import suppressions
from imagecatalog.store.engine import Catalog
from imagecatalog.store.schema import advisory
from imagecatalog.web import create_asgi_app

SCOPES: tuple[Scope, ...] = ("register", "record", "read")
WISH = {"advisory": "CVE-2026-1", "until": "2027-01-31", "why": "not reachable from outside"}
VEX = {
    "@context": "https://openvex.dev/ns/v0.2.0",
    "@id": "https://vendor.example.org/vex/1",
    "author": "Vendor",
    "timestamp": "2026-11-20T12:00:00Z",
    "statements": [
        {
            "vulnerability": {"name": "CVE-2026-1"},
            "products": [{"@id": "pkg:oci/app"}, {"@id": "a program"}],
            "status": "not_affected",
            "justification": "component_not_present",
        },
        {
            "vulnerability": {"name": "CVE-2026-2"},
            "products": [{"@id": "pkg:oci/app"}],
            "status": "under_investigation",
        },
    ],
}


class Desk:
    """A server, its clock, and what is asked of it."""

    def __init__(self, client: TestClient, catalog: Catalog, clock: Clock) -> None:
        self.client, self.catalog, self.clock = client, catalog, clock
        self.token = make_token(catalog, "dec", scopes=["decide"])

    def send(self, method: str, path: str, *, token: str | None = None, **more: Any) -> Any:
        headers = {"Authorization": f"Bearer {token or self.token}"} | more.pop("headers", {})
        return self.client.request(method, f"/api/v1{path}", headers=headers, **more)

    def defer(self, **more: Any) -> Any:
        return self.send("POST", "/deferrals", json=WISH | more)

    def list(self, path: str = "/deferrals", **query: str) -> list[dict[str, Any]]:
        answer = self.client.get(f"/api/v1{path}", params=query)
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.json()["items"]
        return items


@pytest.fixture
def desk(catalog: Catalog) -> Iterator[Desk]:
    with catalog.write() as c:
        c.execute(advisory.insert(), [{"name": "CVE-2026-1"}, {"name": "CVE-2026-2"}])
    clock = Clock()
    settings = Settings(deferrals=DeferralSettings(max_days=100))
    app = create_asgi_app(settings, catalog, clock=clock)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield Desk(client, catalog, clock)


def test_a_fault_is_put_off_and_taken_back(desk: Desk) -> None:
    made = desk.defer(package="openssl", image="team/*", by="Ann")
    assert made.status_code == 201
    item = made.json()
    assert item == {
        "id": item["id"],
        "advisory": "CVE-2026-1",
        "package": "openssl",
        "image": "team/*",
        "why": "not reachable from outside",
        "by": "Ann (dec)",
        "since": "2026-11-24T12:00:00Z",
        "until": "2027-01-31T00:00:00Z",
        "state": "active",
        "withdrawn_by": None,
        "withdrawn": None,
        "note": "no image that was met holds a package openssl: is it written right?",
    }
    again = desk.defer(package="openssl", image="team/*", by="Ann")
    assert (again.status_code, again.json()) == (200, item)
    item["note"] = None
    assert desk.list() == [item]
    gone = desk.send("DELETE", f"/deferrals/{item['id']}")
    assert gone.status_code == 200
    assert gone.json() == item | {
        "state": "withdrawn",
        "withdrawn_by": "dec",
        "withdrawn": "2026-11-24T12:00:00Z",
    }
    assert desk.list() == [gone.json()]
    assert desk.send("DELETE", f"/deferrals/{item['id']}").json() == gone.json()
    assert desk.defer(package="openssl", image="team/*", by="Ann").status_code == 201


def test_one_that_ended_stays_listed(desk: Desk) -> None:
    desk.defer()
    desk.clock.now = NOON + timedelta(days=70)
    assert [one["state"] for one in desk.list()] == ["expired"]
    desk.clock.now = NOON + timedelta(days=170)
    assert desk.list() == []
    assert [one["state"] for one in desk.list(all="true")] == ["expired"]
    assert desk.list(advisory="cve-2026-1", all="true") == desk.list(all="true")
    assert desk.list(advisory="CVE-2026-2", all="true") == []
    text = desk.client.get("/api/v1/deferrals.csv?all=true").text
    assert text.splitlines()[0].startswith("id,advisory,package,image,why,by,since,until,state")
    assert len(text.splitlines()) == 2


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"until": "2026-11-24T12:00:00Z"}, 400, "is past"),
        ({"until": "2027-03-06"}, 400, "until 2027-03-04"),
        ({"until": "9999-12-31T23:59:59Z"}, 400, "for 100 days at most"),
        ({"until": "soon"}, 422, "/until"),
        ({"until": None}, 422, "/until"),
        ({"why": "  "}, 400, "a reason"),
        ({"why": ""}, 422, "/why"),
        ({"why": 5 * "x" + "\0"}, 400, "a reason"),
        ({"advisory": "openssl is old"}, 400, "does not name an advisory"),
        ({"advisory": "CVE-1999-1"}, 404, "no feed tells of CVE-1999-1"),
        ({"package": "two words"}, 400, "no name of a package"),
        ({"image": "no spaces"}, 400, "no glob"),
        ({"image": "a\0"}, 400, "no glob"),
        ({"who": "me"}, 422, "/who"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    desk: Desk, body: dict[str, object], status: int, said: str
) -> None:
    answer = desk.defer(**body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert said in answer.text
    assert desk.list(all="true") == []


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'"x"'])
def test_a_body_that_is_no_deferral_is_refused(desk: Desk, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    answer = desk.send("POST", "/deferrals", content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")


def test_only_who_may_decide_does(desk: Desk) -> None:
    for scope in SCOPES:
        other = make_token(desk.catalog, scope, scopes=[scope])
        for method, path in (("POST", "/deferrals"), ("DELETE", "/deferrals/1"), ("POST", "/vex")):
            answer = desk.send(method, path, token=other, json=WISH)
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), (scope, path)
    assert desk.client.post("/api/v1/deferrals", json=WISH).status_code == 401
    assert desk.client.delete("/api/v1/deferrals/1").status_code == 401
    assert desk.send("DELETE", "/deferrals/7").status_code == 404
    assert desk.send("DELETE", "/deferrals/0").status_code == 422


@pytest.mark.parametrize(
    ("image", "may"),
    [
        ("team/app", True),
        ("team/app:*", True),
        ("team/*", True),
        ("registry.example.org/team/app:1.0", True),
        (None, False),
        ("*", False),
        ("other/app", False),
        ("other/team/app:1", False),
        ("t*", False),
    ],
)
def test_a_limited_token_decides_of_its_own(desk: Desk, image: str | None, may: bool) -> None:
    token = make_token(desk.catalog, "few", scopes=["decide"], repositories=["team/*"])
    answer = desk.send("POST", "/deferrals", token=token, json=WISH | {"image": image})
    assert answer.status_code == (201 if may else 403)
    made = desk.defer(image=image, why="of another")
    gone = desk.send("DELETE", f"/deferrals/{made.json()['id']}", token=token)
    assert gone.status_code == (200 if may else 403)


def test_a_question_mark_is_no_star(desk: Desk) -> None:
    token = make_token(desk.catalog, "few", scopes=["decide"], repositories=["team/app?"])
    for image, may in (("team/app1", True), ("team/app*", False)):
        answer = desk.send("POST", "/deferrals", token=token, json=WISH | {"image": image})
        assert answer.status_code == (201 if may else 403)


def test_a_document_is_told_and_told_again(desk: Desk) -> None:
    first = desk.send("POST", "/vex", json=VEX)
    assert first.status_code == 201
    assert first.json() == {
        "document": "dec: https://vendor.example.org/vex/1",
        "author": "Vendor",
        "format": "OpenVEX 0.2.0",
        "statements": 3,
        "created": True,
    }
    assert desk.send("POST", "/vex", json=VEX).status_code == 200
    items = desk.list("/vex")
    assert [(one["advisory"], one["product"], one["applied"]) for one in items] == [
        ("CVE-2026-1", "app", True),
        ("CVE-2026-1", "a program", False),
        ("CVE-2026-2", "app", False),
    ]
    assert {one["author"] for one in items} == {"Vendor"}
    assert {one["feed"] for one in items} == {"upload"}
    assert desk.list("/vex", advisory="CVE-2026-2") == items[2:]
    packed = gzip.compress(json.dumps(VEX | {"statements": VEX["statements"][1:]}).encode())
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    assert desk.send("POST", "/vex", content=packed, headers=headers).status_code == 201
    assert [one["advisory"] for one in desk.list("/vex")] == ["CVE-2026-2"]
    other = make_token(desk.catalog, "two", scopes=["decide"])
    assert desk.send("POST", "/vex", json=VEX, token=other).status_code == 201
    assert len(desk.list("/vex")) == 4
    page = desk.client.get("/api/v1/vex?limit=3").json()
    rest = desk.client.get("/api/v1/vex", params={"after": page["next"]}).json()
    assert (len(page["items"]), len(rest["items"]), rest["next"]) == (3, 1, None)


def test_an_uploaded_document_is_withdrawn_and_stays_listed(desk: Desk) -> None:
    desk.send("POST", "/vex", json=VEX)
    [told] = desk.list("/vex/documents")
    assert (told["document"], told["statements"], told["applied"], told["state"]) == (
        "dec: https://vendor.example.org/vex/1",
        3,
        1,
        "in-force",
    )
    path = f"/vex/documents/{told['id']}"
    reader = make_token(desk.catalog, "reader", scopes=["read"])
    assert desk.send("DELETE", path, token=reader).status_code == 403
    few = make_token(desk.catalog, "few", scopes=["decide"], repositories=["team/*"])
    assert desk.send("DELETE", path, token=few).status_code == 403
    with desk.catalog.read() as c:
        assert suppressions.list_spoken_of(c, now=NOON)

    desk.clock.now += timedelta(hours=1)
    gone = desk.send("DELETE", path)
    assert gone.status_code == 200
    assert (gone.json()["state"], gone.json()["withdrawn_by"]) == ("withdrawn", "dec")
    with desk.catalog.read() as c:
        assert not suppressions.list_spoken_of(c, now=NOON), "it suppresses nothing any more"
    items = desk.list("/vex")
    assert {(one["state"], one["withdrawn_by"], one["applied"]) for one in items} == {
        ("withdrawn", "dec", False)
    }
    assert len(items) == 3, "nothing disappears"
    page = desk.client.get("/vex").text
    assert "withdrawn" in page
    assert "by dec" in page
    again = desk.send("DELETE", path)
    assert again.json() == gone.json()
    assert desk.send("DELETE", "/vex/documents/99").status_code == 404

    assert desk.send("POST", "/vex", json=VEX).status_code == 201, "told again it counts again"
    [told] = desk.list("/vex/documents")
    assert (told["state"], told["withdrawn_by"], told["id"]) == (
        "in-force",
        None,
        gone.json()["id"],
    )
    with desk.catalog.read() as c:
        assert suppressions.list_spoken_of(c, now=NOON)


def test_a_document_that_is_not_sound_is_refused(desk: Desk) -> None:
    for broken in ({}, VEX | {"statements": []}, VEX | {"author": ""}):
        answer = desk.send("POST", "/vex", json=broken)
        assert (answer.status_code, answer.json()["code"]) == (422, "bad-document")
    assert desk.list("/vex") == []
    few = make_token(desk.catalog, "few", scopes=["decide"], repositories=["team/*"])
    assert desk.send("POST", "/vex", json=VEX, token=few).status_code == 403


def test_faults_nobody_knows_are_not_found(desk: Desk) -> None:
    for path in ("/deferrals", "/vex"):
        assert desk.client.get(f"/api/v1{path}?advisory=CVE-1-1").status_code == 404
        assert desk.client.get(f"/api/v1{path}?advisory=%00").status_code == 422
        assert desk.client.get(f"/api/v1{path}?nonsense=1").status_code == 422
