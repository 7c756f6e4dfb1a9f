"""Seven years of a foundation's deployments, taken as scans: what ran at any moment is told right."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path

import msgspec
import pytest
from msgspec import Struct
from sqlalchemy import func, select

from imagecatalog.config import HistorySettings, Settings
from imagecatalog.domain.runs import RunningContainer
from imagecatalog.jobs.history import sum_up_past
from imagecatalog.planning.workload_past import WorkloadName, workload_past
from imagecatalog.store.engine import Catalog
from imagecatalog.store.runs import RunFilter, list_runs, record_scan
from imagecatalog.store.schema import cluster, run, run_image, workload
from imagecatalog.store.workload_runs import list_named

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

pytestmark = pytest.mark.real

EVENTS = sorted((Path(__file__).parents[3] / "shared" / "data" / "wikimedia").glob("deploy-ev*"))
__test__ = bool(EVENTS)
NOW = datetime(2026, 9, 1, tzinfo=UTC)
SHUFFLED = "staging"
FEW = {"staging", "eqiad", "codfw"}
"""Of PostgreSQL fewer clusters are asked."""

Slot = tuple[str, str, str, str]
"""Cluster, namespace, workload and container."""
State = dict[Slot, str]


class Event(Struct):
    """A service was deployed with an image of another version, or is there no longer."""

    date: datetime
    group: str
    service: str
    env: str
    key: str
    image: str | None = None
    version: str | None = None
    removed: bool = False

    @property
    def slot(self) -> Slot:
        return self.env, self.group, f"Deployment/{self.service}", self.key

    @property
    def name(self) -> str:
        return f"registry.example.org/{self.image or 'unnamed'}:{self.version}"


class Scan(Struct):
    """All that ran in a cluster at a moment."""

    cluster: str
    at: datetime
    state: State


def read_events() -> Iterator[Event]:
    decoder = msgspec.json.Decoder(Event)
    with zstd.open(EVENTS[0], "rt") as lines:
        yield from map(decoder.decode, lines)


def apply(state: State, event: Event) -> None:
    if event.removed:
        state.pop(event.slot, None)
    else:
        state[event.slot] = event.name


def list_scans(events: Iterable[Event]) -> list[Scan]:
    """One for each moment at which something changed in a cluster, in the order of time."""
    states: dict[str, State] = {}
    scans: dict[tuple[str, datetime], Scan] = {}
    for event in events:
        state = states.setdefault(event.env, {})
        apply(state, event)
        scans[event.env, event.date] = Scan(event.env, event.date, dict(state))
    return list(scans.values())


def replay(events: Sequence[Event], moments: Iterable[datetime]) -> dict[datetime, State]:
    """What ran at each moment, by going through all that happened before."""
    found: dict[datetime, State] = {}
    state: State = {}
    done = 0
    for moment in sorted(moments):
        while done < len(events) and events[done].date <= moment:
            apply(state, events[done])
            done += 1
        found[moment] = dict(state)
    return found


def record(catalog: Catalog, scans: Iterable[Scan]) -> None:
    with catalog.write() as c:
        for scan in scans:
            containers = [
                RunningContainer(
                    namespace=namespace,
                    workload=workload,
                    pod_name=f"{workload.removeprefix('Deployment/')}-0",
                    container=container,
                    kind="container",
                    image=image,
                    image_id="",
                )
                for (_, namespace, workload, container), image in scan.state.items()
            ]
            record_scan(c, scan.cluster, containers, at=scan.at, now=NOW)


def ask(catalog: Catalog, moment: datetime) -> State:
    with catalog.read() as c:
        rows = list_runs(c, RunFilter(at=moment))
        images = list_named(c, {row.run_image_id for row in rows})
    found = {
        (row.cluster, row.namespace, row.workload, row.container): images[row.run_image_id].image
        for row in rows
    }
    assert len(found) == len(rows)
    return found


def moments_of(events: Sequence[Event], count: int) -> list[datetime]:
    """Some at which something happened, the others between the first and the last."""
    dice = random.Random(20260821)
    first, last = events[0].date, events[-1].date
    at_events = [dice.choice(events).date for _ in range(count // 4)]
    anywhere = [first + (last - first) * dice.random() for _ in range(count - len(at_events))]
    return [*at_events, *anywhere]


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return sorted(read_events(), key=attrgetter("date"))


def test_what_ran_is_told_right_at_any_moment(catalog: Catalog, events: list[Event]) -> None:
    if not catalog.embedded:
        events = [event for event in events if event.env in FEW]
    record(catalog, list_scans(events))
    expected = replay(events, [*moments_of(events, 1000 if catalog.embedded else 100), NOW])
    assert {moment: ask(catalog, moment) for moment in expected} == expected
    sum_up_past(catalog, Settings(history=HistorySettings(days=10_000, pod_days=1)), now=NOW)
    with catalog.read() as c:
        named, summed_up = (
            c.scalar(select(func.count()).where(run.c.until.is_not(None), wanted))
            for wanted in (run.c.pod_name != "", run.c.pod_name == "")
        )
    assert named * 20 < summed_up
    some = random.Random(3).sample(sorted(expected), 100)
    assert {moment: ask(catalog, moment) for moment in some} == {one: expected[one] for one in some}


def test_a_service_has_the_timeline_of_its_deployments(
    catalog: Catalog, events: list[Event]
) -> None:
    scans = [scan for scan in list_scans(events) if scan.cluster == SHUFFLED]
    record(catalog, scans)
    expected = list_stays(scans)
    workloads = sorted({slot[1:3] for slot, *_ in expected})
    assert len(workloads) > 40
    with catalog.read() as c:
        found = {
            ((SHUFFLED, *workload, stay.container), stay.image, stay.since, stay.until)
            for workload in workloads
            for stay in workload_past(c, WorkloadName(SHUFFLED, *workload), now=NOW).stays
        }
    assert found == expected


def test_scans_in_any_order_are_the_same_past(catalog: Catalog, events: list[Event]) -> None:
    scans = [scan for scan in list_scans(events) if scan.cluster == SHUFFLED]
    record(catalog, [Scan("in-order", one.at, one.state) for one in scans])
    random.Random(7).shuffle(scans)
    record(catalog, [*scans, *scans[:50]])
    there = list_intervals(catalog, SHUFFLED)
    assert len(there) > 500
    assert there == list_intervals(catalog, "in-order")


def list_stays(scans: Sequence[Scan]) -> set[tuple[Slot, str, datetime, datetime | None]]:
    """From when to when each image ran in each slot, by the scans of a cluster in their order."""
    stays = set()
    since: dict[tuple[Slot, str], datetime] = {}
    for scan in scans:
        for ended in since.keys() - scan.state.items():
            stays.add((*ended, since.pop(ended), scan.at))
        for begun in scan.state.items() - since.keys():
            since[begun] = scan.at
    return stays | {(slot, image, at, None) for (slot, image), at in since.items()}


def list_intervals(catalog: Catalog, name: str) -> list[tuple[object, ...]]:
    query = (
        select(workload.c.namespace, workload.c.name, run.c.pod_name, run.c.container)
        .add_columns(run_image.c.image, run.c.since, run.c.seen, run.c.until, run.c.replicas)
        .join(workload, workload.c.id == run.c.workload_id)
        .join(cluster, cluster.c.id == run.c.cluster_id)
        .join(run_image, run_image.c.id == run.c.run_image_id)
        .where(cluster.c.name == name)
        .order_by(run.c.since, workload.c.namespace, workload.c.name, run.c.container)
        .order_by(run_image.c.image)
    )
    with catalog.read() as c:
        return [tuple(row) for row in c.execute(query)]
