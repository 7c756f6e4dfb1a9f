"""What does not count, before a real browser: who said so, why, and until when."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from imagecatalog.domain.suppressions import DeferralWish, VexDocument, VexStatement
from imagecatalog.store import deferrals, vex
from imagecatalog.store.engine import Catalog, initialise
from imagecatalog.store.schema import advisory

Open = Callable[..., Page]
ASKED = datetime(2026, 11, 24, 12, 5, tzinfo=UTC)


@pytest.fixture(scope="module")
def decided(
    tmp_path_factory: pytest.TempPathFactory,
    serve: Callable[[Path], AbstractContextManager[str]],
) -> Iterator[str]:
    """Address of a server on which faults were put off, and VEX was told."""
    path = tmp_path_factory.mktemp("decided") / "catalog.sqlite"
    initialise(str(path))
    catalog = Catalog.open(str(path))
    made = ASKED - timedelta(days=40)
    with catalog.write() as c:
        c.execute(advisory.insert(), [{"name": f"CVE-2026-{n}"} for n in range(4)])
        for number, days, package, image, who in (
            (0, 60, "openssl", "team/*", "Ann (dec)"),
            (1, 300, None, None, "bob"),
            (2, 30, None, "registry.example.org/services/edge-proxy:2026-*", "bob"),
            (3, 90, "<b>curl</b>", None, "eve"),
        ):
            wish = DeferralWish(
                advisory=f"CVE-2026-{number}",
                until=made + timedelta(days=days),
                why="Not reachable from outside: the proxy before it refuses what it takes. " * 2,
                package=package,
                image=image,
            )
            fault, _ = deferrals.find_fault(c, wish.advisory)
            deferrals.add_deferral(c, fault, wish, by=who, now=made)
        last = max(one.id for one in deferrals.list_deferrals(c, now=made))
        deferrals.withdraw_deferral(c, last, by="ann", now=ASKED - timedelta(hours=3))
        statements = (
            VexStatement(
                names=("CVE-2026-1",),
                status="not_affected",
                justification="vulnerable_code_not_in_execute_path",
                statement="ELF and DWARF are not read at run time.",
                issued=made,
                repository="registry.example.org/team/app",
                type="rpm",
                namespace="suse",
                name="libdw1",
            ),
            VexStatement(
                names=("CVE-2026-1",), status="affected", within="Some Product 4.2", issued=made
            ),
        )
        document = VexDocument(
            name="1", format="OpenVEX", author="Vendor", issued=made, statements=statements
        )
        vex.put_document(c, "vex", "vex/a.json", document, b"1", now=ASKED)
    catalog.close()
    with serve(path) as address:
        yield address


def test_deferrals_say_who_why_and_until_when(decided: str, open_page: Open) -> None:
    page = open_page(f"{decided}/deferrals")
    expect(page.locator("h1")).to_have_text("2 deferrals are in force; the first ends in 20 d.")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(4)
    expect(rows.nth(0)).to_contain_text("Ann (dec)")
    expect(rows.nth(0)).to_contain_text("Not reachable from outside")
    expect(rows.nth(2)).to_contain_text("expired")
    expect(rows.nth(3)).to_contain_text("withdrawn")
    expect(rows.nth(3)).to_contain_text("<b>curl</b>")
    rows.nth(0).get_by_role("link", name="CVE-2026-0").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("footer code")).to_have_text("imagecatalog deferrals CVE-2026-0 --all")


def test_statements_say_what_they_are_about(decided: str, open_page: Open) -> None:
    page = open_page(f"{decided}/vex")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.nth(0)).to_contain_text("rpm/suse/libdw1 in registry.example.org/team/app")
    expect(rows.nth(0)).to_contain_text("Vendor")
    expect(rows.nth(1)).to_contain_text("suppresses nothing")
    page.get_by_role("link", name="deferrals").first.click()
    expect(page.locator("h1")).to_contain_text("in force")


@pytest.mark.parametrize("path", ["/deferrals", "/vex"])
@pytest.mark.parametrize(("width", "scheme"), [(900, "light"), (1400, "dark")])
def test_nothing_is_wider_than_the_window(
    decided: str, open_page: Open, path: str, width: int, scheme: str
) -> None:
    page = open_page(decided + path, width=width, scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_what_is_unknown_does_not_lie_on_what_is_suppressed(decided: str, open_page: Open) -> None:
    page = open_page(f"{decided}/vex", width=900)
    space = page.evaluate(
        """() => {
            document.querySelector("main").insertAdjacentHTML("beforeend",
                "<details><summary><h3>3 findings suppressed</h3></summary></details>"
                + "<ul class='reasons'><li class='reason'>unknown</li></ul>");
            const [above, below] = [...document.querySelectorAll("details, ul.reasons")].slice(-2);
            return below.getBoundingClientRect().top - above.getBoundingClientRect().bottom;
        }"""
    )
    assert space >= 0
