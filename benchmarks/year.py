"""A year of hourly scans of 10,000 containers: the room it takes, and what ran at any moment of it.

Every hour one workload in a hundred of the 2,000 is rolled out: its five pods are others and run another version. Once a
day the past is summed up, as the scheduler does. Beside it the plainest thing that remembers as much: a
row for each container of each scan, measured over a week.
"""

from __future__ import annotations

import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.questions import measure_with_processor
from imagecatalog.config import Settings
from imagecatalog.domain.runs import RunningContainer
from imagecatalog.jobs.history import sum_up_past
from imagecatalog.planning.moments import running
from imagecatalog.store.engine import Catalog, initialise
from imagecatalog.store.runs import RunFilter, list_alive, record_scan

WORKLOADS, REPLICAS, ROLLED_OUT = 2000, 5, 20
HOURS, WEEK = 8760, 168
BEGAN = datetime(2025, 11, 1, tzinfo=UTC)


def roll_on(hours: int) -> Iterator[list[RunningContainer]]:
    """What runs in each hour."""
    dice = random.Random(8760)
    versions = [1] * WORKLOADS
    pods = [_start(number, 1) for number in range(WORKLOADS)]
    for _ in range(hours):
        for number in dice.sample(range(WORKLOADS), ROLLED_OUT):
            versions[number] += 1
            pods[number] = _start(number, versions[number])
        yield [container for some in pods for container in some]


def _start(number: int, version: int) -> list[RunningContainer]:
    return [
        RunningContainer(
            namespace=f"team-{number % 80:02}",
            workload=f"Deployment/service-{number:04}",
            pod_name=f"service-{number:04}-{version * 7919 % 0xFFFFFFFF:08x}-{place:05x}",
            container="main",
            kind="container",
            image=f"registry.example.org/team-{number % 80:02}/service-{number:04}:1.{version}",
            image_id="",
        )
        for place in range(REPLICAS)
    ]


def remember_plainly(path: Path) -> float:
    """Bytes that a year would take as a row for each container of each scan."""
    with sqlite3.connect(path) as plain:
        plain.execute("CREATE TABLE seen (at, namespace, workload, pod, container, image)")
        for hour, containers in enumerate(roll_on(WEEK)):
            plain.executemany(
                "INSERT INTO seen VALUES (?, ?, ?, ?, ?, ?)",
                (
                    (hour, one.namespace, one.workload, one.pod_name, one.container, one.image)
                    for one in containers
                ),
            )
    plain.close()
    return path.stat().st_size * HOURS / WEEK


def run(hours: int = HOURS) -> None:
    """Record the year, and ask; fewer hours are a part of it."""
    print(f"\n{hours:,} hourly scans of {WORKLOADS * REPLICAS:,} containers")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "catalog.sqlite")
        initialise(str(path))
        catalog = Catalog.open(str(path))
        taken = _record(catalog, hours)
        now = BEGAN + timedelta(hours=hours)
        print(f"  a scan: processor, median {statistics.median(taken) * 1000:.0f} ms")
        dice = random.Random(3)

        def choose() -> datetime:
            return BEGAN + (now - BEGAN) * dice.random()

        def ask_page(_: int) -> object:
            with catalog.read() as c:
                return running(c, now=now, at=choose(), limit=50)

        def ask_images(_: int) -> object:
            with catalog.read() as c:
                return list_alive(c, RunFilter(at=choose()))

        for name, ask in (("--at, first 50", ask_page), ("every image that ran", ask_images)):
            median, high, processor = measure_with_processor(ask)
            print(f"  {name:22} p50 {median:6.1f} ms   p95 {high:6.1f} ms   cpu {processor:.1f} ms")
        catalog.close()
        room = path.stat().st_size
        plain = remember_plainly(Path(folder, "plain.sqlite")) * hours / HOURS
        print(
            f"  room {room / 1e6:,.0f} MB   a row a container and scan {plain / 1e6:,.0f} MB"
            f"   ratio {room / plain:.4f}"
        )


def _record(catalog: Catalog, hours: int) -> list[float]:
    """Seconds of processor time that each scan took."""
    taken = []
    for hour, containers in enumerate(roll_on(hours)):
        at = BEGAN + timedelta(hours=hour)
        began = time.process_time()
        with catalog.write() as c:
            record_scan(c, "prod", containers, at=at, now=at)
        taken.append(time.process_time() - began)
        if hour % 24 == 23:
            sum_up_past(catalog, Settings(), now=at)
    return taken
