"""Which running images hold which components, as bits: one integer is a set of images.

A fault of a common package is in thousands of images by way of a few chunks of packages that they
share; so that images and containers are counted by chunks, and never image by image.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import reduce
from itertools import repeat
from operator import or_

from imagecatalog.store import running_faults
from imagecatalog.store.engine import Connection
from imagecatalog.store.running_faults import RunningImage


class Holding:
    """The running images, and the bits of those that hold each of some components."""

    def __init__(self, images: Sequence[RunningImage], holders: Mapping[int, int]) -> None:
        self.images = images
        self._holders = holders
        most = max((one.containers for one in images), default=0)
        # The containers of an image as a sum of powers of two: each has the bits of its images.
        self._planes = [
            _bits(at for at, one in enumerate(images) if one.containers >> power & 1)
            for power in range(most.bit_length())
        ]

    @classmethod
    def read(
        cls,
        c: Connection,
        images: Sequence[RunningImage],
        components: Collection[int],
        *,
        made_of: Mapping[int, Collection[int]] | None = None,
    ) -> Holding:
        """Who of these images holds which of these components, each in its own distribution's scope.

        ``made_of`` are the chunks of their sets; without it the images must be among those that run.
        """
        by_set: dict[int, list[int]] = {}
        by_scope: dict[int, list[int]] = {}
        for at, one in enumerate(images):
            by_set.setdefault(one.set_id, []).append(at)
            by_scope.setdefault(one.scope_id, []).append(at)
        sets = {set_id: _bits(places) for set_id, places in by_set.items()}
        scopes = {scope_id: _bits(places) for scope_id, places in by_scope.items()}
        everywhere = _bits(range(len(images)))
        chunks: dict[int, int] = {}
        made = running_faults.list_chunks(c) if made_of is None else _turn(made_of)
        for chunk, inside in made:
            if bits := reduce(or_, map(sets.get, inside, repeat(0)), 0):
                chunks[chunk] = bits
        holders: dict[int, int] = {}
        for number, scope_id, inside in running_faults.list_places(c, components):
            if bits := reduce(or_, map(chunks.get, inside, repeat(0)), 0):
                allowed = everywhere if scope_id is None else scopes.get(scope_id, 0)
                holders[number] = bits & allowed
        return cls(images, holders)

    def find(self, components: Iterable[int]) -> int:
        """The images that hold any of these."""
        bits = 0
        for number in components:
            bits |= self._holders.get(number, 0)
        return bits

    def count_containers(self, bits: int) -> int:
        """How many containers run these images."""
        return sum((bits & plane).bit_count() << at for at, plane in enumerate(self._planes))

    def list_images(self, bits: int) -> Iterator[RunningImage]:
        """These images, in their order."""
        while bits:
            low = bits & -bits
            yield self.images[low.bit_length() - 1]
            bits ^= low


def _turn(made_of: Mapping[int, Collection[int]]) -> Iterable[tuple[int, Iterable[int]]]:
    """The sets that are made of each chunk."""
    found: dict[int, list[int]] = {}
    for set_id, chunks in made_of.items():
        for chunk in chunks:
            found.setdefault(chunk, []).append(set_id)
    return found.items()


def _bits(places: Iterable[int]) -> int:
    bits = 0
    for place in places:
        bits |= 1 << place
    return bits
