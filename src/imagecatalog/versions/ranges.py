"""Which versions a fault is in, as intervals of byte keys that a database can compare.

Read from the events of an OSV record (OSV schema, ``affected[].ranges[]``), from its list of
versions, and from a version range specifier (``vers:npm/>=1.0.0|<1.2.3``). A version in a range that
its ecosystem does not allow is refused with BadName: such a range says nothing, and must not be
taken for one that spares everything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from urllib.parse import unquote

from msgspec import Struct

from imagecatalog.errors import BadName
from imagecatalog.versions import key, sort_key

LIMIT = 65_536
"""Characters of a version range specifier."""

_KINDS = frozenset({"introduced", "fixed", "last_affected", "limit"})
_FIRST = b""
_NEXT = b"\x00"
"""Behind a key: the lowest bytes that are above it."""

_VERS = re.compile(r"vers:([a-z][a-z0-9.-]*)/([!-~]+)", re.IGNORECASE)
_CONSTRAINT = re.compile(r"(>=|<=|!=|=|<|>|)([^<>=!*|]+)")
_BAD_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")
_TYPES = {"alpine": "apk", "debian": "deb", "semver": "npm"}
"""Names of orders by the type of package URL that has the order."""


class Interval(Struct, frozen=True):
    """All keys from ``low`` on and below ``high``; with ``high_inclusive`` that one too.

    No ``low`` is from the first version on, no ``high`` is without an end.
    """

    low: bytes | None
    high: bytes | None
    high_inclusive: bool = False


def contains(intervals: Iterable[Interval], version: bytes) -> bool:
    """Whether the key of a version is in one of them."""
    return any(
        (one.low is None or one.low <= version)
        and (one.high is None or version < one.high or (one.high_inclusive and version == one.high))
        for one in intervals
    )


def unite(intervals: Iterable[Interval]) -> tuple[Interval, ...]:
    """The same versions in as few intervals as can be, apart from each other and ascending."""
    united: list[Interval] = []
    for one in sorted(intervals, key=lambda one: one.low or _FIRST):
        if _is_empty(one):
            continue
        if united and _touches(united[-1], one):
            last = united.pop()
            longer = one if _ends_before(last, one) else last
            united.append(Interval(last.low, longer.high, longer.high_inclusive))
        else:
            united.append(one)
    return tuple(united)


def parse_events(ecosystem: str, events: Iterable[Mapping[str, str]]) -> tuple[Interval, ...]:
    """The intervals of one range of an OSV record, ascending; events may come in any order.

    ``introduced: "0"`` is from the first version on. A version in which the fault is both fixed and
    introduced changes nothing: real records join two spans so. Raises BadName for an unknown event,
    and where none introduces.
    """
    limit, points = _read_events(ecosystem, events)
    if not any("introduced" in kinds for kinds in points.values()):
        raise BadName("a range of versions has no event that introduces the fault")
    intervals = []
    low: bytes | None = None
    for at, kinds in sorted(points.items()):
        both = kinds >= {"introduced", "fixed"}
        if low is None and "introduced" in kinds and not both:
            low = at
        if low is not None and (("fixed" in kinds and not both) or "last_affected" in kinds):
            intervals.append(Interval(low or None, at, "fixed" not in kinds or both))
            low = None
    if low is not None:
        intervals.append(Interval(low or None, None))
    return unite(_cut(one, limit) for one in intervals)


def parse_versions(ecosystem: str, versions: Iterable[str]) -> tuple[Interval, ...]:
    """An interval of its own for each version of a list, ascending; invalid ones count as written."""
    keys = sorted({sort_key(ecosystem, version) for version in versions})
    return tuple(Interval(one, one, high_inclusive=True) for one in keys)


def parse_vers(text: str) -> tuple[str, tuple[Interval, ...]]:
    """The ecosystem and the intervals, ascending, of a version range specifier.

    Constraints may come in any order. Where all of them exclude a version, all others are meant.
    Raises BadName for what is none, and for bounds of which two in turn are both lower or upper.
    """
    found = _VERS.fullmatch(text) if len(text) <= LIMIT else None
    if found is None:
        raise BadName(f"{text[:80]!r} is not a version range specifier")
    name = found[1].lower()
    ecosystem = _TYPES.get(name, name)
    if found[2] == "*":
        return ecosystem, () if name == "none" else (Interval(None, None),)
    constraints = sorted(_read_constraint(ecosystem, one) for one in found[2].split("|"))
    if any(one[0] == other[0] for one, other in pairwise(constraints)):
        raise BadName(f"{text[:80]!r} has a version twice")
    points = [Interval(at, at, high_inclusive=True) for at, sign in constraints if sign == "="]
    holes = [at for at, sign in constraints if sign == "!="]
    bounds = [one for one in constraints if one[1][0] in "<>"]
    spans = _read_bounds(bounds, text)
    if not points and not bounds:
        spans = [Interval(None, None)]
    for hole in holes:
        spans = [part for one in spans for part in _split(one, hole)]
    return ecosystem, unite([*spans, *points])


def _read_events(
    ecosystem: str, events: Iterable[Mapping[str, str]]
) -> tuple[bytes | None, dict[bytes, set[str]]]:
    """The last limit of a range, and which other events each version is."""
    limits: list[bytes] = []
    endless = False
    points: dict[bytes, set[str]] = {}
    for kind, version in (item for event in events for item in event.items()):
        if kind not in _KINDS:
            raise BadName(f"{kind[:80]!r} is not an event in a range of versions")
        if kind == "limit":
            endless = endless or version == "*"
            limits += [] if version == "*" else [key(ecosystem, version)]
            continue
        start = kind == "introduced" and version == "0"
        points.setdefault(_FIRST if start else key(ecosystem, version), set()).add(kind)
    return None if endless else max(limits, default=None), points


def _read_constraint(ecosystem: str, text: str) -> tuple[bytes, str]:
    found = _CONSTRAINT.fullmatch(text)
    if found is None or _BAD_ESCAPE.search(found[2]):
        raise BadName(f"{text[:80]!r} is not a constraint of a version range specifier")
    return key(ecosystem, unquote(found[2])), found[1] or "="


def _read_bounds(bounds: Sequence[tuple[bytes, str]], text: str) -> list[Interval]:
    """The intervals between bounds that are sorted; the first may be an upper, the last a lower one."""
    if any(one[1][0] == other[1][0] for one, other in pairwise(bounds)):
        raise BadName(f"{text[:80]!r} has two lower or two upper bounds in turn")
    lows: list[bytes | None] = [at + _NEXT * (sign == ">") for at, sign in bounds if sign[0] == ">"]
    highs: list[tuple[bytes | None, bool]] = [
        (at, sign == "<=") for at, sign in bounds if sign[0] == "<"
    ]
    if bounds and bounds[0][1][0] == "<":
        lows.insert(0, None)
    if bounds and bounds[-1][1][0] == ">":
        highs.append((None, False))
    return [Interval(low, *high) for low, high in zip(lows, highs, strict=True)]


def _split(one: Interval, hole: bytes) -> list[Interval]:
    """An interval without one of its versions."""
    if not contains([one], hole):
        return [one]
    return [Interval(one.low, hole), Interval(hole + _NEXT, one.high, one.high_inclusive)]


def _cut(one: Interval, limit: bytes | None) -> Interval:
    end = Interval(one.low, limit)
    return one if _ends_before(one, end) else end


def _end(one: Interval) -> bytes | None:
    """The lowest bytes above it."""
    return one.high + _NEXT if one.high is not None and one.high_inclusive else one.high


def _ends_before(one: Interval, other: Interval) -> bool:
    end, other_end = _end(one), _end(other)
    return end is not None and (other_end is None or end < other_end)


def _touches(one: Interval, later: Interval) -> bool:
    end = _end(one)
    return end is None or later.low is None or later.low <= end


def _is_empty(one: Interval) -> bool:
    end = _end(one)
    return end is not None and end <= (one.low or _FIRST)
