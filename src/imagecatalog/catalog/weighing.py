"""Weighs what is told of images' parents, and keeps what counts: the edges that all else reads."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from imagecatalog.catalog.evidence import LayerWord, Weighed, sort_claims, weigh
from imagecatalog.domain.refs import Digest
from imagecatalog.store import edges, lineage
from imagecatalog.store.chains import climb
from imagecatalog.store.dialect import batches
from imagecatalog.store.engine import Connection
from imagecatalog.store.lineage import Claim, Known, Subject

_AT_ONCE = 5000
"""Images that are weighed together."""
_SETTLED = 1000
"""Changes that are settled at once by who has other things to do."""
_ALL = 1 << 40


def settle(c: Connection, most: int = _SETTLED) -> bool:
    """Weigh anew what the oldest changes touch; whether others may be left. The transaction's last act.

    An image's edges depend on what is told of it by any of its names, on which images the digests
    told mean, on who else has which layers, and, since children inherit labels, on what its base
    says of itself.
    """
    changes = edges.take_changes(c, most)
    if not changes:
        return False
    spreading = {one.digest for one in changes if one.spreads}
    touched = edges.list_named(c, spreading)
    subjects = lineage.list_subjects(c, touched)
    touched |= edges.list_named(c, {one.digest for one in changes} - spreading)
    names = spreading.union(*(subject.names for subject in subjects.values()))
    touched |= edges.list_named(c, lineage.list_claiming(c, names, _ALL))
    piles = [subject.chain for subject in subjects.values() if subject.chain is not None]
    touched.update(lineage.list_begun_with(c, piles, _ALL))
    for batch in batches(sorted(touched), _AT_ONCE):
        weighed = weigh_all(c, batch)
        edges.replace_edges(c, {n: weighed[n].edges if n in weighed else () for n in batch})
    edges.drop_changes(c, changes)
    return len(changes) == most


def weigh_all(c: Connection, numbers: Collection[int]) -> dict[int, Weighed]:
    """What is told of the parents of each of these images, weighed as it stands."""
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
