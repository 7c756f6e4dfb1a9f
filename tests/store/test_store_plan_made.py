"""Plans of a small house: who is rebuilt for what, who moves, what remains and why."""

from __future__ import annotations

import pytest
from small_house import HOST, House, moves, steps
from tests_store import PutImage, fixed_in

from imagecatalog.config import PlanSettings, Settings
from imagecatalog.domain.advisories import Advisory, Affected, FeedPart
from imagecatalog.errors import BadName, NotFound, UsageError
from imagecatalog.matching.match import match
from imagecatalog.store.advisories import apply_feed
from imagecatalog.store.engine import Catalog

OLD = {"libc": "1.0-1", "ssl": "1.0-1"}


@pytest.fixture
def house(catalog: Catalog, put_image: PutImage) -> House:
    """A base with libc and ssl, a runtime on it, two services on that, one of which runs."""
    house = House(catalog, put_image)
    system = {"libc": "1.0-1", "ssl": "1.0-1"}
    house.push("base:1", system)
    house.push("runtime:1", system | {"node": "1.0-1"}, "base:1")
    house.push("service:1", system | {"node": "1.0-1", "app": "1.0-1"}, "runtime:1")
    house.push("idle:1", system | {"node": "1.0-1"}, "runtime:1")
    house.push("other:1", system, "base:1")
    house.run(service="service:1")
    return house


def test_nothing_is_planned_where_nothing_waits(house: House) -> None:
    house.offer(libc="1.0-1")
    plan = house.plan()
    assert (plan.waves, plan.redeploy, plan.remaining, plan.unplannable) == ((), (), (), ())
    assert plan.summary == "Nothing needs a rebuild for what was asked."


def test_a_fix_goes_from_where_it_came_down_to_what_runs(house: House) -> None:
    house.offer(ssl="1.0-2")
    plan = house.plan()
    assert steps(plan) == [["base:1"], ["runtime:1"], ["service:1"]]
    assert moves(plan) == {"service": ("service", False, 3)}
    base, runtime, service = (wave[0] for wave in plan.waves)
    assert base.reason == ("brings itself: ssl",)
    assert runtime.reason == (f"takes from {HOST}/base:1, once that is rebuilt: ssl",)
    assert (runtime.parents, runtime.after) == ((f"{HOST}/base:1",), (f"{HOST}/base:1",))
    (fix,) = service.packages
    assert (fix.package, fix.installed, fix.candidate) == ("ssl", "1.0-1", "1.0-2")
    assert base.containers == service.containers == 1
    assert plan.summary == "3 rebuilds in 3 waves fix 1 package in 1 workload."


def test_only_those_below_where_a_package_came_from_are_rebuilt(house: House) -> None:
    house.offer(node="1.0-2", app="1.0-2")
    plan = house.plan()
    assert steps(plan) == [["runtime:1"], ["service:1"]]
    assert plan.waves[1][0].reason == (
        "brings itself: app",
        f"takes from {HOST}/runtime:1, once that is rebuilt: node",
    )
    assert steps(house.plan(package="app")) == [["service:1"]]


def test_a_base_that_has_the_fix_by_now_needs_no_rebuild(house: House) -> None:
    house.push("base:2", {"libc": "1.0-1", "ssl": "1.0-2"})
    house.offer(ssl="1.0-2")
    plan = house.plan()
    assert steps(plan) == [["runtime:1"], ["service:1"]]
    assert plan.waves[0][0].reason == (f"takes from {HOST}/base:2, which has it by now: ssl",)


def test_what_is_there_already_is_only_deployed(house: House) -> None:
    house.push("service:2", {"libc": "1.0-1", "ssl": "1.0-2"})
    house.offer(ssl="1.0-2")
    plan = house.plan()
    assert (steps(plan), moves(plan)) == ([], {"service": ("service:2", True, 0)})
    assert plan.summary == "Nothing needs a rebuild: 1 workload moves to what is there."


def test_two_running_versions_of_one_line_need_one_rebuild(house: House) -> None:
    system = {"libc": "1.0-1", "ssl": "1.0-1"}
    house.push("service:2", system | {"node": "1.0-1"}, "runtime:1")
    house.run(canary="service:2")
    house.offer(ssl="1.0-2")
    plan = house.plan()
    assert steps(plan) == [["base:1"], ["runtime:1"], ["service:2"]]
    assert moves(plan) == {"service": ("service", False, 3), "canary": ("service", False, 3)}
    assert plan.waves[0][0].containers == 2


def test_security_alone_is_asked_for(house: House) -> None:
    house.offer(ssl="1.0-2", security=False)
    assert steps(house.plan(security=True)) == []
    assert len(steps(house.plan())) == 3


def test_versions_of_a_package_are_asked_for(house: House) -> None:
    house.offer(ssl="1.0-2")
    below = house.plan(advisory="pkg:deb/debian/ssl@<1.0-2")
    assert len(steps(below)) == 3
    assert steps(house.plan(advisory="pkg:deb/debian/ssl@<1.0-1")) == []
    assert steps(house.plan(advisory="pkg:deb/ubuntu/ssl@<1.0-2")) == []
    unfixed = house.plan(advisory="pkg:deb/debian/ssl@%3C1.0-9")
    assert steps(unfixed) == []
    (one,) = unfixed.remaining
    assert (one.image, one.reason, one.packages) == (f"{HOST}/service:1", "no fix is out", ("ssl",))


@pytest.mark.parametrize(
    ("ask", "error"),
    [
        ({"package": "nobody-has-this"}, NotFound),
        ({"advisory": "CVE-2026-1234"}, NotFound),
        ({"advisory": "pkg:deb/debian/ssl@<not a version"}, BadName),
        ({"advisory": "pkg:nothing"}, BadName),
        ({"image": "nobody/has:this"}, NotFound),
        ({"image": "base:1", "security": True}, UsageError),
        ({"max_parallel": 0}, UsageError),
    ],
)
def test_a_question_without_sense_is_told(
    house: House, ask: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        house.plan(**ask)


def test_what_is_not_built_here_remains(house: House) -> None:
    house.offer(ssl="1.0-2", app="1.0-2")
    settings = Settings(plan=PlanSettings(external=("base",)))
    plan = house.plan(settings)
    assert steps(plan) == [["service:1"]]
    (one,) = plan.remaining
    assert one.packages == ("ssl",)
    assert one.reason.startswith("not built here")
    everything = Settings(plan=PlanSettings(external=(f"{HOST}/*",)))
    plan = house.plan(everything)
    assert steps(plan) == []
    assert [(one.image, one.packages) for one in plan.remaining] == [
        (f"{HOST}/service:1", ("app", "ssl"))
    ]


def test_what_nobody_knows_is_never_left_out(house: House) -> None:
    house.push("blind:1", None, setup=None)
    house.run(blind="blind:1", stranger="stranger:1")
    house.offer(ssl="1.0-2")
    plan = house.plan(package="app")
    reasons = {one.image.removeprefix(f"{HOST}/"): one.reason for one in plan.remaining}
    assert reasons.keys() == {"blind:1", "stranger:1"}
    assert "never met" in reasons["stranger:1"]


def test_the_newest_of_a_line_that_is_not_read_promises_nothing(house: House) -> None:
    house.push("service:2", None, setup=None)
    house.offer(ssl="1.0-2")
    plan = house.plan()
    assert (plan.waves, plan.redeploy) == ((), ())
    (one,) = plan.remaining
    assert one.packages == ("ssl",)
    assert "service:2" in one.reason


def test_an_image_whose_tags_are_gone_is_unplannable(house: House) -> None:
    house.offer(ssl="1.0-2")
    house.drop("service:1")
    plan = house.plan()
    assert plan.waves == ()
    assert [one.image for one in plan.unplannable] == [f"{HOST}/service:1"]
    assert [one.packages for one in plan.remaining] == [("ssl",)]


def test_a_line_that_is_built_on_itself_is_told_and_never_looped(house: House) -> None:
    system = {"libc": "1.0-1", "ssl": "1.0-1"}
    house.push("snow:1", system)
    house.push("snow:2", system | {"app": "1.0-1"}, "snow:1")
    house.running.clear()
    house.run(snow="snow:2")
    house.offer(ssl="1.0-2")
    plan = house.plan()
    assert plan.waves == ()
    (one,) = plan.unplannable
    assert one.reason.endswith(f"{HOST}/snow:2 → {HOST}/snow:2")
    assert [(one.packages, one.reason) for one in plan.remaining] == [(("ssl",), one.reason)]
    house.offer(app="1.0-2")
    assert steps(house.plan()) == [["snow:2"]]


def test_lines_that_are_built_on_one_another_are_named(house: House) -> None:
    house.push("egg:1", {"ssl": "1.0-1"})
    house.push("hen:1", {"ssl": "1.0-1", "libc": "1.0-1"}, "egg:1")
    house.push("egg:2", {"ssl": "1.0-1", "libc": "1.0-1", "app": "1.0-1"}, "hen:1")
    house.running.clear()
    house.run(egg="egg:2")
    house.offer(ssl="1.0-2")
    plan = house.plan()
    assert plan.waves == ()
    assert {one.image for one in plan.unplannable} == {f"{HOST}/egg:2", f"{HOST}/hen:1"}


def test_waves_can_be_bounded(house: House) -> None:
    house.run(other="other:1", idle="idle:1")
    house.offer(ssl="1.0-2")
    assert [len(wave) for wave in steps(house.plan())] == [1, 2, 2]
    narrow = steps(house.plan(max_parallel=1))
    assert [len(wave) for wave in narrow] == [1, 1, 1, 1, 1]
    assert narrow[:2] == [["base:1"], ["runtime:1"]]


def test_with_all_what_does_not_run_is_rebuilt_too(house: House) -> None:
    house.offer(ssl="1.0-2")
    assert steps(house.plan(idle=True)) == [
        ["base:1"],
        ["other:1", "runtime:1"],
        ["idle:1", "service:1"],
    ]


def test_an_image_is_rebuilt_for_its_own_sake_and_what_runs_follows(house: House) -> None:
    house.offer(ssl="1.0-1")
    plan = house.plan(image=f"{HOST}/base:1")
    assert steps(plan) == [["base:1"], ["runtime:1"], ["service:1"]]
    assert moves(plan) == {"service": ("service", False, 3)}
    assert plan.waves[0][0].reason == ("was asked for",)
    assert plan.waves[1][0].reason == (f"is built on {HOST}/base:1",)
    assert plan.summary == (
        f"3 rebuilds in 3 waves renew {HOST}/base:1 and what is built on it in 1 workload."
    )
    assert steps(house.plan(image="idle:1")) == [["idle:1"]]
    whole = house.plan(image="runtime:1", idle=True)
    assert steps(whole) == [["runtime:1"], ["idle:1", "service:1"]]
    external = Settings(plan=PlanSettings(external=("runtime",)))
    barred = house.plan(external, image="base:1")
    assert steps(barred) == [["base:1"]]
    assert {one.image for one in barred.unplannable} == {f"{HOST}/runtime:1", f"{HOST}/service:1"}
    assert [one.image for one in barred.remaining] == [f"{HOST}/service:1"]


def test_an_answer_is_the_same_whenever_it_is_asked(house: House) -> None:
    house.run(other="other:1", idle="idle:1")
    house.offer(ssl="1.0-2", node="1.0-2", app="1.0-2")
    assert house.plan() == house.plan()
    assert house.plan(image="base:1") == house.plan(image="base:1")


def test_every_platform_gets_its_fix(house: House) -> None:
    house.running.clear()
    house.push_index("many:1", OLD)
    house.push_index("tool:1", OLD | {"app": "1.0-1"}, "many:1")
    house.run(arch="arm64", tool="tool:1")
    house.offer(ssl="1.0-2")
    plan = house.plan()
    assert steps(plan) == [["many:1"], ["tool:1"]]
    (fix,) = plan.waves[1][0].packages
    assert (fix.package, fix.arch) == ("ssl", "arm64")
    house.push_index("many:2", OLD | {"ssl": "1.0-2"})
    house.push_index("tool:2", OLD | {"ssl": "1.0-2"}, "many:2")
    assert moves(house.plan()) == {"tool": ("tool:2", True, 0)}


def _part(name: str, fixed: str | None, *, covers: tuple[str, ...] = ()) -> FeedPart:
    return FeedPart(
        name=name,
        digest=f"{name} {fixed}".encode(),
        advisories=(Advisory(name=name, description="a fault", covers=covers),),
        affected=(
            fixed_in(name, "debian/bookworm", "ssl", fixed)
            if fixed
            else Affected(advisory=name, scope="debian/bookworm", name="ssl", status="open"),
        ),
    )


def test_an_advisory_is_asked_for_and_steps_say_what_they_end(house: House) -> None:
    with pytest.raises(NotFound, match="no feed"):
        house.plan(advisory="CVE-2026-1")
    with house.catalog.write() as c:
        parts = (
            _part("CVE-2026-1", "1.0-2"),
            _part("CVE-2026-2", "1.0-9"),
            _part("CVE-2026-3", None),
            _part("CVE-2026-4", "0.9-1"),
        )
        apply_feed(c, "tracker", parts, where="tracker.json")
        match(c, now=house.now)
    house.offer(ssl="1.0-2", node="1.0-2")
    plan = house.plan(advisory="CVE-2026-1")
    assert steps(plan) == [["base:1"], ["runtime:1"], ["service:1"]]
    assert {step.fixes for wave in plan.waves for step in wave} == {("CVE-2026-1",)}
    assert {fix.package for wave in plan.waves for step in wave for fix in step.packages} == {"ssl"}
    assert plan.summary == "3 rebuilds in 3 waves fix 1 fault in 1 workload."
    for unfixed in ("CVE-2026-2", "CVE-2026-3"):
        plan = house.plan(advisory=unfixed)
        assert plan.waves == ()
        assert [(one.reason, one.packages) for one in plan.remaining] == [
            ("no fix is out", ("ssl",))
        ]
    harmless = house.plan(advisory="CVE-2026-4")
    assert (harmless.waves, harmless.remaining) == ((), ())
    with pytest.raises(NotFound, match="CVE-2026-5"):
        house.plan(advisory="CVE-2026-5")
