"""Times as charts that the page draws without a script: lanes with bars, a stepped area, an axis.

All places are percentages of the width, so that a chart is as wide as its page; times are in UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from imagecatalog.domain.answers import Status
from imagecatalog.domain.pasts import ExposedSpan, ExposedStep, Gap, WorkloadPast

MOST_TICKS = 5
HEIGHT = 64
"""Of the area in its own units; its width is 1,000."""
_LABEL = 16
"""Of it, above what is drawn: there a mark is named."""
_STEPS = (
    timedelta(minutes=15),
    timedelta(hours=1),
    timedelta(hours=3),
    timedelta(hours=6),
    timedelta(hours=12),
    timedelta(days=1),
    timedelta(days=2),
    timedelta(days=7),
    timedelta(days=14),
    timedelta(days=28),
    timedelta(days=56),
    timedelta(days=91),
    timedelta(days=182),
    timedelta(days=364),
    timedelta(days=728),
)
_MONDAY = datetime(2001, 1, 1, tzinfo=UTC)
"""What ticks are counted from, so that weeks begin on their first day."""
_LEAST = 0.35
"""Percent that even the shortest bar is wide."""


@dataclass(frozen=True)
class Tick:
    """A moment at the axis."""

    x: float
    label: str
    anchor: str


@dataclass(frozen=True)
class Bar:
    """A time in a lane. ``kind`` is the class by which it is drawn."""

    x: float
    width: float
    kind: str
    label: str
    title: str
    is_open: bool = False
    """Whether it goes on beyond the chart's end."""
    digest: str | None = None
    status: Status | None = None


@dataclass(frozen=True)
class Lane:
    """A row of bars that do not overlap."""

    name: str
    facts: str
    bars: tuple[Bar, ...]
    link: str = ""


@dataclass(frozen=True)
class Mark:
    """A moment that matters, drawn through all lanes."""

    x: float
    label: str
    anchor: str


@dataclass(frozen=True)
class Chart:
    """A time to draw, from the left to the right."""

    ticks: tuple[Tick, ...]
    lanes: tuple[Lane, ...]
    marks: tuple[Mark, ...] = ()
    gaps: tuple[tuple[float, float], ...] = ()
    """Place and width of the times of which nothing is known."""
    area: str = ""
    """A path within 1,000 by ``HEIGHT``."""
    most: int = 0
    """What the area's height stands for."""


@dataclass(frozen=True)
class _Scale:
    begin: datetime
    end: datetime

    def place(self, moment: datetime) -> float:
        """In percent, kept within the chart."""
        share = (moment - self.begin) / (self.end - self.begin)
        return round(100 * min(max(share, 0.0), 1.0), 2)

    def stretch(self, since: datetime, until: datetime | None) -> tuple[float, float]:
        x = self.place(since)
        width = max(self.place(until or self.end) - x, _LEAST)
        return min(x, 100 - _LEAST), round(width, 2)


def draw_past(past: WorkloadPast, *, now: datetime) -> Chart | None:
    """The images of a workload, a lane for each of its containers; None for nothing to draw."""
    if not past.stays:
        return None
    scale = _make_scale(min(stay.since for stay in past.stays), now)
    names = dict.fromkeys((stay.container, stay.kind) for stay in past.stays)
    lanes = []
    for name, kind in sorted(names):
        mine = [stay for stay in past.stays if (stay.container, stay.kind) == (name, kind)]
        rows: list[list[Bar]] = []
        for stay in sorted(mine, key=lambda one: one.since):
            x, width = scale.stretch(stay.since, stay.until)
            bar = Bar(
                x=x,
                width=width,
                kind=stay.status,
                label=_tag(stay.image),
                title=f"{stay.image}, {_span(stay.since, stay.until)}, "
                f"{_count(stay.most, 'container')} at most",
                is_open=stay.until is None,
                digest=stay.digest if stay.known else None,
                status=stay.status,
            )
            _put(rows, bar)
        facts = "" if kind == "container" else kind
        lanes += [Lane(name, facts, tuple(row)) for row in rows]
    return Chart(_ticks(scale), tuple(lanes), gaps=_gaps(past.gaps, scale))


def draw_exposure(
    spans: Sequence[ExposedSpan],
    steps: Sequence[ExposedStep],
    *,
    fix_since: datetime | None,
    now: datetime,
    most_lanes: int,
) -> Chart | None:
    """Who ran a fault when, above it how many containers did; None where nobody ever did."""
    if not spans:
        return None
    begin = min(span.since for span in spans)
    if fix_since is not None and fix_since < begin and begin - fix_since < (now - begin):
        begin = fix_since
    scale = _make_scale(begin, now)
    lanes: dict[tuple[str, str, str], list[Bar]] = {}
    for span in spans:
        x, width = scale.stretch(span.since, span.until)
        key = (span.cluster, span.namespace, span.workload)
        bar = Bar(
            x=x,
            width=width,
            kind="still" if span.still else "over",
            label=_count(span.containers, "container"),
            title=f"{_span(span.since, span.until)}, {_count(span.containers, 'container')}"
            f" at most: {', '.join(span.packages[:3])}",
            is_open=span.still,
        )
        if key in lanes or len(lanes) < most_lanes:
            lanes.setdefault(key, []).append(bar)
    return Chart(
        _ticks(scale),
        tuple(
            Lane(
                workload.partition("/")[2] or workload,
                f"{cluster} · {namespace}",
                tuple(sorted(bars, key=lambda bar: bar.x)),
                link=f"{cluster}/{namespace}/{workload}",
            )
            for (cluster, namespace, workload), bars in lanes.items()
        ),
        marks=() if fix_since is None else (_mark(scale, fix_since, "fix out"),),
        area=_area(steps, scale),
        most=max((step.containers for step in steps), default=0),
    )


def _make_scale(begin: datetime, end: datetime) -> _Scale:
    # A chart of a moment would be a line.
    length = max(end - begin, timedelta(hours=1))
    return _Scale(end - length * 1.02, end)


def _ticks(scale: _Scale) -> tuple[Tick, ...]:
    length = scale.end - scale.begin
    step = next((one for one in _STEPS if length / one <= MOST_TICKS), length / MOST_TICKS)
    # Counted from a Monday, for days and weeks to begin when people say they do.
    first = _MONDAY + ((scale.begin - _MONDAY) // step + 1) * step
    found = []
    while first < scale.end:
        label = f"{first:%H:%M}" if step < timedelta(days=1) else f"{first.day} {first:%b}"
        if length > timedelta(days=330) and step >= timedelta(days=1):
            label = f"{first:%b %Y}"
        elif step < timedelta(days=1) and (first.hour, first.minute) == (0, 0):
            label = f"{first.day} {first:%b}"
        x = scale.place(first)
        found.append(Tick(x, label, _anchor(x)))
        first += step
    return tuple(found)


def _anchor(x: float) -> str:
    return "start" if x < 8 else "end" if x > 92 else "middle"


def _mark(scale: _Scale, moment: datetime, label: str) -> Mark:
    x = scale.place(moment)
    before = " ◂" if moment < scale.begin else ""
    return Mark(x, f"{label} {moment.day} {moment:%b}{before}", _anchor(x))


def _put(rows: list[list[Bar]], bar: Bar) -> None:
    """In the first row that has room: while pods are replaced, two images run side by side."""
    for row in rows:
        if row[-1].x + row[-1].width <= bar.x + 0.01:
            row.append(bar)
            return
    rows.append([bar])


def _gaps(gaps: Iterable[Gap], scale: _Scale) -> tuple[tuple[float, float], ...]:
    return tuple(
        scale.stretch(gap.since, gap.until)
        for gap in gaps
        if gap.until is None or gap.until > scale.begin
    )


def _area(steps: Sequence[ExposedStep], scale: _Scale) -> str:
    most = max((step.containers for step in steps), default=0)
    if not most:
        return ""
    points = [f"M{10 * scale.place(steps[0].at):g} {HEIGHT}"]
    for step in steps:
        height = round(HEIGHT - (HEIGHT - _LABEL) * step.containers / most, 1)
        points.append(f"H{10 * scale.place(step.at):g}V{height:g}")
    return "".join([*points, f"H1000V{HEIGHT}Z"])


def _tag(image: str) -> str:
    last = image.rpartition("/")[2]
    name, at, digest = last.partition("@")
    return digest[:19] if at else name.partition(":")[2] or name


def _span(since: datetime, until: datetime | None) -> str:
    end = f"until {until:%Y-%m-%d %H:%M}" if until else "still"
    return f"from {since:%Y-%m-%d %H:%M} {end}"


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"
