"""Scans become intervals, and runtimes' names for images are understood."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import event
from tests_store import NOON, PutImage, digest, layer, package

from imagecatalog.catalog import ingest, timeline
from imagecatalog.domain.runs import RunningContainer
from imagecatalog.planning.moments import running
from imagecatalog.planning.staleness import outdated, overview
from imagecatalog.store import images, runs
from imagecatalog.store.engine import Catalog
from imagecatalog.store.shelf import Shelf

APP = "registry.example.org/team/app"
HOUR = timedelta(hours=1)


def container(pod: str, image: str = f"{APP}:1", image_id: str = "") -> RunningContainer:
    return RunningContainer("web", "Deployment/app", pod, "main", "container", image, image_id)


def test_a_scan_opens_keeps_and_ends_intervals(catalog: Catalog) -> None:
    first, second = [container("a"), container("b")], [container("b"), container("c")]
    with catalog.write() as c:
        assert timeline.observe(c, "north", first, at=NOON) == (2, 2, 0)
        assert timeline.observe(c, "north", first, at=NOON + HOUR) == (2, 0, 0)
        assert timeline.observe(c, "north", second, at=NOON + 2 * HOUR) == (2, 1, 1)
        assert timeline.observe(c, "south", [], at=NOON) == (0, 0, 0)
    with catalog.read() as c:
        now = NOON + 2 * HOUR
        rows = {item.pod_name: (item.since, item.seen) for item in running(c, now=now).items}
        assert rows == {"b": (NOON, now), "c": (now, now)}
        then = running(c, now=now, at=NOON + HOUR).items
        assert {item.pod_name for item in then} == {"a", "b"}
        assert [item.seen for item in then if item.pod_name == "a"] == [NOON + HOUR]
        assert running(c, now=now, at=NOON - HOUR).items == ()


def test_a_scan_that_is_not_newer_changes_nothing(catalog: Catalog) -> None:
    with catalog.write() as c:
        timeline.observe(c, "north", [container("a")], at=NOON)
        timeline.observe(c, "north", [], at=NOON)
        timeline.observe(c, "north", [], at=NOON - HOUR)
    with catalog.read() as c:
        assert [item.pod_name for item in running(c, now=NOON).items] == ["a"]


def test_the_same_container_twice_counts_once(catalog: Catalog) -> None:
    with catalog.write() as c:
        assert timeline.observe(c, "north", [container("a")] * 3, at=NOON) == (1, 1, 0)


def test_every_shape_of_image_id_finds_its_image(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        one = put_image(c, "one")
        index = images.put_index(c, Shelf(), digest("index"), "", [one], now=NOON)
        ingest.record_repository(c, APP, {"1": index}, [index, one], [], now=NOON)
        config = layer("config of one").digest
        shapes = {
            "manifest": f"{APP}@{digest('one')}",
            "pullable": f"docker-pullable://{APP}@{digest('one')}",
            "index": f"{APP}@{digest('index')}",
            "config": f"docker://{config}",
            "bare": config,
            "tag": "",
            "stranger": f"{APP}@{digest('never met')}",
        }
        timeline.observe(
            c, "north", [container(pod, image_id=text) for pod, text in shapes.items()], at=NOON
        )
        found = {item.pod_name: item for item in running(c, now=NOON).items}
    assert {pod for pod, item in found.items() if item.known} == shapes.keys() - {"stranger"}
    assert {item.digest for item in found.values() if item.known} == {digest("one")}
    assert found["index"].index_digest == digest("index")
    assert found["config"].index_digest is None
    assert found["stranger"].reason is not None
    assert "never met" in found["stranger"].reason


def test_an_image_met_later_is_known_then(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        timeline.observe(c, "north", [container("a", image_id=f"{APP}@{digest('one')}")], at=NOON)
        assert overview(c, now=NOON).by_status["unknown"] == 1
        put_image(c, "one", [package("vim")])
        assert timeline.match_images(c) == 1
        assert running(c, now=NOON).items[0].known


def test_an_image_that_ran_is_known_once_it_is_met(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        pods = [container("digest", image_id=f"{APP}@{digest('one')}"), container("tag")]
        timeline.observe(c, "north", pods, at=NOON)
        timeline.observe(c, "north", [], at=NOON + HOUR)
        assert timeline.match_past(c) == 0
        put_image(c, "one")
        assert timeline.match_images(c) == 0
        assert timeline.match_past(c) == 1
        past = running(c, now=NOON + HOUR, at=NOON)
        assert {item.pod_name: item.digest for item in past.items} == {
            "digest": digest("one"),
            "tag": None,
        }
        assert timeline.match_past(c) == 0


def test_a_tag_means_what_it_meant_when_the_container_was_first_seen(
    catalog: Catalog, put_image: PutImage
) -> None:
    with catalog.write() as c:
        one, two = put_image(c, "one"), put_image(c, "two")
        ingest.record_repository(c, APP, {"1": one}, [one], [], now=NOON)
        pods = [container("tag"), container("digest", image_id=f"{APP}@{digest('one')}")]
        timeline.observe(c, "north", pods, at=NOON)
        ingest.record_repository(c, APP, {"1": two}, [one, two], [], now=NOON + HOUR)
        timeline.match_images(c)
        found = {item.pod_name: item.digest for item in running(c, now=NOON).items}
        assert found == {"digest": digest("one"), "tag": digest("one")}
        # Those that ran since before the tag moved are gone: now it means another image.
        pods = [container("later"), container("digest", image_id=f"{APP}@{digest('one')}")]
        timeline.observe(c, "north", pods, at=NOON + 2 * HOUR)
        items = {item.pod_name: item for item in running(c, now=NOON + 2 * HOUR).items}
    assert items["later"].digest == digest("two")
    assert {pod: item.matched_by for pod, item in items.items()} == {
        "later": "tag",
        "digest": "manifest",
    }


def test_a_tag_first_met_later_means_what_it_meant_first(
    catalog: Catalog, put_image: PutImage
) -> None:
    with catalog.write() as c:
        one, two = put_image(c, "one"), put_image(c, "two")
        timeline.observe(c, "north", [container("a")], at=NOON)
        ingest.record_repository(c, APP, {"1": one}, [one], [], now=NOON + HOUR)
        ingest.record_repository(c, APP, {"1": two}, [one, two], [], now=NOON + 2 * HOUR)
        assert timeline.match_images(c) == 1
        assert [item.digest for item in running(c, now=NOON).items] == [digest("one")]


def test_very_many_names_take_few_statements(catalog: Catalog) -> None:
    pods = [
        container(f"p{n}", image=f"{APP}-{n % 700}:{n}", image_id="" if n % 2 else digest(str(n)))
        for n in range(6000)
    ]
    statements: list[str] = []
    with catalog.write() as c:
        timeline.observe(c, "north", pods, at=NOON)
        event.listen(c, "before_cursor_execute", lambda *args: statements.append(args[2]))
        assert timeline.match_images(c) == 0
    assert len(statements) < 40


def test_pages_of_what_runs_are_the_whole(catalog: Catalog) -> None:
    pods = [container(f"pod-{n:02}", image=f"{APP}:{n % 3}") for n in range(25)]
    with catalog.write() as c:
        timeline.observe(c, "north", pods, at=NOON)
    with catalog.read() as c:
        whole = running(c, now=NOON).items
        found, after = [], None
        while True:
            page = running(c, now=NOON, limit=7, after=after)
            found += page.items
            after = page.next
            if after is None:
                break
        assert tuple(found) == whole
        assert len(running(c, now=NOON, image=":1").items) == 8
        assert running(c, now=NOON, namespace="absent").items == ()
        assert len(outdated(c, now=NOON, cluster="north").items) == 3
        assert outdated(c, now=NOON, cluster="south").items == ()
        assert len(runs.list_alive(c)) == 3
