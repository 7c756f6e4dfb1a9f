"""Which parents of an image count, and the walk along them: upwards, and down to its children."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct

from imagecatalog.catalog.evidence import Conflict, Edge, LayerWord, Weighed, sort_claims, weigh
from imagecatalog.domain.lineage import Contradiction
from imagecatalog.domain.refs import Digest
from imagecatalog.store import images, lineage
from imagecatalog.store.chains import climb
from imagecatalog.store.engine import Connection
from imagecatalog.store.lineage import Claim, Known, Subject

__all__ = [
    "Children",
    "Edge",
    "ancestry",
    "contradictions_of",
    "edges_of",
    "find_children",
    "list_base_paths",
    "list_bases",
]

MOST_LEVELS = 100
"""Generations that are climbed: more is nobody's tree."""
MOST_IMAGES = 100_000
"""Images that one climb may reach."""


def edges_of(c: Connection, numbers: Collection[int]) -> dict[int, list[Edge]]:
    """The parents that count of each image, its base first; images without any are left out.

    The base is whom the best evidence names: a registered build, provenance, annotations, equal
    leading layers. A base that the catalog does not hold has no ``parent``; the nearest image that
    the layers begin with then follows as another base. All stages and copies told are there.
    """
    return {
        number: list(weighed.edges)
        for number, weighed in _weigh_all(c, numbers).items()
        if weighed.edges
    }


def list_bases(c: Connection, numbers: Collection[int]) -> dict[int, int]:
    """The base of each image, where the catalog holds it."""
    bases: dict[int, int] = {}
    for number, edges in edges_of(c, numbers).items():
        for edge in edges:
            if edge.role == "base" and edge.parent is not None:
                bases.setdefault(number, edge.parent)
    return bases


def ancestry(c: Connection, numbers: Collection[int]) -> dict[int, list[Edge]]:
    """The parents of these images and of all their ancestors; each image once, so that it ends."""
    found: dict[int, list[Edge]] = {}
    seen = set(numbers)
    level = set(numbers)
    for _ in range(MOST_LEVELS):
        edges = edges_of(c, level)
        found |= edges
        parents = {edge.parent for many in edges.values() for edge in many if edge.parent}
        level = parents - seen
        seen |= level
        if not level or len(seen) > MOST_IMAGES:
            break
    return found


def list_base_paths(c: Connection, numbers: Collection[int]) -> dict[int, list[int]]:
    """The bases of each image that the catalog holds, the nearest first, each once."""
    above = ancestry(c, numbers)
    bases = {
        child: parent
        for child, edges in above.items()
        if (parent := next((e.parent for e in edges if e.role == "base" and e.parent), None))
    }
    paths: dict[int, list[int]] = {}
    for number in numbers:
        path, seen, at = [], {number}, bases.get(number)
        while at is not None and at not in seen:
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
    subjects = lineage.list_subjects(c, numbers)
    digests = {digest for subject in subjects.values() for digest in subject.names}
    claiming = lineage.list_claiming(c, digests, limit + 1)
    piles = [subject.chain for subject in subjects.values() if subject.chain is not None]
    begun = lineage.list_begun_with(c, piles, limit + 1)
    built = lineage.find_meant(c, claiming)
    candidates = sorted({*begun, *(known.id for many in built.values() for known in many)})
    found: dict[int, list[Edge]] = {}
    for many in edges_of(c, candidates[:limit]).values():
        for edge in many:
            if edge.parent in subjects:
                found.setdefault(edge.parent, []).append(edge)
    return Children(found, len(candidates) > limit)


def contradictions_of(c: Connection, numbers: Collection[int]) -> dict[int, list[Contradiction]]:
    """Where those who tell of an image's parents do not agree; images all agree on are left out."""
    weighed = _weigh_all(c, numbers)
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


def _weigh_all(c: Connection, numbers: Collection[int]) -> dict[int, Weighed]:
    subjects = lineage.list_subjects(c, numbers)
    nearest = _find_nearest(c, subjects)
    claims = _claims_of(c, subjects)
    if not claims:
        return {
            number: weigh(subject, (), {}, LayerWord(nearest.get(number)))
            for number, subject in subjects.items()
            if number in nearest
        }
    told = [claim for many in claims.values() for claim in many]
    meant = lineage.find_meant(c, [claim.digest for claim in told if claim.digest is not None])
    parents = {known.id for many in meant.values() for known in many}
    relatives = lineage.list_subjects(c, parents)
    piles = {number: relative.chain for number, relative in relatives.items()}
    passed = climb(c, _to_compare(subjects, claims))
    handed = _list_handed_down(c, claims, meant, nearest)
    return {
        number: weigh(
            subject,
            claims.get(number, ()),
            meant,
            LayerWord(nearest.get(number), frozenset(passed.get(subject.chain or b"", ())), piles),
            handed.get(number, ()),
        )
        for number, subject in subjects.items()
    }


def _claims_of(c: Connection, subjects: Mapping[int, Subject]) -> dict[int, list[Claim]]:
    digests = {digest for subject in subjects.values() for digest in subject.names}
    told = lineage.list_claims(c, digests)
    if not told:
        return {}
    found = {number: sort_claims(subject, told) for number, subject in subjects.items()}
    return {number: many for number, many in found.items() if many}


def _to_compare(
    subjects: Mapping[int, Subject], claims: Mapping[int, Sequence[Claim]]
) -> set[bytes]:
    """The chains of images of which somebody names a base."""
    return {
        pile
        for number, many in claims.items()
        if (pile := subjects[number].chain) is not None
        and any(claim.role == "base" for claim in many)
    }


def _find_nearest(c: Connection, subjects: Mapping[int, Subject]) -> dict[int, int]:
    """By layers: the image with the longest proper beginning.

    Of several with these same layers one that is in no repository of the image's own, then the
    one made first, then by digest.
    """
    ends = {subject.chain for subject in subjects.values() if subject.chain is not None}
    nearest = lineage.find_nearest(c, ends)
    holding = lineage.list_of_chains(c, set(nearest.values()))
    choices = {
        number: holding[nearest[subject.chain]]
        for number, subject in subjects.items()
        if subject.chain in nearest
    }
    tied = {number: many for number, many in choices.items() if len(many) > 1}
    homes = lineage.list_homes(c, {*tied, *(one for many in tied.values() for one in many)})
    chosen = {number: many[0] for number, many in choices.items()}
    for number, many in tied.items():
        own = homes.get(number, set())
        chosen[number] = next((one for one in many if own.isdisjoint(homes.get(one, ()))), many[0])
    return chosen


def _list_handed_down(
    c: Connection,
    claims: Mapping[int, Sequence[Claim]],
    meant: Mapping[Digest, Sequence[Known]],
    nearest: Mapping[int, int],
) -> dict[int, set[tuple[Digest | None, str | None]]]:
    """The bases that annotations of an image's own base name: a label is handed down to children."""
    bases: dict[int, set[int]] = {}
    for number, many in claims.items():
        if any(claim.evidence == "annotation" for claim in many):
            named = {
                known.id
                for claim in many
                if claim.role == "base" and claim.digest is not None
                for known in meant.get(claim.digest, ())
            }
            bases[number] = named | ({nearest[number]} if number in nearest else set())
    of_bases = lineage.list_subjects(c, {one for many in bases.values() for one in many})
    told = _claims_of(c, of_bases)
    return {
        number: {
            (claim.digest, claim.image)
            for one in many
            for claim in told.get(one, ())
            if claim.evidence == "annotation" and claim.role == "base" and one != number
        }
        for number, many in bases.items()
    }
