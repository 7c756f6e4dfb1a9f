"""Advisories before a real browser: what runs holds, one fault, one package."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

Open = Callable[..., Page]


def _ask(page: Page, site: str, path: str) -> Any:
    answer = page.request.get(f"{site}/api/v1{path}")
    assert answer.ok, path
    return answer.json()


def _fits(page: Page) -> None:
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0


@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (900, "dark")])
def test_the_worst_of_what_runs_is_first(
    site: str, open_page: Open, width: int, scheme: str
) -> None:
    page = open_page(f"{site}/advisories", width=width, scheme=scheme)
    told = _ask(page, site, "/advisories?limit=100")
    assert told["exploited"] > 0
    expect(page.locator("h1")).to_contain_text(f"{told['fixable']} faults that a fix is out for")
    rows = page.locator("table.faults tbody tr")
    expect(rows).to_have_count(len(told["items"]))
    first = told["items"][0]
    expect(rows.first).to_contain_text(first["advisory"])
    expect(rows.first).to_contain_text("exploited")
    for cell in page.locator("td:has(.severity), td:has(.faint)").all()[:20]:
        box = cell.locator(".severity, .faint").first.bounding_box()
        assert box is None or box["height"] < 30, "a severity is broken in two"
    _fits(page)


def test_filters_keep_what_they_say(site: str, open_page: Open) -> None:
    page = open_page(f"{site}/advisories")
    page.locator("select[name=severity]").select_option("high")
    page.locator("select[name=state]").select_option("fix-out")
    page.get_by_role("button", name="Show").click()
    told = _ask(page, site, "/advisories?severity=high&state=fix-out")
    rows = page.locator("table.faults tbody tr")
    expect(rows).to_have_count(told["total"])
    assert set(rows.locator("td:first-child .severity").all_inner_texts()) == {"high"}
    expect(page.locator(".command")).to_have_text(
        "imagecatalog advisories --fixable --severity high"
    )


@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (900, "dark")])
def test_a_fault_tells_where_it_runs_and_what_mends_it(
    site: str, open_page: Open, width: int, scheme: str
) -> None:
    page = open_page(f"{site}/advisories", width=width, scheme=scheme)
    first = _ask(page, site, "/advisories?limit=1")["items"][0]
    page.get_by_role("link", name=first["advisory"], exact=True).first.click()
    expect(page.locator("h1")).to_have_text(
        re.compile(rf"Runs in {first['containers']} containers of \d+ workloads? in .*a fix is out")
    )
    expect(page.locator("h1")).to_contain_text(first["fixed"][0]["fixed"])
    told = _ask(page, site, f"/affected/{first['advisory']}?limit=50")
    running = [one for one in told["images"] if one["running"]]
    expect(page.locator("#running tbody tr:not(.group)")).to_have_count(len(running))
    expect(page.locator("#running .group")).to_contain_text(["brought by"])
    expect(page.locator("#feeds")).to_contain_text("debian-tracker json")
    _fits(page)
    page.get_by_role("link", name=f"the plan for {first['advisory']}").click()
    expect(page).to_have_url(re.compile(rf"/plan\?for={first['advisory']}$"))


def test_one_that_nobody_tells_of_is_not_found(site: str, open_page: Open) -> None:
    page = open_page(f"{site}/advisories")
    for name, status in (("CVE-2031-99999", 404), ("what is this", 400)):
        answer = page.request.get(f"{site}/advisories/{name}", headers={"Accept": "text/html"})
        assert answer.status == status
        assert "<h1>" in answer.text()


def test_the_front_page_leads_to_the_images(site: str, open_page: Open) -> None:
    page = open_page(site)
    overview = _ask(page, site, "/overview")
    exploited = page.get_by_role("link", name=re.compile("known to be exploited"))
    expect(exploited).to_contain_text(str(overview["exploited"]))
    exploited.click()
    expect(page.locator("table.outdated tbody tr")).to_have_count(overview["exploited"])
    page = open_page(f"{site}/outdated?severity=high")
    expect(page.locator("table.outdated tbody tr")).to_have_count(overview["by_severity"]["high"])


def test_a_package_tells_its_faults(site: str, open_page: Open) -> None:
    page = open_page(f"{site}/packages/openssl", width=900)
    expect(page.locator("#advisories tbody tr").first.locator(".severity")).to_have_text("high")
    expect(page.locator("#advisories")).to_contain_text("debian/bookworm")
    _fits(page)
    page = open_page(f"{site}/packages/nss")
    expect(page.locator(".lead")).to_contain_text("Its packages: libnss3")


def test_an_advisory_is_found(site: str, open_page: Open) -> None:
    page = open_page(site)
    first = _ask(page, site, "/advisories?limit=1")["items"][0]["advisory"]
    page.get_by_role("searchbox").fill(first.lower())
    page.get_by_role("searchbox").press("Enter")
    page.get_by_role("link", name=first, exact=True).click()
    expect(page).to_have_url(re.compile(rf"/advisories/{first}$"))
