"""Which images are superseded: a newer tag of their line exists, or of the line of their base."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from imagecatalog.catalog import lineage
from imagecatalog.config import LineRule
from imagecatalog.matching.lines import Head, LineKey, Lines, Place
from imagecatalog.store import chains, lookups, successions
from imagecatalog.store.engine import Connection
from imagecatalog.store.successions import Succession


def judge(c: Connection, rules: Sequence[LineRule] = ()) -> None:
    """Judge every image that runs; called after whatever may have moved a tag."""
    running = successions.list_running(c)
    successions.replace_all(c, find_successions(c, running, rules))


def find_successions(
    c: Connection, numbers: Collection[int], rules: Sequence[LineRule] = ()
) -> dict[int, Succession]:
    """What came after these images; those that nothing came after are left out."""
    numbers = set(numbers)
    bases = lineage.list_bases(c, numbers)
    lines = Lines(c, rules)
    places = lines.places(numbers | set(bases.values()))
    heads = lines.heads(place.line for place in places.values())
    rows = lookups.list_images(c, numbers)
    newer = {n: _newer(places.get(n), n, rows[n].platform, heads) for n in numbers}
    newer_base = {
        n: _newer(places.get(base), base, rows[n].platform, heads)
        for n, base in bases.items()
        if not _is_own_line(places.get(n), places.get(base))
    }
    built_on = _find_built_on(c, newer_base)
    found = {}
    for number in numbers:
        head, base = newer[number], newer_base.get(number)
        if (number, base and base[0]) in built_on:
            base = None
        if head or base:
            found[number] = Succession(
                newer_id=head[0] if head else None,
                newer=head[1] if head else None,
                base_id=base[0] if base else None,
                base=base[1] if base else None,
            )
    return found


def _is_own_line(place: Place | None, base: Place | None) -> bool:
    """Whether an image is built on an older one of its own line, whose newest is told as such."""
    return place is not None and base is not None and place.line == base.line


def _newer(
    place: Place | None, number: int, platform: str | None, heads: dict[LineKey, Head]
) -> tuple[int, str] | None:
    """Number and name of the newest of the image's line, unless it is the image itself."""
    head = heads.get(place.line) if place else None
    if place is None or head is None or head.key < place.key:
        return None
    successor = head.on(platform)
    return None if successor == number else (successor, head.name)


def _find_built_on(
    c: Connection, newer_base: dict[int, tuple[int, str] | None]
) -> set[tuple[int, int | None]]:
    """Pairs of an image and a base whose very layers it begins with: of the same content, then."""
    pairs = {(number, base[0]) for number, base in newer_base.items() if base}
    ends = successions.list_chains(c, {one for pair in pairs for one in pair})
    above = chains.climb(c, {ends[number] for number, _ in pairs if number in ends})
    return {
        (number, base)
        for number, base in pairs
        # One that adds no layer has those of its base.
        if base in ends
        and number in ends
        and ends[base] in (ends[number], *above.get(ends[number], ()))
    }
