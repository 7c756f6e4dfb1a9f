"""Which parents of an image count, and the walk along them: upwards, and down to its children."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct

from imagecatalog.catalog.evidence import Conflict
from imagecatalog.catalog.weighing import settle, weigh_all
from imagecatalog.domain.lineage import Contradiction
from imagecatalog.store import edges, images, lineage
from imagecatalog.store.edges import Edge
from imagecatalog.store.engine import Connection

__all__ = [
    "Children",
    "Edge",
    "ancestry",
    "contradictions_of",
    "edges_of",
    "find_children",
    "list_base_paths",
    "list_bases",
    "settle",
]

MOST_LEVELS = 100
"""Generations that are climbed: more is nobody's tree."""


def edges_of(c: Connection, numbers: Collection[int]) -> dict[int, list[Edge]]:
    """The parents that count of each image, its base first; images without any are left out.

    The base is whom the best evidence names: a registered build, provenance, annotations, equal
    leading layers. A base that the catalog does not hold has no ``parent``; the nearest image that
    the layers begin with then follows as another base. All stages and copies told are there.
    """
    kept = edges.list_edges(c, numbers)
    return _weigh_edges(c, numbers) if kept is None else kept


def _weigh_edges(c: Connection, numbers: Collection[int]) -> dict[int, list[Edge]]:
    """The same while changes wait to be settled."""
    return {
        number: list(weighed.edges)
        for number, weighed in weigh_all(c, numbers).items()
        if weighed.edges
    }


def list_bases(c: Connection, numbers: Collection[int]) -> dict[int, int]:
    """The base of each image, where the catalog holds it."""
    kept = edges.list_base_links(c, numbers)
    return _pick_bases(_weigh_edges(c, numbers)) if kept is None else kept


def _pick_bases(above: Mapping[int, Sequence[Edge]]) -> dict[int, int]:
    return {
        child: parent
        for child, many in above.items()
        if (parent := next((e.parent for e in many if e.role == "base" and e.parent), None))
    }


def ancestry(c: Connection, numbers: Collection[int]) -> dict[int, list[Edge]]:
    """The parents of these images and of all their ancestors; each image once, so that it ends."""
    kept = edges.list_above(c, numbers)
    if kept is not None:
        return kept
    found: dict[int, list[Edge]] = {}
    seen = set(numbers)
    level = set(numbers)
    for _ in range(MOST_LEVELS):
        new = _weigh_edges(c, level)
        found |= new
        parents = {edge.parent for many in new.values() for edge in many if edge.parent}
        level = parents - seen
        seen |= level
        if not level or len(seen) > edges.MOST_ABOVE:
            break
    return found


def list_base_paths(c: Connection, numbers: Collection[int]) -> dict[int, list[int]]:
    """The bases of each image that the catalog holds, the nearest first, each once."""
    bases = edges.list_bases_above(c, numbers)
    if bases is None:
        bases = _pick_bases(ancestry(c, numbers))
    paths: dict[int, list[int]] = {}
    for number in numbers:
        path: list[int] = []
        seen, at = {number}, bases.get(number)
        while at is not None and at not in seen and len(path) < MOST_LEVELS:
            path.append(at)
            seen.add(at)
            at = bases.get(at)
        paths[number] = path
    return paths


class Children(Struct, frozen=True):
    """The edges that lead to some images, by parent; ``more``: there are others."""

    edges: Mapping[int, Sequence[Edge]]
    more: bool


def find_children(c: Connection, numbers: Collection[int], limit: int) -> Children:
    """The edges that lead to these images from at most ``limit`` others, the first met first."""
    children = edges.list_children(c, numbers, limit + 1)
    is_known = bool(children) or edges.is_settled(c)
    kept = edges.list_edges(c, children[:limit]) if is_known else None
    if kept is not None:
        return Children(_by_parent(kept, set(numbers)), len(children) > limit)
    subjects = lineage.list_subjects(c, numbers)
    digests = {digest for subject in subjects.values() for digest in subject.names}
    claiming = lineage.list_claiming(c, digests, limit + 1)
    piles = [subject.chain for subject in subjects.values() if subject.chain is not None]
    begun = lineage.list_begun_with(c, piles, limit + 1)
    built = lineage.find_meant(c, claiming)
    candidates = sorted({*begun, *(known.id for many in built.values() for known in many)})
    weighed = _weigh_edges(c, candidates[:limit])
    return Children(_by_parent(weighed, subjects.keys()), len(candidates) > limit)


def _by_parent(
    above: Mapping[int, Sequence[Edge]], parents: Collection[int]
) -> dict[int, list[Edge]]:
    found: dict[int, list[Edge]] = {}
    for many in above.values():
        for edge in many:
            if edge.parent is not None and edge.parent in parents:
                found.setdefault(edge.parent, []).append(edge)
    return found


def contradictions_of(c: Connection, numbers: Collection[int]) -> dict[int, list[Contradiction]]:
    """Where those who tell of an image's parents do not agree; images all agree on are left out."""
    weighed = weigh_all(c, numbers)
    conflicts = {number: one.conflicts for number, one in weighed.items() if one.conflicts}
    if not conflicts:
        return {}
    named = {one.parent for many in conflicts.values() for one in many if one.parent is not None}
    names = images.best_names(c, named | conflicts.keys())
    subjects = lineage.list_subjects(c, conflicts)
    return {
        number: [
            Contradiction(
                image=names.get(number, str(subjects[number].digest)),
                digest=str(subjects[number].digest),
                evidence=one.evidence,
                says=_say(one, names),
                against=one.against,
            )
            for one in many
        ]
        for number, many in conflicts.items()
    }


def _say(conflict: Conflict, names: Mapping[int, str]) -> str:
    if conflict.kind == "itself":
        return "it is built from itself"
    named = names.get(conflict.parent) if conflict.parent is not None else None
    other = named or conflict.image or str(conflict.digest)
    if conflict.kind == "layers":
        return f"it does not begin with the layers of {other}"
    return f"its base is {other}"
