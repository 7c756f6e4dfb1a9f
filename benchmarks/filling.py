"""Fills a catalog with a fleet, as a sync does or faster, and has some of it run."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace

from benchmarks import mass
from benchmarks.fleet import START, WEEKS, Fleet, FleetImage
from imagecatalog.catalog import ingest, lineage, timeline
from imagecatalog.domain.apt import ReleaseFacts
from imagecatalog.domain.packages import Package
from imagecatalog.domain.runs import RunningContainer
from imagecatalog.jobs.lineage import settle_lineage
from imagecatalog.matching import succession, updates
from imagecatalog.store import apt, counts, migrations, schema
from imagecatalog.store.engine import Catalog, Connection, initialise
from imagecatalog.store.shelf import Shelf

T = TypeVar("T")
BATCH = 500
"""Images in one transaction, ours and the bare insert's."""
RUNNING = 3000
"""Distinct images that run; a fleet's past grows, what runs of it does not."""
KINDS = 60
"""Different lists of packages of services in one week: some ten thousand in all weeks."""
_MASS = 100_000
"""Images in one transaction of the fast way."""
_CACHED = 512 * 1024
"""Kibibytes of SQLite's cache meanwhile: half the digests' indices of a million images."""
_CACHE = (
    Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "imagecatalog-benchmarks"
)
NOW = START + timedelta(weeks=WEEKS)


def in_batches(items: Iterable[T], size: int = BATCH) -> Iterator[list[T]]:
    """The items in lists of at most ``size``."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def fill(catalog: Catalog, images: int, *, running: int = RUNNING, seed: int = 1) -> Fleet:
    """Fill an empty catalog with a fleet, have some of it run, and judge it: fast, for any size.

    Of the images of one week with the same packages the first is written as a sync writes it, and
    the others as rows like its own: of the whole a minute for each million.
    """
    fleet = Fleet(images, seed=seed, kinds=KINDS)
    shelf = Shelf()
    mass.name_repositories(catalog, fleet)
    for weeks in in_batches(fleet.weeks(), max(1, _MASS // len(fleet.lines))):
        with catalog.write() as c:
            if catalog.embedded:
                c.exec_driver_sql(f"PRAGMA cache_size = -{_CACHED}")
            for positions in weeks:
                shelf.make_room()
                numbers = _write_week(c, shelf, fleet, positions)
                mass.point(c, fleet, numbers, now=NOW)
    run_some(catalog, fleet, running)
    return fleet


def _write_week(c: Connection, shelf: Shelf, fleet: Fleet, positions: range) -> dict[int, int]:
    first: dict[int, int] = {}
    for position in positions:
        first.setdefault(fleet.line(position).kind, position)
    chosen = set(first.values())
    for position in first.values():
        chosen.update(fleet.above(position))
    written: dict[int, int] = {}
    for batch in in_batches(sorted(chosen)):
        images = [fleet.image(position) for position in batch]
        written.update(zip(batch, _ingest(c, shelf, images), strict=True))
    lineage.settle(c, len(written) * 10)
    like = {kind: written[position] for kind, position in first.items()}
    return mass.write(c, fleet, positions, written=written, like=like)


@contextmanager
def borrow(
    images: int, *, running: int = RUNNING, seed: int = 1
) -> Iterator[tuple[Catalog, Fleet]]:
    """A filled catalog of one's own, on SQLite: a copy of one that is made once and kept."""
    kept = _CACHE / f"fleet-{images}-{running}-{seed}-{_fingerprint()}.sqlite"
    if not kept.exists():
        _CACHE.mkdir(parents=True, exist_ok=True)
        for old in _CACHE.glob(f"fleet-{images}-{running}-{seed}-*"):
            old.unlink()
        making = kept.with_suffix(".making")
        began = time.process_time()
        initialise(str(making))
        catalog = Catalog.open(str(making))
        fill(catalog, images, running=running, seed=seed)
        catalog.close()
        print(f"{images:,} images filled in {time.process_time() - began:.0f} s of processor time")
        making.rename(kept)
    with tempfile.TemporaryDirectory() as folder:
        own = shutil.copyfile(kept, Path(folder, "catalog.sqlite"))
        catalog = Catalog.open(str(own))
        try:
            yield catalog, Fleet(images, seed=seed, kinds=KINDS)
        finally:
            catalog.close()


def _fingerprint() -> str:
    """Of whatever decides what a kept catalog holds: this package, and the schema."""
    files = [*Path(__file__).parent.glob("f*.py"), Path(mass.__file__)]
    files += Path(schema.__file__).parent.glob("*.py")
    files += Path(migrations.__file__).parent.glob("versions/*.py")
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def ingest_fleet(catalog: Catalog, fleet: Fleet) -> float:
    """Write a fleet into an empty catalog as a sync does; the seconds that it took."""
    shelf = Shelf()
    seconds = 0.0
    tags: dict[str, dict[str, int]] = {}
    for batch in (batch for week in fleet.weeks() for batch in in_batches(week)):
        images = [fleet.image(position) for position in batch]
        began = time.perf_counter()
        with catalog.write() as c:
            for image, number in zip(images, _ingest(c, shelf, images), strict=True):
                tags.setdefault(image.repository, {})[image.tag] = number
        seconds += time.perf_counter() - began
    began = time.perf_counter()
    for names in in_batches(tags.items()):
        with catalog.write() as c:
            for name, targets in names:
                present = list(targets.values())
                ingest.record_repository(c, name, targets, present, [], now=NOW)
    settle_lineage(catalog)
    return seconds + time.perf_counter() - began


def _ingest(c: Connection, shelf: Shelf, images: Sequence[FleetImage]) -> list[int]:
    records = [
        ingest.ImageRecord(image.digest, image.manifest, image.config, image.contents)
        for image in images
    ]
    moment = images[0].config.created or NOW
    return ingest.record_images(c, shelf, records, configured={}, reader=1, now=moment)


def run_some(catalog: Catalog, fleet: Fleet, running: int = RUNNING, *, replicas: int = 1) -> None:
    """Have one cluster run images of all ages, and judge them as jobs do."""
    containers = [
        RunningContainer(
            f"team-{position % 40}",
            f"Deployment/app-{position}",
            f"app-{position}-{replica}",
            "main",
            "container",
            f"{image.repository}:{image.tag}",
            f"{image.repository}@{image.digest}",
        )
        for position, image in enumerate(fleet.pick(running, seed=2))
        for replica in range(replicas)
    ]
    with catalog.write() as c:
        timeline.observe(c, "north", containers, at=NOW)
        _offer(c, fleet)
        updates.judge(c)
        succession.judge(c)
        counts.keep_counts(c)


def _offer(c: Connection, fleet: Fleet) -> None:
    """Have the archives offer the last version of every package, and of each tenth a newer one.

    Half of them are security's.
    """
    newest = [
        replace(package, version=f"{package.version}+fix") if position % 10 == 0 else package
        for position, package in enumerate(sorted(fleet.newest()))
    ]
    for position, source in enumerate(fleet.setup.sources):
        number = apt.put_release(
            c, source.uri, source.suite, updates.trust_of(source, ()), tried=NOW
        )
        index = apt.put_index(c, f"fleet {position}", newest[position::2])
        apt.point_indices(c, number, [apt.IndexRow("main", "amd64", index, None, None)])
        label = "Debian-Security" if position else "Debian"
        facts = ReleaseFacts(label=label, codename=source.suite)
        apt.save_release(c, number, good=NOW, problem=None, facts=facts, state="{}")


def fill_bare(path: Path, fleet: Fleet) -> float:
    """Seconds of a bare executemany of the same (image, package version) edges, with a reverse index."""
    db = sqlite3.connect(path)
    db.executescript(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
        "CREATE TABLE edge (image INTEGER, package INTEGER, PRIMARY KEY (image, package))"
        " WITHOUT ROWID; CREATE INDEX back ON edge (package, image);"
    )
    numbers: dict[Package, int] = {}
    seconds = 0.0
    for start, batch in enumerate(in_batches(fleet.images())):
        edges = [
            (start * BATCH + position, numbers.setdefault(package, len(numbers)))
            for position, image in enumerate(batch)
            for package in image.contents.packages or ()
        ]
        began = time.perf_counter()
        with db:
            db.executemany("INSERT INTO edge VALUES (?, ?)", edges)
        seconds += time.perf_counter() - began
    db.close()
    return seconds


def edges_of(images: Iterable[FleetImage]) -> int:
    """How many (image, package version) there are."""
    return sum(len(image.contents.packages or ()) for image in images)
