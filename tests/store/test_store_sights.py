"""How far what runs, or ran, is known: silence never says that nothing ran."""

from __future__ import annotations

from datetime import timedelta

import pytest
from past_house import fill, hour, pod, scan
from tests_store import PutImage

from imagecatalog.domain.pasts import ClusterItem
from imagecatalog.errors import BadName, NotFound
from imagecatalog.planning.moments import count_statuses, running, sum_namespaces
from imagecatalog.planning.sights import check_cluster, list_clusters, list_gaps, list_sights
from imagecatalog.planning.staleness import judge_never_met
from imagecatalog.planning.verdicts import read_running
from imagecatalog.store import clusters, health
from imagecatalog.store.engine import Catalog, Connection


def cluster(c: Connection, name: str, at: float, **more: object) -> ClusterItem:
    found = list_clusters(c, now=hour(at), **more)  # type: ignore[arg-type]
    return next(one for one in found if one.name == name)


def known(c: Connection, at: float | None, now: float) -> dict[str, tuple[bool, str | None]]:
    moment = None if at is None else hour(at)
    sights = list_sights(c, now=hour(now), at=moment)
    return {one.cluster: (one.known, one.note) for one in sights}


def test_before_the_first_scan_nothing_is_known(catalog: Catalog) -> None:
    with catalog.write() as c:
        scan(c, 0, pod("a", "bad"))
        found = running(c, now=hour(1), at=hour(-5))
        assert found.items == ()
        (sight,) = found.clusters
        assert (sight.known, sight.note) == (
            False,
            "not known: the first scan of north was 2026-11-20 12:00 UTC",
        )
        assert known(c, 0.5, 1) == {"north": (True, None)}
        with pytest.raises(BadName, match="yet to come"):
            running(c, now=hour(1), at=hour(2))


def test_a_gap_between_scans_is_told(catalog: Catalog) -> None:
    with catalog.write() as c:
        for at in (*range(6), *range(30, 36)):
            scan(c, at, pod("a", "bad"))
        assert known(c, 5.5, 36)["north"] == (True, None)
        is_known, note = known(c, 20, 36)["north"]
        assert not is_known
        assert note == (
            "not known: the last whole scan of north before that moment was 2026-11-20 17:00 UTC,"
            " the next 2026-11-21 18:00 UTC"
        )
        assert len(running(c, now=hour(36), at=hour(20)).items) == 1, "as the last scan saw it"
        (row,) = clusters.list_clusters(c)
        gaps = list_gaps(c, row, since=hour(0), now=hour(36))
        assert [(one.since, one.until) for one in gaps] == [(hour(5), hour(30))]
        gaps = list_gaps(c, row, since=hour(0), now=hour(50))
        assert [(one.since, one.until) for one in gaps][1:] == [(hour(35), None)]


def test_who_scans_once_a_day_has_no_gaps(catalog: Catalog) -> None:
    with catalog.write() as c:
        for day in range(10):
            scan(c, 24 * day, pod("a", "bad"))
        assert known(c, 24 * 5 + 20, 24 * 9)["north"] == (True, None)
        (row,) = clusters.list_clusters(c)
        assert list_gaps(c, row, since=hour(0), now=hour(24 * 9 + 1)) == ()


def test_a_cluster_is_late_after_two_hours(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        fill(c, put_image)
        scan(c, 0, pod("a", "bad"), pod("b", "good"), pod("c", "never met"))
        health.note_try(c, "cluster", "north", at=hour(0), seconds=1, detail="3 containers")
        one = cluster(c, "north", 1)
        assert (one.late, one.known, one.containers, one.images, one.unknown) == (
            False,
            True,
            3,
            3,
            1,
        )
        assert (one.type, one.first_scan, one.last_good) == ("kubernetes", hour(0), hour(0))
        one = cluster(c, "north", 3)
        assert (one.late, one.known) == (True, False)
        health.note_try(c, "cluster", "south", at=hour(3), seconds=1, error="refused")
        one = cluster(c, "south", 3)
        assert (one.late, one.known, one.last_error) == (True, False, "refused")
        assert one.note == "not known: it was never scanned well"


def test_one_that_the_settings_name_no_more_is_told(catalog: Catalog) -> None:
    with catalog.write() as c:
        scan(c, 0, pod("a", "bad"))
        assert cluster(c, "north", 1, configured=["south"]).configured is False
        assert cluster(c, "north", 1, configured=["north"]).configured is True
        assert cluster(c, "north", 1, configured=[]).configured is None, "dumps alone, perhaps"


def test_what_is_forgotten_ends_with_the_last_sight_and_its_past_stays(catalog: Catalog) -> None:
    with catalog.write() as c:
        scan(c, 0, pod("a", "bad"))
        scan(c, 2, pod("a", "bad"), pod("b", "bad"))
        assert clusters.forget_cluster(c, "north", now=hour(9)) == (2, hour(2))
        assert clusters.forget_cluster(c, "nowhere", now=hour(9)) is None
        assert running(c, now=hour(10)).items == ()
        then = running(c, now=hour(10), at=hour(2)).items
        assert [(one.pod_name, one.since, one.seen) for one in then] == [
            ("a", hour(0), hour(2)),
            ("b", hour(2), hour(2)),
        ]
        one = cluster(c, "north", 10)
        assert (one.forgotten, one.late, one.containers) == (hour(9), False, 0)
        assert known(c, None, 10)["north"][1] == (
            "forgotten 2026-11-20 21:00 UTC, seen last 2026-11-20 14:00 UTC"
        )
        scan(c, 11, pod("c", "bad"))
        one = cluster(c, "north", 11.5)
        assert (one.forgotten, one.containers, one.known) == (None, 1, True)


def test_what_was_tried_and_never_scanned_can_be_forgotten(catalog: Catalog) -> None:
    with catalog.write() as c:
        health.note_try(c, "cluster", "south", at=hour(3), seconds=1, error="refused")
        assert clusters.forget_cluster(c, "south", now=hour(4)) == (0, None)
        assert list_clusters(c, now=hour(5)) == ()


def test_an_unknown_cluster_is_not_one_in_which_nothing_runs(catalog: Catalog) -> None:
    with catalog.write() as c:
        with pytest.raises(NotFound, match="no cluster north"):
            check_cluster(c, "north")
        scan(c, 0, pod("a", "bad"))
        check_cluster(c, "north")


def test_what_runs_tells_team_state_and_how_it_was_matched(
    catalog: Catalog, put_image: PutImage
) -> None:
    with catalog.write() as c:
        fill(c, put_image)
        stuck = pod(
            "b",
            "late",
            workload="Deployment/new",
            team="web",
            state="waiting",
            reason="ImagePullBackOff",
        )
        scan(c, 0, pod("a", "bad", state="running"), stuck)
        first, second = running(c, now=hour(1)).items
        assert (first.team, first.state, first.matched_by) == ("shop", "running", "manifest")
        assert (second.state, second.state_reason) == ("waiting", "ImagePullBackOff")
        assert (second.known, second.matched_by) == (False, None)
        assert running(c, now=hour(1), team="web").items == (second,)
        assert running(c, now=hour(1), team="nobody").items == ()


def test_namespaces_have_their_worst_verdict(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        fill(c, put_image)
        scan(c, 0, pod("a", "bad"), pod("b", "bad"), pod("c", "never met", workload="Job/j"))
        now = read_running(c, now=hour(1))
        now.unmet = judge_never_met(c, [one for one in now.alive if one.manifest_id is None])
        (space,) = sum_namespaces(c, now)
        assert (space.cluster, space.namespace) == ("north", "web")
        assert (space.workloads, space.containers, space.images) == (2, 3, 2)
        assert space.worst in {"unknown", "security-update"}
        assert sum(space.by_status.values()) == 2
        assert sum(count_statuses(now).values()) == 2
        assert sum_namespaces(c, now, cluster="elsewhere") == ()


def test_a_moment_is_what_its_scan_saw(catalog: Catalog) -> None:
    with catalog.write() as c:
        scan(c, 0, pod("a", "bad"))
        scan(c, 1, pod("b", "bad"))
        for at, name in ((0, "a"), (0.9, "a"), (1, "b"), (1.5, "b")):
            found = running(c, now=hour(2), at=hour(at)).items
            assert [one.pod_name for one in found] == [name], at
        assert running(c, now=hour(2), at=hour(0) - timedelta(seconds=1)).items == ()
