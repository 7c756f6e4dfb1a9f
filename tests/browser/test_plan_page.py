"""Plans before a real browser: asked for by a form, saved, watched until they close."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from imagecatalog.domain.plans import PlanQuestion
from imagecatalog.jobs.demo import run_demo
from imagecatalog.planning.following import save_plan
from imagecatalog.store import plans
from imagecatalog.store.engine import Catalog

Open = Callable[..., Page]

SCANNED = datetime(2026, 11, 24, 12, tzinfo=UTC)
ROOT = "registry.example.org/bookworm:20261122"
STATES = ("proven", "kept-old-package", "built", "deployed")


@pytest.fixture(scope="module")
def watched(
    tmp_path_factory: pytest.TempPathFactory, serve: Callable[[Path], AbstractContextManager[str]]
) -> Iterator[str]:
    """Address of a server over the sample fleet with two saved plans, the first on its way."""
    folder = tmp_path_factory.mktemp("watched")
    settings, report = run_demo(folder, now=lambda: SCANNED)
    assert report.failed == ()
    catalog = Catalog.open(settings.database)
    with catalog.write() as c:
        for question in (PlanQuestion(image=ROOT), PlanQuestion(security=True)):
            plan = save_plan(c, question, settings=settings, saved_by="a test", now=SCANNED)
            steps = [{} for wave in plan.waves for _ in wave]
            if question.image:
                steps[: len(STATES)] = [
                    {"state": state, "detail": f"of {state}"} for state in STATES
                ]
            progress = json.dumps({"steps": steps, "redeployed": [0]})
            plans.note_progress(c, plan.id, progress, now=SCANNED, is_done=question.security)
    catalog.close()
    with serve(Path(settings.database)) as address:
        yield address


def test_the_form_asks_and_the_answer_stands_on_top(site: str, open_page: Open) -> None:
    page = open_page(f"{site}/plan")
    page.get_by_label("Image", exact=True).fill(ROOT)
    page.get_by_label("In a wave, at most").fill("3")
    page.get_by_role("button", name="Plan").click()
    expect(page.locator("h1")).to_contain_text(f"renew {ROOT}")
    expect(page.locator("footer .command")).to_have_text(
        f"imagecatalog plan --image {ROOT} --max-parallel 3"
    )
    waves = page.locator("svg .wave").all_text_contents()
    assert waves == [f"Wave {number}" for number in range(1, len(waves) + 1)]
    assert len(waves) > 4
    lefts = page.eval_on_selector_all(
        ".step", "all => all.map(e => Math.round(e.getBoundingClientRect().left))"
    )
    assert len(set(lefts)) == len(waves)
    assert max(map(lefts.count, lefts)) <= 3
    page.get_by_role("link", name="Clear").click()
    expect(page.get_by_label("Image", exact=True)).to_have_value("")


def test_the_json_is_the_same_plan(site: str, open_page: Open) -> None:
    page = open_page(f"{site}/plan?image={ROOT}")
    shown = page.locator(".step > a").all_inner_texts()
    moves = page.locator("#redeploy tbody tr").count()
    page.get_by_role("link", name="JSON").click()
    told = json.loads(page.locator("pre").inner_text())
    names = [step["rebuild"] for wave in told["waves"] for step in wave]
    assert shown == [name.removeprefix("registry.example.org/") for name in names]
    assert moves == len(told["redeploy"])


def test_nothing_of_a_step_is_cut_off(watched: str, open_page: Open) -> None:
    cut = """() => [...document.querySelectorAll('.step')].filter(e =>
      e.lastElementChild.getBoundingClientRect().bottom > e.getBoundingClientRect().bottom)
      .map(e => e.textContent)"""
    for path in (f"/plan?image={ROOT}", "/plan", "/plan/1"):
        assert open_page(watched + path).evaluate(cut) == []


def test_how_to_save_it_is_said_in_lines_that_a_shell_reads(site: str, open_page: Open) -> None:
    page = open_page(f"{site}/plan?image={ROOT}&security=false")
    lines = page.locator("#save pre").inner_text().strip().splitlines()
    assert shlex.split(lines[0]) == ["imagecatalog", "plan", "--image", ROOT, "--save"]
    words = shlex.split(lines[1])
    assert words[:3] == ["curl", "--request", "POST"]
    answer = page.request.post(words[-1])
    assert answer.status == 401, "the address is right, a token is missing"


def test_a_saved_plan_is_watched(watched: str, open_page: Open) -> None:
    page = open_page(f"{watched}/plans")
    expect(page.locator("h1")).to_have_text("1 plan is open, 1 closed.")
    page.get_by_role("link", name="1", exact=True).click()
    expect(page.locator(".counts li")).to_have_count(5)
    counts = page.locator(".counts li").all_inner_texts()
    assert [text.split("\n")[0] for text in counts][1:] == ["1", "1", "1", "1"]
    kept = page.locator(".step.kept-old-package")
    expect(kept).to_contain_text("kept the old package")
    expect(kept).to_contain_text("of kept-old-package")
    for state in STATES:
        assert page.locator(f".step.{state} svg.shape").count() == 1
    expect(page.locator("#redeploy tbody tr").first).to_contain_text("deployed")
    expect(page.locator("#save")).to_have_count(0)
    expect(page.locator("footer .command")).to_have_text("imagecatalog plan --id 1")
    page.goto(f"{watched}/plan/2")
    expect(page.locator(".lead")).to_contain_text("Closed")


def test_graphs_as_text(watched: str, open_page: Open) -> None:
    page = open_page(f"{watched}/plan/1")
    for name, start in (("DOT", "digraph"), ("Mermaid", "flowchart")):
        link = page.get_by_role("link", name=name).get_attribute("href")
        answer = page.request.get(f"{watched}{link}")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.text().startswith(start)


def test_the_front_page_says_what_to_do_next(site: str, open_page: Open) -> None:
    page = open_page(f"{site}/")
    following = page.locator("#next")
    expect(following.locator("li").first).to_contain_text("Redeploy")
    following.get_by_role("link", name="Rebuild", exact=True).click()
    expect(page.locator("#waves")).to_be_in_viewport()
    assert page.locator(".step").count() >= 1


@pytest.mark.parametrize("path", ["/plan/1", "/plans", f"/plan?image={ROOT}"])
@pytest.mark.parametrize("width", [390, 900])
def test_narrow_screens_do_not_break(watched: str, open_page: Open, path: str, width: int) -> None:
    page = open_page(watched + path, width=width, scheme="dark")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/plan/99", 404, "there is no plan 99"),
        ("/plan?for=CVE-1999-0001", 404, "CVE-1999-0001"),
        (f"/plan?image={ROOT}&security=true", 400, "an image is rebuilt for its own sake"),
        ("/plan?max_parallel=0&colour=red", 422, "colour"),
        ("/plan/none", 422, "number"),
    ],
)
def test_what_cannot_be_planned_is_said(
    site: str, open_page: Open, path: str, status: int, says: str
) -> None:
    answer = open_page(site).request.get(site + path, headers={"Accept": "text/html"})
    assert answer.status == status
    assert says in answer.text()
