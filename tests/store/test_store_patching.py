"""From a fix to its deployment: only what can be known is counted, the rest with its reason."""

from __future__ import annotations

from datetime import timedelta

import pytest
from past_house import FIX_OUT, announce, fill, hour, pod, pods, scan
from tests_store import PutImage

from imagecatalog.domain.pasts import Patching
from imagecatalog.errors import NotFound
from imagecatalog.planning import patching
from imagecatalog.store.engine import Catalog, Connection

HOUR = 3600.0


def ask(c: Connection, **more: object) -> Patching:
    return patching.patching(c, now=hour(20), **more)  # type: ignore[arg-type]


def reasons(found: Patching) -> dict[str, int]:
    return {one.reason: one.number for one in found.unknown}


def test_a_fix_is_counted_from_its_notice_to_its_deployment(
    catalog: Catalog, put_image: PutImage
) -> None:
    with catalog.write() as c:
        fill(c, put_image)
        scan(c, -5, pod("o", "good", workload="Deployment/other"))
        scan(c, -4, *pods("bad", 2))
        scan(c, 6, *pods("bad", 1), *pods("good", 1))
        scan(c, 8, *pods("good", 2))
        announce(c)
        found = ask(c)
        assert found.total.patched == 1, "one fault in one container of one workload"
        assert found.total.deployed_median == found.total.deployed_p90 == 6 * HOUR
        assert found.total.rebuilt_median == 3 * HOUR, "the good image was built at five"
        assert (found.total.waiting, found.unknown) == (0, ())
        assert [one.severity for one in found.by_severity] == [None]
        assert [one.team for one in found.by_team] == ["shop"]


def test_what_still_runs_it_waits(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        fill(c, put_image)
        scan(c, 0, pod("a", "bad"), pod("b", "bad", workload="Deployment/b", team=""))
        announce(c)
        found = ask(c)
        assert (found.total.patched, found.total.waiting) == (0, 2)
        assert found.total.deployed_median is None
        assert found.total.waiting_median == 18 * HOUR
        assert found.total.oldest == FIX_OUT
        assert [one.workload for one in found.waiting] == ["Deployment/app", "Deployment/b"]
        assert {one.faults for one in found.waiting} == {1}
        assert ask(c, team="shop").total.waiting == 1
        assert ask(c, cluster="north").total.waiting == 2
        with pytest.raises(NotFound):
            ask(c, cluster="nowhere")


def test_what_ran_before_anybody_looked_is_not_counted(
    catalog: Catalog, put_image: PutImage
) -> None:
    with catalog.write() as c:
        fill(c, put_image)
        scan(c, 4, pod("a", "bad"))
        scan(c, 6, pod("b", "good"))
        announce(c)
        found = ask(c)
        assert found.total.patched == 0
        assert reasons(found) == {patching.BEFORE_US: 1}


def test_one_that_began_later_counts_from_its_beginning(
    catalog: Catalog, put_image: PutImage
) -> None:
    with catalog.write() as c:
        fill(c, put_image)
        scan(c, 1, pod("o", "good", workload="Deployment/other"))
        scan(c, 4, pod("a", "bad"))
        scan(c, 7, pod("b", "good"))
        announce(c)
        assert ask(c).total.deployed_median == 3 * HOUR


def test_why_a_time_is_not_known_is_told(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        fill(c, put_image)
        scan(
            c,
            0,
            pod("a", "bad", workload="Job/once"),
            pod("b", "bad", workload="Deployment/blind"),
            pod("c", "dark", workload="Deployment/dark"),
        )
        scan(c, 5, pod("b", "dark", workload="Deployment/blind"))
        announce(c)
        assert reasons(ask(c)) == {patching.NO_SUCCESSOR: 1, patching.NO_PACKAGES: 3}


def test_a_fix_without_a_date_is_not_counted(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        fill(c, put_image)
        scan(c, 0, pod("a", "bad"), pod("b", "bad", workload="Deployment/b"))
        scan(c, 5, pod("a", "good"), pod("b", "bad", workload="Deployment/b"))
        announce(c, None)
        found = ask(c)
        assert (found.total.patched, found.total.waiting) == (0, 0)
        assert reasons(found) == {patching.NO_MOMENT: 2}


def test_what_was_mended_before_the_notice_is_no_patch(
    catalog: Catalog, put_image: PutImage
) -> None:
    with catalog.write() as c:
        fill(c, put_image)
        scan(c, 0, pod("a", "bad"))
        scan(c, 1, pod("b", "good"))
        announce(c)
        found = ask(c)
        assert (found.total.patched, found.unknown) == (0, ())


def test_only_what_was_patched_since_then(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        fill(c, put_image)
        scan(c, 0, pod("o", "good", workload="Deployment/other"), pod("a", "bad"))
        scan(c, 6, pod("b", "good"))
        announce(c)
        assert ask(c, since=hour(5)).total.patched == 1
        assert ask(c, since=hour(6) + timedelta(minutes=1)).total.patched == 0


def test_a_rollback_is_not_done_until_it_is(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        fill(c, put_image)
        for at, image in ((0, "bad"), (4, "good"), (6, "bad"), (10, "good")):
            scan(c, at, pod(f"{image}{at}", image))
        announce(c)
        found = ask(c)
        assert (found.total.patched, found.total.deployed_median) == (1, 8 * HOUR)


def test_quantiles_are_of_faults() -> None:
    assert patching.quantile([(1.0, 8), (5.0, 1), (9.0, 1)], 0.5) == 1.0
    assert patching.quantile([(9.0, 1), (5.0, 1), (1.0, 8)], 0.9) == 5.0
    assert patching.quantile([], 0.5) is None
