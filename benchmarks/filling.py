"""Fills a catalog with a fleet through the very functions that a sync uses, and has some of it run."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import TypeVar

from benchmarks.fleet import START, WEEKS, Fleet, FleetImage
from imagecatalog.catalog import ingest, timeline
from imagecatalog.domain.apt import ReleaseFacts
from imagecatalog.domain.packages import Package
from imagecatalog.domain.runs import RunningContainer
from imagecatalog.matching import updates
from imagecatalog.store import apt
from imagecatalog.store.engine import Catalog, Connection, initialise
from imagecatalog.store.shelf import Shelf

T = TypeVar("T")
BATCH = 500
"""Images in one transaction, ours and the bare insert's."""
RUNNING = 500
"""Distinct images that run; a fleet's past grows, what runs of it does not."""
NOW = START + timedelta(weeks=WEEKS)


def in_batches(items: Iterable[T], size: int = BATCH) -> Iterator[list[T]]:
    """The items in lists of at most ``size``."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def fill(path: Path, fleet: Fleet) -> tuple[Catalog, float]:
    """A new catalog with the fleet in it, and the seconds that writing it took."""
    initialise(str(path))
    catalog = Catalog.open(str(path))
    shelf = Shelf()
    seconds = 0.0
    tags: dict[str, dict[str, int]] = {}
    for batch in in_batches(fleet.images()):
        began = time.perf_counter()
        with catalog.write() as c:
            records = [
                ingest.ImageRecord(image.digest, image.manifest, image.config, image.contents)
                for image in batch
            ]
            numbers = ingest.record_images(
                c, shelf, records, configured={}, reader=1, now=batch[0].config.created or NOW
            )
            for image, number in zip(batch, numbers, strict=True):
                tags.setdefault(image.repository, {})[image.tag] = number
        seconds += time.perf_counter() - began
    began = time.perf_counter()
    for names in in_batches(tags.items()):
        with catalog.write() as c:
            for name, targets in names:
                present = list(targets.values())
                ingest.record_repository(c, name, targets, present, [], now=NOW)
    return catalog, seconds + time.perf_counter() - began


def run_some(catalog: Catalog, fleet: Fleet) -> None:
    """Have one cluster run some images of all ages, ten containers each, and judge them."""
    chosen = random.Random(2).sample(list(fleet.images()), min(RUNNING, fleet.size))
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
        for position, image in enumerate(chosen)
        for replica in range(10)
    ]
    with catalog.write() as c:
        timeline.observe(c, "north", containers, at=NOW)
        _offer(c, fleet)
        updates.judge(c)


def _offer(c: Connection, fleet: Fleet) -> None:
    """Have the archives offer the last version of every package, and mark half of them security."""
    newest = sorted(fleet.newest())
    for position, source in enumerate(fleet.setup.sources):
        number = apt.put_release(
            c, source.uri, source.suite, updates.trust_of(source, ()), tried=NOW
        )
        index = apt.put_index(c, f"fleet {position}", newest[position::2])
        row = apt.IndexRow("main", "amd64", index, None, None)
        apt.point_indices(c, number, [row])
        facts = ReleaseFacts(
            label="Debian-Security" if position else "Debian", codename=source.suite
        )
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
