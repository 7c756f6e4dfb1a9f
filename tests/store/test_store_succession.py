"""Which running images are superseded: by a newer tag of their line, or of their base's."""

from __future__ import annotations

from datetime import timedelta

from test_store_updates import offer, run
from tests_store import NOON, PutImage, digest, package

from imagecatalog.catalog import ingest
from imagecatalog.catalog.builds import register
from imagecatalog.config import LineRule
from imagecatalog.domain.builds import Build, Parent
from imagecatalog.matching import succession, updates
from imagecatalog.planning.staleness import outdated
from imagecatalog.planning.verdicts import judge_running
from imagecatalog.store import images, successions
from imagecatalog.store.engine import Catalog, Connection
from imagecatalog.store.shelf import Shelf

APP = "registry.example.org/team/app"
BASE = "registry.example.org/base"
FRESH = [package("ssl", "1.0-1")]


def tag(c: Connection, repository: str, tags: dict[str, int], *, later: int = 0) -> None:
    now = NOON + timedelta(minutes=later)
    ingest.record_repository(c, repository, tags, list(tags.values()), [], now=now)


def judge(c: Connection) -> None:
    offer(c, "1.0-1")
    updates.judge(c)
    succession.judge(c)


def test_the_newest_of_its_line_is_current(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        old, new = put_image(c, "old", FRESH), put_image(c, "new", FRESH)
        tag(c, APP, {"1.9": old, "1.10": new, "2.0-slim": old, "latest": new})
        run(c, "new")
        judge(c)
        assert [one.verdict.status for one in judge_running(c, now=NOON).values()] == ["current"]
        assert successions.list_all(c) == {}


def test_a_newer_tag_supersedes_and_is_named(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        old, new = put_image(c, "old", FRESH), put_image(c, "new", FRESH)
        tag(c, APP, {"1.9": old, "1.10": new, "1.11-rc1": new, "3.0-slim": new})
        run(c, "old")
        judge(c)
        (item,) = outdated(c, now=NOON).items
        assert (item.status, item.newer) == ("superseded", f"{APP}:1.10")
        assert item.reason == f"{APP}:1.10 is newer"


def test_a_tag_that_moved_supersedes_what_it_pointed_to(
    catalog: Catalog, put_image: PutImage
) -> None:
    with catalog.write() as c:
        old, new = put_image(c, "old", FRESH), put_image(c, "new", FRESH)
        tag(c, APP, {"latest": old})
        tag(c, APP, {"latest": new}, later=5)
        run(c, "old")
        judge(c)
        (item,) = outdated(c, now=NOON).items
        assert (item.status, item.newer) == ("superseded", f"{APP}:latest")


def test_a_newer_base_supersedes(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        base = put_image(c, "base1", FRESH, layers=["a"])
        newer = put_image(c, "base2", FRESH, layers=["b"])
        app = put_image(c, "app", FRESH, layers=["a", "app"])
        tag(c, BASE, {"20261001": base, "20261101": newer})
        tag(c, APP, {"1.0": app})
        run(c, "app")
        judge(c)
        (item,) = outdated(c, now=NOON).items
        assert (item.status, item.newer) == ("superseded", None)
        assert (item.base, item.newer_base) == (f"{BASE}:20261001", f"{BASE}:20261101")


def test_a_base_of_the_same_layers_is_not_newer(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        base = put_image(c, "base1", FRESH, layers=["a"])
        same = put_image(c, "base2", FRESH, layers=["a"])
        app = put_image(c, "app", FRESH, layers=["a", "app"])
        tag(c, BASE, {"20261001": base, "20261101": same})
        tag(c, APP, {"1.0": app})
        run(c, "app")
        judge(c)
        assert outdated(c, now=NOON).items == ()


def test_a_base_is_not_newer_for_an_image_that_adds_no_layer(
    catalog: Catalog, put_image: PutImage
) -> None:
    with catalog.write() as c:
        base = put_image(c, "base1", FRESH, layers=["a"])
        again = put_image(c, "base2", FRESH, layers=["a"])
        app = put_image(c, "app", FRESH, layers=["a"])
        tag(c, BASE, {"20261001": base, "20261101": again})
        tag(c, APP, {"1.0": app})
        told = Build(digest=digest("app"), parents=(Parent(digest=digest("base1")),))
        register(c, Shelf(), told, told_by="ci", configured={}, now=NOON)
        run(c, "app")
        judge(c)
        assert successions.list_all(c) == {}


def test_an_image_built_on_its_own_predecessor_is_current(
    catalog: Catalog, put_image: PutImage
) -> None:
    with catalog.write() as c:
        old = put_image(c, "old", FRESH, layers=["a"])
        new = put_image(c, "new", FRESH, layers=["a", "fix"])
        tag(c, APP, {"1.0": old, "1.1": new})
        run(c, "new")
        judge(c)
        assert outdated(c, now=NOON).items == ()


def test_a_package_update_outranks_a_newer_tag(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        old, new = put_image(c, "old", [package("ssl", "0.9-1")]), put_image(c, "new", FRESH)
        tag(c, APP, {"1.9": old, "1.10": new})
        run(c, "old")
        judge(c)
        (item,) = outdated(c, now=NOON).items
        assert (item.status, item.newer) == ("security-update", f"{APP}:1.10")


def test_a_rule_of_the_configuration_decides(catalog: Catalog, put_image: PutImage) -> None:
    rule = LineRule(("team/*",), r"(?P<version>1\.[0-9]+)")
    with catalog.write() as c:
        old, new = put_image(c, "old", FRESH), put_image(c, "new", FRESH)
        tag(c, APP, {"1.9": old, "2.0": new})
        run(c, "old")
        assert succession.find_successions(c, [old])[old].newer == f"{APP}:2.0"
        assert succession.find_successions(c, [old], [rule]) == {}


def test_of_an_index_the_image_of_the_same_platform_is_meant(
    catalog: Catalog, put_image: PutImage
) -> None:
    with catalog.write() as c:
        shelf = Shelf()
        numbers = {}
        for version in ("1", "2"):
            members = [
                put_image(c, f"{arch}{version}", FRESH, platform=f"linux/{arch}")
                for arch in ("amd64", "arm64")
            ]
            index = ingest_index(c, shelf, version, members)
            numbers[version] = (index, members)
        tag(c, APP, {"1.1": numbers["1"][0], "1.2": numbers["2"][0]})
        arm = numbers["1"][1][1]
        found = succession.find_successions(c, [arm, *numbers["2"][1]])
        assert {n: one.newer_id for n, one in found.items()} == {arm: numbers["2"][1][1]}


def ingest_index(c: Connection, shelf: Shelf, name: str, members: list[int]) -> int:
    from tests_store import digest

    media_type = "application/vnd.oci.image.index.v1+json"
    return images.put_index(c, shelf, digest(f"index {name}"), media_type, members, now=NOON)


def test_what_no_longer_runs_is_forgotten(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        old, new = put_image(c, "old", FRESH), put_image(c, "new", FRESH)
        tag(c, APP, {"1.9": old, "1.10": new})
        run(c, "old")
        judge(c)
        assert set(successions.list_all(c)) == {old}
        tag(c, APP, {"1.9": old}, later=5)
        judge(c)
        assert successions.list_all(c) == {}
