"""What happened to images, and what changed between two of them."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from tests_store import NOON, PutImage, digest, package

from imagecatalog.catalog import timeline
from imagecatalog.catalog.builds import register
from imagecatalog.domain.builds import Build, Parent
from imagecatalog.domain.lineage import HistoryItem
from imagecatalog.domain.runs import RunningContainer
from imagecatalog.errors import BadName, NotFound
from imagecatalog.planning.differences import diff
from imagecatalog.planning.past import history
from imagecatalog.store import repositories
from imagecatalog.store.engine import Catalog, Connection
from imagecatalog.store.shelf import Shelf

APP = "r.example.org/team/app"


def hour(number: int) -> datetime:
    return NOON + timedelta(hours=number)


def container(pod: str, name: str) -> RunningContainer:
    image = f"{APP}@{digest(name)}"
    return RunningContainer("web", "Deployment/app", pod, "main", "container", f"{APP}:1", image)


def point(c: Connection, at: datetime, **tags: int) -> None:
    number = repositories.put_repository(c, APP)
    repositories.mark_present(c, number, list(tags.values()))
    repositories.point_tags(c, number, {tag[1:]: one for tag, one in tags.items()}, now=at)


def fill(c: Connection, put_image: PutImage) -> None:
    """Version 1 is replaced by 2; pods follow one another, rest, and come back."""
    one = put_image(c, "one", [package("libssl3", "1"), package("old")], layers=["d", "a"])
    two = put_image(c, "two", [package("libssl3", "2"), package("new")], layers=["d", "b"])
    point(c, hour(0), v1=one)
    point(c, hour(5), v1=one, v2=two)
    build = Build(
        image=f"{APP}:2",
        digest=digest("two"),
        builder="docker-pkg",
        builder_version="4.0.4",
        finished=hour(4),
        source_revision="0123456789abcdef",
        parents=(Parent(image="r.example.org/debian:12", digest=digest("debian")),),
        reason="a fix",
    )
    register(c, Shelf(), build, told_by="ci", configured={}, now=hour(6))
    scans = [["p1"], ["p1", "p2"], ["p2"], [], ["p3"]]
    for at, pods in enumerate(scans, 1):
        timeline.observe(c, "north", [container(pod, "one") for pod in pods], at=hour(at))


def brief(items: tuple[HistoryItem, ...]) -> list[tuple[str, int, int | None]]:
    def count(moment: datetime | None) -> int | None:
        return None if moment is None else int((moment - NOON).total_seconds()) // 3600

    return [(one.event, count(one.at) or 0, count(one.until)) for one in items]


def test_the_history_of_an_image_is_one_list(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        fill(c, put_image)
        items = history(c, f"{APP}:1", now=hour(9)).items
        assert brief(items) == [("run", 5, None), ("run", 1, 4), ("tag", 0, None)]
        assert items[0].detail == "runs in north, web, Deployment/app"
        assert (items[1].cluster, items[1].workload) == ("north", "Deployment/app")
        built = history(c, f"{APP}:2", now=hour(9)).items
        assert brief(built) == [("tag", 5, None), ("build", 4, None)]
        assert built[1].detail == (
            "by docker-pkg 4.0.4 from r.example.org/debian:12 at 0123456789ab"
            " for: a fix, registered"
        )
        assert built[1].build is not None


def test_the_history_of_a_repository_is_of_all_its_images(
    catalog: Catalog, put_image: PutImage
) -> None:
    with catalog.write() as c:
        fill(c, put_image)
        point(c, hour(7), v2=repositories.list_current_tags(c, APP)["2"])
        whole = history(c, APP, now=hour(9)).items
        assert brief(whole) == [
            ("run", 5, None),
            ("tag", 5, None),
            ("build", 4, None),
            ("run", 1, 4),
            ("tag", 0, 7),
        ]
        assert history(c, "team/app", now=hour(9)).items == whole
        pages, after = [], None
        while after is not None or not pages:
            page = history(c, APP, now=hour(9), limit=2, after=after)
            pages.append(page.items)
            after = page.next
        assert [len(page) for page in pages] == [2, 2, 1]
        assert tuple(one for page in pages for one in page) == whole
        with pytest.raises(NotFound):
            history(c, "r.example.org/nothing", now=hour(9))


def test_a_diff_has_packages_layers_and_configuration(
    catalog: Catalog, put_image: PutImage
) -> None:
    with catalog.write() as c:
        fill(c, put_image)
        found = diff(c, f"{APP}:1", f"{APP}:2")
        assert [one.package for one in found.packages.upgraded] == ["libssl3"]
        assert [one.package for one in found.packages.added] == ["new"]
        assert [one.package for one in found.packages.removed] == ["old"]
        assert found.layers.common == 1
        assert (found.layers.a, found.layers.b) == ((str(digest("a")),), (str(digest("b")),))
        assert list(found.config) == ["config_digest"]
        assert found.reason is None
        assert diff(c, f"{APP}:1") == found, "the newest of its line"
        with pytest.raises(BadName, match="newest of its line"):
            diff(c, f"{APP}:2")
        put_image(c, "untagged")
        with pytest.raises(BadName, match="no tag that another follows"):
            diff(c, str(digest("untagged")))


def test_a_diff_says_whose_packages_are_not_known(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        put_image(c, "known", [package("a")])
        put_image(c, "unknown", None)
        for pair in (("known", "unknown"), ("unknown", "known")):
            found = diff(c, *(str(digest(name)) for name in pair))
            assert found.reason is not None
            assert str(digest("unknown")) in found.reason
            assert found.packages.added == found.packages.removed == ()
