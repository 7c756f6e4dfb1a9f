"""The rows of images that are like one that a sync wrote, written at once: for large fleets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from benchmarks.fleet import OWN_LAYERS, Fleet
from imagecatalog.store.chains import list_chains
from imagecatalog.store.engine import Catalog, Connection

_NUMBERED = ("repository", "tag", "layer", "manifest")
_Row = tuple[Any, ...]


def name_repositories(catalog: Catalog, fleet: Fleet) -> None:
    """Write the fleet's repositories into an empty catalog; their numbers are their places + 1."""
    names = [fleet.image(place).repository for place in range(min(len(fleet.lines), fleet.size))]
    with catalog.write() as c:
        assert _next(c, "repository") == _next(c, "manifest") == 1, "the catalog is not empty"
        _insert(c, "repository", ("id", "name"), list(enumerate(names, 1)))


def write(
    c: Connection,
    fleet: Fleet,
    positions: Sequence[int],
    *,
    written: Mapping[int, int],
    like: Mapping[int, int],
) -> dict[int, int]:
    """Write the images of one week, but those that are ``written``; the numbers of all, by position.

    Parents of those that are written must be written too. ``like`` names, for each kind of
    contents, an image that was written with it: all else is as it is there.
    """
    columns, examples = _read_examples(c, like)
    layers: list[_Row] = []
    chains: list[_Row] = []
    manifests: list[_Row] = []
    edges: list[_Row] = []
    numbers = dict(written)
    layer, manifest = _next(c, "layer"), _next(c, "manifest")
    for position in positions:
        if position in written:
            continue
        image = fleet.image(position)
        piles = list_chains([one.digest for one in image.manifest.layers])
        for depth in range(len(piles) - len(OWN_LAYERS), len(piles)):
            own = image.manifest.layers[depth]
            layers.append((layer, own.digest.packed(), own.size))
            chains.append((piles[depth], piles[depth - 1] if depth else None, layer, depth + 1))
            layer += 1
        numbers[position] = manifest
        changed = (manifest, image.digest.packed(), image.manifest.config.digest.packed())
        example = examples[fleet.line(position).kind]
        manifests.append((*changed, piles[-1], *example))
        base = next(fleet.above(position), None)
        if base is not None:
            edges.append((manifest, 0, numbers[base], "base", "layers", True))
        manifest += 1
    _insert(c, "layer", ("id", "digest", "size"), layers)
    _insert(c, "chain", ("digest", "parent", "layer_id", "depth"), chains)
    _insert(c, "manifest", ("id", "digest", "config_digest", "chain", *columns), manifests)
    columns = ("child_id", "position", "parent_id", "role", "evidence", "nearest")
    _insert(c, "edge", columns, edges)
    return numbers


def _read_examples(
    c: Connection, like: Mapping[int, int]
) -> tuple[tuple[str, ...], dict[int, _Row]]:
    """The columns that images of a kind share, and their values for each kind."""
    wanted = ", ".join(map(str, like.values()))
    found = c.exec_driver_sql(f"SELECT * FROM manifest WHERE id IN ({wanted})").mappings()
    rows = {row["id"]: row for row in found}
    own = {"id", "digest", "config_digest", "chain"}
    columns = tuple(name for name in next(iter(rows.values())) if name not in own)
    return columns, {
        kind: tuple(rows[number][name] for name in columns) for kind, number in like.items()
    }


def point(c: Connection, fleet: Fleet, numbers: Mapping[int, int], *, now: datetime) -> None:
    """Have the repositories hold these images, by position, each with its tag since ``now``."""
    since = int(now.timestamp())
    first = _next(c, "tag")
    tags: list[_Row] = []
    periods: list[_Row] = []
    held: list[_Row] = []
    for tag, (position, number) in enumerate(sorted(numbers.items()), first):
        place = position % len(fleet.lines) + 1
        tags.append((tag, place, fleet.tag(position)))
        periods.append((tag, since, number))
        held.append((place, number))
    _insert(c, "tag", ("id", "repository_id", "name"), tags)
    _insert(c, "tag_period", ("tag_id", "since", "manifest_id"), periods)
    _insert(c, "repository_manifest", ("repository_id", "manifest_id"), held)


def _next(c: Connection, table: str) -> int:
    return int(c.exec_driver_sql(f"SELECT coalesce(max(id), 0) + 1 FROM {table}").scalar_one())


def _insert(c: Connection, table: str, columns: Sequence[str], rows: Sequence[_Row]) -> None:
    names = ", ".join(columns)
    if c.dialect.name == "sqlite":
        marks = ", ".join("?" * len(columns))
        if rows:
            c.exec_driver_sql(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(rows))
        return
    cursor = c.connection.cursor()
    with cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
    if table in _NUMBERED:
        sequence = f"pg_get_serial_sequence('{table}', 'id')"
        c.exec_driver_sql(f"SELECT setval({sequence}, (SELECT max(id) FROM {table}))")
