"""Foreign names reach a page only as text, and no answer lets a browser do more than it must."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient

from imagecatalog.catalog import ingest, timeline
from imagecatalog.config import Settings
from imagecatalog.domain.contents import ImageContents
from imagecatalog.domain.images import Descriptor, ImageConfig, ImageManifest
from imagecatalog.domain.packages import Distro, Package
from imagecatalog.domain.refs import Digest, Platform
from imagecatalog.domain.runs import RunningContainer
from imagecatalog.store import health
from imagecatalog.store.engine import Catalog, initialise
from imagecatalog.store.shelf import Shelf
from imagecatalog.web import create_asgi_app
from imagecatalog.web.http import SECURITY_HEADERS

EVIL = "\"><script>alert(1)</script><img src=x onerror='alert(2)'>{{7*7}}"
FORMULA = "=cmd|'/c calc'!A1"
DIGEST = Digest.of(b"a manifest")
BROWSER = {"Accept": "text/html"}


class _Page(HTMLParser):
    """Notes everything in a page that could run or be fetched from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "style", "iframe", "object", "embed", "base", "img"):
            self.found.append(tag)
        for name, value in attrs:
            if name.startswith("on") or name in ("style", "srcdoc"):
                self.found.append(f"{tag} {name}")
            if name in ("href", "src", "action") and not (value or "").startswith(("/", "#")):
                self.found.append(f"{tag} {name}={value}")

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def _read(page: str) -> _Page:
    parser = _Page()
    parser.feed(page)
    parser.close()
    return parser


@pytest.fixture
def hostile(tmp_path: Path) -> Iterator[TestClient]:
    """An application over a catalog in which every foreign text is an attack."""
    now = datetime(2026, 11, 24, 12, tzinfo=UTC)
    path = str(tmp_path / "catalog.sqlite")
    initialise(path)
    catalog = Catalog.open(path)
    config = Descriptor("application/vnd.oci.image.config.v1+json", Digest.of(b"config"), 10)
    layer = Descriptor("application/vnd.oci.image.layer.v1.tar", Digest.of(b"layer"), 10)
    with catalog.write() as c:
        image = ingest.ImageRecord(
            DIGEST,
            ImageManifest("application/vnd.oci.image.manifest.v1+json", config, (layer,)),
            ImageConfig(now, Platform.parse("linux/amd64")),
            ImageContents(
                distro=Distro(EVIL, EVIL, EVIL, EVIL),
                packages=(Package("deb", EVIL, FORMULA, EVIL, EVIL, EVIL),),
            ),
        )
        (number,) = ingest.record_images(c, Shelf(), [image], configured={}, reader=1, now=now)
        ingest.record_repository(c, EVIL, {EVIL: number}, [number], [], now=now)
        runs = [
            RunningContainer(EVIL, f"Deployment/{EVIL}", EVIL, EVIL, "container", EVIL, image_id)
            for image_id in (f"x@{DIGEST}", EVIL)
        ]
        timeline.observe(c, EVIL, runs, at=now)
        for kind in ("registry", "feed", "job"):
            health.note_try(c, kind, EVIL, at=now, seconds=1, error=EVIL, detail=EVIL)
    yield TestClient(create_asgi_app(Settings(database=path), catalog, clock=lambda: now))
    catalog.close()


EVERY = quote(EVIL, safe="")
PAGES = [
    "/",
    "/outdated",
    "/outdated?all=true",
    f"/outdated?cluster={EVERY}&namespace={EVERY}&image={EVERY}",
    "/running",
    f"/running?cluster={EVERY}",
    "/images",
    f"/images?search={EVERY}",
    f"/images/{quote(EVIL)}",
    f"/image/{DIGEST}",
    f"/packages/{EVERY}",
    f"/packages/{EVERY}?below={EVERY}",
    f"/search?q={EVERY}",
    "/search?q=script",
    "/health",
    f"/nothing/{EVERY}",
    f"/outdated?{EVERY}=1",
    f"/image/{EVERY}",
]


@pytest.mark.parametrize("path", PAGES)
def test_foreign_names_are_text(hostile: TestClient, path: str) -> None:
    answer = hostile.get(path, headers=BROWSER)
    assert answer.status_code in (200, 400, 404, 422), answer.text
    assert _read(answer.text).found == []
    assert "<script" not in answer.text


def test_the_attack_is_shown_as_what_it_is(hostile: TestClient) -> None:
    shown = "".join(_read(hostile.get("/health").text).text)
    assert EVIL in shown


@pytest.mark.parametrize(
    "path", ["/", "/outdated", "/running", "/images", "/health", "/search?q=openssl"]
)
def test_pages_of_the_fleet_need_no_script_and_nothing_foreign(
    client: TestClient, path: str
) -> None:
    assert _read(client.get(path).text).found == []


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/api/v1/overview", 200),
        ("/api/v1/running.csv", 200),
        ("/static/style.css", 200),
        ("/healthz", 200),
        ("/nothing", 404),
        ("/api/v1/running?limit=0", 422),
    ],
)
def test_every_answer_has_the_headers(client: TestClient, path: str, status: int) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    for name, value in SECURITY_HEADERS.items():
        assert answer.headers[name] == value
    assert "unsafe" not in answer.headers["content-security-policy"]


def test_csv_holds_no_formula(hostile: TestClient) -> None:
    text = hostile.get(f"/api/v1/images/{DIGEST}/packages.csv").text
    (row,) = csv.DictReader(io.StringIO(text))
    assert row["installed"] == f"'{FORMULA}"
    assert row["package"] == EVIL


def test_static_files_stay_in_their_folder(client: TestClient) -> None:
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/static/"):
        assert client.get(path).status_code in (404, 405)
