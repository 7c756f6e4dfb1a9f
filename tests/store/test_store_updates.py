"""Verdicts: each package version judged once, summed up for what runs, and never silently clean."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from tests_store import BOOKWORM, NOON, SETUP, PutImage, digest, fixed_in, package

from imagecatalog.catalog import inventories, timeline
from imagecatalog.domain.advisories import Advisory, Affected, FeedPart
from imagecatalog.domain.apt import AptSetup, AptSource, ReleaseFacts
from imagecatalog.domain.builds import Inventory
from imagecatalog.domain.packages import Package, Unknown
from imagecatalog.domain.runs import RunningContainer
from imagecatalog.matching.match import match
from imagecatalog.matching.updates import judge, trust_of
from imagecatalog.planning.inspection import image_detail
from imagecatalog.planning.staleness import outdated, overview
from imagecatalog.planning.verdicts import judge_images
from imagecatalog.store import apt, updates
from imagecatalog.store.advisories import apply_feed
from imagecatalog.store.engine import Catalog, Connection
from imagecatalog.store.inventories import find_meant
from imagecatalog.store.shelf import Shelf

APP = "registry.example.org/team/app"
SECURITY = ReleaseFacts(label="Debian-Security", codename="bookworm-security", suite="oldstable")


def offer(
    c: Connection,
    *versions: str,
    at: datetime = NOON,
    name: str = "ssl",
    fingerprint: str = "1",
    facts: ReleaseFacts = SECURITY,
    problem: str | None = None,
) -> None:
    """Have the archive of SETUP offer these versions of a package."""
    source = SETUP.sources[0]
    number = apt.put_release(c, source.uri, source.suite, trust_of(source, ()), tried=at)
    index = apt.put_index(c, fingerprint, [package(name, version) for version in versions])
    apt.point_indices(c, number, [apt.IndexRow("main", "amd64", index, None, problem)])
    apt.save_release(c, number, good=at, problem=None, facts=facts, state="{}")


def _updates_of(c: Connection, number: int) -> tuple[object, object]:
    found = judge_images(c, [number], now=NOON)[number]
    assert found.pair is not None
    return found.verdict, updates.list_updates(c, [found.pair])[found.pair]


def run(c: Connection, *names: str) -> None:
    """Have these images run."""
    pods = [
        RunningContainer(
            "web",
            f"Deployment/{name}",
            f"{name}-1",
            "main",
            "container",
            f"{APP}:{name}",
            f"{APP}@{digest(name)}",
        )
        for name in names
    ]
    timeline.observe(c, "north", pods, at=NOON)


def test_a_fix_reaches_every_image_that_holds_the_package(
    catalog: Catalog, put_image: PutImage
) -> None:
    with catalog.write() as c:
        for name, version in (("old", "1.0-1"), ("new", "1.0-2"), ("binnmu", "1.0-1+b1")):
            put_image(c, name, [package("ssl", version), package("other")])
        run(c, "old", "new", "binnmu")
        offer(c, "1.0-1", "1.0-2")
        judge(c)
    with catalog.read() as c:
        found = {item.image: item for item in outdated(c, now=NOON).items}
        assert found.keys() == {f"{APP}:old", f"{APP}:binnmu"}
        update = found[f"{APP}:old"].updates[0]
        assert (update.package, update.installed, update.candidate) == ("ssl", "1.0-1", "1.0-2")
        assert update.security
        assert update.origin == "Debian-Security/bookworm-security"
        counts = overview(c, now=NOON).by_status
        assert (counts["security-update"], counts["current"], counts["unknown"]) == (2, 1, 0)


def test_judging_again_changes_nothing_and_new_packages_are_judged(
    catalog: Catalog, put_image: PutImage
) -> None:
    with catalog.write() as c:
        put_image(c, "one", [package("ssl")])
        offer(c, "1.0-2")
        assert judge(c) == 1
        assert judge(c) == 0
        put_image(c, "two", [package("ssl", "0.9-1")])
        assert judge(c) == 1
        offer(c, "1.0-3", fingerprint="2")
        assert judge(c) == 2


def test_sums_are_kept_for_what_runs_and_equal_those_added_up(
    catalog: Catalog, put_image: PutImage
) -> None:
    with catalog.write() as c:
        numbers = [
            put_image(
                c, f"image {n}", [package(f"lib{m}", f"1.0-{m % (n + 1)}") for m in range(40)]
            )
            for n in range(5)
        ]
        for m in range(0, 40, 3):
            offer(c, "1.0-9", name=f"lib{m}", fingerprint=f"{m}")
        judge(c)
        before = {n: _updates_of(c, n) for n in numbers}
        run(c, *(f"image {n}" for n in range(5)))
        judge(c)
        pairs = updates.list_running_pairs(c)
        assert len(pairs) == 5
        kept = {n: _updates_of(c, n) for n in numbers}
    assert kept == before


@pytest.mark.parametrize(
    ("case", "status", "reason"),
    [
        ("never fetched", "unknown", "never fetched"),
        ("stale", "unknown", "2 days ago"),
        ("incomplete", "unknown", "has no contrib"),
        ("waiting", "unknown", "wait to be judged"),
        ("fresh", "current", None),
    ],
)
def test_silence_is_not_clean(
    catalog: Catalog, put_image: PutImage, case: str, status: str, reason: str | None
) -> None:
    with catalog.write() as c:
        number = put_image(c, "one", [package("ssl", "5.0-1")])
        now = NOON
        if case != "never fetched":
            offer(c, "1.0-2", problem="it has no contrib" if case == "incomplete" else None)
        if case == "stale":
            now += timedelta(days=2, hours=1)
        if case != "waiting":
            judge(c)
        found = judge_images(c, [number], now=now)[number].verdict
    assert found.status == status
    assert (reason is None) == (found.reason is None)
    assert reason is None or reason in str(found.reason)


def test_an_update_is_told_even_where_something_is_missing(
    catalog: Catalog, put_image: PutImage
) -> None:
    with catalog.write() as c:
        number = put_image(c, "one", [package("ssl")])
        offer(c, "1.0-2", problem="it has no contrib")
        judge(c)
        found = judge_images(c, [number], now=NOON)[number].verdict
    assert (found.status, found.reason) == ("security-update", "it has no contrib")


def test_images_that_cannot_be_judged_say_why(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        why = Unknown("no-package-database", "it has no package database")
        scratch = put_image(c, "scratch", None, unknown=why)
        bare = put_image(c, "bare", [package("ssl")], setup=None)
        empty = put_image(c, "empty", [package("ssl")], setup=AptSetup(("amd64",), ()))
        judge(c)
        found = judge_images(c, [scratch, bare, empty], now=NOON)
    assert {item.verdict.status for item in found.values()} == {"unknown"}
    assert found[scratch].verdict.reason == "it has no package database"
    assert "debian 12" in str(found[bare].verdict.reason)
    assert "name no archive" in str(found[empty].verdict.reason)


def test_held_packages_are_marked(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        put_image(c, "one", [package("ssl"), package("vim")], held=("ssl:amd64",))
        offer(c, "1.0-2")
        judge(c)
        run(c, "one")
        judge(c)
        assert [item.held for item in outdated(c, now=NOON).items[0].updates] == [True]
        detail = image_detail(c, digest("one"), now=NOON)
    assert [(item.package, item.held) for item in detail.packages] == [
        ("ssl", True),
        ("vim", False),
    ]


def test_an_archive_of_other_keys_is_another_archive() -> None:
    source = SETUP.sources[0]
    assert trust_of(source, ()) == trust_of(source, ())
    signed = type(source)(source.uri, source.suite, source.components, signed_by=("/k.gpg",))
    assert trust_of(signed, ()) != trust_of(source, ())


def test_pages_of_outdated_are_the_whole(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        names = [f"image-{n}" for n in range(9)]
        for n, name in enumerate(names):
            put_image(c, name, [package("ssl", f"0.{n}-1")])
        put_image(c, "idle", [package("ssl", "9.0-1")])
        run(c, *names)
        offer(c, "1.0-2")
        judge(c)
    with catalog.read() as c:
        whole = outdated(c, now=NOON).items
        assert len(whole) == 9
        found, after = [], None
        while True:
            page = outdated(c, now=NOON, limit=2, after=after)
            found += page.items
            after = page.next
            if after is None:
                break
        assert tuple(found) == whole
        everything = outdated(c, now=NOON, all_images=True).items
        assert [item.status for item in everything].count("current") == 0
        assert len(everything) == 9


def test_a_password_in_an_image_s_sources_is_shown_to_nobody(
    catalog: Catalog, put_image: PutImage
) -> None:
    address = "https://reader:sesame@apt.example.org/debian"
    setup = AptSetup(("amd64",), (AptSource(address, "bookworm", ("main",), trusted=True),))
    with catalog.write() as c:
        put_image(c, "one", [package("ssl")], setup=setup)
        judge(c)
        shown = repr(image_detail(c, digest("one"), now=NOON))
    assert "apt.example.org" in shown
    assert "sesame" not in shown


def test_an_update_waits_from_its_first_sight(catalog: Catalog, put_image: PutImage) -> None:
    def waits(at: datetime) -> tuple[datetime | None, datetime | None]:
        with catalog.write() as c:
            judge(c)
            (item,) = outdated(c, now=at).items
            assert overview(c, now=at).waiting_since == (
                item.waiting_since if item.status == "security-update" else None
            )
            return item.waiting_since, item.updates[0].since

    later, last = NOON + timedelta(days=3), NOON + timedelta(days=9)
    plain = ReleaseFacts(label="Debian", codename="bookworm", suite="stable")
    with catalog.write() as c:
        put_image(c, "app", [package("ssl", "1.0-1")])
        run(c, "app")
        offer(c, "1.0-2", facts=plain)
    assert waits(NOON) == (NOON, NOON)
    with catalog.write() as c:
        offer(c, "1.0-3", at=later, fingerprint="2")  # now it is one for security
    assert waits(later) == (later, later)
    with catalog.write() as c:
        offer(c, "1.0-4", at=last, fingerprint="3")  # another candidate starts no new wait
    assert waits(last) == (later, later)


def test_an_update_names_the_faults_that_it_ends(catalog: Catalog, put_image: PutImage) -> None:
    def fault(name: str, source: str, release: str, fixed: str) -> Affected:
        return fixed_in(name, f"debian/{release}", source, fixed)

    told = (
        fault("CVE-2026-1", "ssl", "bookworm", "1.0-2"),
        fault("CVE-2026-2", "ssl", "bookworm", "1.0-3"),
        fault("CVE-2026-3", "ssl", "bookworm", "1.0-1"),  # ended before what is installed
        fault("CVE-2026-4", "ssl", "bookworm", "1.0-4"),  # the candidate does not reach it
        fault("CVE-2026-5", "ssl", "trixie", "1.0-3"),
        fault("CVE-2026-6", "other", "bookworm", "1.0-3"),
    )
    advisories = tuple(Advisory(name=one.advisory) for one in told)
    notice = Advisory(name="DSA-1-1", covers=("CVE-2026-1",))
    own = (fault("DSA-1-1", "ssl", "bookworm", "1.0-2"),)
    with catalog.write() as c:
        number = put_image(c, "app", [package("ssl", "1.0-1")])
        offer(c, "1.0-3")
        judge(c)
        tracker = FeedPart(name="ssl", digest=b"1", advisories=advisories, affected=told)
        lists = FeedPart(name="DSA-1-1", digest=b"2", advisories=(notice,), affected=own)
        apply_feed(c, "tracker", [tracker], where="json")
        apply_feed(c, "lists", [lists], where="list")
        match(c, now=NOON)
        _, (update,) = _updates_of(c, number)  # type: ignore[misc]
        assert update.advisories == ("CVE-2026-1", "CVE-2026-2")


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ([Package("npm", "ssl", "0.1", "amd64", "ssl", "0.1")], "unknown"),
        ([Package("npm", "ssl", "0.1", "", "ssl", "0.1")], "unknown"),
        ([], "unknown"),
        ([package("ssl", "1.0-1", "arm64"), package("data", "1", "all")], "unknown"),
        ([package("ssl", "1.0-2")], "current"),
        ([package("ssl", "1.0-2"), Package("npm", "ssl", "0.1", "amd64", "ssl", "0.1")], "current"),
        ([package("ssl", "1.0-1"), Package("npm", "ssl", "0.1", "", "ssl", "0.1")], "update"),
    ],
)
def test_what_apt_cannot_know_is_not_well(
    catalog: Catalog, told: list[Package], status: str
) -> None:
    with catalog.write() as c:
        inventories.put_inventory(
            c,
            Shelf(),
            digest("app"),
            Inventory(format="CycloneDX 1.6", tool="x", distro=BOOKWORM, packages=tuple(told)),
            kind="sbom",
            told_by="ci",
            configured={("debian 12", "amd64"): SETUP},
            now=NOON,
            platform="linux/amd64",
        )
        offer(c, "1.0-2", facts=ReleaseFacts())
        judge(c)
        run(c, "app")
        updates.keep_sums(c)
        (number,) = find_meant(c, [digest("app")])[digest("app")].numbers
        verdict = judge_images(c, [number], now=NOON)[number].verdict
        assert overview(c, now=NOON).by_status[status] == 1
    assert verdict.status == status
    assert (verdict.reason is not None) == (status == "unknown")
