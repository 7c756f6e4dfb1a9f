"""Lists of packages that are told of an image: which counts, what follows, where they disagree."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from test_store_updates import offer
from tests_store import BOOKWORM, NOON, SETUP, PutImage, digest, package

from imagecatalog.catalog import builds, ingest
from imagecatalog.catalog.inventories import put_inventory
from imagecatalog.domain.apt import AptSetup
from imagecatalog.domain.builds import Build, Inventory
from imagecatalog.domain.packages import Distro, Package, Unknown
from imagecatalog.matching.updates import judge
from imagecatalog.planning.verdicts import judge_images
from imagecatalog.store import images, inventories, lookups, packages, updates
from imagecatalog.store.disagreements import list_inventories
from imagecatalog.store.engine import Catalog, Connection
from imagecatalog.store.schema import package_update
from imagecatalog.store.shelf import Shelf

HOUR = timedelta(hours=1)
CONFIGURED = {("debian 12", "amd64"): SETUP}
BROKEN = Unknown("no-package-database", "it has none")


def tell(
    c: Connection,
    told: Sequence[Package],
    *,
    of: str = "app",
    kind: Any = "sbom",
    at: datetime = NOON,
    distro: Distro | None = BOOKWORM,
    configured: Any = CONFIGURED,
    **more: Any,
) -> bool:
    inventory = Inventory(format="SPDX 2.3", tool="syft", distro=distro, packages=tuple(told))
    return put_inventory(
        c,
        Shelf(),
        digest(of),
        inventory,
        kind=kind,
        told_by="uploaded",
        configured=configured,
        now=at,
        **more,
    )


def find(c: Connection, of: str = "app") -> int:
    return inventories.find_meant(c, [digest(of)])[digest(of)].numbers[0]


def counting(c: Connection, of: str = "app") -> tuple[Package, ...] | None:
    row = lookups.list_images(c, [find(c, of)])[find(c, of)]
    return None if row.set_id is None else packages.list_packages(c, row.set_id)


def test_an_sbom_counts_before_a_registered_list_and_the_newest_of_a_kind(
    catalog: Catalog,
) -> None:
    steps = [
        ("registered", "r1", 0, "r1"),
        ("registered", "r2", 1, "r2"),
        ("sbom", "s1", 2, "s1"),
        ("registered", "r3", 3, "s1"),
        ("sbom", "s2", 4, "s2"),
    ]
    with catalog.write() as c:
        for kind, name, hours, expected in steps:
            assert tell(c, [package(name)], kind=kind, at=NOON + hours * HOUR)
            assert counting(c) == (package(expected),)
        # The same again is not new, and changes nothing.
        assert not tell(c, [package("s1")], at=NOON + 9 * HOUR)
        assert counting(c) == (package("s2"),)
        items = list_inventories(c, find(c))
    assert [(item.kind, item.received, item.counts) for item in items] == [
        ("sbom", NOON + 4 * HOUR, True),
        ("sbom", NOON + 2 * HOUR, False),
        ("registered", NOON + 3 * HOUR, False),
        ("registered", NOON + HOUR, False),
        ("registered", NOON, False),
    ]


@pytest.mark.parametrize("list_first", [True, False])
def test_what_layers_hold_counts_before_all_that_is_told(
    catalog: Catalog, put_image: PutImage, *, list_first: bool
) -> None:
    with catalog.write() as c:
        if list_first:
            tell(c, [package("told")])
        put_image(c, "app", [package("read")])
        if not list_first:
            tell(c, [package("told")])
        assert counting(c) == (package("read"),)
        layers, told = list_inventories(c, find(c))
    assert (layers.kind, layers.counts, layers.packages) == ("layers", True, 1)
    assert (told.counts, told.only_here, told.not_here, told.differences) == (
        False,
        ("told 1.0-1 amd64",),
        ("read 1.0-1 amd64",),
        2,
    )


@pytest.mark.parametrize("list_first", [True, False])
def test_a_list_counts_where_layers_do_not_tell(
    catalog: Catalog, put_image: PutImage, *, list_first: bool
) -> None:
    with catalog.write() as c:
        if list_first:
            tell(c, [package("told")])
        number = put_image(c, "app", None, setup=None, unknown=BROKEN)
        if not list_first:
            assert judge_images(c, [number], now=NOON)[number].verdict.reason == BROKEN.reason
            tell(c, [package("told")])
        assert counting(c) == (package("told"),)
        assert judge_images(c, [number], now=NOON)[number].verdict.reason != BROKEN.reason
        # Read again with better luck.
        put_image(c, "app", [package("read")], setup=None)
        assert counting(c) == (package("read"),)


def test_an_image_that_a_sync_cannot_read_keeps_what_was_told(catalog: Catalog) -> None:
    with catalog.write() as c:
        tell(c, [package("told")])
        number = images.put_unread(c, Shelf(), digest("app"), "", why=BROKEN, reader=1, now=NOON)
        builds.apply_inventories(c, Shelf(), [number], CONFIGURED)
        assert counting(c) == (package("told"),)
        judged = judge_images(c, [number], now=NOON)[number]
        assert judged.pair is not None


def test_told_packages_are_judged_by_the_configured_archives(catalog: Catalog) -> None:
    with catalog.write() as c:
        tell(c, [package("a"), package("b", arch="all")])
        tell(c, [package("a")], of="unknown release", distro=None)
        tell(c, [package("a", arch="arm64")], of="other machine")
        number = find(c)
        assert number in lookups.list_image_ids(c)
        rows = lookups.list_images(
            c, [number, find(c, "unknown release"), find(c, "other machine")]
        )
        states = [row.setup_id is not None for row in rows.values()]
        assert sorted(states) == [False, False, True]
        assert (rows[number].platform, rows[number].distro) == ("linux/amd64", "debian 12")
        setup_id = rows[number].setup_id
        assert setup_id is not None
        waiting = updates.list_judged(c, setup_id)
        assert {one.package.name for one in waiting} == {"a", "b"}
        assert updates.list_states(c, [setup_id])[setup_id].pending
        # A configuration that changed moves them too.
        other = AptSetup(("amd64",), ())
        assert ingest.point_configured(c, {("debian 12", "amd64"): other}) == 1
        assert lookups.list_images(c, [number])[number].setup_id != setup_id
        assert c.execute(package_update.select()).all()


def test_an_images_own_archives_stay(catalog: Catalog, put_image: PutImage) -> None:
    own = AptSetup(("amd64",), ())
    with catalog.write() as c:
        number = put_image(c, "app", None, setup=own, unknown=BROKEN)
        before = lookups.list_images(c, [number])[number]
        tell(c, [package("a")], distro=None)
        after = lookups.list_images(c, [number])[number]
        assert after.setup_id == before.setup_id is not None
        assert after.distro == "debian 12"


def test_a_list_of_an_index_is_its_only_images_or_the_one_whose_platform_it_names(
    catalog: Catalog, put_image: PutImage
) -> None:
    with catalog.write() as c:
        shelf = Shelf()
        tell(c, [package("early", arch="riscv64")], of="index of one")
        tell(c, [package("a")], of="index of two")
        tell(c, [package("b", arch="all")], of="index of two")
        one = put_image(c, "one", None, setup=None)
        signature = images.put_unread(
            c, shelf, digest("signature"), "", why=BROKEN, reader=1, now=NOON
        )
        two = images.put_unread(
            c,
            shelf,
            digest("two"),
            "",
            platform="linux/arm64",
            why=BROKEN,
            reader=1,
            now=NOON,
        )
        for name, members in (("index of one", [one, signature]), ("index of two", [one, two])):
            index = images.put_index(c, shelf, digest(name), "", members, now=NOON)
            ingest.settle_index(c, shelf, index, members, configured=CONFIGURED)
        names = [item.packages for item in list_inventories(c, one)]
        assert len(names) == 2  # of the index that has only this one, and by its platform
        assert counting(c, "one") == (package("a"),)
        assert counting(c, "two") is None
        assert counting(c, "signature") is None
        tell(c, [package("c")], of="index of two", platform="linux/arm64", at=NOON + HOUR)
        assert counting(c, "two") == (package("c"),)


def test_only_kinds_that_both_lists_know_are_compared(
    catalog: Catalog, put_image: PutImage
) -> None:
    left_pad = Package("npm", "left-pad", "1.0", "", "left-pad", "1.0")
    without_arch = Package("deb", "a", "1.0-1", "", "a", "1.0-1")
    with catalog.write() as c:
        put_image(c, "app", [package("a")])
        tell(c, [without_arch, left_pad])
        (_, told) = list_inventories(c, find(c))
        assert (told.differences, told.packages) == (0, 2)
        many = [package(f"p{n:03}") for n in range(120)]
        tell(c, many, at=NOON + HOUR)
        (_, told, _) = list_inventories(c, find(c))
        assert told.differences == 121
        assert told.only_here == tuple(f"p{n:03} 1.0-1 amd64" for n in range(50))
        assert told.not_here == ("a 1.0-1 amd64",)
        assert list_inventories(c, 999) == ()


def test_lists_are_read_where_nothing_may_be_written(catalog: Catalog) -> None:
    with catalog.write() as c:
        tell(c, [package("a")])
    with catalog.read() as c:
        assert list_inventories(c, find(c))[0].counts


def test_a_registered_list_and_its_order(catalog: Catalog) -> None:
    told = Build(digest=digest("app"), packages=(), distro=BOOKWORM, platform="linux/amd64")
    with catalog.write() as c:
        builds.register(c, Shelf(), told, told_by="ci", configured=CONFIGURED, now=NOON)
        assert counting(c) == ()
        (item,) = list_inventories(c, find(c))
    assert (item.kind, item.format, item.told_by, item.packages) == ("registered", "build", "ci", 0)


@pytest.mark.parametrize("of", ["app", "config of app"])
def test_lists_told_at_once_leave_the_best_counting(
    catalog: Catalog, put_image: PutImage, of: str
) -> None:
    with catalog.write() as c:
        put_image(c, "app", None, setup=None)

    def work(number: int) -> None:
        with catalog.write() as c:
            kind = "sbom" if number == 3 else "registered"
            tell(c, [package(f"p{number}")], of=of, kind=kind, at=NOON + number * HOUR)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    with catalog.read() as c:
        assert counting(c) == (package("p3"),)


def test_odd_texts_are_kept(catalog: Catalog) -> None:
    odd = Package("deb", "a\0b", "1\0", "amd64", "ü", "")
    with catalog.write() as c:
        assert tell(c, [odd], distro=Distro("de\0bian"))
        assert counting(c) == (Package("deb", "a\ufffdb", "1\ufffd", "amd64", "ü", ""),)


def test_a_list_that_was_understood_in_part_is_never_current(catalog: Catalog) -> None:
    def verdict(problem: str | None) -> tuple[str, str | None]:
        whole = Inventory(
            format="SPDX 2.3",
            tool=problem,
            distro=BOOKWORM,
            packages=(package("ssl"),),
            problem=problem,
        )
        with catalog.write() as c:
            image = digest(f"app {problem}")
            put_inventory(
                c,
                Shelf(),
                image,
                whole,
                kind="sbom",
                told_by="uploaded",
                configured=CONFIGURED,
                now=NOON,
            )
            offer(c, "1.0-1")
            judge(c)
            number = find(c, f"app {problem}")
            found = judge_images(c, [number], now=NOON)[number].verdict
        return found.status, found.reason

    assert verdict(None) == ("current", None)
    status, reason = verdict("2 packages have no version")
    assert status == "unknown"
    assert reason
    assert reason.endswith("was not wholly understood: 2 packages have no version")
