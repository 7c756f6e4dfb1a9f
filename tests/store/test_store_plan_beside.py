"""Plans for what no apt brings: packages of languages and of apk, asked for by advisories."""

from __future__ import annotations

from typing import Any

import pytest
from small_house import HOST, House, moves, steps
from suppression_house import defer
from test_store_findings import said
from test_store_findings import tell as tell_feed
from tests_store import PutImage, digest, fixed_in, layer, package

from imagecatalog.catalog import ingest
from imagecatalog.config import Settings
from imagecatalog.domain.contents import ImageContents
from imagecatalog.domain.images import ImageConfig, ImageManifest
from imagecatalog.domain.packages import Distro, Package
from imagecatalog.domain.plans import Plan, PlanQuestion
from imagecatalog.domain.refs import Platform
from imagecatalog.errors import NotFound
from imagecatalog.matching.match import match
from imagecatalog.planning.following import follow_plans, get_plan, save_plan
from imagecatalog.store import fixes, plans
from imagecatalog.store.engine import Catalog, Connection
from imagecatalog.store.shelf import Shelf

ALPINE = Distro("alpine", "3.18.4", None, "Alpine Linux v3.18")
SECDB = "alpine-secdb v3.18/main"
PYPI = "osv PyPI"


def pypi(version: str, name: str = "Flask") -> Package:
    return Package("pypi", name, version, "", name, version)


def apk(name: str, version: str) -> Package:
    return Package("apk", name, version, "x86_64", name, version)


def push(house: House, name: str, packages: list[Package], base: str | None = None) -> None:
    """Push a Debian image with any packages; one of apk is Alpine's, without apt."""
    house.layers[name] = (*(house.layers[base] if base else ()), f"layer of {name}")
    with house.catalog.write() as c:
        if any(one.type == "apk" for one in packages):
            number = put_alpine(c, house, name, packages)
        else:
            number = house.put_image(c, name, packages, layers=house.layers[name], at=house.now)
        house.point(c, name, number)
        match(c, now=house.now)


def put_alpine(c: Connection, house: House, name: str, packages: list[Package]) -> int:
    contents = ImageContents(distro=ALPINE, packages=tuple(packages), apt=None)
    manifest = ImageManifest(
        "application/vnd.oci.image.manifest.v1+json",
        layer(f"config of {name}"),
        tuple(map(layer, house.layers[name])),
    )
    config = ImageConfig(house.now, Platform.parse("linux/amd64"))
    record = ingest.ImageRecord(digest(name), manifest, config, contents)
    return ingest.record_images(c, Shelf(), [record], configured={}, reader=1, now=house.now)[0]


@pytest.fixture
def house(catalog: Catalog, put_image: PutImage) -> House:
    """A runtime that brings flask, a service on it with jinja2 of its own; and the same in Alpine."""
    house = House(catalog, put_image)
    system = [package("libc")]
    push(house, "base:1", system)
    push(house, "runtime:1", [*system, pypi("2.3.1")], "base:1")
    push(house, "service:1", [*system, pypi("2.3.1"), pypi("3.0", "jinja2")], "runtime:1")
    push(house, "alpine:1", [apk("musl", "1.2.4-r0")])
    push(house, "tool:1", [apk("musl", "1.2.4-r0"), apk("jq", "1.6-r0")], "alpine:1")
    house.run(service="service:1", tool="tool:1")
    house.offer(libc="1.0-1")
    with catalog.write() as c:
        told = [
            fixed_in("CVE-2026-1", "pypi", "flask", "2.3.2"),
            fixed_in("CVE-2026-2", "pypi", "jinja2", "3.1"),
            fixed_in("CVE-2026-5", "pypi", "flask", "2.0"),
        ]
        tell_feed(c, PYPI, told)
        told = [
            fixed_in("CVE-2026-3", "alpine/3.18", "musl", "1.2.4-r1"),
            said("CVE-2026-4", "jq", "open", scope="alpine/3.18"),
        ]
        tell_feed(c, SECDB, told)
        match(c, now=house.now)
    return house


def reasons(plan: Plan) -> dict[str, tuple[str, ...]]:
    return {
        step.rebuild.removeprefix(f"{HOST}/"): step.reason for wave in plan.waves for step in wave
    }


def test_what_a_base_brought_is_renewed_there_first(house: House) -> None:
    plan = house.plan(advisory="CVE-2026-1")
    assert steps(plan) == [["runtime:1"], ["service:1"]]
    assert moves(plan) == {"service": ("service", False, 2)}
    assert reasons(plan) == {
        "runtime:1": (
            "needs Flask 2.3.2 in its own sources: a rebuild alone may not bring what they pin",
        ),
        "service:1": (f"takes from {HOST}/runtime:1, once that is rebuilt: Flask",),
    }
    (fix,) = plan.waves[0][0].packages
    assert (fix.type, fix.installed, fix.candidate) == ("pypi", "2.3.1", "2.3.2")
    assert plan.waves[0][0].fixes == ("CVE-2026-1",)


def test_its_own_packages_need_one_image_alone(house: House) -> None:
    plan = house.plan(advisory="CVE-2026-2")
    assert steps(plan) == [["service:1"]]
    assert steps(house.plan(package="jinja2")) == [["service:1"]]
    assert steps(house.plan(advisory="pkg:pypi/jinja2@<3.1")) == [["service:1"]]
    assert steps(house.plan(advisory="pkg:pypi/jinja2@<3.0")) == []


def test_a_rebuild_brings_what_alpine_has(house: House) -> None:
    plan = house.plan(advisory="CVE-2026-3")
    assert steps(plan) == [["alpine:1"], ["tool:1"]]
    assert reasons(plan)["alpine:1"] == ("brings itself: musl",)
    assert plan.remaining == ()
    assert steps(house.plan(package="musl")) == [["alpine:1"], ["tool:1"]]


def test_everything_that_waits_is_in_the_whole_plan(house: House) -> None:
    plan = house.plan()
    assert steps(plan) == [["alpine:1", "runtime:1"], ["service:1", "tool:1"]]
    assert steps(house.plan(security=True)) == steps(plan)
    assert {name for wave in plan.waves for step in wave for name in step.fixes} == {
        "CVE-2026-1",
        "CVE-2026-2",
        "CVE-2026-3",
    }


def test_what_has_no_fix_or_is_older_needs_no_step(house: House) -> None:
    plan = house.plan(advisory="CVE-2026-4")
    assert plan.waves == ()
    assert [(one.image, one.reason, one.packages) for one in plan.remaining] == [
        (f"{HOST}/tool:1", "no fix is out", ("jq",))
    ]
    harmless = house.plan(advisory="CVE-2026-5")
    assert (harmless.waves, harmless.remaining) == ((), ())
    with pytest.raises(NotFound):
        house.plan(advisory="CVE-2026-9")


def test_what_is_suppressed_needs_no_step(house: House) -> None:
    with house.catalog.write() as c:
        defer(c, "CVE-2026-1", image="*/service*")
        defer(c, "CVE-2026-3", days=-1)
    plan = house.plan(advisory="CVE-2026-1")
    assert (plan.waves, plan.remaining) == ((), ())
    assert steps(house.plan()) == [["alpine:1", "service:1"], ["tool:1"]]


def test_a_plan_is_closed_once_the_packages_moved(house: House) -> None:
    ask = PlanQuestion(advisory="CVE-2026-1")
    with house.catalog.write() as c:
        number = save_plan(c, ask, settings=Settings(), saved_by=None, now=house.now).id
    assert number is not None

    def look() -> list[tuple[str, str | None]]:
        with house.catalog.write() as c:
            follow_plans(c, now=house.now)
            return [
                (step.state, step.detail) for wave in get_plan(c, number).waves for step in wave
            ]

    system = [package("libc")]
    push(house, "runtime:2", [*system, pypi("2.3.1")], "base:1")
    state, detail = look()[0]
    assert state == "kept-old-package"
    assert detail is not None
    assert "still has Flask 2.3.1, not 2.3.2" in detail
    push(house, "runtime:3", [*system, pypi("2.3.3")], "base:1")
    assert look()[0][0] == "proven"
    push(house, "service:2", [*system, pypi("2.3.3"), pypi("3.0", "jinja2")], "runtime:3")
    house.running.clear()
    house.run(service="service:2", tool="tool:1")
    assert [state for state, _ in look()] == ["proven", "deployed"]
    with house.catalog.read() as c:
        assert get_plan(c, number).state == "closed"


def test_versions_side_by_side_are_followed_each_in_its_line(house: House) -> None:
    system = [package("libc")]
    push(house, "mixed:1", [*system, pypi("2.3.1"), pypi("1.9")], "base:1")
    house.run(mixed="mixed:1")
    plan = house.plan(advisory="CVE-2026-1")
    (step,) = [one for wave in plan.waves for one in wave if "mixed" in one.rebuild]
    assert [(fix.installed, fix.candidate) for fix in step.packages] == [
        ("1.9", "2.3.2"),
        ("2.3.1", "2.3.2"),
    ]


def test_it_makes_no_difference_how_many_are_read_at_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions: tuple[dict[str, Any], ...] = ({}, {"advisory": "CVE-2026-1"}, {"package": "musl"})
    whole = [house.plan(**asked) for asked in questions]
    monkeypatch.setattr(fixes, "_FEW", 0)
    monkeypatch.setattr(plans, "_FEW", 0)
    assert [house.plan(**asked) for asked in questions] == whole
    assert all(steps(plan) for plan in whole)
