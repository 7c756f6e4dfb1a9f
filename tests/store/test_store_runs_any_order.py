"""Whatever is seen of clusters, in any order of arrival: the same runs as a replay of it gives."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Literal

import pytest
import sqlalchemy
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from msgspec import Struct
from sqlalchemy import select
from tests_store import NOON

from imagecatalog.domain.runs import RunningContainer
from imagecatalog.domain.sightings import NOTHING, Sighting
from imagecatalog.errors import ScanRefused
from imagecatalog.store import run_sums, runs
from imagecatalog.store.engine import Catalog, Connection
from imagecatalog.store.schema import cluster, run, run_image, scan, workload

Pod = tuple[str, str]
Pods = Mapping[Pod, frozenset[RunningContainer]]
Name = tuple[str, str, str, str, str, str]
"""Namespace, workload, pod, container, kind, image."""
Interval = tuple[datetime, datetime | None]

PODS: tuple[Pod, ...] = (("web", "a"), ("web", "b"), ("ops", "a"), ("ops", "c"))
STEP = timedelta(minutes=7)


class Seen(Struct, frozen=True):
    """A look at a cluster."""

    cluster: str
    at: datetime
    pods: Pods
    whole: bool


class Undo(Exception):
    """Ends an example."""


def _name(one: RunningContainer) -> Name:
    return (one.namespace, one.workload, one.pod_name, one.container, one.kind, one.image)


# --- what is seen ---------------------------------------------------------------------------------

STATES: tuple[Literal["running", "waiting"], ...] = ("running", "waiting")


@st.composite
def _pods(draw: st.DrawFn, *, some: bool) -> Pods:
    chosen = draw(st.lists(st.sampled_from(PODS), unique=True, min_size=int(some), max_size=4))
    found = {}
    for namespace, pod in chosen:
        containers = draw(
            st.frozensets(
                st.tuples(
                    st.sampled_from(["Deployment/x", "Deployment/y"]),
                    st.sampled_from(["main", "side"]),
                    st.sampled_from(["one", "two"]),
                    st.sampled_from(STATES),
                ),
                min_size=0 if some else 1,
                max_size=2,
            )
        )
        found[namespace, pod] = frozenset(
            RunningContainer(namespace, owner, pod, name, "container", image, "", state=state)
            for owner, name, image, state in containers
        )
    return found


@st.composite
def _look(draw: st.DrawFn) -> Seen:
    whole = draw(st.booleans())
    return Seen(
        cluster=draw(st.sampled_from(["north", "north", "south"])),
        at=NOON + draw(st.integers(0, 7)) * STEP,
        pods=draw(_pods(some=not whole)),
        whole=whole,
    )


LOOKS = st.lists(_look(), min_size=1, max_size=9)


# --- the replay -----------------------------------------------------------------------------------


def _digest(containers: Iterable[RunningContainer]) -> bytes:
    found = Sighting(containers)
    return found.digest() if len(found) else NOTHING


def _states(looks: Sequence[Seen]) -> dict[datetime, Pods]:
    """What ran at each moment that was looked at, taken one after another."""
    state: dict[Pod, frozenset[RunningContainer]] = {}
    states: dict[datetime, Pods] = {}
    for at in sorted({look.at for look in looks}):
        wholes = [look for look in looks if look.at == at and look.whole]
        if wholes:
            state = dict(max(wholes, key=lambda look: _digest(_all(look.pods))).pods)
        told: dict[Pod, frozenset[RunningContainer]] = {}
        for look in (look for look in looks if look.at == at and not look.whole):
            for pod, containers in look.pods.items():
                if pod not in told or _digest(containers) > _digest(told[pod]):
                    told[pod] = containers
        state = state | told
        states[at] = dict(state)
    return states


def _all(pods: Pods) -> list[RunningContainer]:
    return [one for some in pods.values() for one in some]


def _intervals(states: Mapping[datetime, Pods]) -> dict[Name, list[Interval]]:
    found: dict[Name, list[Interval]] = {}
    moments = sorted(states)
    for at, after in pairwise([*moments, None]):
        assert at is not None
        for name in {_name(one) for one in _all(states[at])}:
            mine = found.setdefault(name, [])
            if mine and mine[-1][1] == at:
                mine[-1] = (mine[-1][0], after)
            else:
                mine.append((at, after))
    return found


def _rows(looks: Sequence[Seen]) -> list[tuple[Any, ...]]:
    states = _states(looks)
    last = max(states)
    now: dict[Name, tuple[str, str]] = {}
    for one in _all(states[last]):
        now[_name(one)] = max(now.get(_name(one), ("", "")), (one.state, one.reason))
    return sorted(
        (
            *name,
            since,
            until or last,
            until is None,
            since if until is None else max(at for at in states if at < until),
            1,
            *(now[name] if until is None else ("", "")),
        )
        for name, intervals in _intervals(states).items()
        for since, until in intervals
    )


# --- what is kept ---------------------------------------------------------------------------------


def _kept(c: Connection, name: str) -> list[tuple[Any, ...]]:
    query = (
        select(run, run_image.c.image, workload.c.namespace, workload.c.name, cluster.c.last_scan)
        .join(run_image, run_image.c.id == run.c.run_image_id)
        .join(workload, workload.c.id == run.c.workload_id)
        .join(cluster, cluster.c.id == run.c.cluster_id)
        .where(cluster.c.name == name)
    )
    return sorted(
        (
            row.namespace,
            row.name,
            row.pod_name,
            row.container,
            row.kind,
            row.image,
            row.since,
            row.until or row.last_scan,
            row.until is None,
            row.seen,
            row.replicas,
            row.state,
            row.reason,
        )
        for row in c.execute(query)
    )


def _take(c: Connection, look: Seen, now: datetime | None = None) -> bool:
    try:
        if look.whole:
            runs.record_scan(c, look.cluster, _all(look.pods), at=look.at, now=now)
        else:
            pods = {pod: list(some) for pod, some in look.pods.items()}
            runs.record_pods(c, look.cluster, pods, at=look.at, now=now)
    except ScanRefused:
        return False
    return True


def _running_at(c: Connection, at: datetime, name: str) -> Counter[tuple[str, ...]]:
    rows = runs.list_runs(c, runs.RunFilter(cluster=name, at=at))
    images = dict(c.execute(select(run_image.c.id, run_image.c.image)).all())
    found: Counter[tuple[str, ...]] = Counter()
    for row in rows:
        image = images[row.run_image_id]
        found[row.namespace, row.workload, row.container, row.kind, image] += row.replicas
    alive = Counter[str]()
    for one in runs.list_alive(c, runs.RunFilter(cluster=name, at=at)):
        alive[one.image] += one.containers
    assert alive == _by_image(found)
    return found


def _by_image(found: Counter[tuple[str, ...]]) -> Counter[str]:
    counted = Counter[str]()
    for key, many in found.items():
        counted[key[-1]] += many
    return counted


def _ran_at(looks: Sequence[Seen], at: datetime) -> Counter[tuple[str, ...]]:
    states = _states(looks)
    before = [moment for moment in states if moment <= at]
    if not before:
        return Counter()
    names = {_name(one) for one in _all(states[max(before)])}
    return Counter((name[0], name[1], *name[3:]) for name in names)


# --- the tests ------------------------------------------------------------------------------------


def _by_cluster(looks: Sequence[Seen]) -> dict[str, list[Seen]]:
    found: dict[str, list[Seen]] = {}
    for look in looks:
        found.setdefault(look.cluster, []).append(look)
    return found


def _examples(catalog: Catalog, many: int) -> Any:
    return settings(
        max_examples=many if catalog.embedded else many // 4,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


def test_any_order_of_arrival_gives_what_a_replay_gives(catalog: Catalog) -> None:
    @_examples(catalog, 120)
    @given(looks=LOOKS, again=st.lists(st.integers(0, 8), max_size=3), luck=st.randoms())
    def check(looks: list[Seen], again: list[int], luck: random.Random) -> None:
        arriving = [*looks, *(looks[n] for n in again if n < len(looks))]
        luck.shuffle(arriving)
        try:
            with catalog.write() as c:
                taken = [look for look in arriving if _take(c, look)]
                for name, mine in _by_cluster(taken).items():
                    assert _kept(c, name) == _rows(mine)
                    moments = {look.at for look in mine}
                    assert c.scalar(
                        select(cluster.c.last_scan).where(cluster.c.name == name)
                    ) == max(moments)
                raise Undo
        except Undo:
            pass

    check()


def test_what_ran_at_a_moment_is_what_a_replay_says(catalog: Catalog) -> None:
    @_examples(catalog, 60)
    @given(looks=LOOKS, luck=st.randoms())
    def check(looks: list[Seen], luck: random.Random) -> None:
        try:
            with catalog.write() as c:
                taken = _by_cluster([look for look in looks if _take(c, look)])
                for _ in range(15):
                    at = NOON + timedelta(seconds=luck.randrange(-60, 4000))
                    for name, mine in taken.items():
                        assert _running_at(c, at, name) == _ran_at(mine, at)
                raise Undo
        except Undo:
            pass

    check()


def test_summing_up_changes_no_answer(catalog: Catalog) -> None:
    sums = st.integers(-1, 9).map(lambda n: NOON + n * STEP)

    @_examples(catalog, 100)
    @given(steps=st.lists(_look() | sums, min_size=2, max_size=14), luck=st.randoms())
    def check(steps: list[Seen | datetime], luck: random.Random) -> None:
        taken: list[Seen] = []
        try:
            with catalog.write() as c:
                for step in steps:
                    if isinstance(step, Seen):
                        if _take(c, step):
                            taken.append(step)
                        else:
                            event("refused")
                        continue
                    for number in run_sums.list_clusters(c):
                        while run_sums.sum_up(c, number, until=step):
                            pass
                for name, mine in _by_cluster(taken).items():
                    for _ in range(8):
                        at = NOON + timedelta(seconds=luck.randrange(-60, 4000))
                        assert _running_at(c, at, name) == _ran_at(mine, at)
                    _check_sums(c, name, mine)
                raise Undo
        except Undo:
            pass

    check()


def _check_sums(c: Connection, name: str, looks: Sequence[Seen]) -> None:
    """What ended by then has no pods, and each interval is as long as its number stays the same."""
    until = c.scalar(select(cluster.c.summed_up).where(cluster.c.name == name))
    rows = _kept(c, name)
    states = _states(looks)
    old = {
        (*interval, pod)
        for pod, intervals in _intervals(states).items()
        for interval in intervals
        if until is not None and interval[1] is not None and interval[1] <= until
    }
    kept = [row for row in rows if row[2]]
    assert sorted(row[:10] for row in kept) == sorted(
        row[:10] for row in _rows(looks) if (row[6], row[7], row[:6]) not in old or row[8]
    )
    groups = {(pod[0], pod[1], *pod[3:]) for *_, pod in old}
    sums: list[tuple[Any, ...]] = []
    for group in groups:
        mine = [one for one in old if (one[2][0], one[2][1], *one[2][3:]) == group]
        moments = sorted({moment for one in mine for moment in one[:2] if moment is not None})
        for since, after in pairwise(moments):
            many = sum(one[0] <= since and one[1] is not None and since < one[1] for one in mine)
            if sums and sums[-1][0] == group and sums[-1][2:] == (since, many):
                sums[-1] = (group, sums[-1][1], after, many)
            elif many:
                sums.append((group, since, after, many))
    found = [((r[0], r[1], *r[3:6]), r[6], r[7], r[10]) for r in rows if not r[2]]
    assert sorted(found) == sorted(sums)


def test_scans_of_the_time_to_come_are_undone_by_the_next(catalog: Catalog) -> None:
    """A clock that jumped ahead for a while, and was set right, leaves nothing behind."""

    @_examples(catalog, 60)
    @given(looks=LOOKS, jumped=LOOKS, then=LOOKS)
    def check(looks: list[Seen], jumped: list[Seen], then: list[Seen]) -> None:
        now, ahead = NOON + timedelta(days=1), timedelta(days=365)
        later = [Seen(one.cluster, one.at + ahead, one.pods, one.whole) for one in jumped]
        try:
            with catalog.write() as c:
                taken = [look for look in looks if _take(c, look, now)]
                for look in later:
                    _take(c, look, now + ahead)
                taken += [look for look in then if _take(c, look, now)]
                for name, mine in _by_cluster(taken).items():
                    if name not in {look.cluster for look in then}:
                        continue
                    states = {row[:10]: row[10] for row in _kept(c, name)}
                    assert states == {row[:10]: row[10] for row in _rows(mine)}
                raise Undo
        except Undo:
            pass

    check()


def test_a_scan_of_the_time_to_come_is_refused(catalog: Catalog) -> None:
    with catalog.write() as c:
        with pytest.raises(ScanRefused, match="yet to come"):
            runs.record_scan(c, "north", [], at=NOON + timedelta(minutes=6), now=NOON)
        runs.record_scan(c, "north", [], at=NOON + timedelta(minutes=5), now=NOON)
        # Nobody told what else there is: the others are not gone.
        with pytest.raises(ScanRefused, match="not known which pods"):
            runs.record_pods(c, "south", {("web", "a"): []}, at=NOON, now=NOON)


def test_a_scan_that_found_nothing_changed_writes_itself_alone(catalog: Catalog) -> None:
    containers = [
        RunningContainer("web", "Deployment/x", f"x-{n}", "main", "container", "one", "")
        for n in range(2000)
    ]
    with catalog.write() as c:
        runs.record_scan(c, "north", containers, at=NOON)
    written: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        written.append(statement)

    with catalog.write() as c:
        sqlalchemy.event.listen(c, "before_cursor_execute", note)
        containers.reverse()
        counts = runs.record_scan(c, "north", containers, at=NOON + STEP)
    assert counts == (2000, 0, 0)
    changes = [text for text in written if not text.startswith("SELECT")]
    assert [text.split()[:3] for text in changes] == [
        ["INSERT", "INTO", "scan"],
        ["UPDATE", "cluster", "SET"],
    ]
    assert len(written) < 10


def test_names_of_pods_and_what_ended_long_ago_are_dropped(catalog: Catalog) -> None:
    one = RunningContainer("web", "Pod/a", "a", "main", "container", "one", "")
    two = RunningContainer("web", "Pod/b", "b", "main", "container", "one", "")
    with catalog.write() as c:
        runs.record_scan(c, "north", [one, two], at=NOON)
        runs.record_scan(c, "north", [two], at=NOON + STEP)
        runs.record_scan(c, "north", [], at=NOON + 2 * STEP)
        runs.record_scan(c, "north", [one], at=NOON + 3 * STEP)
        (number,) = run_sums.list_clusters(c)
        assert not run_sums.drop_ended(c, number, until=NOON + STEP)
        assert [row[2] for row in _kept(c, "north")] == ["a", "b"]
        assert not run_sums.drop_ended(c, number, until=NOON + 2 * STEP)
        assert [row[2] for row in _kept(c, "north")] == ["a"]
        assert list(c.scalars(select(workload.c.name))) == ["Pod/a"]
        assert list(c.scalars(select(scan.c.at))) == [NOON + 3 * STEP]
