"""Drift: a tag moved and its pods were not started anew; nothing else is drift."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from sqlalchemy import event
from tests_store import NOON, PutImage, digest, package

from imagecatalog.catalog import ingest, timeline
from imagecatalog.domain.answers import Drift
from imagecatalog.domain.runs import RunningContainer
from imagecatalog.planning.inspection import image_detail
from imagecatalog.planning.moments import running
from imagecatalog.planning.staleness import outdated
from imagecatalog.store import images
from imagecatalog.store.engine import Catalog, Connection
from imagecatalog.store.shelf import Shelf

APP = "registry.example.org/team/app"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DAY = timedelta(days=1)
LATER = NOON + 10 * DAY

Point = Callable[..., None]


@pytest.fixture
def point(put_image: PutImage) -> Point:
    """Has tags of the repository mean images or indexes of the given texts from a moment on."""
    shelf = Shelf()

    def do(c: Connection, at: datetime, **tags: str | tuple[str, ...]) -> None:
        numbers = {}
        for name, meant in tags.items():
            if isinstance(meant, str):
                numbers[name] = put_image(c, meant, [package("ssl")])
            else:
                platforms = ("linux/amd64", "linux/arm64")
                members = [
                    put_image(c, one, [package("ssl")], platform=on)
                    for one, on in zip(meant, platforms, strict=True)
                ]
                whole = digest("+".join(meant))
                numbers[name] = images.put_index(c, shelf, whole, OCI_INDEX, members, now=at)
        ingest.record_repository(c, APP, numbers, list(numbers.values()), [], now=at)

    return do


def _observe(
    c: Connection, image_id: str, image: str = f"{APP}:live", at: datetime = LATER
) -> None:
    pod = RunningContainer("web", "Deployment/app", "app-1", "main", "container", image, image_id)
    timeline.observe(c, "north", [pod], at=at, now=at)


def _drift(c: Connection, at: datetime | None = None) -> Drift | None:
    (item,) = running(c, now=LATER + DAY, at=at).items
    return item.drift


def test_a_tag_that_moved_on_is_drift_wherever_the_image_is_shown(
    catalog: Catalog, point: Point
) -> None:
    with catalog.write() as c:
        point(c, NOON, live="old")
        point(c, NOON + 2 * DAY, live="between")
        point(c, NOON + 3 * DAY, live="new")
        _observe(c, f"{APP}@{digest('old')}")
        expected = Drift(
            tag=f"{APP}:live",
            digest=str(digest("new")),
            since=NOON + 3 * DAY,
            left=NOON + 2 * DAY,
        )
        assert _drift(c) == expected
        assert image_detail(c, digest("old"), now=LATER).drift == (expected,)
        assert image_detail(c, digest("new"), now=LATER).drift == ()
        items = outdated(c, now=LATER, all_images=True).items
        drifts = {item.digest: item.drift for item in items if item.drift}
        assert drifts == {str(digest("old")): (expected,)}


def test_what_its_tag_means_is_no_drift(catalog: Catalog, point: Point) -> None:
    with catalog.write() as c:
        point(c, NOON, live="old", latest="old")
        _observe(c, f"{APP}@{digest('old')}")
        assert _drift(c) is None
        _observe(c, f"{APP}@{digest('old')}", APP, LATER + timedelta(hours=1))
        assert _drift(c) is None, "a tag that is meant to move is none by itself"


@pytest.mark.parametrize("reported", ["amd", "arm", "amd+arm"])
def test_images_of_the_index_that_the_tag_means_are_no_drift(
    catalog: Catalog, point: Point, reported: str
) -> None:
    with catalog.write() as c:
        point(c, NOON, live=("amd", "arm"))
        _observe(c, f"{APP}@{digest(reported)}")
        assert _drift(c) is None


def test_an_index_made_anew_around_the_same_image_is_no_drift(
    catalog: Catalog, point: Point
) -> None:
    with catalog.write() as c:
        point(c, NOON, live=("amd", "arm"))
        point(c, NOON + DAY, live=("amd", "arm-2"))
        _observe(c, f"{APP}@{digest('amd')}")
        assert _drift(c) is None
        _observe(c, f"{APP}@{digest('arm')}", at=LATER + timedelta(hours=1))
        assert (found := _drift(c)) is not None
        assert (found.digest, found.left) == (str(digest("amd+arm-2")), NOON + DAY)


def test_by_a_digest_or_a_tag_alone_there_is_no_drift(catalog: Catalog, point: Point) -> None:
    with catalog.write() as c:
        point(c, NOON, live="old")
        point(c, NOON + DAY, live="new")
        for hours, (image_id, image) in enumerate(
            [
                (f"{APP}@{digest('old')}", f"{APP}:live@{digest('old')}"),
                ("", f"{APP}:live"),
                (f"{APP}@{digest('old')}", f"{APP}:gone"),
                (f"{APP}@{digest('never met')}", f"{APP}:live"),
            ]
        ):
            _observe(c, image_id, image, LATER + timedelta(hours=hours))
            assert _drift(c) is None, image


def test_a_tag_never_seen_on_what_runs_is_drift_without_a_moment(
    catalog: Catalog, point: Point
) -> None:
    with catalog.write() as c:
        point(c, NOON, live="new", other="old")
        _observe(c, f"{APP}@{digest('old')}")
        assert (found := _drift(c)) is not None
        assert (found.digest, found.since, found.left) == (str(digest("new")), NOON, None)


def test_drift_of_then_is_told_of_then(catalog: Catalog, point: Point) -> None:
    with catalog.write() as c:
        point(c, NOON, live="old")
        _observe(c, f"{APP}@{digest('old')}", at=NOON + DAY)
        point(c, NOON + 2 * DAY, live="new")
        point(c, NOON + 4 * DAY, live="newest")
        _observe(c, f"{APP}@{digest('old')}", at=LATER)
        assert _drift(c, NOON + DAY) is None
        assert (then := _drift(c, NOON + 3 * DAY)) is not None
        assert (then.digest, then.left) == (str(digest("new")), NOON + 2 * DAY)
        assert (now := _drift(c)) is not None
        assert (now.digest, now.left) == (str(digest("newest")), NOON + 2 * DAY)


def test_drift_costs_few_statements_however_many_run(catalog: Catalog, point: Point) -> None:
    from imagecatalog.planning.drift import find_drifts
    from imagecatalog.store import runs

    with catalog.write() as c:
        point(c, NOON, **{f"t{n}": f"old {n}" for n in range(60)})
        point(c, NOON + DAY, **{f"t{n}": f"new {n}" for n in range(60)})
        pods = [
            RunningContainer(
                "web", f"Deployment/{n}", f"p{n}", "main", "container",
                f"{APP}:t{n}", f"{APP}@{digest(f'old {n}')}",
            )
            for n in range(60)
        ]  # fmt: skip
        timeline.observe(c, "north", pods, at=LATER, now=LATER)
        alive = runs.list_alive(c)
        statements: list[str] = []
        event.listen(c, "before_cursor_execute", lambda *told: statements.append(told[2]))
        found = find_drifts(c, alive)
        assert len(found) == 60
        assert {one.left for one in found.values()} == {NOON + DAY}
        assert len(statements) <= 3
