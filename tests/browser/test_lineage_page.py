"""The drawn lineage before a real browser: of a small family with trouble, and of a large one."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from imagecatalog.catalog import ingest
from imagecatalog.catalog.builds import register
from imagecatalog.domain.builds import Build, Parent
from imagecatalog.domain.contents import ImageContents
from imagecatalog.domain.images import Descriptor, ImageConfig, ImageManifest
from imagecatalog.domain.refs import Digest, Platform
from imagecatalog.store.engine import Catalog, Connection, initialise
from imagecatalog.store.shelf import Shelf

Open = Callable[..., Page]

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
BASE = "registry.example.org/base"
REPOSITORIES = 40
IMAGES = 499
BOXES = REPOSITORIES + 2
"""Of the large family: its base, each repository, and one more child."""

# Text that its box cuts off, and boxes that lie over one another.
CUT = """() => [...document.querySelectorAll('.node')].filter(e =>
  e.lastElementChild.getBoundingClientRect().bottom > e.getBoundingClientRect().bottom + 1)
  .map(e => e.textContent)"""
OVERLAPPING = """() => {
  const boxes = [...document.querySelectorAll('.node')].map(e => e.getBoundingClientRect());
  return boxes.flatMap((a, i) => boxes.slice(i + 1).filter(b =>
    a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom)).length;
}"""


class _House:
    """Writes images as a sync does."""

    def __init__(self, c: Connection) -> None:
        self.c, self.shelf = c, Shelf()

    def put(self, repository: str, tags: dict[str, tuple[str, ...]]) -> dict[str, Digest]:
        """Images by tag, each of the layers of these names."""
        records = [self._record(f"{repository}:{tag}", layers) for tag, layers in tags.items()]
        numbers = ingest.record_images(
            self.c, self.shelf, records, configured={}, reader=1, now=NOON
        )
        pointed = dict(zip(tags, numbers, strict=True))
        ingest.record_repository(self.c, repository, pointed, numbers, [], now=NOON)
        return {tag: record.digest for tag, record in zip(tags, records, strict=True)}

    def _record(self, name: str, layers: tuple[str, ...]) -> ingest.ImageRecord:
        kind = "application/vnd.oci.image.layer.v1.tar+gzip"
        found = [Descriptor(kind, Digest.of(layer.encode()), 1000) for layer in layers]
        config = Descriptor(kind, Digest.of(f"config {name}".encode()), 100)
        manifest = ImageManifest("application/vnd.oci.image.manifest.v1+json", config, tuple(found))
        contents = ImageContents(distro=None, packages=(), apt=None)
        made = ImageConfig(NOON, Platform.parse("linux/amd64"))
        return ingest.ImageRecord(Digest.of(name.encode()), manifest, made, contents)

    def tell(self, digest: Digest, *parents: Parent, **more: Any) -> None:
        """What a build tells of itself."""
        build = Build(digest=digest, parents=parents, **more)
        told = {"evidence": "registered", "told_by": "ci", "configured": {}, "now": NOON}
        register(self.c, self.shelf, build, **told)  # type: ignore[arg-type]


def _fill(catalog: Catalog) -> None:
    with catalog.write() as c:
        house = _House(c)
        base = house.put(BASE, {"1": ("b",), "2": ("b2",)})
        for place in range(REPOSITORIES):
            own = range(place, IMAGES, REPOSITORIES)
            house.put(
                f"registry.example.org/fleet/service-{place:02}",
                {f"1.{number}": ("b", f"s{number}") for number in own},
            )
        app = house.put("registry.example.org/app", {"1": ("b2", "a")})
        tools = house.put("registry.example.org/tools", {"1": ("t",)})
        house.tell(
            app["1"],
            Parent(digest=base["1"]),
            Parent(digest=tools["1"], role="stage"),
            Parent(image="registry.example.org/never/met:1", role="copy"),
        )


@pytest.fixture(scope="module")
def family(
    tmp_path_factory: pytest.TempPathFactory, serve: Callable[[Path], AbstractContextManager[str]]
) -> Iterator[str]:
    """Address of a server over a base with five hundred images on it."""
    database = tmp_path_factory.mktemp("family") / "catalog.sqlite"
    initialise(str(database))
    catalog = Catalog.open(str(database))
    _fill(catalog)
    catalog.close()
    with serve(database) as address:
        yield address


def test_five_hundred_images_are_one_box_a_repository(family: str, open_page: Open) -> None:
    page = open_page(f"{family}/lineage?ref={BASE}:1", width=900)
    expect(page.locator("h1")).to_contain_text("500 children, 500 descendants")
    expect(page.locator(".node")).to_have_count(BOXES)
    first = page.locator("svg").get_by_role("link", name="fleet/service-00")
    expect(first).to_contain_text("×13")
    assert page.evaluate("document.documentElement.scrollWidth") <= 900
    assert page.evaluate(CUT) == []
    assert page.evaluate(OVERLAPPING) == 0
    expect(page.locator(".node.focus")).to_be_in_viewport()
    first.click()
    expect(page.locator(".node")).to_have_count(BOXES - 1 + 13)
    expect(page.locator(".node", has_text=":1.480")).to_be_visible()
    page.get_by_role("link", name="Close").click()
    expect(page.locator(".node")).to_have_count(BOXES)
    page.get_by_role("link", name="Show every image").click()
    expect(page.locator(".node")).to_have_count(1 + IMAGES + 1)
    assert page.evaluate(OVERLAPPING) == 0
    page.get_by_role("link", name="One box a repository").click()
    expect(page.locator(".node")).to_have_count(BOXES)


def test_a_wide_drawing_begins_at_what_it_is_about(family: str, open_page: Open) -> None:
    page = open_page(f"{family}/lineage?ref={BASE}:1", width=390)
    expect(page.locator(".node.focus")).to_be_in_viewport(ratio=0.9)
    assert page.locator(".canvas").evaluate("e => e.scrollTop") == 0


def test_the_table_says_the_same_as_the_drawing(family: str, open_page: Open) -> None:
    page = open_page(f"{family}/lineage?ref=registry.example.org/app:1", script=False)
    table = page.locator("#ancestors tbody tr")
    assert table.count() == 3
    with urllib.request.urlopen(
        page.get_by_role("link", name="JSON").first.evaluate("e => e.href"), timeout=30
    ) as answer:
        told = json.load(answer)
    for row, one in zip(table.all(), told["ancestors"], strict=True):
        expect(row).to_contain_text(one["evidence"])
        expect(row.locator("th")).to_contain_text(one["image"])
    stale = page.locator("#ancestors", has_text="the catalog does not hold it")
    expect(stale).to_contain_text("never/met:1")


def test_contradictions_and_roles_are_seen(family: str, open_page: Open) -> None:
    page = open_page(f"{family}/lineage?ref=registry.example.org/app:1")
    notice = page.locator("#contradictions")
    expect(notice).to_contain_text(f"it does not begin with the layers of {BASE}:1")
    expect(notice).to_contain_text("the registered build says otherwise and is believed")
    assert page.locator("svg.graph path.line.registered").count() == 2
    assert page.locator("svg.graph path.head.used").count() == 1
    dashes = "e => getComputedStyle(e).strokeDasharray"
    assert page.locator(".legend .line.registered").evaluate(dashes) == "none"
    foreign = page.locator(".node.foreign")
    expect(foreign).to_contain_text("not met")
    foreign.click()
    expect(page.locator("h1")).to_contain_text("never/met:1")


def test_every_box_leads_on_by_keyboard(family: str, open_page: Open) -> None:
    page = open_page(f"{family}/lineage?ref=registry.example.org/app:1")
    box = page.locator(".node", has_text="tools")
    box.focus()
    expect(box).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text("1 child")
    page.locator(".node.focus").click()
    expect(page.locator("h1.name")).to_contain_text("registry.example.org/tools:1")
    page.get_by_role("link", name="Lineage").click()
    expect(page.locator("#descendants")).to_contain_text("build stage")


def test_an_image_tells_its_builds_parents_and_what_is_newer(family: str, open_page: Open) -> None:
    page = open_page(f"{family}/image/registry.example.org/app:1", width=900)
    builds = page.locator("#builds")
    expect(builds).to_contain_text("the registered build")
    expect(builds).to_contain_text("not met yet")
    ancestry = page.locator("#ancestry")
    expect(ancestry).to_contain_text("1 contradiction")
    expect(ancestry).to_contain_text(f"newer: {BASE}:2")
    page.goto(f"{family}/image/{BASE}:1")
    page.get_by_role("link", name="what changed").click()
    expect(page.locator(".lead")).to_contain_text(f"{BASE}:2")


def test_it_is_found_by_a_form_and_a_wrong_name_is_said(family: str, open_page: Open) -> None:
    page = open_page(f"{family}/lineage")
    page.get_by_label("Image or digest").fill(f"{BASE}:2")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("h1")).to_have_text("Nothing is known to be built on this image.")
    expect(page.locator("main")).to_contain_text("imagecatalog register")
    answer = page.request.get(
        f"{family}/lineage?ref=registry.example.org/none:1", headers={"Accept": "text/html"}
    )
    assert answer.status == 404
    assert "registry.example.org/none:1" in answer.text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 900])
def test_narrow_screens_scroll_the_drawing_alone(
    family: str, open_page: Open, width: int, scheme: str
) -> None:
    page = open_page(f"{family}/lineage?ref={BASE}:1", width=width, scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    canvas = page.locator(".canvas")
    assert canvas.evaluate("e => e.scrollWidth > e.clientWidth")
    page.emulate_media(media="print")
    assert page.locator("svg.graph").evaluate("e => e.getBoundingClientRect().width") <= width
