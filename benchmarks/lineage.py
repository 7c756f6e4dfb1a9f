"""Ancestors and descendants in trees of images, beside a bare recursive query over the same edges."""

from __future__ import annotations

import random
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.filling import NOW, borrow, in_batches
from benchmarks.questions import measure, measure_with_processor
from imagecatalog.catalog.lineage import ancestry, find_children
from imagecatalog.catalog.weighing import weigh_all
from imagecatalog.planning.ancestry import lineage
from imagecatalog.store import lookups
from imagecatalog.store.engine import Catalog, Connection

_LISTED = 500
"""Descendants, as the page lists them."""
_BARE_UP = (
    "WITH RECURSIVE up(n) AS (VALUES(?) UNION SELECT parent FROM edge JOIN up ON child = n)"
    " SELECT n FROM up"
)
_BARE_DOWN = (
    "WITH RECURSIVE down(n) AS (VALUES(?) UNION SELECT child FROM edge JOIN down ON parent = n)"
    f" SELECT n FROM down LIMIT {_LISTED}"
)


def fill_bare(path: Path, catalog: Catalog, size: int) -> sqlite3.Connection:
    """The edges alone, weighed anew: child and parent, with an index each way."""
    db = sqlite3.connect(path)
    db.executescript(
        "CREATE TABLE edge (child INTEGER PRIMARY KEY, parent INTEGER);"
        "CREATE INDEX back ON edge (parent);"
    )
    with catalog.read() as c, db:
        for numbers in in_batches(range(1, size + 1), 10_000):
            db.executemany(
                "INSERT INTO edge VALUES (?, ?)",
                [
                    (child, one.edges[0].parent)
                    for child, one in weigh_all(c, numbers).items()
                    if one.edges
                ],
            )
    return db


def _descend(c: Connection, number: int) -> int:
    """As many descendants as a page lists."""
    seen, level = {number}, {number}
    while level and len(seen) <= _LISTED:
        found = find_children(c, level, _LISTED)
        level = {edge.child for many in found.edges.values() for edge in many} - seen
        seen |= level
    return len(seen)


def run(sizes: list[int]) -> None:
    """Print each figure for each size, beside the bare query."""
    for size in sizes:
        with borrow(size) as (catalog, fleet), tempfile.TemporaryDirectory() as folder:
            began = time.process_time()
            bare = fill_bare(Path(folder, "bare.sqlite"), catalog, size)
            linked = time.process_time() - began
            print(f"\n{size:,} images, all weighed in {linked:.1f} s of processor time")
            chance = random.Random(2)
            anyone = [chance.randrange(1, size + 1) for _ in range(200)]
            with catalog.read() as c:
                digests = [fleet.image(position).digest for position in fleet.built_on()]
                parents = [number for number, _ in lookups.find_by_digest(c, digests).values()]
            chance.shuffle(parents)
            _compare(catalog, bare, "ancestors", ancestry_of(anyone), (_BARE_UP, anyone))
            name = f"descendants, {_LISTED}"
            _compare(catalog, bare, name, descendants_of(parents), (_BARE_DOWN, parents))
            name = "a lineage with names and verdicts"
            _compare(catalog, bare, name, lineage_of(anyone), (_BARE_UP, anyone))
            bare.close()


Question = Callable[[Connection, int], object]


def ancestry_of(numbers: list[int]) -> Question:
    """Everything above one of them."""
    return lambda c, at: ancestry(c, [numbers[at % len(numbers)]])


def descendants_of(numbers: list[int]) -> Question:
    """What is below one of them."""
    return lambda c, at: _descend(c, numbers[at % len(numbers)])


def lineage_of(numbers: list[int]) -> Question:
    """The whole answer about one of them."""

    def ask(c: Connection, at: int) -> object:
        number = numbers[at % len(numbers)]
        return lineage(c, str(lookups.list_images(c, [number])[number].digest), now=NOW)

    return ask


def _compare(
    catalog: Catalog,
    bare: sqlite3.Connection,
    name: str,
    ask: Question,
    peer: tuple[str, list[int]],
) -> None:
    def ours(at: int) -> object:
        with catalog.read() as c:
            return ask(c, at)

    query, numbers = peer
    median, high, processor = measure_with_processor(ours, 200)
    least, _ = measure(
        lambda at: bare.execute(query, (numbers[at % len(numbers)],)).fetchall(), 200
    )
    print(
        f"  {name:34} p50 {median:7.2f} ms   p95 {high:7.2f} ms   processor {processor:6.2f} ms"
        f"   bare p50 {least:6.3f} ms   ratio {median / least:.0f}"
    )
