"""The parents of each image that count, as they were weighed last, and what has changed since.

Whoever writes what edges depend on notes it in the same transaction; who settles the notes weighs
anew what they touch. While notes wait, the edges kept here are not to be relied upon.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Select, bindparam, literal, select, union_all

from imagecatalog.domain.builds import Evidence, Role
from imagecatalog.domain.refs import Digest
from imagecatalog.store.dialect import batches, insert, insert_new, lock_table
from imagecatalog.store.schema import edge, index_member, lineage_change, manifest

MOST_ABOVE = 100_000
"""Ancestors that one climb may reach."""


class Edge(Struct, frozen=True, kw_only=True, gc=False):
    """An image and one of its parents."""

    child: int
    parent: int | None
    """The image's number, never an index's; None: the catalog does not hold it."""
    digest: Digest | None
    """As it was told; None: by a name alone, or known by layers."""
    image: str | None
    """The name that was told, if one was."""
    role: Role
    evidence: Evidence
    also: tuple[Evidence, ...] = ()
    """What else says the same, best first."""


class Change(Struct, frozen=True):
    """A note that something was told of whatever goes by this digest."""

    id: int
    digest: Digest
    spreads: bool
    """Whether the edges of what is built on or with it may be others, too."""


def note_changes(c: Connection, digests: Iterable[Digest], *, spreads: bool) -> None:
    """Note that edges of what these name may be others now."""
    rows = [{"digest": digest, "spreads": spreads} for digest in dict.fromkeys(digests)]
    insert_new(c, lineage_change, rows)


def note_images(c: Connection, numbers: Collection[int], *, spreads: bool) -> None:
    """The same for images and indexes by their number."""
    for batch in batches(sorted(numbers)):
        digests = select(manifest.c.digest, literal(spreads)).where(manifest.c.id.in_(batch))
        c.execute(insert(c, lineage_change).from_select(["digest", "spreads"], digests))


def forget_images(c: Connection, numbers: Collection[int]) -> None:
    """Take out the edges of images that are about to be deleted, and note what is built on them."""
    for batch in batches(sorted(numbers)):
        children = select(edge.c.child_id).where(edge.c.parent_id.in_(batch))
        note_images(c, set(c.scalars(children)), spreads=False)
        own = select(manifest.c.digest, manifest.c.config_digest).where(manifest.c.id.in_(batch))
        names = {digest for row in c.execute(own) for digest in row if digest is not None}
        note_changes(c, sorted(names), spreads=True)
        c.execute(edge.delete().where(edge.c.child_id.in_(batch)))


_FIRST = select(lineage_change.c.id).limit(1)
_OLDEST = select(lineage_change).order_by(lineage_change.c.id).limit(bindparam("most"))
_DROP = lineage_change.delete().where(lineage_change.c.id.in_(bindparam("numbers", expanding=True)))


def is_settled(c: Connection) -> bool:
    """Whether no note waits, so that the edges kept are those that count."""
    return c.scalar(_FIRST) is None


def take_changes(c: Connection, most: int) -> list[Change]:
    """The oldest notes. Nobody else takes any until the transaction ends."""
    if c.dialect.name == "postgresql":
        if is_settled(c):
            return []
        lock_table(c, edge)
    return [Change(*row) for row in c.execute(_OLDEST, {"most": most})]


def drop_changes(c: Connection, changes: Iterable[Change]) -> None:
    """Forget notes that were taken and settled."""
    for batch in batches(one.id for one in changes):
        c.execute(_DROP, {"numbers": batch})


_DIGESTS: Any = bindparam("digests", expanding=True)
_NUMBERS: Any = bindparam("numbers", expanding=True)
_NAMED = union_all(
    select(manifest.c.id).where(manifest.c.digest.in_(_DIGESTS)),
    select(manifest.c.id).where(manifest.c.config_digest.in_(_DIGESTS)),
    select(index_member.c.manifest_id)
    .join(manifest, manifest.c.id == index_member.c.index_id)
    .where(manifest.c.digest.in_(_DIGESTS)),
)


def list_named(c: Connection, digests: Iterable[Digest]) -> set[int]:
    """All images that go by one of these: by their own, their configuration's, that of an index.

    Indexes themselves are among them.
    """
    found: set[int] = set()
    for batch in batches(set(digests)):
        found.update(c.scalars(_NAMED, {"digests": batch}))
    return found


_WAITS = _FIRST.scalar_subquery().label("waits")
"""Asked beside whatever is read, so that to ask takes no statement of its own."""

_EDGES: Select[Any] = (
    select(edge, _WAITS)
    .where(edge.c.child_id.in_(_NUMBERS))
    .order_by(edge.c.child_id, edge.c.position)
)


def _make_above() -> Select[Any]:
    up = select(manifest.c.id).where(manifest.c.id.in_(_NUMBERS)).cte("up", recursive=True)
    up = up.union(
        select(edge.c.parent_id)
        .join(up, edge.c.child_id == up.c.id)
        .where(edge.c.parent_id.is_not(None))
    )
    reached = select(up.c.id).limit(MOST_ABOVE).subquery()
    return (
        select(edge, _WAITS)
        .join(reached, reached.c.id == edge.c.child_id)
        .order_by(edge.c.child_id, edge.c.position)
    )


def _make_bases() -> Select[Any]:
    link = edge.c.child_id, edge.c.parent_id
    up = select(*link).where(edge.c.child_id.in_(_NUMBERS), edge.c.nearest)
    above = up.cte("up", recursive=True)
    above = above.union(
        select(*link).join(above, edge.c.child_id == above.c.parent_id).where(edge.c.nearest)
    )
    return select(above.c.child_id, above.c.parent_id, _WAITS).limit(MOST_ABOVE)


_ABOVE = _make_above()
_BASES = _make_bases()
_BASE: Select[Any] = select(edge.c.child_id, edge.c.parent_id, _WAITS).where(
    edge.c.child_id.in_(_NUMBERS), edge.c.nearest
)


def list_edges(c: Connection, numbers: Collection[int]) -> dict[int, list[Edge]] | None:
    """The parents kept of each image, its base first; None while a note waits."""
    return _gather(_read(c, _EDGES, numbers))


def list_above(c: Connection, numbers: Collection[int]) -> dict[int, list[Edge]] | None:
    """The parents kept of these images and of all their ancestors; None while a note waits."""
    return _gather(_read(c, _ABOVE, numbers))


def list_base_links(c: Connection, numbers: Collection[int]) -> dict[int, int] | None:
    """The base kept of each image, where the catalog holds one; None while a note waits."""
    return _link(_read(c, _BASE, numbers))


def list_bases_above(c: Connection, numbers: Collection[int]) -> dict[int, int] | None:
    """The same of these images and of all their bases."""
    return _link(_read(c, _BASES, numbers))


def _read(c: Connection, query: Select[Any], numbers: Collection[int]) -> list[Any] | None:
    found = [row for batch in batches(set(numbers)) for row in c.execute(query, {"numbers": batch})]
    settled = all(row.waits is None for row in found) if found or not numbers else is_settled(c)
    return found if settled else None


def _link(rows: Iterable[Any] | None) -> dict[int, int] | None:
    return None if rows is None else {row.child_id: row.parent_id for row in rows}


def _gather(rows: Iterable[Any] | None) -> dict[int, list[Edge]] | None:
    if rows is None:
        return None
    # An ancestor of images of several batches is there several times.
    found: dict[int, dict[int, Edge]] = {}
    for child, position, parent, role, evidence, also, digest, image, *_ in rows:
        found.setdefault(child, {})[position] = Edge(
            child=child,
            parent=parent,
            digest=digest,
            image=image,
            role=role,
            evidence=evidence,
            also=tuple(also.split()) if also else (),
        )
    return {child: list(edges.values()) for child, edges in found.items()}


_CHILDREN = (
    select(edge.c.child_id)
    .where(edge.c.parent_id.in_(_NUMBERS))
    .distinct()
    .order_by(edge.c.child_id)
    .limit(bindparam("most"))
)


def list_children(c: Connection, numbers: Collection[int], limit: int) -> list[int]:
    """The first images to be met that have one of these for a parent, as kept; at most so many."""
    found: set[int] = set()
    for batch in batches(set(numbers)):
        found.update(c.scalars(_CHILDREN, {"numbers": batch, "most": limit}))
    return sorted(found)[:limit]


def replace_edges(c: Connection, edges: Mapping[int, Sequence[Edge]]) -> None:
    """Keep these as the parents of each image; what is kept already stays as it is."""
    rows = (row for batch in batches(edges) for row in c.execute(_EDGES, {"numbers": batch}))
    kept = _gather(rows) or {}
    changed = sorted(n for n, many in edges.items() if list(many) != kept.get(n, []))
    for batch in batches(one for one in changed if one in kept):
        c.execute(edge.delete().where(edge.c.child_id.in_(batch)))
    insert_new(c, edge, [row for number in changed for row in _rows(edges[number])])


def _rows(edges: Sequence[Edge]) -> list[dict[str, Any]]:
    nearest = next(
        (p for p, e in enumerate(edges) if e.role == "base" and e.parent is not None), None
    )
    return [
        {
            "child_id": one.child,
            "position": position,
            "parent_id": one.parent,
            "role": one.role,
            "evidence": one.evidence,
            "also": " ".join(one.also) or None,
            "digest": one.digest,
            "image": one.image,
            "nearest": position == nearest,
        }
        for position, one in enumerate(edges)
    ]
