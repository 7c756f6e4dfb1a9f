"""Builds register themselves: in any order, once, whatever their tellers write."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from tests_store import BOOKWORM, NOON, PutImage, digest, layer, package

from imagecatalog.catalog import builds, ingest
from imagecatalog.catalog.builds import Registered
from imagecatalog.catalog.tellings import read_body
from imagecatalog.domain.builds import Build, Parent
from imagecatalog.domain.contents import ImageContents
from imagecatalog.domain.images import ImageConfig, ImageManifest
from imagecatalog.domain.lineage import BuildItem, ParentItem
from imagecatalog.domain.refs import Digest, Platform
from imagecatalog.errors import BadName, TooManyEntries
from imagecatalog.store import images, lookups, packages
from imagecatalog.store.builds import list_builds
from imagecatalog.store.engine import Catalog, Connection
from imagecatalog.store.inventories import find_meant
from imagecatalog.store.schema import build, build_parent, manifest
from imagecatalog.store.shelf import Shelf

HOUR = timedelta(hours=1)
APP, BASE = "registry.example.org/app", "registry.example.org/base"


def register(c: Connection, told: Build, *, at: datetime = NOON, **more: Any) -> Registered:
    more = {"told_by": "ci", "configured": {}} | more
    return builds.register(c, Shelf(), told, now=at, **more)


def point(c: Connection, repository: str, tags: Mapping[str, int], at: datetime) -> None:
    ingest.record_repository(c, repository, tags, list(tags.values()), [], now=at)


def find(c: Connection, of: Digest) -> int:
    return find_meant(c, [of])[of].numbers[0]


def builds_of(c: Connection, of: Digest) -> tuple[BuildItem, ...]:
    return list_builds(c, find(c, of))


def parent_of(c: Connection, of: Digest) -> ParentItem:
    (item,) = builds_of(c, of)
    (parent,) = item.parents
    return parent


def child(base: str, text: str = "app", **more: Any) -> Build:
    return Build(image=f"{APP}:{text}", digest=digest(text), parents=(Parent(image=base),), **more)


# --- once, and whole ------------------------------------------------------------------------------


def test_a_build_is_kept_once(catalog: Catalog) -> None:
    told = Build(
        image=f"{APP}:1",
        digest=digest("app"),
        finished=NOON,
        parents=(Parent(image=f"{BASE}:1", digest=digest("base")),),
        packages=(package("b"), package("a")),
        distro=BOOKWORM,
    )
    # The same in another order of packages, and at the same moment in another zone.
    same = msgspec.structs.replace(
        told,
        packages=(package("a"), package("b"), package("a")),
        finished=datetime.fromisoformat("2026-11-20T15:00:00+03:00"),
    )
    with catalog.write() as c:
        first = register(c, told)
        again = register(c, same, told_by="another", at=NOON + HOUR)
        other = register(c, msgspec.structs.replace(told, reason="nightly"))
        provenance = register(c, told, evidence="provenance", signature="unverified")
    assert first.created
    assert again == Registered(first.id, False, digest("app"), ())
    assert other.created
    assert provenance.created
    assert len({first.id, other.id, provenance.id}) == 3
    with catalog.read() as c:
        items = builds_of(c, digest("app"))
    assert [(item.evidence, item.reason, item.signature) for item in items] == [
        ("provenance", None, "unverified"),
        ("registered", "nightly", None),
        ("registered", None, None),
    ]
    assert items[-1].parents == (
        ParentItem(image=f"{BASE}:1", digest=digest("base"), role="base", resolved="given"),
    )


def test_all_that_was_told_is_kept(catalog: Catalog) -> None:
    told = Build(
        image="app:1",
        digest=digest("app"),
        platform="linux/arm64",
        builder="docker-pkg",
        builder_version="4.0.4",
        started=NOON - HOUR,
        finished=NOON + timedelta(milliseconds=1),
        source_repository="https://git.example.org/images",
        source_revision="0123",
        source_path="images/app",
        link="https://ci.example.org/1",
        reason="security",
        parents=(Parent(image="base", role="copy"), Parent(image="base", role="base")),
        distro=BOOKWORM,
        packages=(package("a"), package("b")),
        labels={"é": "1", "a": "2"},
    )
    with catalog.write() as c:
        register(c, told)
    with catalog.read() as c:
        row = c.execute(select(build)).one()
        kept = msgspec.structs.replace(
            read_body(row.body), packages=packages.list_packages(c, row.set_id)
        )
        (item,) = builds_of(c, digest("app"))
    assert kept == told
    assert (item.image, item.platform) == ("docker.io/library/app:1", "linux/arm64")
    assert item.builder_version == "4.0.4"
    assert item.source_path == "images/app"
    assert [(one.image, one.role) for one in item.parents] == [
        ("docker.io/library/base:latest", "copy"),
        ("docker.io/library/base:latest", "base"),
    ]


def test_many_builds_at_once_are_as_many_builds_one_by_one(catalog: Catalog) -> None:
    told = [
        Build(
            image=f"{APP}:{n % 4}", digest=digest(f"app {n % 3}"), packages=(package("a", str(n)),)
        )
        for n in range(6)
    ]
    with catalog.write() as c:
        tellings = [builds.prepare(one, told_by="ci") for one in [*told, told[0]]]
        found = builds.register_all(c, Shelf(), tellings, configured={}, now=NOON)
    assert [one.created for one in found] == [True] * 6 + [False]
    assert found[-1].id == found[0].id
    with catalog.write() as c:
        again = [register(c, one) for one in told]
        counts = [len(builds_of(c, digest(f"app {n}"))) for n in range(3)]
    assert [one.id for one in again] == [one.id for one in found[:-1]]
    assert counts == [2, 2, 2]


# --- names ----------------------------------------------------------------------------------------


def test_a_name_means_what_its_tag_meant_then(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        old, new = put_image(c, "old"), put_image(c, "new")
        point(c, BASE, {"1": old}, NOON)
        point(c, BASE, {"1": new}, NOON + 2 * HOUR)
        for text, at in (("before", -1), ("during", 1), ("after", 3)):
            register(c, child(f"{BASE}:1", text, finished=NOON + at * HOUR), at=NOON + 9 * HOUR)
        register(c, child(f"{BASE}:1", "untold"), at=NOON + HOUR)
        started = child(f"{BASE}:1", "begun", started=NOON + HOUR)
        register(c, started, at=NOON + 9 * HOUR)
        found = {
            text: (parent_of(c, digest(text)).digest, parent_of(c, digest(text)).resolved)
            for text in ("before", "during", "after", "untold", "begun")
        }
    assert found == {
        "before": (digest("old"), "later"),
        "during": (digest("old"), "then"),
        "after": (digest("new"), "then"),
        "untold": (digest("old"), "then"),
        "begun": (digest("old"), "then"),
    }


def test_a_name_whose_tag_was_gone_then_waits_for_its_return(
    catalog: Catalog, put_image: PutImage
) -> None:
    with catalog.write() as c:
        point(c, BASE, {"1": put_image(c, "old")}, NOON)
        point(c, BASE, {}, NOON + HOUR)
        told = register(c, child(f"{BASE}:1"), at=NOON + 2 * HOUR)
        assert told.pending == (f"{BASE}:1",)
        point(c, BASE, {"1": put_image(c, "new")}, NOON + 3 * HOUR)
        assert parent_of(c, digest("app")).digest == digest("new")


def test_a_later_sync_settles_names(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        told = register(c, child(f"{BASE}:1"))
        assert register(c, child(f"{BASE}:1")).pending == told.pending == (f"{BASE}:1",)
        assert parent_of(c, digest("app")).resolved is None
        base, other = put_image(c, "base"), put_image(c, "other")
        point(c, f"{BASE}-2", {"1": other}, NOON + HOUR)
        point(c, BASE, {"2": other}, NOON + HOUR)
        assert parent_of(c, digest("app")).digest is None
        point(c, BASE, {"1": base, "2": other}, NOON + 2 * HOUR)
        assert parent_of(c, digest("app")) == ParentItem(
            image=f"{BASE}:1", digest=digest("base"), role="base", resolved="later"
        )
        # What is settled stays, whatever becomes of the tag.
        point(c, BASE, {"1": other, "2": other}, NOON + 3 * HOUR)
        assert parent_of(c, digest("app")).digest == digest("base")
        assert register(c, child(f"{BASE}:1")).pending == ()


@pytest.mark.parametrize("child_first", [True, False])
def test_a_registered_build_tells_what_a_name_means_before_any_sync(
    catalog: Catalog, *, child_first: bool
) -> None:
    base = Build(image=f"{BASE}:1", digest=digest("base"), finished=NOON)
    app = child(f"{BASE}:1", finished=NOON + HOUR)
    with catalog.write() as c:
        for one in (app, base) if child_first else (base, app):
            register(c, one, at=NOON + 2 * HOUR)
        assert parent_of(c, digest("app")).digest == digest("base")
        assert parent_of(c, digest("app")).resolved == "then"


@pytest.mark.parametrize("child_first", [True, False])
def test_a_registered_build_is_believed_before_a_tag_not_looked_at_since(
    catalog: Catalog, put_image: PutImage, *, child_first: bool
) -> None:
    base = Build(image=f"{BASE}:latest", digest=digest("new"), finished=NOON + HOUR)
    app = child(BASE, finished=NOON + 2 * HOUR)
    early = child(BASE, "early", finished=NOON)
    with catalog.write() as c:
        point(c, BASE, {"latest": put_image(c, "old")}, NOON)
        register(c, early, at=NOON)
        for one in (app, base) if child_first else (base, app):
            register(c, one, at=NOON + 3 * HOUR)
        assert parent_of(c, digest("app")).digest == digest("new")
        assert parent_of(c, digest("early")).digest == digest("old")
        point(c, BASE, {"latest": put_image(c, "new")}, NOON + 4 * HOUR)
        point(c, BASE, {}, NOON + 5 * HOUR)
        register(c, child(BASE, "late"), at=NOON + 6 * HOUR)
        assert parent_of(c, digest("late")).digest is None


def test_a_name_means_an_image_of_the_childs_platform(catalog: Catalog) -> None:
    with catalog.write() as c:
        for arch in ("amd64", "arm64"):
            told = Build(image=f"{BASE}:1", digest=digest(arch), platform=f"linux/{arch}")
            register(c, told)
        for arch in ("amd64", "aarch64"):
            register(c, child(f"{BASE}:1", f"on {arch}".replace(" ", ""), platform=arch), at=NOON)
        assert parent_of(c, digest("onamd64")).digest == digest("amd64")
        assert parent_of(c, digest("onaarch64")).digest == digest("arm64")


def test_an_image_that_shares_its_parents_name_is_not_its_own_parent(catalog: Catalog) -> None:
    with catalog.write() as c:
        first = Build(image=f"{APP}:latest", digest=digest("first"), finished=NOON)
        register(c, first)
        again = Build(
            image=f"{APP}:latest",
            digest=digest("second"),
            finished=NOON + HOUR,
            parents=(Parent(image=APP),),
        )
        register(c, again, at=NOON + HOUR)
        assert parent_of(c, digest("second")).digest == digest("first")


def test_an_image_told_by_name_alone_is_what_its_name_meant_since_the_build_began(
    catalog: Catalog, put_image: PutImage
) -> None:
    told = Build(image=f"{APP}:1", started=NOON, packages=(package("a"),), distro=BOOKWORM)
    with catalog.write() as c:
        old = put_image(c, "old")
        point(c, APP, {"1": old}, NOON - HOUR)
        first = register(c, told, at=NOON + HOUR)
        assert first.digest is None
        new = put_image(c, "new", None, setup=None)
        point(c, APP, {"1": new}, NOON + 2 * HOUR)
        assert register(c, told).digest == digest("new")
        assert [item.image for item in builds_of(c, digest("new"))] == [f"{APP}:1"]
        row = lookups.list_images(c, [new])[new]
        assert row.set_id is not None
        assert packages.list_packages(c, row.set_id) == (package("a"),)
        # One that comes after the sync finds it at once.
        later = msgspec.structs.replace(told, reason="again")
        assert register(c, later, at=NOON + 3 * HOUR).digest == digest("new")
        # Without a beginning: what the name means at the end.
        ended = Build(image=f"{APP}:1", finished=NOON)
        assert register(c, ended, at=NOON + 3 * HOUR).digest == digest("old")


def test_a_build_gives_its_image_a_name(catalog: Catalog) -> None:
    with catalog.write() as c:
        register(c, Build(image=f"{APP}:1", digest=digest("app")))
        register(c, Build(image=f"{APP}@{digest('nameless')}"))
        number, nameless = find(c, digest("app")), find(c, digest("nameless"))
        assert lookups.resolve(c, f"{APP}:1") == number
        assert images.best_names(c, [number, nameless]) == {
            number: f"{APP}:1",
            nameless: f"{APP}@{digest('nameless')}",
        }


# --- images not met yet, configurations, indexes --------------------------------------------------


def test_an_image_never_met_is_there_for_a_sync_to_read(
    catalog: Catalog, put_image: PutImage
) -> None:
    with catalog.write() as c:
        register(c, Build(digest=digest("app"), platform="linux/arm64"))
        (known,) = images.find_manifests(c, [digest("app")], reader=1).values()
        assert not known.settled
        row = lookups.list_images(c, [known.number])[known.number]
        assert (row.platform, row.unknown_code) == ("linux/arm64", "not-read")
        assert put_image(c, "app", [package("a")]) == known.number
        assert len(builds_of(c, digest("app"))) == 1


def test_a_digest_may_turn_out_to_be_a_configurations(
    catalog: Catalog, put_image: PutImage
) -> None:
    told = Build(digest=digest("config of app"), packages=(package("a"),))
    with catalog.write() as c:
        register(c, told)
        number = put_image(c, "app", None, setup=None)
        assert find(c, digest("config of app")) == number
        assert len(list_builds(c, number)) == 1
        assert c.scalars(select(manifest.c.id)).all() == [number]
        assert lookups.list_images(c, [number])[number].set_id is not None
        # And the other way round.
        put_image(c, "other", None, setup=None)
        register(c, Build(digest=digest("config of other"), packages=(package("b"),)))
        assert len(c.scalars(select(manifest.c.id)).all()) == 2


def test_builds_of_an_index_are_those_of_its_images_by_platform(
    catalog: Catalog, put_image: PutImage
) -> None:
    with catalog.write() as c:
        register(c, Build(digest=digest("index"), reason="of all"))
        for arch in ("amd64", "arm64"):
            register(c, Build(digest=digest("index"), platform=f"linux/{arch}"))
        one = put_image(c, "one")
        images.put_index(c, Shelf(), digest("index"), "", [one], now=NOON)
        assert {item.platform for item in list_builds(c, one)} == {None, "linux/amd64"}


# --- what images say themselves -------------------------------------------------------------------


def put_labelled(
    c: Connection, annotations: dict[str, str], labels: dict[str, str], text: str = "app"
) -> Digest:
    config = ImageConfig(NOON, Platform("linux", "amd64"), labels)
    body = ImageManifest("", layer(f"config of {text}"), (layer(text),), annotations)
    record = ingest.ImageRecord(digest(text), body, config, ImageContents())
    ingest.record_images(c, Shelf(), [record], configured={}, reader=1, now=NOON)
    return digest(text)


OCI = "org.opencontainers.image."


def test_annotations_tell_of_a_build(catalog: Catalog, put_image: PutImage) -> None:
    base = {f"{OCI}base.name": f"{BASE}:1", f"{OCI}source": "https://git.example.org/app"}
    with catalog.write() as c:
        point(c, BASE, {"1": put_image(c, "base")}, NOON - HOUR)
        of = put_labelled(c, base, {f"{OCI}revision": "0123", f"{OCI}base.name": "inherited"})
        put_labelled(c, base, {f"{OCI}revision": "0123", f"{OCI}base.name": "inherited"})
        (item,) = builds_of(c, of)
        (parent,) = item.parents
        # A release of ours that reads more of it replaces what was read.
        put_labelled(c, base | {f"{OCI}base.digest": str(digest("base"))}, {})
        (better,) = builds_of(c, of)
    assert (item.evidence, item.told_by, item.finished) == ("annotation", "annotations", NOON)
    assert (item.source_repository, item.source_revision) == (
        "https://git.example.org/app",
        "0123",
    )
    assert (parent.image, parent.digest, parent.resolved) == (
        f"{BASE}:1",
        digest("base"),
        "then",
    )
    assert better.parents[0].resolved == "given"


def test_labels_tell_of_a_build_where_annotations_do_not(catalog: Catalog) -> None:
    labels = {
        f"{OCI}base.digest": str(digest("base")),
        f"{OCI}base.name": "no name at all",
        "blubber.version": "1.2.3+abc",
        "blubber.variant": "production",
    }
    with catalog.write() as c:
        (item,) = builds_of(c, put_labelled(c, {}, labels))
        assert put_labelled(c, {}, {"maintainer": "x"}, "silent")
        assert builds_of(c, digest("silent")) == ()
        broken = {f"{OCI}base.digest": "sha256:0", f"{OCI}source": "x" * 9999}
        (short,) = builds_of(c, put_labelled(c, broken, {}, "broken"))
    assert (item.told_by, item.builder, item.builder_version) == ("labels", "blubber", "1.2.3+abc")
    assert item.parents[0].digest == digest("base")
    assert short.parents == ()
    assert len(short.source_repository or "") == 4096


# --- hostile and odd ------------------------------------------------------------------------------


def test_a_build_of_nothing_is_refused(catalog: Catalog) -> None:
    with catalog.write() as c:
        for told in (Build(), Build(image=""), Build(image="Not A Name"), Build(image="a:\0")):
            with pytest.raises(BadName):
                register(c, told)
        many = tuple(Parent(image=f"base:{n}") for n in range(1001))
        with pytest.raises(TooManyEntries, match="1000 parents"):
            register(c, Build(digest=digest("app"), parents=many))
        assert c.scalars(select(build.c.id)).all() == []


def test_circles_and_two_builds_of_one_image_are_kept_as_they_are_told(catalog: Catalog) -> None:
    def told(of: str, on: str) -> Build:
        return Build(digest=digest(of), parents=(Parent(digest=digest(on)),))

    with catalog.write() as c:
        for of, on in (("a", "b"), ("b", "c"), ("c", "a"), ("a", "a"), ("a", "c")):
            assert register(c, told(of, on)).created
        assert [item.parents[0].digest for item in builds_of(c, digest("a"))] == [
            digest("c"),
            digest("a"),
            digest("b"),
        ]


def test_thousands_of_children_wait_for_one_name(catalog: Catalog, put_image: PutImage) -> None:
    told = [child(f"{BASE}:1", f"app{n}", reason=str(n)) for n in range(3000)]
    with catalog.write() as c:
        tellings = [builds.prepare(one, told_by=None) for one in told]
        builds.register_all(c, Shelf(), tellings, configured={}, now=NOON)
        point(c, BASE, {"1": put_image(c, "base")}, NOON + HOUR)
        assert set(c.scalars(select(build_parent.c.digest))) == {digest("base")}


def test_a_build_is_no_parent(catalog: Catalog) -> None:
    scratch = (Parent(image="scratch"), Parent(image="scratch", role="stage"))
    with catalog.write() as c:
        assert register(c, Build(digest=digest("app"), parents=scratch)).pending == ()
        assert builds_of(c, digest("app"))[0].parents == ()


_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=600)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    told=st.builds(
        Build,
        image=st.none() | _TEXTS,
        digest=st.just(digest("app")),
        platform=st.none() | _TEXTS,
        reason=_TEXTS,
        source_path=_TEXTS,
        parents=st.lists(st.builds(Parent, image=_TEXTS), max_size=3).map(tuple),
        labels=st.dictionaries(_TEXTS, _TEXTS, max_size=2),
        packages=st.lists(st.builds(package, st.text("a\0é", max_size=3)), max_size=3).map(tuple),
    ),
    by=_TEXTS,
)
def test_any_text_is_kept(catalog: Catalog, told: Build, by: str) -> None:
    with catalog.write() as c:
        first = register(c, told, told_by=by)
        assert register(c, told, told_by=by) == msgspec.structs.replace(first, created=False)
        assert lookups.list_images(c, [find(c, digest("app"))])


# --- at once --------------------------------------------------------------------------------------


def register_at_once(
    catalog: Catalog, make: Callable[[int, int], Build], *, threads: int = 6, each: int = 8
) -> list[Registered]:
    start = threading.Barrier(threads)

    def work(thread: int) -> list[Registered]:
        shelf, found = Shelf(), []
        start.wait()
        for number in range(each):
            with catalog.write() as c:
                found.append(
                    builds.register(
                        c, shelf, make(thread, number), told_by="ci", configured={}, now=NOON
                    )
                )
        return found

    with ThreadPoolExecutor(threads) as pool:
        return [one for many in pool.map(work, range(threads)) for one in many]


def test_the_same_builds_registered_at_once_are_there_once(catalog: Catalog) -> None:
    def make(_: int, number: int) -> Build:
        listed = tuple(package(f"p{n}", str(number)) for n in range(40))
        image = f"{APP}:{number}"
        return Build(image=image, digest=digest(image), packages=listed)

    found = register_at_once(catalog, make)
    assert sum(one.created for one in found) == 8
    assert len({one.id for one in found}) == 8


def test_different_builds_of_few_images_registered_at_once(catalog: Catalog) -> None:
    def make(thread: int, number: int) -> Build:
        listed = tuple(package(f"p{n}", str((thread * n) % 7)) for n in range(60))
        return Build(
            image=f"{APP}:{number % 3}",
            digest=digest(f"{number % 3}"),
            reason=f"{thread}",
            parents=(Parent(image=f"{APP}:{(number + thread) % 3}"),),
            packages=listed[:: 1 - 2 * (thread % 2)],
        )

    found = register_at_once(catalog, make)
    assert all(one.digest for one in found)
    with catalog.read() as c:
        rows = c.execute(select(manifest.c.digest, manifest.c.set_id)).all()
    assert {row.digest for row in rows} == {digest(str(n)) for n in range(3)}
    assert all(row.set_id for row in rows)
