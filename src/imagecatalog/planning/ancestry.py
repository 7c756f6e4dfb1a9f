"""What an image is built on, what is built on it, and which ancestor brought each package."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from msgspec import structs

from imagecatalog.catalog.lineage import (
    Edge,
    ancestry,
    contradictions_of,
    find_children,
    list_base_paths,
)
from imagecatalog.domain.answers import Status, Update
from imagecatalog.domain.lineage import Contradiction, Lineage, PackageOrigin, Relative
from imagecatalog.planning.verdicts import judge_images
from imagecatalog.store import images, lookups, packages
from imagecatalog.store import lineage as facts
from imagecatalog.store.dialect import batches
from imagecatalog.store.engine import Connection
from imagecatalog.store.lookups import ImageRow

USUAL_LIMIT = 500
"""Descendants that are listed."""

_AT_ONCE = 500
"""Images whose bases' packages are in memory together."""

PackageKey = tuple[str, str, str, str]
"""Type, name, architecture and version."""


def lineage(c: Connection, reference: str, *, now: datetime, limit: int = USUAL_LIMIT) -> Lineage:
    """The ancestors and descendants of an image, named as for ``image_detail``.

    One item for each edge: an image reached on two ways is there twice. At most ``limit``
    descendants, the nearest first. Raises NotFound and BadName.
    """
    number = find_image(c, reference)
    above = ancestry(c, [number])
    loops = _find_loops(number, above)
    below, more = _descend(c, number, limit)
    edges = [edge for many in above.values() for edge in many] + below
    numbers = {number, *(edge.child for edge in edges)}
    numbers |= {edge.parent for edge in edges if edge.parent is not None}
    faces = _Faces(c, numbers, now)
    ancestors = _list_ancestors(number, above, loops, faces)
    disputed = contradictions_of(c, {number, *above.keys()})
    told = [*_tell_loops(loops, faces), *(one for many in disputed.values() for one in many)]
    return Lineage(
        image=faces.name(number),
        digest=faces.digest(number),
        ancestors=tuple(ancestors),
        descendants=tuple(_list_descendants(number, below, faces)),
        contradictions=tuple(told),
        more_descendants=more,
        status=faces.status(number),
        running=faces.running.get(number, 0),
    )


def find_image(c: Connection, reference: str) -> int:
    """The number of an image; an index stands for its usual image. Raises NotFound and BadName."""
    number = lookups.resolve(c, reference)
    return lookups.choose_members(c, [number]).get(number, number)


class _Faces:
    """How images show themselves in an answer."""

    def __init__(self, c: Connection, numbers: Collection[int], now: datetime) -> None:
        self._rows: Mapping[int, ImageRow] = lookups.list_images(c, numbers)
        self._names = images.best_names(c, numbers)
        self._judged = judge_images(c, numbers, now=now)
        self.running = images.count_running(c, numbers)

    def digest(self, number: int) -> str:
        return str(self._rows[number].digest)

    def name(self, number: int) -> str:
        return self._names.get(number) or self.digest(number)

    def status(self, number: int) -> Status:
        return self._judged[number].verdict.status

    def relative(self, edge: Edge, number: int | None, of: int, depth: int) -> Relative:
        """One end of an edge, as it is seen from the other."""
        told = str(edge.digest) if edge.digest is not None else None
        return Relative(
            image=(edge.image or told or "?") if number is None else self.name(number),
            digest=told if number is None else self.digest(number),
            role=edge.role,
            evidence=edge.evidence,
            depth=depth,
            of=self.digest(of),
            also=edge.also,
            known=number is not None,
            status="unknown" if number is None else self.status(number),
            running=0 if number is None else self.running.get(number, 0),
        )


def _list_ancestors(
    number: int, above: Mapping[int, Sequence[Edge]], loops: Collection[Edge], faces: _Faces
) -> list[Relative]:
    """By depth; of one depth bases first, then by name."""
    found: list[Relative] = []
    level, seen, depth = [number], {number}, 0
    while level:
        depth += 1
        edges = [e for child in level for e in above.get(child, ()) if e not in loops]
        found += [faces.relative(edge, edge.parent, edge.child, depth) for edge in edges]
        parents = [edge.parent for edge in edges if edge.parent is not None]
        level = [one for one in dict.fromkeys(parents) if one not in seen]
        seen.update(level)
    return sorted(found, key=lambda one: (one.depth, one.role != "base", one.image, one.of))


def _list_descendants(number: int, below: Iterable[Edge], faces: _Faces) -> list[Relative]:
    """By depth and name."""
    depths = {number: 0}
    found = []
    for edge in below:
        assert edge.parent is not None
        depth = depths[edge.parent] + 1
        depths.setdefault(edge.child, depth)
        found.append(faces.relative(edge, edge.child, edge.parent, depth))
    return sorted(found, key=lambda one: (one.depth, one.image, one.digest or "", one.of))


def _descend(c: Connection, number: int, limit: int) -> tuple[list[Edge], bool]:
    """The edges to descendants, generation by generation; whether there are more images."""
    found: list[Edge] = []
    seen, level, more = {number}, {number}, False
    while level and not more:
        children = find_children(c, level, limit + 1)
        more = children.more
        edges = [edge for many in children.edges.values() for edge in many if edge.child != number]
        new = sorted({edge.child for edge in edges} - seen)
        room = limit + 1 - len(seen)
        more, new = more or len(new) > room, new[:room]
        seen.update(new)
        found += [edge for edge in edges if edge.child in seen]
        level = set(new)
    return found, more


def _find_loops(number: int, above: Mapping[int, Sequence[Edge]]) -> list[Edge]:
    """The edges by which an image would be its own ancestor; without them there is no circle."""
    loops: list[Edge] = []
    done: set[int] = set()
    path = {number}
    ways = [(number, iter(above.get(number, ())))]
    while ways:
        child, edges = ways[-1]
        edge = next(edges, None)
        if edge is None:
            ways.pop()
            path.discard(child)
            done.add(child)
        elif edge.parent in path:
            loops.append(edge)
        elif edge.parent is not None and edge.parent not in done:
            path.add(edge.parent)
            ways.append((edge.parent, iter(above.get(edge.parent, ()))))
    return loops


def _tell_loops(loops: Iterable[Edge], faces: _Faces) -> list[Contradiction]:
    return [
        Contradiction(
            image=faces.name(edge.child),
            digest=faces.digest(edge.child),
            evidence=edge.evidence,
            says=f"it is built from {faces.name(edge.parent)}, which is built from it",
            against=edge.evidence,
        )
        for edge in loops
        if edge.parent is not None
    ]


def package_origins(c: Connection, number: int) -> tuple[PackageOrigin, ...]:
    """Each package of an image with the ancestor that brought it: by name, architecture, version.

    That is the farthest base with the very same version, if every base in between whose packages
    are known has it too.
    """
    row = lookups.list_images(c, [number])[number]
    if row.set_id is None:
        return ()
    held = packages.list_packages(c, row.set_id)
    keys = [(one.type, one.name, one.arch, one.version) for one in held]
    origins = _find_origins(c, {number: keys}, list_base_paths(c, [number]))[number]
    faces = lookups.list_images(c, origins.values())
    names = images.best_names(c, origins.values())
    found = []
    for one, key in zip(held, keys, strict=True):
        base = origins.get(key)
        digest = None if base is None else str(faces[base].digest)
        found.append(
            PackageOrigin(
                package=one.name,
                type=one.type,
                arch=one.arch,
                installed=one.version,
                inherited_from=None if base is None else names.get(base, digest),
                digest=digest,
            )
        )
    return tuple(found)


def inherit(
    c: Connection,
    listed: Mapping[int, Sequence[Update]],
    paths: Mapping[int, Sequence[int]] | None = None,
    names: Mapping[int, str] | None = None,
) -> dict[int, tuple[Update, ...]]:
    """The updates of images by their number, each with the ancestor that brought the package.

    ``paths`` are the bases of the images, the nearest first, and ``names`` theirs, where somebody
    has them at hand.
    """
    wanted = {
        number: [(one.type, one.package, one.arch, one.installed) for one in many]
        for number, many in listed.items()
    }
    origins = _find_origins(c, wanted, list_base_paths(c, wanted) if paths is None else paths)
    bases = {base for many in origins.values() for base in many.values()}
    known = dict(images.best_names(c, bases) if names is None else names)
    nameless = lookups.list_images(c, bases - known.keys())
    known |= {number: str(row.digest) for number, row in nameless.items()}
    return {
        number: tuple(
            structs.replace(one, inherited_from=known[base])
            if (base := origins[number].get(key)) is not None
            else one
            for one, key in zip(many, wanted[number], strict=True)
        )
        for number, many in listed.items()
    }


def _find_origins(
    c: Connection,
    wanted: Mapping[int, Collection[PackageKey]],
    paths: Mapping[int, Sequence[int]],
) -> dict[int, dict[PackageKey, int]]:
    """Of each image those of the packages that it inherits, with the base they come from."""
    found: dict[int, dict[PackageKey, int]] = {number: {} for number in wanted}
    for numbers in batches([number for number, keys in wanted.items() if keys], _AT_ONCE):
        bases = {base for one in numbers for base in paths.get(one, ())}
        contents = facts.list_contents(c, bases)
        for number in numbers:
            left = set(wanted[number])
            for base in paths.get(number, ()):
                if base in contents:
                    left &= contents[base]
                    found[number].update(dict.fromkeys(left, base))
    return found
