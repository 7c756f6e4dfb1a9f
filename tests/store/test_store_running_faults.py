"""What runs and is not all right: by the rules of pages, over made-up advisories."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec import structs
from suppression_house import defer
from test_store_findings import HERE, JSON, said, tell
from tests_store import NOON, PutImage, digest, fixed_in, package

from imagecatalog.catalog import ingest, timeline
from imagecatalog.domain.advisories import Advisory, Affected, RunningFaults
from imagecatalog.domain.answers import Update
from imagecatalog.domain.exploits import Exploit, Score
from imagecatalog.domain.runs import RunningContainer
from imagecatalog.errors import BadName, NotFound
from imagecatalog.matching.match import match
from imagecatalog.planning.differences import diff
from imagecatalog.planning.fault_story import tell_fault
from imagecatalog.planning.finding_sentences import describe_exposure, describe_running_faults
from imagecatalog.planning.findings import image_findings
from imagecatalog.planning.hidden import Hidden
from imagecatalog.planning.running_faults import FaultFilter, list_running_faults
from imagecatalog.planning.search import search
from imagecatalog.planning.severities import rate, rate_updates
from imagecatalog.planning.staleness import outdated, overview
from imagecatalog.planning.verdicts import judge_running
from imagecatalog.store import exploits
from imagecatalog.store.engine import Catalog, Connection
from imagecatalog.store.findings import Standing, drop_standings, keep_standings
from imagecatalog.store.package_faults import (
    list_binaries,
    list_package_faults,
    list_version_faults,
)

OLD, NEW, IDLE = "team/old:1", "team/new:1", "team/idle:1"
SSL, TAR, ZLIB = (("openssl", "3.0.1-1"), ("tar", "1.34-1"), ("zlib", "1.2-1"))


@pytest.fixture
def house(catalog: Catalog, put_image: PutImage) -> Catalog:
    """An old image in three containers and a new one in one, and an idle one; judged."""
    with catalog.write() as c:
        ssl, tar, zlib = (package(*one) for one in (SSL, TAR, ZLIB))
        numbers = {
            OLD: put_image(c, "old", [ssl, tar, zlib]),
            NEW: put_image(c, "new", [package("openssl", "3.0.2-1"), tar]),
            IDLE: put_image(c, "idle", [ssl]),
        }
        for name, number in numbers.items():
            path, _, tag = name.partition(":")
            home = f"registry.example.org/{path}"
            ingest.record_repository(c, home, {tag: number}, [number], [], now=NOON)
        pods = [("old", n) for n in range(3)] + [("new", 0)]
        timeline.observe(c, "north", [container(name, n) for name, n in pods], at=NOON)
        feed(c)
        match(c, now=NOON)
    return catalog


def container(name: str, number: int) -> RunningContainer:
    home = f"registry.example.org/team/{name}"
    pod = f"{name}-{number}"
    return RunningContainer(
        "web", f"Deployment/{name}", pod, "main", "container", f"{home}:1", f"{home}@{digest(name)}"
    )


def rated(name: str, source: str, version: str, urgency: str | None = None) -> Affected:
    return structs.replace(fixed_in(name, HERE, source, version), urgency=urgency)


def feed(c: Connection) -> None:
    tell(
        c,
        JSON,
        [
            rated("CVE-2026-1", "openssl", "3.0.2-1", "medium"),
            rated("CVE-2026-2", "openssl", "3.0.9-1", "high"),
            said("CVE-2026-3", "tar", "open", urgency="high"),
            said("CVE-2026-4", "tar", "open", reason="ignored", urgency="low"),
            rated("CVE-2026-5", "zlib", "1.3-1", "unimportant"),
            said("CVE-2026-6", "zlib", "undetermined"),
            rated("CVE-2026-7", "openssl", "3.0.0-1"),
            said("CVE-2026-8", "openssl", "not-affected"),
        ],
        [Advisory(name="CVE-2026-2", description="a fault of <openssl>")],
    )


def names(found: RunningFaults) -> list[str]:
    return [one.advisory for one in found.items]


def ask(c: Connection, **more: object) -> RunningFaults:
    return list_running_faults(c, now=NOON, wanted=FaultFilter(**more))  # type: ignore[arg-type]


def test_the_worst_comes_first(house: Catalog) -> None:
    with house.read() as c:
        found = ask(c)
    assert names(found) == [f"CVE-2026-{n}" for n in (2, 3, 1, 4, 5, 6)]
    high = found.items[0]
    assert (high.severity, high.state, high.images, high.containers) == ("high", "fix-out", 2, 4)
    assert [(one.scope, one.source, one.fixed) for one in high.fixed] == [
        ("debian/bookworm", "openssl", "3.0.9-1")
    ]
    assert [one.state for one in found.items] == [
        "fix-out",
        "no-fix",
        "fix-out",
        "wont-fix",
        "fix-out",
        "undetermined",
    ]
    assert (found.fixable, found.unfixed, found.undetermined) == (2, 3, 1)
    assert (found.images, found.running, found.total) == (2, 2, 6)
    assert describe_running_faults(found) == (
        "What runs holds 2 faults that a fix is out for; 2 images of 2;"
        " 3 without a fix or negligible; 1 undetermined"
    )


def test_what_is_exploited_is_before_what_is_worse(house: Catalog) -> None:
    with house.write() as c:
        due = NOON + timedelta(days=3)
        exploits.apply_exploits(c, [Exploit(name="CVE-2026-1", added=NOON, due=due)], "kev")
        drop_standings(c)
        keep_standings(c)
        exploits.apply_scores(c, [Score("CVE-2026-4", 0.5, 0.9)], NOON)
        found = ask(c)
    assert names(found)[:2] == ["CVE-2026-1", "CVE-2026-2"]
    assert (found.items[0].exploited, found.items[0].due, found.exploited) == (True, due, 1)
    with house.read() as c:
        assert names(ask(c, exploited=True)) == ["CVE-2026-1"]
        assert next(one for one in found.items if one.advisory == "CVE-2026-4").epss == 0.5


def test_they_are_kept_by_severity_state_and_place(house: Catalog) -> None:
    with house.read() as c:
        assert names(ask(c, severity="high")) == ["CVE-2026-2", "CVE-2026-3"]
        assert names(ask(c, severity="unrated")) == ["CVE-2026-6"]
        assert names(ask(c, state="wont-fix")) == ["CVE-2026-4"]
        assert names(ask(c, cluster="nowhere")) == []
        with pytest.raises(BadName):
            ask(c, state="sunny")


def test_pages_follow_one_another(house: Catalog) -> None:
    seen, after = [], None
    with house.read() as c:
        for _ in range(3):
            page = list_running_faults(c, now=NOON, limit=2, after=after)
            seen += names(page)
            after = page.next
        assert after is None
        assert seen == names(ask(c))
        with pytest.raises(BadName):
            list_running_faults(c, now=NOON, after="nonsense")


def test_what_is_suppressed_is_counted_apart(house: Catalog) -> None:
    with house.write() as c:
        defer(c, "CVE-2026-1", package="openssl")
        defer(c, "CVE-2026-2", image="team/old*")
        found, every = ask(c), ask(c, everything=True)
    assert "CVE-2026-1" not in names(found)
    assert names(every)[-1] == "CVE-2026-1"
    high = found.items[0]
    assert (high.advisory, high.images, high.containers, high.suppressed) == ("CVE-2026-2", 1, 1, 1)
    assert (found.fixable, found.suppressed, found.images) == (1, 1, 1)
    with house.read() as c:
        assert names(ask(c, state="suppressed")) == ["CVE-2026-1"]
        assert ask(c, state="suppressed").items[0].images == 0
        later = list_running_faults(c, now=NOON + timedelta(days=31))
        assert later.suppressed == 0


def test_each_image_has_its_worst(house: Catalog) -> None:
    with house.write() as c:
        before = judge_running(c, now=NOON)
        assert {rate(one.standing).severity for one in before.values()} == {"high"}
        defer(c, "CVE-2026-2")
        after = judge_running(c, now=NOON)
        # The new image holds nothing else that a fix is out for.
        rated = sorted(str(rate(one.standing).severity) for one in after.values())
        assert rated == ["None", "medium"]
        assert all(one.hidden and one.hidden.faults == {"CVE-2026-2"} for one in after.values())
        seen = overview(c, now=NOON)
        assert (seen.by_severity["high"], seen.by_severity["medium"]) == (0, 1)
        assert [one.severity for one in outdated(c, now=NOON, severity="medium").items] == [
            "medium"
        ]


def test_what_does_not_run_has_its_worst_too(house: Catalog) -> None:
    with house.write() as c:
        listed = outdated(c, now=NOON, all_images=True).items
        idle = next(one for one in listed if not one.running)
        assert (idle.image, idle.severity) == ("registry.example.org/team/idle:1", "high")
        defer(c, "CVE-2026-2", image="team/idle*")
        kept = outdated(c, now=NOON, all_images=True, severity="medium").items
        assert [(one.image, one.suppressed) for one in kept] == [(idle.image, 1)]


def test_an_update_is_rated_by_what_counts(house: Catalog) -> None:
    update = Update(
        package="openssl",
        type="deb",
        arch="amd64",
        source="openssl",
        installed="3.0.1-1",
        candidate="3.0.9-1",
        security=True,
        origin="Debian-Security/bookworm-security",
        advisories=("CVE-2026-1", "CVE-2026-2"),
        severity="high",
        exploited=True,
    )
    nothing = Standing(0, 0, 0, None, 0)
    with house.read() as c:
        whole = Hidden(nothing, faults=frozenset({"CVE-2026-2"}))
        (rated,) = rate_updates(c, [update], whole)
        assert (rated.severity, rated.exploited) == ("medium", False)
        assert rated.suppressed == ("CVE-2026-2",)
        elsewhere = Hidden(nothing, parts=frozenset({("tar", "CVE-2026-2")}))
        assert rate_updates(c, [update], elsewhere) == (update,)
        assert rate_updates(c, [update], None) == (update,)


def test_a_fault_tells_where_it_is(house: Catalog) -> None:
    with house.write() as c:
        story = tell_fault(c, "CVE-2026-1", now=NOON, limit=10)
        assert describe_exposure(story) == (
            "Runs in 3 containers of 1 workload in 1 cluster; a fix is out: 3.0.2-1 in bookworm"
        )
        assert [one.image for one in story.idle] == ["registry.example.org/team/idle:1"]
        defer(c, "CVE-2026-1")
        story = tell_fault(c, "CVE-2026-1", now=NOON, limit=10)
        assert story.containers == 0
        assert describe_exposure(story).startswith("It counts in nothing that runs")
        assert len(story.suppressed) == 2
        assert [one.advisory for one in story.deferrals] == ["CVE-2026-1"]
        with pytest.raises(NotFound):
            tell_fault(c, "CVE-2031-1", now=NOON, limit=10)


def test_an_image_tells_the_state_of_each(house: Catalog) -> None:
    with house.read() as c:
        found = image_findings(c, "registry.example.org/team/old:1", now=NOON, all_states=True)
    states = {one.advisory.rpartition("-")[2]: one.state for one in found.items}
    assert states == {
        "1": "fix-out",
        "2": "fix-out",
        "3": "no-fix",
        "4": "wont-fix",
        "5": "fix-out",
        "6": "undetermined",
        "7": "fixed",
        "8": "not-affected",
    }


def test_two_images_differ_in_what_they_hold(house: Catalog) -> None:
    with house.read() as c:
        found = diff(
            c, "registry.example.org/team/old:1", "registry.example.org/team/new:1"
        ).advisories
    assert found.fixed == ("CVE-2026-1", "CVE-2026-5")
    assert found.introduced == ()
    assert found.remaining == ("CVE-2026-2", "CVE-2026-3", "CVE-2026-4")


def test_a_package_tells_its_faults(house: Catalog) -> None:
    with house.read() as c:
        by_version = {
            one.version: (faults.fixable, faults.others, faults.severity)
            for one, faults in list_version_faults(c, "openssl").items()
        }
        assert by_version == {"3.0.1-1": (2, 0, "high"), "3.0.2-1": (1, 0, "high")}
        assert [one.advisory for one in list_package_faults(c, "openssl")] == [
            "CVE-2026-2",
            "CVE-2026-1",
        ]
        assert list_package_faults(c, "openssl", "pypi") == ()
        assert list_binaries(c, "openssl") == ()


def test_advisories_are_found_by_the_beginning_of_their_name(house: Catalog) -> None:
    with house.read() as c:
        hits = [one for one in search(c, "cve-2026-2") if one.kind == "advisory"]
    assert [(one.name, one.detail, one.link) for one in hits] == [
        ("CVE-2026-2", "a fault of <openssl>", "/advisories/CVE-2026-2")
    ]
