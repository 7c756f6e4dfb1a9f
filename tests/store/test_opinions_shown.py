"""Clair's word as people meet it: over HTTP, on the image's page, on a terminal."""

from __future__ import annotations

import json
from typing import Any

import pytest
from clair_house import fault, found, push, report
from fastapi.testclient import TestClient
from tests_store import NOON, PutImage, digest, package

from imagecatalog.cli.opinion_layouts import show_opinions
from imagecatalog.config import Settings
from imagecatalog.domain.packages import Unknown
from imagecatalog.domain.second_opinions import ImageOpinion
from imagecatalog.planning.findings import image_findings
from imagecatalog.planning.second_opinions import image_opinions
from imagecatalog.store import clair
from imagecatalog.store.engine import Catalog
from imagecatalog.web import create_asgi_app

APP = str(digest("app"))


@pytest.fixture
def client(catalog: Catalog) -> TestClient:
    app = create_asgi_app(Settings(), catalog, clock=lambda: NOON)
    return TestClient(app, raise_server_exceptions=False)


@pytest.fixture
def said(catalog: Catalog, put_image: PutImage) -> int:
    """An image against which Clair holds two faults; of the one it names a fix. Its server's number."""
    with catalog.write() as c:
        number = push(c, put_image, "app", packages=[package("bash")])["app"]
        server = clair.put_server(c, "http://clair.example.org").id
        clair.note_answer(
            c, server, index_state="s", updates="u", updated=NOON, problem=None, now=NOON
        )
        clair.note_wanted(c, server, [number], now=NOON)
        faults = (fault(1, "bash", "2.0-1", severity="critical"), fault(2, "bash", severity=None))
        whole = report("app", {found("bash"): faults}, found("dash"))
        clair.save_index(c, number, whole, state="s", now=NOON)
        clair.save_report(c, number, whole, updates="u", now=NOON)
    return server


def _opinions(client: TestClient) -> list[Any]:
    answer = client.get(f"/api/v1/images/{APP}/opinions")
    assert answer.status_code == 200, answer.text
    assert answer.json()["next"] is None
    items: list[Any] = answer.json()["items"]
    return items


def test_over_http(client: TestClient, said: int) -> None:
    (item,) = _opinions(client)
    opinion = item["opinion"]
    assert (item["digest"], opinion["source"], opinion["unknown"]) == (APP, "clair", None)
    assert [
        (one["advisory"], one["severity"], one["fixed"], one["layer"], one["updater"])
        for one in opinion["remarks"]
    ] == [
        ("CVE-2026-0001", "critical", "2.0-1", APP, "debian/updater"),
        ("CVE-2026-0002", None, None, APP, "debian/updater"),
    ]
    assert [(one["advisory"], one["ours"]) for one in item["differences"]] == [
        ("CVE-2026-0001", None),
        ("CVE-2026-0002", None),
    ]
    for one in item["differences"]:
        assert one["why"].startswith("here: "), "our own word is not whole: no feed was read"


def test_without_a_clair(client: TestClient, catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        push(c, put_image, "app")
    assert _opinions(client) == []
    page = client.get(f"/image/{APP}").text
    assert "second opinion" not in page
    assert client.get(f"/api/v1/images/{digest('none')}/opinions").status_code == 404


def test_on_the_page(client: TestClient, said: int) -> None:
    page = client.get(f"/image/{APP}").text
    assert "A second opinion" in page
    assert "Clair names 2 faults in 2 packages, and differs from us in 2" in page
    assert "CVE-2026-0001" in page
    assert "critical, fixed in 2.0-1" in page
    assert "debian/updater" in page


def test_a_silent_clair_says_why_on_the_page(
    client: TestClient, catalog: Catalog, said: int
) -> None:
    with catalog.write() as c:
        clair.note_silence(c, said, Unknown("source-unavailable", "Clair <b>is</b> down"))
    page = client.get(f"/image/{APP}").text
    assert "Clair &lt;b&gt;is&lt;/b&gt; down" in page
    assert "Clair last named 2 faults" in page
    (item,) = _opinions(client)
    assert item["opinion"]["unknown"] == "Clair <b>is</b> down"


def test_on_a_terminal(
    catalog: Catalog, said: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    with catalog.read() as c:
        found = image_opinions(c, image_findings(c, APP, now=NOON), now=NOON)
    show_opinions(found)
    lines = capsys.readouterr().out.splitlines()
    assert "Clair names 2 faults in 2 packages, and differs from us in 2" in lines[0]
    assert any(
        "CVE-2026-0001" in line and "not listed" in line and "fixed in 2.0-1" in line
        for line in lines
    )
    show_opinions(())
    assert "no other judge is configured" in capsys.readouterr().out
    show_opinions([_quiet(one) for one in found])
    assert "Clair says nothing" in capsys.readouterr().out


def _quiet(one: ImageOpinion) -> ImageOpinion:
    """The same before any report was read."""
    import msgspec

    whole = json.loads(msgspec.json.encode(one))
    whole["differences"] = []
    whole["opinion"] |= {"reported": None, "unknown": "it waits", "remarks": []}
    return msgspec.convert(whole, ImageOpinion)
