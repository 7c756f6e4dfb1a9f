"""Charts of times: places within the width, ticks where people expect them, rows that do not overlap."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagecatalog.domain.pasts import (
    ExposedSpan,
    ExposedStep,
    ReplicaStep,
    WorkloadPast,
    WorkloadStay,
)
from imagecatalog.web.ui.charts import HEIGHT, MOST_TICKS, draw_exposure, draw_past

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def stay(since: float, until: float | None, image: str = "r.example.org/app:1") -> WorkloadStay:
    """From so many hours ago until so many hours ago."""
    return WorkloadStay(
        container="main",
        kind="container",
        image=image,
        digest=None,
        known=False,
        matched_by=None,
        status="unknown",
        reason=None,
        since=NOW - timedelta(hours=since),
        until=None if until is None else NOW - timedelta(hours=until),
        seen=NOW,
        most=1,
        steps=(ReplicaStep(at=NOW - timedelta(hours=since), replicas=1),),
    )


def past(*stays: WorkloadStay) -> WorkloadPast:
    return WorkloadPast(
        cluster="north",
        namespace="web",
        workload="Deployment/app",
        team="",
        first_scan=None,
        last_scan=None,
        gaps=(),
        stays=stays,
    )


def span(since: float, until: float | None) -> ExposedSpan:
    return ExposedSpan(
        cluster="north",
        namespace="web",
        workload="Deployment/app",
        team="",
        since=NOW - timedelta(hours=since),
        until=None if until is None else NOW - timedelta(hours=until),
        still=until is None,
        containers=2,
        images=("r.example.org/app:1",),
        packages=("openssl 1",),
        waited=None,
    )


@given(st.lists(st.tuples(st.floats(0, 20_000), st.floats(0, 1)), min_size=1, max_size=20))
def test_no_bar_leaves_the_chart_or_covers_another(times: list[tuple[float, float]]) -> None:
    chart = draw_past(past(*(stay(since, since * share) for since, share in times)), now=NOW)
    assert chart is not None
    assert sum(len(lane.bars) for lane in chart.lanes) == len(times)
    for lane in chart.lanes:
        for bar in lane.bars:
            assert bar.x >= 0
            assert bar.x + bar.width <= 100.01
        for one, two in pairwise(lane.bars):
            assert one.x + one.width <= two.x + 0.02
    assert len(chart.ticks) <= MOST_TICKS + 1


def test_nothing_is_no_chart() -> None:
    assert draw_past(past(), now=NOW) is None
    assert draw_exposure((), (), fix_since=None, now=NOW, most_lanes=9) is None


@pytest.mark.parametrize(
    ("hours", "label"),
    [(3, "11:00"), (24 * 5, "22 Nov"), (24 * 90, "2 Nov"), (24 * 700, "Dec 2025")],
)
def test_ticks_are_where_people_look_for_them(hours: float, label: str) -> None:
    chart = draw_past(past(stay(hours, None)), now=NOW)
    assert chart is not None
    assert label in [tick.label for tick in chart.ticks]


def test_a_fix_is_marked_and_the_area_steps() -> None:
    steps = [
        ExposedStep(at=NOW - timedelta(hours=hours), containers=n) for hours, n in ((10, 4), (5, 0))
    ]
    chart = draw_exposure(
        [span(10, 5)], steps, fix_since=NOW - timedelta(hours=8), now=NOW, most_lanes=9
    )
    assert chart is not None
    assert chart.most == 4
    assert chart.area.endswith(f"V{HEIGHT}H1000V{HEIGHT}Z")
    (mark,) = chart.marks
    assert 20 < mark.x < 25
    assert mark.label == "fix out 24 Nov"


def test_a_fix_long_before_is_at_the_edge() -> None:
    chart = draw_exposure(
        [span(10, None)], (), fix_since=NOW - timedelta(days=900), now=NOW, most_lanes=9
    )
    assert chart is not None
    assert (chart.marks[0].x, chart.marks[0].anchor) == (0, "start")
    assert chart.marks[0].label.endswith("◂")
