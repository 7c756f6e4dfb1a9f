"""Ancestors and descendants in trees of images, beside a bare recursive query over the same edges."""

from __future__ import annotations

import random
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

from msgspec import Struct

from benchmarks.filling import NOW, in_batches
from benchmarks.fleet import START
from benchmarks.questions import measure, measure_with_processor
from imagecatalog.catalog.lineage import ancestry, edges_of, find_children
from imagecatalog.domain.images import Descriptor
from imagecatalog.domain.refs import Digest
from imagecatalog.planning.ancestry import lineage
from imagecatalog.store import images, lookups, repositories
from imagecatalog.store.engine import Catalog, Connection, initialise
from imagecatalog.store.images import ImageFacts
from imagecatalog.store.shelf import Shelf

_WEEKS = 50
_BASES, _RUNTIMES = 3, 30
_LAYERS = 2
"""That each generation adds."""
_LISTED = 500
"""Descendants, as the page lists them."""
_MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"
_BARE_UP = (
    "WITH RECURSIVE up(n) AS (VALUES(?) UNION SELECT parent FROM edge JOIN up ON child = n)"
    " SELECT n FROM up"
)
_BARE_DOWN = (
    "WITH RECURSIVE down(n) AS (VALUES(?) UNION SELECT child FROM edge JOIN down ON parent = n)"
    f" SELECT n FROM down LIMIT {_LISTED}"
)


class Growth(Struct, frozen=True):
    """An image of the forest, its parent before it."""

    name: str
    week: int
    layers: tuple[str, ...]


def grow(size: int) -> Iterator[Growth]:
    """So many images: bases, runtimes, services and their debugging images, anew each week."""
    chance = random.Random(1)
    repositories_wanted = max(-(-size // _WEEKS), _BASES + _RUNTIMES + 1)
    above: list[int | None] = []
    for number in range(repositories_wanted):
        if number < _BASES:
            above.append(None)
        elif number < _BASES + _RUNTIMES:
            above.append(chance.randrange(_BASES))
        elif number % 10 == 0 and number > _BASES + _RUNTIMES + 10:
            above.append(chance.randrange(_BASES + _RUNTIMES, number))
        else:
            above.append(chance.randrange(_BASES, _BASES + _RUNTIMES))
    count = 0
    for week in range(_WEEKS):
        stacks: list[tuple[str, ...]] = []
        for number, parent in enumerate(above):
            below = () if parent is None else stacks[parent]
            own = tuple(f"{number} {week} {part}" for part in range(_LAYERS))
            stacks.append(below + own)
            yield Growth(f"registry.example.org/image-{number:06}", week, stacks[-1])
            count += 1
            if count == size:
                return


def fill(path: Path, size: int) -> tuple[Catalog, float]:
    """A new catalog with the forest in it, and the seconds that writing it took."""
    initialise(str(path))
    catalog = Catalog.open(str(path))
    shelf = Shelf()
    held: dict[str, dict[str, int]] = {}
    began = time.perf_counter()
    for batch in in_batches(grow(size)):
        shelf.make_room()
        with catalog.write() as c:
            facts = [_facts(one) for one in batch]
            for one, number in zip(batch, images.put_images(c, shelf, facts, now=NOW), strict=True):
                held.setdefault(one.name, {})[f"{one.week:02}"] = number
    for names in in_batches(held.items()):
        with catalog.write() as c:
            for name, tags in names:
                home = repositories.put_repository(c, name)
                repositories.mark_present(c, home, list(tags.values()))
                repositories.point_tags(c, home, tags, now=NOW)
    return catalog, time.perf_counter() - began


def _facts(one: Growth) -> ImageFacts:
    return ImageFacts(
        digest=Digest.of(f"{one.name} {one.week}".encode()),
        media_type=_MEDIA_TYPE,
        layers=tuple(Descriptor("", Digest.of(layer.encode()), 1000) for layer in one.layers),
        platform="linux/amd64",
        created=START + timedelta(weeks=one.week),
    )


def fill_bare(path: Path, catalog: Catalog, size: int) -> sqlite3.Connection:
    """The edges alone, child and parent, with an index each way."""
    db = sqlite3.connect(path)
    db.executescript(
        "CREATE TABLE edge (child INTEGER PRIMARY KEY, parent INTEGER);"
        "CREATE INDEX back ON edge (parent);"
    )
    with catalog.read() as c, db:
        for numbers in in_batches(range(1, size + 1), 10_000):
            db.executemany(
                "INSERT INTO edge VALUES (?, ?)",
                [(child, edges[0].parent) for child, edges in edges_of(c, numbers).items()],
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
        with tempfile.TemporaryDirectory() as folder:
            catalog, seconds = fill(Path(folder, "catalog.sqlite"), size)
            began = time.perf_counter()
            bare = fill_bare(Path(folder, "bare.sqlite"), catalog, size)
            linked = time.perf_counter() - began
            print(
                f"\n{size:,} images, written in {seconds:.0f} s, all bases found in {linked:.1f} s"
            )
            chance = random.Random(2)
            anyone = [chance.randrange(1, size + 1) for _ in range(200)]
            weekly = max(-(-size // _WEEKS), _BASES + _RUNTIMES + 1)
            parents = [
                week * weekly + number + 1
                for week in range(min(_WEEKS, size // weekly))
                for number in range(_BASES + _RUNTIMES)
            ]
            chance.shuffle(parents)
            _compare(catalog, bare, "ancestors", ancestry_of(anyone), (_BARE_UP, anyone))
            _compare(
                catalog, bare, "descendants, 500", descendants_of(parents), (_BARE_DOWN, parents)
            )
            name = "a lineage with names and verdicts"
            _compare(catalog, bare, name, lineage_of(anyone), (_BARE_UP, anyone))
            bare.close()
            catalog.close()


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
