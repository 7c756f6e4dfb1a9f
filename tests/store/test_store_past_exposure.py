"""How long a fault was run: also by what runs no more, by whatever images, as far as is known."""

from __future__ import annotations

import pytest
from past_house import FAULT, FIX_OUT, NOTICE, announce, fill, hour, pod, pods, scan
from suppression_house import defer
from tests_store import PutImage

from imagecatalog.domain.pasts import PastExposure
from imagecatalog.errors import NotFound
from imagecatalog.planning.past_exposure import past_exposure
from imagecatalog.store.engine import Catalog, Connection

RANGE = "pkg:deb/debian/openssl@<2.0-1"


def ask(c: Connection, text: str = FAULT, **more: object) -> PastExposure:
    return past_exposure(c, text, now=hour(20), **more)  # type: ignore[arg-type]


def brief(found: PastExposure) -> list[tuple[str, str, object, object, bool, int]]:
    return [
        (one.cluster, one.workload, one.since, one.until, one.still, one.containers)
        for one in found.items
    ]


@pytest.mark.parametrize("text", [FAULT, NOTICE, RANGE])
def test_what_runs_no_more_counts_too(catalog: Catalog, put_image: PutImage, text: str) -> None:
    with catalog.write() as c:
        fill(c, put_image)
        scan(c, 0, *pods("bad", 2), pod("j", "bad", workload="Job/once"))
        scan(c, 1, *pods("bad", 3))
        scan(c, 6, *pods("bad", 1), *pods("good", 2))
        scan(c, 8, *pods("good", 3))
        scan(c, 4, pod("x", "bad"), cluster="south")
        announce(c)
        found = ask(c, text)
        assert brief(found) == [
            ("south", "Deployment/app", hour(4), None, True, 1),
            ("north", "Deployment/app", hour(0), hour(8), False, 3),
            ("north", "Job/once", hour(0), hour(1), False, 1),
        ]
        assert (found.containers, found.workloads) == (1, 1)
        assert found.first == hour(0)
        steps = [((one.at - hour(0)).seconds // 3600, one.containers) for one in found.steps]
        assert steps == [(0, 3), (4, 4), (6, 2), (8, 1)]
        assert found.items[0].packages == ("openssl 1.0-1",)
        assert found.items[0].team == "shop"


def test_the_fix_is_as_old_as_its_first_notice(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        fill(c, put_image)
        scan(c, 0, *pods("bad", 1), pod("j", "bad", workload="Job/once"))
        scan(c, 1, *pods("bad", 1))
        scan(c, 8, *pods("good", 1))
        announce(c)
        found = ask(c)
        assert (found.fix_since, found.fix_told_by) == (FIX_OUT, "notice")
        assert [one.waited for one in found.items] == [6 * 3600, 0.0], "the job ended before"


def test_without_a_date_nobody_knows_how_long_it_waited(
    catalog: Catalog, put_image: PutImage
) -> None:
    with catalog.write() as c:
        fill(c, put_image)
        scan(c, 0, *pods("bad", 1))
        announce(c, None)
        found = ask(c)
        assert (found.fix_since, found.fix_told_by) == (None, None)
        assert found.items[0].waited is None


def test_a_break_makes_two_spans_and_a_change_of_pods_none(
    catalog: Catalog, put_image: PutImage
) -> None:
    with catalog.write() as c:
        fill(c, put_image)
        scan(c, 0, pod("a", "bad"))
        scan(c, 1, pod("b", "bad"))
        scan(c, 2, pod("c", "good"))
        scan(c, 3, pod("d", "bad"))
        announce(c)
        assert [one[2:5] for one in brief(ask(c))] == [
            (hour(3), None, True),
            (hour(0), hour(2), False),
        ]


def test_what_is_not_known_is_counted(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        fill(c, put_image)
        scan(c, 0, pod("a", "dark"), pod("b", "never met"), pod("c", "good"))
        announce(c)
        found = ask(c)
        assert (found.items, found.steps, found.unknown) == ((), (), 2)
        with pytest.raises(NotFound):
            ask(c, "CVE-2026-404")


def test_places_and_limits_keep_what_they_say(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        fill(c, put_image)
        scan(c, 0, pod("a", "bad"), pod("b", "bad", workload="Deployment/b"))
        scan(c, 0, pod("a", "bad"), cluster="south")
        announce(c)
        assert {one.cluster for one in ask(c, cluster="south").items} == {"south"}
        assert ask(c, namespace="other").items == ()
        found = ask(c, limit=1)
        assert (len(found.items), found.more, found.workloads) == (1, 2, 3)


def test_what_is_put_off_is_run_all_the_same(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        fill(c, put_image)
        scan(c, 0, pod("a", "bad"))
        announce(c)
        defer(c, FAULT)
        assert len(ask(c).items) == 1
