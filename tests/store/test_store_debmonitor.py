"""What DebMonitor's clients tell counts for the right image, beside or instead of our own verdict."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from fastapi.testclient import TestClient
from small_house import HOST, House
from tests_store import NOON, PutImage, digest, package

from imagecatalog.catalog import debmonitor, timeline
from imagecatalog.cli.image_layouts import show_image
from imagecatalog.config import Settings
from imagecatalog.domain.answers import ImageDetail
from imagecatalog.domain.debmonitor import ImageUpdate, InstalledPackage, UpgradablePackage
from imagecatalog.domain.runs import RunningContainer
from imagecatalog.planning.inspection import image_detail
from imagecatalog.planning.moments import running
from imagecatalog.planning.staleness import outdated
from imagecatalog.store import inventories
from imagecatalog.store.debmonitor import list_named
from imagecatalog.store.engine import Catalog, Connection
from imagecatalog.store.shelf import Shelf
from imagecatalog.web import create_asgi_app

APP = f"{HOST}/team/app:1"
HOUR = timedelta(hours=1)


@pytest.fixture
def house(catalog: Catalog, put_image: PutImage) -> House:
    return House(catalog, put_image)


def tell(
    catalog: Catalog,
    installed: dict[str, str] | None,
    upgradable: dict[str, tuple[str, str]] | None = None,
    *,
    image: str = APP,
    kind: str = "full",
    at: Any = NOON,
    source: str | None = None,
) -> None:
    update = ImageUpdate(
        image,
        "Debian 12",
        kind,
        tuple(
            InstalledPackage(name, version, source or name.partition(":")[0])
            for name, version in (installed or {}).items()
        ),
        (),
        tuple(UpgradablePackage(name, *pair, name) for name, pair in (upgradable or {}).items()),
    )
    with catalog.write() as c:
        debmonitor.keep_image(c, Shelf(), update, told_by="feeder", configured={}, now=at)


def detail(catalog: Catalog, name: str = APP, at: Any = NOON) -> ImageDetail:
    with catalog.read() as c:
        return image_detail(c, name, now=at)


def observe(catalog: Catalog, images: Any, *, at: Any = NOON, **more: Any) -> list[str]:
    with catalog.write() as c:
        return debmonitor.observe(c, "north", images, at=at, **more)


def running_now(catalog: Catalog, at: Any = NOON) -> dict[tuple[str, str], int]:
    """How many containers of each image run in each namespace."""
    counted: dict[tuple[str, str], int] = {}
    with catalog.read() as c:
        for item in running(c, now=at).items:
            key = (item.image, item.namespace)
            counted[key] = counted.get(key, 0) + 1
    return counted


# --- packages -------------------------------------------------------------------------------------


def test_packages_told_of_an_image_that_cannot_be_read_are_its_packages(
    catalog: Catalog, house: House
) -> None:
    house.push("team/app:1", None)
    tell(catalog, {"libc6": "2.36-9", "libssl3": "3.0.15-1+b2", "libssl3:i386": "3.0.15-1+b2"})

    shown = detail(catalog)
    assert [(one.package, one.arch, one.installed) for one in shown.packages] == [
        ("libc6", "amd64", "2.36-9"),
        ("libssl3", "amd64", "3.0.15-1+b2"),
        ("libssl3", "i386", "3.0.15-1+b2"),
    ]
    assert {one.source_version for one in shown.packages} == {"2.36-9", "3.0.15-1"}
    assert shown.distro == "debian 12"
    with catalog.read() as c:
        (number,) = inventories.find_meant(c, [digest("team/app:1")])[digest("team/app:1")].numbers
        (subject,) = inventories.find_subjects(c, [number])
        assert inventories.list_told(c, [subject])[number][0].kind == "registered"


def test_what_was_read_of_the_layers_counts_before_what_is_told(
    catalog: Catalog, house: House
) -> None:
    house.push("team/app:1", {"read": "1"})
    tell(catalog, {"told": "1"})
    assert [one.package for one in detail(catalog).packages] == ["read"]


def test_a_package_known_of_another_image_lends_what_is_not_told(
    catalog: Catalog, house: House
) -> None:
    house.push("other:1", {"libfoo": "2:1.0-1", "foo-data": "1.0-1"})
    with catalog.write() as c:
        known = package("libfoo-bin", "1:9-1")
        known = type(known)("deb", known.name, known.version, "all", "foo", "1.0-1")
        house.put_image(c, "more", [known])
    house.push("team/app:1", None)
    tell(catalog, {"libfoo-bin": "1:9-1", "strange": "1-1"}, source="foo")

    told = {one.package: one for one in detail(catalog).packages}
    assert (told["libfoo-bin"].arch, told["libfoo-bin"].source_version) == ("all", "1.0-1")
    assert (told["strange"].arch, told["strange"].source_version) == ("amd64", "1-1")


def test_a_name_that_no_sync_met_waits_for_one(catalog: Catalog, house: House) -> None:
    tell(catalog, {"libc6": "1"}, {"libc6": ("1", "2")})
    tell(catalog, {"libc6": "1"}, image=f"{HOST}/team/application:1")
    with catalog.read() as c:
        assert list_named(c, [APP])[APP].manifest_id is None

    house.push("team/app:1", None)

    shown = detail(catalog)
    assert [one.package for one in shown.packages] == ["libc6"]
    assert [one.candidate for one in shown.updates] == ["2"]
    with catalog.read() as c:
        assert list_named(c, [f"{HOST}/team/application:1"]).popitem()[1].manifest_id is None


def test_an_index_stands_for_its_usual_image(catalog: Catalog, house: House) -> None:
    house.push_index("team/app:1", {"libc6": "1"})
    tell(catalog, {"libc6": "1"}, {"libc6": ("1", "2")})
    with catalog.read() as c:
        number = list_named(c, [APP])[APP].manifest_id
        (shown,) = [image_detail(c, APP, now=NOON)]
    assert number is not None
    assert shown.platform == "linux/amd64"
    assert shown.debmonitor is not None


def test_the_very_same_again_writes_no_list(catalog: Catalog, house: House) -> None:
    house.push("team/app:1", None)
    tell(catalog, {"libc6": "1"})
    tell(catalog, {"libc6": "1"}, at=NOON + HOUR)
    with catalog.read() as c:
        report = list_named(c, [APP])[APP]
        assert report.received == NOON + HOUR
        assert c.exec_driver_sql("SELECT count(*) FROM inventory").scalar() == 1


def test_many_at_once_tell_of_one_name(catalog: Catalog, house: House) -> None:
    house.push("team/app:1", None)
    together = Barrier(6)

    def work(number: int) -> None:
        together.wait()
        tell(catalog, {"libc6": f"{number % 2}", "zlib": "1"})
        observe(catalog, {APP: {"web": 2, f"n{number}": 1}})

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    with catalog.read() as c:
        assert c.exec_driver_sql("SELECT count(*) FROM debmonitor_report").scalar() == 1
        assert c.exec_driver_sql("SELECT count(*) FROM inventory").scalar() == 2
    assert sorted(running_now(catalog).values()) == [1, 2]


def test_a_tag_that_moved_is_told_of_as_what_it_means_now(catalog: Catalog, house: House) -> None:
    house.push("team/app:1", None)
    tell(catalog, {"libc6": "1"}, {"libc6": ("1", "2")})
    with catalog.write() as c:
        new = house.put_image(c, "new", None)
        house.now += HOUR
        house.point(c, "team/app:1", new)
    tell(catalog, {"libc6": "1"}, {"libc6": ("1", "2")}, at=NOON + 2 * HOUR)
    later = NOON + 2 * HOUR
    assert detail(catalog, at=later).digest == digest("new")
    assert [one.candidate for one in detail(catalog, at=later).updates] == ["2"]
    assert detail(catalog, str(digest("team/app:1")), at=later).updates == ()


# --- verdicts -------------------------------------------------------------------------------------


def test_updates_told_count_where_there_is_no_verdict(catalog: Catalog, house: House) -> None:
    house.push("team/app:1", {"libc6": "1"}, setup=None)
    house.run(app="team/app:1")
    tell(catalog, {"libc6": "1"}, {"libc6": ("1", "2")}, at=house.now)
    tell(catalog, {"libc6": "1"}, {"libc6": ("1", "2")}, at=house.now + HOUR)

    with catalog.read() as c:
        (item,) = outdated(c, now=house.now + HOUR).items
        (container,) = running(c, now=house.now + HOUR).items
    assert (item.status, container.status) == ("update", "update")
    assert item.waiting_since == house.now
    assert item.reason is not None
    assert "DebMonitor was told of 1 update on 2026-11-20" in item.reason
    assert "carries no apt sources" in item.reason
    (one,) = item.updates
    assert (one.package, one.installed, one.candidate, one.origin) == (
        "libc6",
        "1",
        "2",
        "DebMonitor",
    )
    shown = detail(catalog, at=house.now + HOUR)
    assert [(one.arch, one.candidate, one.origin) for one in shown.packages] == [
        ("amd64", "2", "DebMonitor")
    ]
    assert shown.debmonitor is not None
    assert shown.debmonitor.counts
    assert shown.debmonitor.differences == ()


def test_told_of_no_update_is_not_clean(catalog: Catalog, house: House) -> None:
    house.push("team/app:1", {"libc6": "1"}, setup=None)
    tell(catalog, {"libc6": "1"})
    verdict = detail(catalog).verdict
    assert verdict.status == "unknown"
    assert verdict.reason is not None
    assert "told of no update on 2026-11-20" in verdict.reason


def test_apts_verdict_wins_and_the_difference_is_told(catalog: Catalog, house: House) -> None:
    house.push(
        "team/app:1", {"libc6": "1", "zlib": "1", "same": "1", "held": "1"}, held=("held:amd64",)
    )
    house.offer(libc6="3", same="2", held="2")
    tell(
        catalog,
        {"libc6": "1", "zlib": "1", "same": "1"},
        {"libc6": ("1", "2"), "zlib": ("1", "2"), "same": ("1", "2")},
    )

    shown = detail(catalog, at=house.now)
    assert shown.verdict.status == "security-update"
    assert {(one.package, one.candidate, one.origin) for one in shown.updates} == {
        ("libc6", "3", "Debian-Security/bookworm-security"),
        ("same", "2", "Debian-Security/bookworm-security"),
        ("held", "2", "Debian-Security/bookworm-security"),
    }
    assert shown.debmonitor is not None
    assert not shown.debmonitor.counts
    assert len(shown.debmonitor.updates) == 3
    assert [(one.package, one.here, one.there) for one in shown.debmonitor.differences] == [
        ("libc6", "3", "2"),
        ("zlib", None, "2"),
    ]


def test_a_person_sees_what_was_told_and_where_it_differs(
    catalog: Catalog, house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    house.push("team/app:1", {"libc6": "1", "zlib": "1"})
    house.offer(libc6="3")
    tell(catalog, {"libc6": "1", "zlib": "1"}, {"zlib": ("1", "2<b>")})
    app = create_asgi_app(Settings(), catalog, clock=lambda: house.now)
    with TestClient(app) as client:
        page = client.get("/image", params={"ref": APP}).text
        told = client.get(f"/api/v1/images/{APP}").json()["debmonitor"]
    assert "they differ in 2 packages" in page
    assert "<code>2&lt;b&gt;</code>" in page
    assert "DebMonitor’s client says that apt" not in page
    assert (told["told_by"], told["counts"]) == ("feeder", False)
    assert [one["there"] for one in told["differences"]] == [None, "2<b>"]
    show_image(detail(catalog, at=house.now), house.now)
    shown = capsys.readouterr().out
    assert "2 packages otherwise than apt here" in shown
    assert "DEBMONITOR" in shown


def test_a_person_sees_whose_word_counts(
    catalog: Catalog, house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    house.push("team/app:1", None)
    tell(catalog, {"libc6": "1"}, {"libc6": ("1", "2")})
    app = create_asgi_app(Settings(), catalog, clock=lambda: NOON)
    with TestClient(app) as client:
        page = client.get("/image", params={"ref": APP}).text
    assert "DebMonitor’s client says that apt" in page
    assert "There is no verdict of our own, so they count." in page
    show_image(detail(catalog), NOON)
    assert "which count, for there is no verdict of our own" in capsys.readouterr().out


def test_an_image_that_no_sync_met_has_the_verdict_told_of_its_name(catalog: Catalog) -> None:
    tell(catalog, {"libc6": "1"}, {"libc6": ("1", "2")})
    assert observe(catalog, {APP: {"web": 2}, f"{HOST}/stranger:1": {"web": 1}}) == [
        f"{HOST}/stranger:1"
    ]
    with catalog.read() as c:
        items = {item.image: item for item in outdated(c, now=NOON).items}
    assert items[APP].status == "update"
    assert [one.candidate for one in items[APP].updates] == ["2"]
    assert [place.containers for place in items[APP].running] == [2]
    assert items[f"{HOST}/stranger:1"].status == "unknown"


# --- what runs ------------------------------------------------------------------------------------


def pod(name: str, image: str = APP, namespace: str = "web") -> RunningContainer:
    return RunningContainer(namespace, "Deployment/app", name, "main", "container", image, "")


def scan(c: Connection, *pods: RunningContainer, at: Any) -> None:
    timeline.observe(c, "north", pods, at=at)


def test_containers_told_begin_go_on_and_end(catalog: Catalog) -> None:
    observe(catalog, {APP: {"web": 3, "api": 1}})
    observe(catalog, {APP: {"web": 2}}, at=NOON + HOUR)
    now = NOON + 2 * HOUR
    with catalog.read() as c:
        items = running(c, now=now).items
        before = running(c, now=now, at=NOON).items
    assert [(item.workload, item.since, item.seen) for item in items] == [
        ("unknown", NOON, NOON + HOUR)
    ] * 2
    assert len({item.pod_name for item in items}) == 2
    assert len(before) == 4
    observe(catalog, {}, at=now)
    assert running_now(catalog, now) == {}


def test_what_is_told_ends_nothing_that_a_scan_knows(catalog: Catalog) -> None:
    with catalog.write() as c:
        scan(c, pod("a"), pod("b"), at=NOON)
    observe(catalog, {}, at=NOON + HOUR)
    assert running_now(catalog) == {(APP, "web"): 2}
    with catalog.read() as c:
        assert {item.workload for item in running(c, now=NOON + HOUR).items} == {"Deployment/app"}


def test_what_a_scan_shows_is_not_counted_twice(catalog: Catalog) -> None:
    spelt = "docker.io/library/nginx:latest"
    with catalog.write() as c:
        scan(c, pod("a"), pod("b"), pod("n", "nginx"), at=NOON)
    observe(catalog, {APP: {"web": 3, "api": 1}, spelt: {"web": 1}}, at=NOON + HOUR)
    assert running_now(catalog) == {(APP, "web"): 3, (APP, "api"): 1, ("nginx", "web"): 1}


def test_a_scan_takes_the_place_of_what_was_told(catalog: Catalog) -> None:
    observe(catalog, {APP: {"web": 5}})
    with catalog.write() as c:
        scan(c, pod("a"), at=NOON + HOUR)
    assert running_now(catalog, NOON + HOUR) == {(APP, "web"): 1}


def test_of_images_not_understood_nothing_ends(catalog: Catalog) -> None:
    other = f"{HOST}/other:1"
    observe(catalog, {APP: {"web": 2, "api": 1}, other: {"web": 1}})
    observe(catalog, {APP: {"web": 1}}, unsure=[APP], at=NOON + HOUR)
    assert running_now(catalog) == {(APP, "web"): 1, (APP, "api"): 1}


def test_what_is_older_than_what_was_told_changes_nothing(catalog: Catalog) -> None:
    observe(catalog, {APP: {"web": 2}}, at=NOON + HOUR)
    observe(catalog, {APP: {"web": 9}}, at=NOON)
    assert running_now(catalog, NOON + HOUR) == {(APP, "web"): 2}
    observe(catalog, {APP: {"web": 3}}, at=NOON + HOUR)  # in the same second
    assert running_now(catalog, NOON + HOUR) == {(APP, "web"): 3}


def test_names_that_are_none_run_too(catalog: Catalog) -> None:
    assert observe(catalog, {"No Name!": {"web": 1}, "": {}}) == ["", "No Name!"]
    assert running_now(catalog) == {("No Name!", "web"): 1}


def test_images_of_tags_and_digests_are_known(catalog: Catalog, house: House) -> None:
    house.push("team/app:1", {"libc6": "1"})
    by_digest = f"{HOST}/team/app@{digest('team/app:1')}"
    assert observe(catalog, {APP: {"web": 1}, by_digest: {"web": 1}, "team/app:1": {"web": 1}}) == [
        "team/app:1"
    ]
    with catalog.read() as c:
        known = {item.image: item.known for item in running(c, now=NOON).items}
    assert known == {APP: True, by_digest: True, "team/app:1": False}
