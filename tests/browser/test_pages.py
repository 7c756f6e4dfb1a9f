"""The pages as a person meets them: in a real browser, from a real server, over real images."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
from playwright.sync_api import Page, expect

Open = Callable[..., Page]

BASE = "registry.example.org/bookworm"
REPOSITORY = "registry.example.org/services/edge-proxy"
PAGES = [
    "/",
    "/outdated",
    "/outdated?status=unknown",
    "/outdated?all=true",
    "/running",
    "/images",
    f"/images/{REPOSITORY}",
    "/image",
    "/lineage",
    f"/lineage?ref={BASE}:20261019",
    f"/diff?a={REPOSITORY}:2026-10-27-1",
    "/diff",
    "/plan",
    f"/plan?image={BASE}:20261122",
    "/plans",
    "/packages/openssl",
    "/search?q=edge",
    "/search",
    "/health",
    "/deferrals",
    "/vex",
    "/running?at=2026-10-05T12:00:00Z",
    "/running/south/storefront/Deployment/storefront",
    "/advisories/CVE-2026-46917",
    "/clusters",
    "/patching",
]
EMPTY = [
    "/",
    "/outdated",
    "/plan",
    "/plans",
    "/running",
    "/images",
    "/search?q=x",
    "/health",
    "/deferrals",
    "/vex",
    "/packages/openssl",
    "/clusters",
    "/patching",
]

# Text whose contrast with what lies behind it is below WCAG 2.2 AA (1.4.3).
PALE = """() => {
  const parse = text => { const n = text.match(/[\\d.]+/g).map(Number);
    const unit = text.startsWith('color(') ? 1 : 255;
    return {rgb: n.slice(0, 3).map(v => v / unit), a: n.length > 3 ? n[3] : 1}; };
  const light = ({rgb}) => rgb.map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const behind = e => { for (; e; e = e.parentElement) {
    const c = parse(getComputedStyle(e).backgroundColor); if (c.a > .99) return c; }
    return {rgb: [1, 1, 1], a: 1}; };
  const found = new Set(), walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !e.getClientRects().length) continue;
    const style = getComputedStyle(e), a = light(parse(style.color)), b = light(behind(e));
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    const big = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
    if (ratio < (big ? 3 : 4.5))
      found.add(`${ratio.toFixed(2)} ${e.className || e.tagName} ${walker.currentNode.textContent.trim().slice(0, 30)}`);
  }
  return [...found];
}"""

# What a screen reader needs of every page.
UNNAMED = """() => {
  const faults = [], all = s => [...document.querySelectorAll(s)];
  const name = e => (e.getAttribute('aria-label') || e.labels?.[0]?.textContent || e.textContent || e.title || '').trim();
  if (document.documentElement.lang !== 'en') faults.push('no language');
  if (all('h1').length !== 1) faults.push('not one h1');
  for (const s of ['header', 'main', 'footer', 'nav[aria-label]']) if (!all(s).length) faults.push('no ' + s);
  for (const e of all('a[href], button, input:not([type=hidden]), select')) if (!name(e)) faults.push('unnamed ' + e.outerHTML);
  for (const e of all('table')) if (!e.caption) faults.push('table without caption');
  for (const e of all('th')) if (!e.scope) faults.push('th without scope ' + e.textContent);
  for (const e of all('svg:not([aria-hidden]):not([role=group][aria-label])')) faults.push('svg read aloud');
  const ids = all('[id]').map(e => e.id);
  if (new Set(ids).size !== ids.length) faults.push('one id twice');
  let level = 1;
  for (const e of all('h1, h2, h3')) { if (+e.tagName[1] > level + 1) faults.push('skips to ' + e.outerHTML); level = +e.tagName[1]; }
  return faults;
}"""


def _json(address: str) -> Any:
    with urllib.request.urlopen(address, timeout=30) as answer:
        return json.load(answer)


@pytest.fixture(scope="session")
def worst(site: str) -> Any:
    """The worst image that runs."""
    return _json(f"{site}/api/v1/outdated?limit=1")["items"][0]


def _path(path: str, worst: Any) -> str:
    return f"/image/{worst['digest']}" if path == "/image" else path


@pytest.mark.parametrize("path", PAGES)
def test_pages_fit_and_can_be_read_and_heard(
    site: str, worst: Any, open_page: Open, path: str
) -> None:
    page = open_page(site + _path(path, worst))
    assert page.evaluate(UNNAMED) == []
    for width in (900, 1400):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        assert page.evaluate(PALE) == [], scheme


@pytest.mark.parametrize("path", PAGES)
def test_pages_are_the_same_without_scripts(
    site: str, worst: Any, open_page: Open, path: str
) -> None:
    with_script = open_page(site + _path(path, worst)).inner_text("body")
    without = open_page(site + _path(path, worst), script=False).inner_text("body")
    assert without == with_script


@pytest.mark.parametrize("path", EMPTY)
def test_empty_pages_teach(empty_site: str, open_page: Open, path: str) -> None:
    page = open_page(empty_site + path, width=900)
    assert page.evaluate("document.documentElement.scrollWidth") <= 900
    assert page.evaluate(UNNAMED) == []
    if path in ("/", "/outdated", "/plan", "/running", "/clusters"):
        expect(page.locator("main")).to_contain_text("[[cluster]]")
    if path == "/images":
        expect(page.locator("main")).to_contain_text("imagecatalog sync")


def _kind(href: str) -> str:
    """What links of one template have in common."""
    parts = urlsplit(href)
    names = parts.path.split("/")
    return f"{names[1:4] if names[1] == 'api' else names[1]} {sorted(parse_qs(parts.query))}"


def test_every_link_leads_somewhere(site: str, worst: Any, open_page: Open) -> None:
    links: set[str] = set()
    page = open_page(site + "/")
    for path in PAGES:
        page.goto(site + _path(path, worst))
        hrefs = page.eval_on_selector_all(
            "a[href]:not([rel~=nofollow])", "all => all.map(e => e.href)"
        )
        by_kind: dict[str, list[str]] = {}
        for href in hrefs:
            assert href.startswith(site), href
            by_kind.setdefault(_kind(href), []).append(href)
        links.update(href for found in by_kind.values() for href in found[:2])
    assert len(links) > 30
    for link in sorted(links):
        page.request.get(link).ok or pytest.fail(link)
        if fragment := urlsplit(link).fragment:
            page.goto(link)
            assert page.locator(f'[id="{fragment}"]').count() == 1, link


def test_numbers_lead_to_exactly_those_rows(site: str, open_page: Open) -> None:
    page = open_page(site + "/")
    counts = page.locator(".counts a")
    assert counts.count() >= 4
    for place in range(counts.count()):
        link = counts.nth(place)
        number = int(link.locator("b").inner_text().replace(",", ""))
        word = link.locator("span").inner_text().strip()
        there = open_page(urljoin(site, link.get_attribute("href") or ""))
        rows = there.locator("table.outdated tbody tr")
        assert rows.count() == number
        if number:
            assert {rows.nth(row).locator(".verdict").inner_text() for row in range(number)} == {
                word
            }


def test_the_answer_is_the_first_thing_on_the_front_page(site: str, open_page: Open) -> None:
    counts = _json(f"{site}/api/v1/overview")
    urgent = counts["by_status"]["security-update"]
    expect(open_page(site + "/").locator("h1")).to_have_text(
        f"{urgent} of {counts['running']} running images need a security update."
    )


def test_from_the_front_page_to_the_package(site: str, worst: Any, open_page: Open) -> None:
    page = open_page(site + "/")
    page.locator("table.outdated tbody tr a").first.click()
    expect(page.locator("h1")).to_have_text(worst["image"])
    first = page.locator("#updates tbody tr").first
    update = worst["updates"][0]
    expect(first.locator("th a")).to_have_text(update["package"])
    expect(first.locator(".change code").first).to_have_text(update["installed"])
    expect(first.locator(".change code").last).to_have_text(update["candidate"])
    expect(first.locator("ins")).not_to_be_empty()
    first.locator("th a").click()
    expect(page.locator("h1")).to_contain_text(f"hold {update['package']} in")
    page.get_by_label("Below version").fill(update["candidate"])
    page.get_by_role("button", name="Show").click()
    listed = page.locator("table").last
    expect(listed).to_contain_text(update["installed"])
    expect(listed).not_to_contain_text(update["candidate"])


def test_search_by_keyboard(site: str, worst: Any, open_page: Open) -> None:
    page = open_page(site + "/")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    expect(page.locator(".skip")).to_be_in_viewport()
    box = page.get_by_role("searchbox")
    box.fill(worst["digest"][7:21])
    box.press("Enter")
    expect(page.locator("h1")).to_contain_text("1 thing matches")
    page.locator("table a").click()
    expect(page.locator("main")).to_contain_text(worst["digest"])
    box.fill("<b>nothing</b>")
    box.press("Enter")
    expect(page.locator("h1")).to_have_text("Nothing matches “<b>nothing</b>”.")
    expect(box).to_have_value("<b>nothing</b>")


def test_filters_and_paging(site: str, open_page: Open) -> None:
    page = open_page(site + "/running")
    page.get_by_label("Cluster").select_option("north")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**cluster=north**")
    groups = page.locator("tr.group th")
    assert groups.count() > 1
    assert all(text.startswith("north") for text in groups.all_inner_texts())
    page.get_by_label("At (UTC)").fill("2020-01-01T00:00")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("h1")).to_have_text("What ran on 1 January 2020, 00:00 UTC is not known.")
    expect(page.locator("main")).to_contain_text("that does not say that nothing ran")
    page.goto(site + "/outdated?all=true")
    first = page.locator("table.outdated tbody tr").count()
    page.get_by_role("link", name="Next page").click()
    page.wait_for_url("**after=**")
    second = page.locator("table.outdated tbody tr").count()
    assert first + second == len(_json(f"{site}/api/v1/outdated?all=true&limit=1000")["items"])
    page.get_by_role("link", name="First page").click()
    expect(page.locator("table.outdated tbody tr")).to_have_count(first)


def test_the_command_at_the_foot_is_the_question(site: str, open_page: Open) -> None:
    page = open_page(site + "/outdated?status=security-update&cluster=north&namespace=my+shop")
    expect(page.locator("footer .command")).to_have_text(
        "imagecatalog outdated --status security-update --cluster north --namespace 'my shop'"
    )
    page.get_by_role("link", name="JSON").click()
    assert json.loads(page.locator("pre").inner_text()) == {"items": [], "next": None}


def test_print_has_what_matters(site: str, worst: Any, open_page: Open) -> None:
    page = open_page(f"{site}/image/{worst['digest']}", scheme="dark")
    page.emulate_media(media="print")
    expect(page.locator(".search")).to_be_hidden()
    expect(page.locator("#updates table")).to_be_visible()
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
