"""Images, tags and their past, what a registry lost, and names for all of them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests_store import NOON, PutImage, digest, layer, package

from imagecatalog.catalog import ingest
from imagecatalog.domain.contents import LayerEntry, LayerReading, PackageDatabase
from imagecatalog.domain.packages import Package, Unknown
from imagecatalog.errors import BadName, NotFound
from imagecatalog.planning.inspection import image_detail, list_images
from imagecatalog.store import images, layers, lookups, repositories
from imagecatalog.store.engine import Catalog
from imagecatalog.store.shelf import Shelf

APP = "registry.example.org/team/app"
HOUR = timedelta(hours=1)


def test_tags_keep_what_they_pointed_to(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        one, two = put_image(c, "one"), put_image(c, "two")
        ingest.record_repository(c, APP, {"1": one, "latest": one}, [one], [], now=NOON)
        later = NOON + HOUR
        ingest.record_repository(
            c, APP, {"1": one, "2": two, "latest": two}, [one, two], [], now=later
        )
        ingest.record_repository(
            c, APP, {"1": one, "2": two, "latest": two}, [one, two], [], now=later
        )
        last = NOON + 2 * HOUR
        ingest.record_repository(c, APP, {"2": two}, [two], [one], now=last)
    with catalog.read() as c:
        periods = [(p.tag, p.digest, p.since, p.until) for p in repositories.tag_history(c, APP)]
        assert periods == [
            ("1", digest("one"), NOON, last),
            ("2", digest("two"), later, None),
            ("latest", digest("two"), later, last),
            ("latest", digest("one"), NOON, later),
        ]
        assert lookups.find_tag(c, APP, "latest") is None
        assert lookups.find_tag(c, APP, "latest", at=NOON) == one
        gone = image_detail(c, f"{APP}:1", now=last)
        assert (gone.digest, gone.gone) == (digest("one"), last)
        assert {item.digest for item in list_images(c, repository=APP, now=last).items} == {
            digest("one"),
            digest("two"),
        }
        summary = repositories.list_repositories(c).items[0]
        assert (summary.repository, summary.tags, summary.images) == (APP, 1, 2)


def test_an_image_that_comes_back_is_no_longer_gone(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        one = put_image(c, "one")
        ingest.record_repository(c, APP, {"1": one}, [one], [], now=NOON)
        ingest.record_repository(c, APP, {}, [], [one], now=NOON + HOUR)
        assert repositories.list_present(c, APP) == {}
        ingest.record_repository(c, APP, {"1": one}, [one], [], now=NOON + 2 * HOUR)
        assert repositories.list_present(c, APP) == {digest("one"): one}


def test_an_image_is_found_by_each_of_its_names(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        one = put_image(c, "one")
        index = images.put_index(c, Shelf(), digest("index"), "", [one], now=NOON)
        ingest.record_repository(c, APP, {"1.0": index}, [index, one], [], now=NOON)
        for name in (f"{APP}:1.0", f"{APP}@{digest('one')}", digest("one"), digest("one")[7:19]):
            detail = image_detail(c, name, now=NOON)
            assert detail.digest == digest("one"), name
            assert detail.index_digest == (digest("index"),)
            assert detail.image == f"{APP}:1.0"
        for name in ("team/app:1.0", "app:1.0", APP):
            assert image_detail(c, name, now=NOON).digest == digest("one"), name


def test_a_name_that_means_several_is_refused(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        one = put_image(c, "one")
        for name in (APP, "registry.example.org/other/app"):
            ingest.record_repository(c, name, {"1": one}, [one], [], now=NOON)
    with catalog.read() as c:
        with pytest.raises(BadName, match="may mean any of"):
            lookups.resolve(c, "app:1")
        with pytest.raises(NotFound):
            lookups.resolve(c, "team/app:2")
        with pytest.raises(NotFound):
            lookups.resolve(c, "deadbeefdeadbeef")
        with pytest.raises(NotFound):
            list_images(c, repository="registry.example.org/team/ap", now=NOON)


def test_layers_are_read_once_for_each_version_of_the_reader(catalog: Catalog) -> None:
    reading = LayerReading(
        digest("a"),
        3,
        (
            LayerEntry("etc/os-release", "file", data=b"ID=debian\n\xff"),
            LayerEntry("etc/apt", "opaque"),
            LayerEntry("etc/motd", "link", target="../run/motd"),
            LayerEntry(
                "var/lib/dpkg/status",
                "file",
                database=PackageDatabase((package("vim"),), ("vim:amd64",), "line 3 has no colon"),
            ),
            LayerEntry(
                "srv/a.jar", "file", database=PackageDatabase((), problem="srv/a.jar: large")
            ),
            *(
                LayerEntry(
                    f"srv/node_modules/{name}/package.json",
                    "file",
                    database=PackageDatabase((Package("npm", name, "1.0.0", "", name, "1.0.0"),)),
                )
                for name in ("left-pad", "lodash", "@types/node")
            ),
        ),
        Unknown("truncated", "it ends too early"),
    )
    with catalog.write() as c:
        layers.put_layers(c, Shelf(), [layer("a"), layer("b")])
        assert layers.get_reading(c, digest("a"), reader=3) is None
        layers.put_reading(c, Shelf(), reading)
        layers.put_reading(c, Shelf(), reading)
    with catalog.read() as c:
        assert layers.get_reading(c, digest("a"), reader=3) == reading
        assert layers.get_reading(c, digest("a"), reader=4) is None
        assert layers.get_reading(c, digest("b"), reader=3) is None


def test_known_manifests_are_settled_unless_another_try_may_help(catalog: Catalog) -> None:
    whys = {"digest-mismatch": False, "truncated": False, "manifest-schema1": True}
    with catalog.write() as c:
        for code in whys:
            why = Unknown(code, "a sentence")
            images.put_unread(c, Shelf(), digest(code), "", why=why, reader=1, now=NOON)
        digests = [digest(code) for code in whys]
        known = images.find_manifests(c, [*digests, digest("new")], reader=1)
        assert {code: known[digest(code)].settled for code in whys} == whys
        assert digest("new") not in known
        newer = images.find_manifests(c, digests, reader=2)
        assert not any(item.settled for item in newer.values())


def test_all_images_are_listed_the_last_met_first(catalog: Catalog, put_image: PutImage) -> None:
    other = "registry.example.org/other"
    with catalog.write() as c:
        numbers = [put_image(c, f"image {n}") for n in range(5)]
        ingest.record_repository(c, APP, {"1": numbers[0]}, numbers[:3], [], now=NOON)
        ingest.record_repository(c, other, {"1": numbers[0]}, numbers[:1], [], now=NOON)
        ingest.record_repository(c, APP, {"1": numbers[0]}, [], numbers[:2], now=NOON + HOUR)
    with catalog.read() as c:
        found, after = [], None
        while True:
            page = list_images(c, now=NOON, limit=2, after=after)
            found += page.items
            after = page.next
            if after is None:
                break
    assert [item.digest for item in found] == [digest(f"image {n}") for n in (4, 3, 2, 1, 0)]
    gone = {item.digest: item.gone for item in found}
    assert gone[digest("image 0")] is None, "another repository still has it"
    assert gone[digest("image 1")] == NOON + HOUR
    assert set(found[-1].tags) == {f"{APP}:1", f"{other}:1"}
