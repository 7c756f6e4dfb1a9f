"""What of an image could not be read stands beside what could, in every answer about it."""

from __future__ import annotations

from datetime import UTC, datetime

from bad_registry import debian, layer
from bad_shop import Shop
from fastapi.testclient import TestClient

from imagecatalog.config import Settings
from imagecatalog.store.engine import Catalog
from imagecatalog.web import create_asgi_app

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SITE = "usr/lib/python3/site-packages"
TOP = {
    "srv/<b>a</b>.jar": b"no archive",
    "srv/b.jar": b"no archive\0\xff",
    f"{SITE}/six-1.16.dist-info/METADATA": b"Name: six\nVersion: 1.16\n",
    f"{SITE}/x.dist-info/METADATA": b"Name: x\0\nVersion: 1\n",
}


def test_files_that_could_not_be_read_are_told(shop: Shop) -> None:
    registry, command = shop.registry, shop.command
    base = debian(bash="5.2-1", nginx="1.25.3-1~bookworm")
    registry.tag("app", registry.add_image(base, layer(TOP)))
    registry.tag("clean", registry.add_image(base))
    command.run("sync", registry.url)
    found = command.show(f"{registry.host}/app:1")
    assert {item["package"]: item["third_party"] for item in found["packages"]} == {
        "bash": False,
        "nginx": True,
        "six": False,
    }
    told = [(one["path"], one["code"]) for one in found["problems"]]
    code = "language-package-not-read"
    assert told == [
        ("srv/<b>a</b>.jar", code),
        ("srv/b.jar", code),
        (f"{SITE}/x.dist-info/METADATA", code),
    ]
    clean = command.show(f"{registry.host}/clean:1")
    assert clean["problems"] == []
    # Apt's verdict is the same with and without them; that nobody judges them is told.
    unjudged = found["verdict"].pop("unjudged"), clean["verdict"].pop("unjudged")
    assert found["verdict"] == clean["verdict"]
    assert unjudged == (
        "2 deb packages, 1 pypi package: no feed tells of them",
        "2 deb packages: no feed tells of them",
    )

    text = command.run("show", f"{registry.host}/app:1").out
    assert "not read    srv/b.jar: b.jar: is no archive" in text
    catalog = Catalog.open(command.database)
    settings = Settings(database=command.database)
    with TestClient(create_asgi_app(settings, catalog, clock=lambda: NOW)) as client:
        page = client.get(
            "/image", params={"ref": found["digest"]}, headers={"Accept": "text/html"}
        ).text
    catalog.close()
    assert "3 files not read" in page
    assert "srv/&lt;b&gt;a&lt;/b&gt;.jar" in page
    assert page.count(">third party<") == 1
