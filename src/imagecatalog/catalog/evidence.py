"""Weighs what is told of an image's parents against its layers: what counts, and who disagrees."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Literal

import msgspec
from msgspec import Struct

from imagecatalog.domain.builds import EVIDENCE_ORDER, Evidence, Role
from imagecatalog.domain.refs import Digest
from imagecatalog.store.edges import Edge
from imagecatalog.store.lineage import Claim, Known, Subject

USUAL_PLATFORM = "linux/amd64"
MOST_CONFLICTS = 100
"""Words against one image's parents that are kept, each once: more are of no use to a person."""


class Conflict(Struct, frozen=True, kw_only=True):
    """A word that was not taken. ``parent``, ``digest`` and ``image`` are of whom it names."""

    child: int
    kind: Literal["other-base", "layers", "itself"]
    evidence: Evidence
    against: Evidence
    parent: int | None
    digest: Digest | None
    image: str | None


class Weighed(Struct, frozen=True):
    """The parents of one image that count, its base first, and the words that were not taken."""

    edges: tuple[Edge, ...]
    conflicts: tuple[Conflict, ...]


class LayerWord(Struct, frozen=True):
    """What an image's layers say."""

    nearest: int | None = None
    """The image with the longest proper beginning of them."""
    passed: frozenset[bytes] = frozenset()
    """All chains that they begin with; only where somebody names a base."""
    piles: Mapping[int, bytes | None] = {}
    """The chains of images that are named as parents."""


def is_of_platform(told: str | None, platform: str | None) -> bool:
    """Whether both may be meant by one word; a variant that one of them leaves out is no matter."""
    if told is None or platform is None or told == platform:
        return True
    short, long = sorted((told, platform), key=len)
    return short.count("/") == 1 and long.startswith(short + "/")


def choose_meant(many: Sequence[Known], platform: str | None, role: Role) -> int | None:
    """Which of the images that a digest may mean was the parent of an image of that platform.

    A base is of the same platform; a stage may run on the builder's own.
    """
    for known in many:
        if not known.is_member or (
            known.platform is not None and is_of_platform(known.platform, platform)
        ):
            return known.id
    if role == "base" and len(many) > 1:
        return None
    usual = [known.id for known in many if known.platform == USUAL_PLATFORM]
    return next(iter(usual), many[0].id if many else None)


def sort_claims(subject: Subject, claims: Mapping[Digest, Sequence[Claim]]) -> list[Claim]:
    """What is told of an image or of an index it is in: the best evidence first, then the last told."""
    found = [
        claim
        for digest in subject.names
        for claim in claims.get(digest, ())
        if digest not in subject.indexes or is_of_platform(claim.platform, subject.platform)
    ]
    return sorted(
        found,
        key=lambda claim: (
            EVIDENCE_ORDER.index(claim.evidence),
            -claim.received.timestamp(),
            -claim.build,
        ),
    )


class _Weighing:
    """The edges of one image as they come together, found by whatever names a parent."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.edges: list[Edge] = []
        self.conflicts: dict[Conflict, None] = {}
        self._places: dict[int | Digest | str, int] = {}
        self._selves = set(subject.names)

    def is_itself(self, edge: Edge) -> bool:
        return edge.parent == self.subject.id or (
            edge.digest is not None and edge.digest in self._selves
        )

    def add(self, edge: Edge) -> None:
        for key in (edge.parent, edge.digest, edge.image):
            if key is not None:
                self._places.setdefault(key, len(self.edges))
        self.edges.append(edge)

    def find(self, edge: Edge) -> int | None:
        """The place of the edge that leads to the same parent."""
        if edge.parent is not None and edge.parent in self._places:
            return self._places[edge.parent]
        place = self._places.get(edge.digest) if edge.digest is not None else None
        if place is not None and self.edges[place].parent == edge.parent:
            return place
        place = self._places.get(edge.image) if edge.image else None
        if place is not None and (self.edges[place].parent is None or edge.parent is None):
            return place
        return None

    def agree(self, place: int, edge: Edge) -> None:
        """Note that this one says so too, and what it knows better."""
        held = self.edges[place]
        said = {held.evidence, *held.also}
        also = held.also if edge.evidence in said else (*held.also, edge.evidence)
        parent = held.parent if held.parent is not None else edge.parent
        self.edges[place] = msgspec.structs.replace(
            held,
            also=also,
            parent=parent,
            digest=held.digest or edge.digest,
            image=held.image or edge.image,
        )
        for key in (edge.parent, edge.digest):
            if key is not None:
                self._places.setdefault(key, place)

    def contradict(
        self, kind: Literal["other-base", "layers", "itself"], edge: Edge, against: Evidence
    ) -> None:
        conflict = Conflict(
            child=edge.child,
            kind=kind,
            evidence=edge.evidence,
            against=against,
            parent=edge.parent,
            digest=edge.digest,
            image=edge.image,
        )
        if len(self.conflicts) < MOST_CONFLICTS:
            self.conflicts.setdefault(conflict)

    @property
    def bases(self) -> list[Edge]:
        return [edge for edge in self.edges if edge.role == "base"]


def weigh(
    subject: Subject,
    claims: Iterable[Claim],
    meant: Mapping[Digest, Sequence[Known]],
    layers: LayerWord,
    inherited: Collection[tuple[Digest | None, str | None]] = (),
) -> Weighed:
    """The parents of one image.

    ``claims`` as ``sort_claims`` has them; ``inherited`` are the bases that annotations of its own
    base name, which labels hand down.
    """
    weighing = _Weighing(subject)
    for _, told in groupby(claims, key=lambda claim: claim.build):
        kept = [claim for claim in told if not _is_handed_down(claim, inherited)]
        read = (_read_claim(subject, claim, meant) for claim in kept)
        _take(weighing, [edge for edge in read if edge is not None])
    _hear_layers(weighing, layers)
    order = {"base": 0, "stage": 1, "copy": 2}
    edges = tuple(sorted(weighing.edges, key=lambda edge: order[edge.role]))
    return Weighed(edges, tuple(weighing.conflicts))


def _is_handed_down(claim: Claim, inherited: Collection[tuple[Digest | None, str | None]]) -> bool:
    return claim.evidence == "annotation" and (claim.digest, claim.image) in inherited


def _read_claim(
    subject: Subject, claim: Claim, meant: Mapping[Digest, Sequence[Known]]
) -> Edge | None:
    """The edge of a claim; None: it is of another platform's image in the same index."""
    many = meant.get(claim.digest, ()) if claim.digest is not None else ()
    if (
        claim.role == "base"
        and claim.subject in subject.indexes
        and many
        and not any(is_of_platform(known.platform, subject.platform) for known in many)
    ):
        return None
    return Edge(
        child=subject.id,
        parent=choose_meant(many, subject.platform, claim.role),
        digest=claim.digest,
        image=claim.image,
        role=claim.role,
        evidence=claim.evidence,
    )


def _take(weighing: _Weighing, edges: Sequence[Edge]) -> None:
    """Take what one build says, so far as nothing better is known."""
    has_base = next(iter(weighing.bases), None)
    for edge in edges:
        if weighing.is_itself(edge):
            weighing.contradict("itself", edge, edge.evidence)
            continue
        place = weighing.find(edge)
        if place is not None and (edge.role != "base" or weighing.edges[place].role == "base"):
            weighing.agree(place, edge)
        elif edge.role == "base" and has_base is not None:
            weighing.contradict("other-base", edge, has_base.evidence)
        else:
            weighing.add(edge)


def _hear_layers(weighing: _Weighing, layers: LayerWord) -> None:
    """Let the layers speak: for a base, where nobody told one that the catalog holds, or against it."""
    subject, bases = weighing.subject, weighing.bases
    own = None
    if layers.nearest is not None:
        own = Edge(
            child=subject.id,
            parent=layers.nearest,
            digest=None,
            image=None,
            role="base",
            evidence="layers",
        )
    if own is not None and all(edge.parent is None for edge in bases):
        place = weighing.find(own)
        if place is None or weighing.edges[place].role != "base":
            weighing.add(own)
        else:
            weighing.agree(place, own)
    for edge in bases:
        pile = layers.piles.get(edge.parent) if edge.parent is not None else None
        if subject.chain is None or edge.parent is None or pile is None:
            continue
        if edge.parent == layers.nearest or pile == subject.chain or pile in layers.passed:
            place = weighing.find(edge)
            assert place is not None
            weighing.agree(place, msgspec.structs.replace(edge, evidence="layers"))
        else:
            weighing.contradict(
                "layers", msgspec.structs.replace(edge, evidence="layers"), edge.evidence
            )
