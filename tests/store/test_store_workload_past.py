"""The past of a workload: its images by time, in how many containers."""

from __future__ import annotations

import pytest
from past_house import HOME, fill, hour, pod, pods, scan
from tests_store import PutImage, digest

from imagecatalog.domain.pasts import WorkloadPast
from imagecatalog.errors import NotFound
from imagecatalog.planning.past import history
from imagecatalog.planning.workload_past import WorkloadName, read_name, workload_past
from imagecatalog.store import repositories
from imagecatalog.store.engine import Catalog, Connection
from imagecatalog.web.ui.charts import draw_past

APP = "north/web/Deployment/app"


def ask(c: Connection, name: str = APP) -> WorkloadPast:
    found = read_name(name)
    assert found is not None
    return workload_past(c, found, now=hour(30))


def test_images_follow_one_another_and_replicas_change(
    catalog: Catalog, put_image: PutImage
) -> None:
    with catalog.write() as c:
        fill(c, put_image)
        scan(c, 0, *pods("bad", 2))
        scan(c, 1, *pods("bad", 3))
        scan(c, 2, *pods("bad", 1), *pods("good", 1))
        scan(c, 3, *pods("good", 3))
        past = ask(c)
        assert (past.team, past.first_scan, past.last_scan) == ("shop", hour(0), hour(3))
        now, before = past.stays
        assert (now.image, now.since, now.until, now.most) == (f"{HOME}:good", hour(2), None, 3)
        assert (now.digest, now.known, now.matched_by) == (str(digest("good")), True, "manifest")
        assert [(one.at, one.replicas) for one in now.steps] == [(hour(2), 1), (hour(3), 3)]
        assert (before.image, before.since, before.until) == (f"{HOME}:bad", hour(0), hour(3))
        assert [one.replicas for one in before.steps] == [2, 3, 1]
        chart = draw_past(past, now=hour(30))
        assert chart is not None
        assert [len(lane.bars) for lane in chart.lanes] == [1, 1], "side by side for an hour"


def test_a_tag_that_moved_is_two_stays(catalog: Catalog) -> None:
    with catalog.write() as c:
        scan(c, 0, pod("a", "one"))
        scan(c, 1, pod("b", "two"))
        scan(c, 2, pod("c", "one"))
        assert [one.digest for one in ask(c).stays] == [
            str(digest("one")),
            str(digest("two")),
            str(digest("one")),
        ]
        assert {one.status for one in ask(c).stays} == {"unknown"}


def test_its_history_is_the_same_in_one_list(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        fill(c, put_image)
        scan(c, 0, *pods("bad", 2))
        scan(c, 1, *pods("bad", 3))
        scan(c, 2, *pods("good", 3))
        items = history(c, APP, now=hour(3)).items
        assert [(one.event, one.image, one.at, one.until) for one in items] == [
            ("run", f"{HOME}:good", hour(2), None),
            ("run", f"{HOME}:bad", hour(0), hour(2)),
        ]
        assert items[1].detail.startswith("ran as main ×2, then 3, ")
        assert [one.replicas for one in items[1].replicas] == [2, 3]
        pages = [history(c, APP, now=hour(3), limit=1)]
        pages.append(history(c, APP, now=hour(3), limit=1, after=pages[0].next))
        assert tuple(one for page in pages for one in page.items) == items


def test_a_tag_tells_all_that_it_pointed_to(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        fill(c, put_image)
        numbers = repositories.list_current_tags(c, HOME)
        here = repositories.put_repository(c, HOME)
        repositories.point_tags(c, here, numbers | {"live": numbers["bad"]}, now=hour(1))
        repositories.point_tags(c, here, numbers | {"live": numbers["good"]}, now=hour(2))
        items = history(c, f"{HOME}:live", now=hour(3)).items
        told = [(one.digest, one.at, one.until) for one in items if one.image == f"{HOME}:live"]
        assert told == [
            (str(digest("good")), hour(2), None),
            (str(digest("bad")), hour(1), hour(2)),
        ]


def test_one_that_nobody_saw_is_not_found(catalog: Catalog) -> None:
    with catalog.write() as c:
        scan(c, 0, pod("a", "one"))
        with pytest.raises(NotFound, match="never seen in namespace web of north"):
            ask(c, "north/web/Deployment/other")
        with pytest.raises(NotFound, match="no cluster south"):
            ask(c, "south/web/Deployment/app")


def test_names_of_workloads_and_of_images_are_told_apart() -> None:
    assert read_name("a/b/web/Deployment/x") == WorkloadName("a/b", "web", "Deployment/x")
    for other in ("registry.example.org/team/app", "r.example.org/a/b:1", "north/web", ""):
        assert read_name(other) is None
