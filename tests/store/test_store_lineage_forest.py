"""The nearest base by layers, against comparing every list of layers with every other."""

from __future__ import annotations

from datetime import timedelta
from itertools import count

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests_store import NOON, digest, layer

from imagecatalog.catalog.lineage import edges_of, find_children
from imagecatalog.store import images, repositories
from imagecatalog.store.engine import Catalog
from imagecatalog.store.images import ImageFacts
from imagecatalog.store.shelf import Shelf

Made = tuple[tuple[str, ...], int | None, frozenset[str]]
"""Layers, the hour of its making, and the repositories that have it."""

FORESTS = st.lists(
    st.tuples(
        st.lists(st.sampled_from("ab"), max_size=4).map(tuple),
        st.none() | st.integers(0, 2),
        st.frozensets(st.sampled_from(["x", "y", "z"]), max_size=2),
    ),
    max_size=10,
)
ROUND = count()


def find_base(forest: list[Made], child: int, names: list[str]) -> int | None:
    layers, _, homes = forest[child]
    begun = [
        at
        for at, (below, _, _) in enumerate(forest)
        if below and len(below) < len(layers) and layers[: len(below)] == below
    ]
    if not begun:
        return None
    longest = max(len(forest[at][0]) for at in begun)
    return min(
        (at for at in begun if len(forest[at][0]) == longest),
        key=lambda at: (
            bool(homes & forest[at][2]),
            forest[at][1] is None,
            forest[at][1] or 0,
            digest(names[at]).packed(),
        ),
    )


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(forest=FORESTS)
def test_the_base_is_the_one_that_comparing_all_lists_finds(
    catalog: Catalog, forest: list[Made]
) -> None:
    turn = next(ROUND)
    names = [f"{turn} image {at}" for at in range(len(forest))]
    facts = [
        ImageFacts(
            digest=digest(name),
            media_type="",
            layers=tuple(layer(f"{turn} {one}") for one in layers),
            created=None if hour is None else NOON + timedelta(hours=hour),
        )
        for name, (layers, hour, _) in zip(names, forest, strict=True)
    ]
    with catalog.write() as c:
        numbers = images.put_images(c, Shelf(), facts, now=NOON)
        for home in "xyz":
            held = [number for number, one in zip(numbers, forest, strict=True) if home in one[2]]
            repositories.mark_present(c, repositories.put_repository(c, home), held)
        wanted = {
            number: numbers[base]
            for at, number in enumerate(numbers)
            if (base := find_base(forest, at, names)) is not None
        }
        found = {child: edges[0].parent for child, edges in edges_of(c, numbers).items()}
        assert found == wanted
        for parent in numbers:
            below = find_children(c, [parent], 100).edges.get(parent, ())
            assert {edge.child for edge in below} == {
                child for child, base in wanted.items() if base == parent
            }
