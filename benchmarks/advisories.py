"""Advisories over fleets of several sizes: from a feed's file to who is affected.

The tracker is made up, of the shape and size of Debian's own: its sources are those of the fleet,
and as many more that nobody holds. What is measured is the first load, a new advisory from its file
until ``affected`` answers, judging everything anew, and ``affected`` itself. A fault belongs to a
package version, so that none of these may grow with the number of images.
"""

from __future__ import annotations

import json
import random
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.filling import NOW, RUNNING, borrow, fill
from benchmarks.postgresql import serve_postgresql
from benchmarks.questions import measure_with_processor
from imagecatalog.config import Settings
from imagecatalog.domain.advisories import Exposure
from imagecatalog.jobs.advisories import refresh_tracker
from imagecatalog.jobs.matching import judge_findings
from imagecatalog.jobs.report import say_nothing
from imagecatalog.planning.exposure import affected
from imagecatalog.planning.running_faults import list_running_faults
from imagecatalog.store import findings
from imagecatalog.store.engine import Catalog, initialise

SOURCES, FAULTS = 3_500, 20
"""Source packages, and faults of each: Debian's tracker has some 3,500 and 60,000."""
RELEASES = ("bookworm", "trixie", "sid")
NEW = "DSA-9999-1"
_ROUNDS = 200
_LIMITS = {"first load": 60.0, "one new advisory": 1.0, "all judged anew": 60.0}
"""Seconds that each may take."""
_ANSWER, _LIST = 20.0, 100.0
"""Milliseconds that an answer of ``affected`` may take, and the first hundred of all that is wrong."""
_MOST_SERVED = 100_000
"""Images that are filled into PostgreSQL for one run, in which nothing of them is kept."""


def run(sizes: list[int]) -> None:
    """Print the figures of each size, one beside the other; then of those that PostgreSQL holds."""
    for size in sizes:
        with borrow(size) as (catalog, _), tempfile.TemporaryDirectory() as folder:
            _announce("SQLite", size)
            _measure_all(catalog, Path(folder))
    with serve_postgresql() as make:
        for size in (one for one in sizes if one <= _MOST_SERVED):
            url = make(f"fleet_{size}")
            initialise(url)
            catalog = Catalog.open(url)
            fill(catalog, size)
            with catalog.write() as c:
                c.exec_driver_sql("ANALYZE")  # as its autovacuum does soon after
            with tempfile.TemporaryDirectory() as folder:
                _announce("PostgreSQL, our own process", size)
                _measure_all(catalog, Path(folder))
            catalog.close()


def _announce(database: str, size: int) -> None:
    print(f"\nadvisories, {database}, {size:,} images, {RUNNING:,} of them running", flush=True)


def _measure_all(catalog: Catalog, folder: Path) -> None:
    faults = write_tracker(folder, list_sources(catalog))
    settings = Settings(feeds={"debian-tracker": f"{folder.as_uri()}/"})
    judge_findings(catalog, settings)  # what is enrolled once and for all is not a feed's cost

    def refresh() -> None:
        report = refresh_tracker(catalog, settings, now=lambda: NOW, progress=say_nothing)
        assert not report.failed, report.failed
        judge_findings(catalog, settings)

    _time("first load", refresh)
    print(f"  {'its memory, at most':<20} {_count_memory():8.0f} MB", flush=True)
    _add_notice(folder, next(iter(faults)))

    def learn() -> None:
        refresh()
        with catalog.read() as c:
            assert affected(c, NEW, now=NOW).packages

    _time("one new advisory", learn)
    with catalog.write() as c:
        findings.mark_all(c)
    _time("all judged anew", lambda: judge_findings(catalog, settings))
    held = sorted(faults.values())
    sizes = {name: len(_ask(catalog, name).images) for name in held}
    largest = sorted(held, key=sizes.__getitem__)[-_ROUNDS // 10 :]
    told = [f"CVE-2026-{10_001 + one}" for one in range(SOURCES * FAULTS)]
    dice = random.Random(1)
    mean = sum(sizes.values()) / len(sizes)
    _time_asking(catalog, "affected, a mix", dice.sample(told, _ROUNDS * 3 // 4) + held[:50])
    _time_asking(catalog, f"… {mean:,.0f} images", dice.sample(held, _ROUNDS))
    _time_asking(catalog, f"… {sizes[largest[0]]:,} and more", largest)

    def list_faults(_: int) -> object:
        with catalog.read() as c:
            return list_running_faults(c, now=NOW, limit=100)

    _tell_asking("what is wrong", *measure_with_processor(list_faults, 20), _LIST)
    print(f"  {'memory, at most':<20} {_count_memory():8.0f} MB", flush=True)


def _ask(catalog: Catalog, name: str) -> Exposure:
    with catalog.read() as c:
        return affected(c, name, now=NOW)


def _time_asking(catalog: Catalog, title: str, names: list[str]) -> None:
    measured = measure_with_processor(lambda n: _ask(catalog, names[n % len(names)]), _ROUNDS)
    _tell_asking(title, *measured, _ANSWER)


def _tell_asking(title: str, median: float, high: float, processor: float, limit: float) -> None:
    print(
        f"  {title:<20} {median:8.1f} ms median {high:8.1f} ms p95 {processor:8.1f} ms processor"
        f"  {high / limit:5.2f} of the limit",
        flush=True,
    )


def _count_memory() -> float:
    """Of this process so far, at most; in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _time(title: str, act: Callable[[], object]) -> None:
    began, before = time.perf_counter(), time.process_time()
    act()
    seconds, processor = time.perf_counter() - began, time.process_time() - before
    print(
        f"  {title:<20} {seconds:8.2f} s {processor:8.2f} s processor"
        f"  {seconds / _LIMITS[title]:5.2f} of the limit",
        flush=True,
    )


def list_sources(catalog: Catalog) -> dict[str, list[str]]:
    """The source packages of the fleet, each with its versions that images hold, as they came."""
    found: dict[str, list[str]] = {}
    with catalog.read() as c:
        rows = c.exec_driver_sql(
            "SELECT DISTINCT source, source_version FROM package_version WHERE type = 'deb'"
        )
        for source, version in rows:
            found.setdefault(source, []).append(version)
    return found


def write_tracker(folder: Path, sources: dict[str, list[str]]) -> dict[str, str]:
    """Write a tracker into a folder; a fault of each of the fleet's sources that some version has."""
    dice = random.Random(1)
    held: dict[str, str] = {}
    tracker: dict[str, object] = {}
    number = 10_000
    names = sorted(sources) + [f"elsewhere{one}" for one in range(SOURCES - len(sources))]
    for source in names:
        issues = {}
        for _ in range(FAULTS):
            number += 1
            # Real fixes are old, save a few: of twenty one is newer than some version in use.
            versions = sources.get(source, ["1.0-1"])
            fixed = f"{dice.choice(versions)}+fix1" if dice.random() < 1 / FAULTS else "0.0.1-1"
            if source in sources and fixed != "0.0.1-1":
                held.setdefault(source, f"CVE-2026-{number}")
            said = {"status": "resolved", "fixed_version": fixed, "urgency": "medium"}
            issues[f"CVE-2026-{number}"] = {
                "description": "a fault made up to be counted",
                "scope": "remote",
                "releases": dict.fromkeys(RELEASES, said),
            }
        tracker[source] = issues
    (folder / "json").write_text(json.dumps(tracker))
    for kind in ("DSA", "DLA"):
        (folder / kind).mkdir()
        (folder / kind / "list").write_text(
            "".join(
                f"[01 Jan 2026] {kind}-{one}-1 elsewhere{one} - security update\n"
                f"\t{{CVE-2026-{one}}}\n\t[bookworm] - elsewhere{one} 1.0-1\n"
                for one in range(1, 6000)
            )
        )
    return held


def _add_notice(folder: Path, source: str) -> None:
    path = folder / "DSA" / "list"
    record = f"[02 Jan 2026] {NEW} {source} - security update\n\t[bookworm] - {source} 999:1\n"
    path.write_text(record + path.read_text())
