"""Lineages, differences and origins as pages, of names that nobody expects."""

from __future__ import annotations

from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagecatalog.domain.answers import Overview
from imagecatalog.domain.builds import EVIDENCE_ORDER
from imagecatalog.domain.lineage import (
    AdvisoryChanges,
    Contradiction,
    Diff,
    LayerChanges,
    Lineage,
    PackageChange,
    PackageChanges,
    Relative,
)
from imagecatalog.domain.plans import (
    Plan,
    PlannedFix,
    PlanState,
    PlanSummary,
    Redeploy,
    Remaining,
    Step,
    StepState,
    Unplannable,
)
from imagecatalog.web.api.plans import PlanAsk
from imagecatalog.web.api.schemas import ListQuestion
from imagecatalog.web.ui.lineage_pages import count_descendants, describe_lineage
from imagecatalog.web.ui.plan_pages import SHOWN, describe_plan
from imagecatalog.web.ui.render import environment, show_elsewhere

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DIGEST = f"sha256:{0:064x}"
NAMES = [
    "registry.example.org/a:1",
    '"><script>alert(1)</script>',
    "' onmouseover='alert(1)",
    "registry.example.org/" + "n" * 230 + ":1",
    "構築/イメージ:最新",
    "{{ 7 * 7 }}{% raw %}",
    "a\u202eb\x1b[31m",
    "javascript:alert(1)",
    "]]></foreignObject></svg><b>",
    "",
]
VOID = {"meta", "link", "input", "br", "wbr", "path"}


class _Reader(HTMLParser):
    """Reads a page strictly: what is opened is closed, and nothing runs."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        for name, value in attrs:
            assert not name.startswith("on"), name
            assert name != "style", "the policy of content forbids it"
            if name == "href":
                self.links.append(value or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def _read(template: str, **values: Any) -> _Reader:
    context = {"now": NOW, "path": "/lineage", "q": "", **values}
    text = environment.get_template(template).render(context)
    reader = _Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    assert not reader.seen & {"script", "style", "b:script", "iframe", "object"}
    for link in reader.links:
        assert link.startswith(("/", "#")), link
    return reader


def _relative(number: int, name: str, **given: Any) -> Relative:
    fields: dict[str, Any] = {"role": "base", "evidence": "layers", "depth": 1, "of": DIGEST}
    return Relative(image=name, digest=f"sha256:{number:064x}", **(fields | given))


def _lineage(name: str, above: list[Relative], below: list[Relative]) -> Lineage:
    told = Contradiction(
        image=name, digest=DIGEST, evidence="layers", says=f"its base is {name}", against="layers"
    )
    return Lineage(
        image=name,
        digest=DIGEST,
        ancestors=tuple(above),
        descendants=tuple(below),
        contradictions=(told,),
        more_descendants=True,
    )


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_lineage_shows_any_name(name: str) -> None:
    above = [
        _relative(1, name, role="copy", also=("layers",)),
        Relative(
            image=name,
            digest=None,
            role="stage",
            evidence="annotation",
            depth=1,
            of=DIGEST,
            known=False,
        ),
    ]
    many = [_relative(n, name, running=n % 2) for n in range(2, 40)]
    for below, opened in ((many[:3], ()), (many, ()), (many, (name,)), (many, ("*",))):
        lineage = _lineage(name, above, below)
        page = _read("lineage.html", **describe_lineage(lineage, name or "x", opened))
        assert page.seen >= {"svg", "foreignobject", "table", "path"}
    alone = Lineage(image=name, digest=DIGEST, ancestors=(), descendants=())
    page = _read("lineage.html", **describe_lineage(alone, name or "x", ()))
    assert "foreignobject" not in page.seen


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=300), min_size=1, max_size=5), st.sampled_from(EVIDENCE_ORDER))
def test_a_lineage_shows_any_text(names: list[str], evidence: Any) -> None:
    below = [_relative(n, name, evidence=evidence) for n, name in enumerate(names, 1)]
    _read("lineage.html", **describe_lineage(_lineage(names[0], [], below), "x", names[:1]))


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_difference_shows_any_name(name: str) -> None:
    change = {"package": name or "x", "type": "deb", "arch": name, "source": name}
    old, new = PackageChange(**change, a=name, b=None), PackageChange(**change, a=None, b=name)
    both = PackageChange(**change, a=name, b=name + "1")
    diff = Diff(
        a=name,
        b=name,
        a_digest=DIGEST,
        b_digest=f"sha256:{1:064x}",
        packages=PackageChanges(added=(new,), removed=(old,), upgraded=(both,), downgraded=(both,)),
        advisories=AdvisoryChanges(fixed=(name,), introduced=(name,)),
        layers=LayerChanges(common=1, a=(DIGEST,), b=()),
        config={f"label {name}": (None, name)},
        reason=name,
    )
    _read("diff.html", diff=diff, a=name or "x", b="")


def test_descendants_are_counted_once_however_many_ways_lead_to_them() -> None:
    below = [
        _relative(1, "a", running=3, status="update"),
        _relative(1, "a", running=3, status="update", role="copy"),
        _relative(2, "b", depth=2, running=1, status="current"),
        _relative(3, "c", depth=2, status="security-update"),
    ]
    census = count_descendants(_lineage("x", [], below))
    assert (census.children, census.descendants, census.running, census.stale) == (1, 3, 2, 1)


@pytest.mark.parametrize(
    ("address", "link"),
    [
        ("https://git.example.org/a?b&c", 'href="https://git.example.org/a?b&amp;c"'),
        ("git+https://git.example.org/a.git", 'href="https://git.example.org/a.git"'),
        ("HTTP://x", 'href="HTTP://x"'),
        ("javascript:alert(1)", None),
        ("javascript://x/%0aalert(1)", None),
        ("git+ssh://git@x/a", None),
        ('https://x" onclick="alert(1)', "https://x&#34; onclick=&#34;alert(1)"),
        ("", None),
    ],
)
def test_only_addresses_of_the_web_are_links_out(address: str, link: str | None) -> None:
    shown = str(show_elsewhere(address))
    assert ("<a " in shown) == (link is not None)
    assert link is None or link in shown


def _step(name: str, state: StepState, *after: str, **given: Any) -> Step:
    fix = PlannedFix(package=name, arch=name, installed=name, candidate=name + "1", security=True)
    fields: dict[str, Any] = {"reason": (name, name, name), "packages": (fix,), **given}
    return Step(
        rebuild=name,
        digest=DIGEST,
        repository=name,
        after=after,
        state=state,
        fixes=(name,),
        **fields,
    )


def _plan(name: str, **given: Any) -> Plan:
    states = get_args(StepState)
    first = tuple(_step(f"{name}{state}", state, detail=name) for state in states)
    last = _step(name + "last", "waiting", *(step.rebuild for step in first), builder=name)
    where = {"cluster": name, "namespace": name, "workload": name, "origin": name, "to": name}
    return Plan(
        waves=(first, (last,)),
        redeploy=tuple(Redeploy(**where, built=built, wave=built) for built in (True, False)),
        remaining=(Remaining(image=name, reason=name, packages=(name,) * 9),),
        unplannable=(Unplannable(image=name, reason=name),),
        summary=name,
        asked=name,
        **given,
    )


ASK = PlanAsk()
UNASKED = {"json": "/x", "forms": [("DOT", "/y")], "line": "imagecatalog plan"}


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_plan_shows_any_name(name: str) -> None:
    asked = PlanAsk.model_validate({"for": name, "package": name, "image": name, "security": True})
    told = {"ask": asked, "is_filtered": True, "overview": None, "save_lines": (name, name)}
    page = _read("plan.html", **describe_plan(_plan(name)), **told, **UNASKED)
    assert page.seen >= {"svg", "foreignobject", "form", "code", "pre"}
    saved = _plan(name, id=7, state="closed", created=NOW, followed=None, closed=NOW)
    page = _read("plan.html", **describe_plan(saved), **UNASKED)
    assert "input" in page.seen
    assert len([link for link in page.links if link == "/plans"]) == 1


def test_a_plan_of_nothing_says_so_and_what_to_do_first() -> None:
    empty = Plan(waves=(), redeploy=(), remaining=(), unplannable=(), summary="None.", asked="x")
    for running, repositories in ((0, 0), (3, 2)):
        overview = Overview(
            running=running,
            containers=running,
            by_status={"unknown": 1},
            repositories=repositories,
            images=1,
            worst=(),
            waiting_since=None,
        )
        told = {"ask": ASK, "is_filtered": False, "overview": overview, "save_lines": ()}
        page = _read("plan.html", **describe_plan(empty), **told, **UNASKED)
        assert "svg" in page.seen
        assert ("pre" in page.seen) == (running == 0)
        assert ("/outdated?status=unknown" in page.links) == (running > 0)


def test_long_tables_of_a_plan_end_with_where_the_rest_is() -> None:
    many = tuple(Remaining(image=f"i{number}", reason="none") for number in range(SHOWN + 7))
    plan = Plan(waves=(), redeploy=(), remaining=many, unplannable=(), summary="s", asked="x")
    told = {"ask": ASK, "is_filtered": False, "overview": None, "save_lines": ()}
    context = {"now": NOW, "path": "/plan", "q": "", **describe_plan(plan), **told, **UNASKED}
    text = environment.get_template("plan.html").render(context)
    assert text.count("<tr>") == SHOWN + 1
    assert '7 more are in the <a href="/x">JSON</a>' in text


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_saved_plans_show_any_question(name: str) -> None:
    rows = tuple(
        PlanSummary(
            id=number,
            asked=name,
            state=state,
            created=NOW,
            followed=None,
            closed=None,
            steps=number,
            done=0,
        )
        for number, state in enumerate(get_args(PlanState))
    )
    page = _read("plans.html", page={"items": rows, "next": "cursor"}, ask=ListQuestion())
    assert "/plan/1" in page.links
    assert "/plans?after=cursor" in page.links
    empty = _read("plans.html", page={"items": (), "next": None}, ask=ListQuestion())
    assert "/plan" in empty.links
