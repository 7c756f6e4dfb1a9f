"""A catalog of the release before, with images in it, holds the same after its migration."""

from __future__ import annotations

import random

import pytest

from imagecatalog.domain.refs import Digest
from imagecatalog.store import chains, engine, lineage, lookups
from imagecatalog.store.engine import Catalog, Connection, initialise
from imagecatalog.store.migrations import env
from imagecatalog.store.shelf import Shelf

IMAGES, LAYERS = 1500, 300


def _make_piles(luck: random.Random) -> dict[int, list[int]]:
    """Layers by image: some share beginnings, some the whole, some have none, one has a layer twice."""
    piles: dict[int, list[int]] = {1: [], 2: [1], 3: [1, 2, 1], 4: list(range(1, 128))}
    for number in range(5, IMAGES):
        below = piles[luck.randrange(5, number)] if number > 5 and luck.random() < 0.8 else []
        piles[number] = below + luck.choices(range(1, LAYERS), k=luck.randrange(3))
    return {number: pile[:130] for number, pile in piles.items() if number % 7 or number < 5}


def _fill(c: Connection, piles: dict[int, list[int]]) -> None:
    """As the release before wrote them."""
    mark = "?" if c.dialect.name == "sqlite" else "%s"

    def insert(table: str, columns: str, rows: list[tuple[object, ...]]) -> None:
        marks = ", ".join([mark] * len(columns.split(",")))
        c.exec_driver_sql(f"INSERT INTO {table} ({columns}) VALUES ({marks})", rows)

    insert(
        "layer",
        "id, digest, size",
        [(n, Digest.of(f"layer {n}".encode()).packed(), n) for n in range(1, LAYERS)],
    )
    insert(
        "manifest",
        "id, digest, kind, media_type, first_seen",
        [(n, Digest.of(f"image {n}".encode()).packed(), 1, 1, 1) for n in piles],
    )
    insert(
        "manifest_layer",
        "manifest_id, position, layer_id",
        [(n, at, layer) for n, pile in piles.items() for at, layer in enumerate(pile)],
    )


@pytest.mark.parametrize("seed", range(1))
def test_layers_are_as_they_were(empty_url: str, seed: int) -> None:
    piles = _make_piles(random.Random(seed))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(env, "HEAD", "0002")
        patch.setattr(engine, "HEAD", "0002")
        initialise(empty_url)
        old = Catalog.open(empty_url)
        with old.write() as c:
            _fill(c, piles)
        old.close()
    initialise(empty_url)
    catalog = Catalog.open(empty_url)
    digests = {n: Digest.of(f"layer {n}".encode()) for n in range(1, LAYERS)}
    with catalog.write() as c:
        for number, pile in piles.items():
            listed = [row.digest for row in lookups.list_layers(c, number)]
            assert listed == [digests[layer] for layer in pile], number
        # What a sync writes from now on joins them.
        before = c.exec_driver_sql("SELECT count(*) FROM chain").scalar()
        shelf = Shelf()
        shelf.layers = {digest: n for n, digest in digests.items()}
        written = [tuple(digests[layer] for layer in pile) for pile in piles.values()]
        chains.put_chains(c, shelf, written)
        assert c.exec_driver_sql("SELECT count(*) FROM chain").scalar() == before
        subjects = lineage.list_subjects(c, piles)
        ends = {one.chain for one in subjects.values() if one.chain is not None}
        nearest = lineage.find_nearest(c, ends)
    whole = {tuple(pile) for pile in piles.values()}
    for number, pile in piles.items():
        shorter = [n for n in range(1, len(pile)) if tuple(pile[:n]) in whole]
        chain = subjects[number].chain
        assert (chain in nearest) == bool(shorter), number
    catalog.close()
