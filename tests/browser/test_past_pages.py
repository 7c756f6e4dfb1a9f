"""What ran when, before a real browser: the slider, a workload's images, exposure, clusters, times."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

Open = Callable[..., Page]

STOREFRONT = "south/storefront/Deployment/storefront"
FAULT = "CVE-2026-46917"
LOOKS = [(1280, "light"), (900, "dark"), (390, "light")]


def _ask(page: Page, site: str, path: str) -> Any:
    answer = page.request.get(f"{site}/api/v1{path}")
    assert answer.ok, path
    return answer.json()


def _fits(page: Page) -> None:
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0


def test_what_runs_is_summed_up_by_namespace(site: str, open_page: Open) -> None:
    page = open_page(f"{site}/running", script=False)
    items = _ask(page, site, "/running?limit=1000")["items"]
    places = {(one["cluster"], one["namespace"]) for one in items}
    rows = page.locator("table.spaces tbody tr:not(.group)")
    expect(rows).to_have_count(len(places))
    expect(page.locator("table.spaces .group").first).to_contain_text("north")
    expect(page.locator("table.running")).to_contain_text("ImagePullBackOff")
    page.locator("table.spaces").get_by_role("link", name="finance").first.click()
    expect(page).to_have_url(re.compile(r"cluster=north&namespace=finance"))
    expect(page.locator("table.spaces")).to_have_count(0)


def test_the_slider_goes_back_without_a_script(site: str, open_page: Open) -> None:
    page = open_page(f"{site}/running?cluster=south", script=False)
    slider = page.locator("#back")
    slider.focus()
    for _ in range(3):
        slider.press("ArrowLeft")
    assert slider.input_value() == "3"
    page.get_by_role("button", name="Go back").click()
    expect(page).to_have_url(re.compile(r"cluster=south&at=2026-11-21T12%3A05%3A00Z$"))
    expect(page.locator("h1")).to_contain_text("on 21 November 2026, 12:05 UTC.")
    assert page.locator("#back").input_value() == "3"
    page.get_by_role("link", name="now", exact=True).click()
    expect(page).to_have_url(re.compile(r"/running\?cluster=south$"))


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_where_nobody_looked_the_page_says_so(
    site: str, open_page: Open, width: int, scheme: str
) -> None:
    page = open_page(f"{site}/running?at=2026-10-05T12:00", width=width, scheme=scheme)
    expect(page.locator("h1")).to_contain_text("as far as is known")
    expect(page.locator(".doubts li")).to_have_count(1)
    expect(page.locator(".doubts")).to_contain_text("last whole scan of south before that moment")
    _fits(page)
    page = open_page(f"{site}/running?at=2026-01-01", width=width, scheme=scheme)
    expect(page.locator("h1")).to_have_text("What ran on 1 January 2026, 00:00 UTC is not known.")
    expect(page.locator(".nothing")).to_contain_text("does not say that nothing ran")


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_a_workload_draws_its_images(site: str, open_page: Open, width: int, scheme: str) -> None:
    page = open_page(f"{site}/running/{STOREFRONT}", width=width, scheme=scheme)
    past = _ask(page, site, f"/workloads/{STOREFRONT}")
    bars = page.locator("svg.lane rect.bar")
    expect(bars).to_have_count(len(past["stays"]))
    expect(page.locator("table.stays tbody tr")).to_have_count(len(past["stays"]))
    lanes = page.locator("svg.lane")
    expect(lanes.first.locator("rect.gap")).to_have_count(1)
    frame = page.locator("figure.chart").bounding_box()
    assert frame
    for bar in bars.all():
        box = bar.bounding_box()
        assert box
        assert box["width"] >= 1
        assert frame["x"] <= box["x"]
        assert box["x"] + box["width"] <= frame["x"] + frame["width"]
    _fits(page)


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_an_exposure_is_drawn(site: str, open_page: Open, width: int, scheme: str) -> None:
    page = open_page(f"{site}/advisories/{FAULT}", width=width, scheme=scheme)
    found = _ask(page, site, f"/exposure/{FAULT}")
    chart = page.locator("#exposure figure.chart")
    expect(chart.locator("svg.lane")).to_have_count(
        len({(one["cluster"], one["namespace"], one["workload"]) for one in found["items"]})
    )
    expect(chart.locator("rect.bar.still")).to_have_count(
        sum(one["still"] for one in found["items"])
    )
    expect(chart.locator(".marked")).to_contain_text("fix out 28 Jul")
    area = chart.locator("svg.area path").bounding_box()
    assert area
    assert area["height"] > 20
    _fits(page)
    page.locator("#exposure summary").click()
    expect(page.locator("#exposure tbody tr")).to_have_count(len(found["items"]))
    chart.get_by_role("link").first.click()
    expect(page).to_have_url(re.compile(r"/running/(north|south)/"))


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_clusters_and_times_fit(site: str, open_page: Open, width: int, scheme: str) -> None:
    page = open_page(site, width=width, scheme=scheme)
    page.get_by_role("link", name="Clusters", exact=True).click()
    expect(page).to_have_url(f"{site}/clusters")
    expect(page.locator("table.clusters tbody tr")).to_have_count(2)
    expect(page.locator("h1")).to_have_text("All clusters were seen well within two hours.")
    _fits(page)
    page = open_page(f"{site}/patching", width=width, scheme=scheme)
    found = _ask(page, site, "/patching")
    expect(page.locator("h1")).to_contain_text(f"{found['total']['waiting']} still wait")
    expect(page.locator("#severity tbody tr")).to_have_count(len(found["by_severity"]))
    expect(page.locator("#unknown li")).to_have_count(len(found["unknown"]))
    _fits(page)
