"""Ingest, room, and the two questions, at several sizes of fleet."""

from __future__ import annotations

import gc
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.filling import NOW, fill_bare, ingest_fleet, run_some
from benchmarks.fleet import Fleet
from imagecatalog.planning.staleness import outdated, overview
from imagecatalog.store.engine import Catalog, initialise
from imagecatalog.store.holders import list_holders

_ROUNDS = 60


def measure(ask: Callable[[int], object], rounds: int = _ROUNDS) -> tuple[float, float]:
    """Median and 95th percentile of the call, in milliseconds; the first call is not counted."""
    ask(0)
    # A server does not hold the fleet in its memory: its garbage collector need not walk it.
    gc.collect()
    gc.freeze()
    taken = []
    for number in range(rounds):
        began = time.perf_counter()
        ask(number)
        taken.append((time.perf_counter() - began) * 1000)
    taken.sort()
    return statistics.median(taken), taken[int(len(taken) * 0.95)]


def measure_with_processor(
    ask: Callable[[int], object], rounds: int = _ROUNDS
) -> tuple[float, float, float]:
    """The same, and the mean of this process's processor time, likewise in milliseconds."""
    before = time.process_time()
    median, high = measure(ask, rounds)
    return median, high, (time.process_time() - before) / (rounds + 1) * 1000


def ask_all(catalog: Catalog, fleet: Fleet) -> dict[str, tuple[float, float]]:
    """The questions over one open catalog, as a page asks them: fifty rows."""
    wanted = fleet.versioned()

    def ask_outdated(_: int) -> object:
        with catalog.read() as c:
            return outdated(c, now=NOW, limit=50)

    def ask_overview(_: int) -> object:
        with catalog.read() as c:
            return overview(c, now=NOW)

    def ask_holders(number: int) -> object:
        name, version = wanted[number % len(wanted)]
        with catalog.read() as c:
            return list_holders(c, name, below=version, limit=50)

    return {
        "outdated, first 50": measure(ask_outdated),
        "front page": measure(ask_overview),
        "who holds P below V, first 50": measure(ask_holders),
    }


def run(sizes: list[int]) -> None:
    """Print each figure for each size, and how it grew."""
    before: dict[str, float] = {}
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            fleet = Fleet(size)
            edges = sum(len(image.contents.packages or ()) for image in fleet.images())
            bare = fill_bare(Path(folder, "bare.sqlite"), fleet)
            path = Path(folder, "catalog.sqlite")
            initialise(str(path))
            catalog = Catalog.open(str(path))
            ours = ingest_fleet(catalog, fleet)
            run_some(catalog, fleet, 500, replicas=10)
            print(f"\n{size:,} image versions, {edges / size:.0f} packages each")
            print(
                f"  ingest an image      {ours / size * 1e3:8.2f} ms"
                f"   bare insert of its edges {bare / size * 1e3:.2f} ms   ratio {ours / bare:.2f}"
            )
            for name, (median, high) in ask_all(catalog, fleet).items():
                grown = f"   grew {high / before[name]:.2f}×" if name in before else ""
                before[name] = high
                print(f"  {name:30} p50 {median:7.2f} ms   p95 {high:7.2f} ms{grown}")
            catalog.close()
            room = path.stat().st_size / size
            plain = Path(folder, "bare.sqlite").stat().st_size / size
            print(
                f"  room an image version {room:6.0f} B   bare edges alone {plain:.0f} B"
                f"   ratio {room / plain:.2f}"
            )
