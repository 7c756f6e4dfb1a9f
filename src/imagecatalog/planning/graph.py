"""The arithmetic of a plan: which lines of images to rebuild for which packages, and in what order.

Pure: it knows no database. A *line* is what is rebuilt; a *spot* is a line on one platform, where
its newest image lies. Nothing depends on the order of what comes in.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from heapq import heapify, heappop, heappush

from msgspec import Struct

from imagecatalog.matching.lines import LineKey


class Spot(Struct, frozen=True, order=True, cache_hash=True, gc=False):
    """A line on one platform."""

    line: LineKey
    platform: str


class Want(Struct, frozen=True, order=True, cache_hash=True, gc=False):
    """A package, as ``name:arch``, that the newest image of a spot should get anew."""

    spot: Spot
    package: str


class Newest(Struct, frozen=True, kw_only=True, gc=False):
    """The newest image of a spot, as far as a plan cares."""

    name: str
    waiting: frozenset[str] | None
    """Packages with an update, as ``name:arch``; None: its packages are not known."""
    inherited: frozenset[str] = frozenset()
    """Those of them that the base it was built on brought."""
    base: Spot | None = None
    """What a rebuild would begin with: the newest of its base's line."""
    dead_end: str | None = None
    """Why what its base brought cannot be renewed."""
    obstacle: str | None = None
    """Why it cannot be rebuilt, or is not known."""


class Rebuilds(Struct, frozen=True):
    """The fewest rebuilds that bring what was demanded."""

    brings: dict[LineKey, tuple[Want, ...]]
    """Of each line that is rebuilt, what it is rebuilt for."""
    after: dict[LineKey, frozenset[LineKey]]
    """The lines that must be rebuilt before it, for what it inherits from them."""
    blocked: dict[Want, str]
    """What cannot be brought, and why."""
    circles: dict[LineKey, str]
    """Lines that cannot be rebuilt since they wait for themselves."""
    over: dict[Want, Want]
    """Of what is brought by inheritance: what brings it to the base."""


def find_rebuilds(demands: Iterable[Want], newest: Mapping[Spot, Newest]) -> Rebuilds:
    """From each demand up to the line that brought its package, and all lines on the way.

    A line is among them only if without it some demand would stay: so there are no fewer.
    """
    demands = sorted(set(demands), key=_place)
    circles: dict[LineKey, str] = {}
    while True:
        blocked, above, tied = _settle(demands, newest, circles)
        fixable = [want for want in above if want not in blocked]
        after: dict[LineKey, set[LineKey]] = {want.spot.line: set() for want in fixable}
        for want in fixable:
            over = above[want]
            if over is not None:
                after[want.spot.line].add(over.spot.line)
        found = _circles(after)
        if not found:
            break
        names = {spot.line: one.name for spot, one in sorted(newest.items(), reverse=True)}
        circles |= {line: _draw(circle, names) for line, circle in found.items()}
    circles |= {line: why for line, why in tied.items() if line not in circles}
    brings: dict[LineKey, list[Want]] = {}
    for want in sorted(fixable, key=_place):
        brings.setdefault(want.spot.line, []).append(want)
    return Rebuilds(
        {line: tuple(wants) for line, wants in brings.items()},
        {line: frozenset(lines) for line, lines in after.items()},
        blocked,
        {line: why for line, why in circles.items() if line not in brings},
        {want: over for want in fixable if (over := above[want]) is not None},
    )


def _place(want: Want) -> tuple[str, str, str, str]:
    """Its place in the order of wants; texts are compared faster than what holds them."""
    return want.spot.line.repository, want.spot.line.line, want.spot.platform, want.package


def _settle(
    demands: Iterable[Want], newest: Mapping[Spot, Newest], circles: Mapping[LineKey, str]
) -> tuple[dict[Want, str], dict[Want, Want | None], dict[LineKey, str]]:
    """Why wants cannot be met, for every want met on the way the one that comes first, and circles."""
    tied: dict[LineKey, str] = {}
    above: dict[Want, Want | None] = {}
    blocked: dict[Want, str] = {}
    for demand in demands:
        path: list[Want] = []
        want: Want | None = demand
        while want is not None and want not in above:
            path.append(want)
            why, over = _look_up(want, newest, circles)
            if why is not None:
                blocked[want] = why
            above[want] = over
            want = over
        if want is not None and want in path:
            around = path[path.index(want) :]
            lines = [one.spot.line for one in around]
            names = {one.spot.line: newest[one.spot].name for one in around}
            for position, one in enumerate(around):
                circle = lines[position:] + lines[: position + 1]
                blocked[one] = _draw(list(dict.fromkeys(circle)) + circle[:1], names)
                tied.setdefault(one.spot.line, blocked[one])
        for one in reversed(path):
            over = above[one]
            if one not in blocked and over in blocked:
                blocked[one] = blocked[over]
    return blocked, above, tied


def _look_up(
    want: Want, newest: Mapping[Spot, Newest], circles: Mapping[LineKey, str]
) -> tuple[str | None, Want | None]:
    """Why a want cannot be met at its spot, else the want that must be met before, if any."""
    here = newest[want.spot]
    why = here.obstacle or circles.get(want.spot.line)
    if why is not None or want.package not in here.inherited:
        return why, None
    if here.dead_end is not None or here.base is None:
        return here.dead_end, None
    base = newest[here.base]
    if base.waiting is not None and want.package not in base.waiting:
        return None, None
    return None, Want(here.base, want.package)


def _circles(after: Mapping[LineKey, Collection[LineKey]]) -> dict[LineKey, list[LineKey]]:
    """For each line that waits for itself the shortest way around, itself first and last."""
    tied = {line for group in _knots(after) for line in group}
    tied |= {line for line, before in after.items() if line in before}
    return {line: _shortest_circle(line, after) for line in sorted(tied)}


def _shortest_circle(start: LineKey, after: Mapping[LineKey, Collection[LineKey]]) -> list[LineKey]:
    ways = [[start]]
    seen: set[LineKey] = set()
    for way in ways:
        for line in sorted(after.get(way[-1], ())):
            if line == start:
                return [*way, start]
            if line not in seen:
                seen.add(line)
                ways.append([*way, line])
    raise AssertionError("a line of a knot lies on a circle")


def _draw(circle: Collection[LineKey], names: Mapping[LineKey, str]) -> str:
    way = " → ".join(names[line] for line in circle)
    return f"each of these is built on the next, without end: {way}"


def _knots(after: Mapping[LineKey, Collection[LineKey]]) -> list[set[LineKey]]:
    """Groups of several lines that all wait for one another (Tarjan's algorithm, without recursion)."""
    order: dict[LineKey, int] = {}
    low: dict[LineKey, int] = {}
    stack: list[LineKey] = []
    on_stack: set[LineKey] = set()
    knots = []
    for root in sorted(after):
        work = [(root, iter(sorted(after[root])))] if root not in order else []
        while work:
            line, rest = work[-1]
            if line not in order:
                order[line] = low[line] = len(order)
                stack.append(line)
                on_stack.add(line)
            for over in rest:
                if over not in order and over in after:
                    work.append((over, iter(sorted(after[over]))))
                    break
                if over in on_stack:
                    low[line] = min(low[line], low[over])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[line])
                if low[line] == order[line]:
                    group = set(stack[stack.index(line) :])
                    del stack[-len(group) :]
                    on_stack -= group
                    if len(group) > 1:
                        knots.append(group)
    return knots


class Order(Struct, frozen=True):
    """Rebuilds in waves, each of which may run side by side."""

    waves: tuple[tuple[LineKey, ...], ...]
    before: dict[LineKey, frozenset[LineKey]]
    """The lines in earlier waves for which each waits."""
    loose: dict[LineKey, frozenset[LineKey]]
    """Those for which it would have waited, had they not waited for it."""


def arrange(
    after: Mapping[LineKey, Collection[LineKey]],
    rather: Mapping[LineKey, Collection[LineKey]],
    *,
    max_parallel: int | None = None,
) -> Order:
    """Put lines into waves: each behind those it must come after, and those it rather would.

    ``after`` must be free of circles; what of ``rather`` closes one is left out. Where a wave may
    not hold all that could be in it, those go first for which the longest way of others waits.
    """
    hard = {line: set(lines) & after.keys() for line, lines in after.items()}
    before = {line: hard[line] | (set(rather.get(line, ())) & after.keys()) for line in after}
    wished = {line: set(lines) for line, lines in before.items()}
    for line, lines in before.items():
        lines.discard(line)
    for knot in _knots(before):
        for line in knot:
            before[line] -= knot - hard[line]
    behind = _turn(before)
    heights = _measure(before, behind)
    missing = {line: len(lines) for line, lines in before.items()}
    ready = [(-heights[line], line) for line, count in missing.items() if not count]
    heapify(ready)
    waves = []
    while ready:
        size = len(ready) if max_parallel is None else min(max_parallel, len(ready))
        wave = [heappop(ready)[1] for _ in range(size)]
        waves.append(tuple(sorted(wave)))
        for line in wave:
            for one in behind[line]:
                missing[one] -= 1
                if not missing[one]:
                    heappush(ready, (-heights[one], one))
    loose = {line: frozenset(lines - before[line] - {line}) for line, lines in wished.items()}
    return Order(
        tuple(waves),
        {line: frozenset(lines) for line, lines in before.items()},
        {line: lines for line, lines in loose.items() if lines},
    )


def _turn(edges: Mapping[LineKey, Collection[LineKey]]) -> dict[LineKey, set[LineKey]]:
    """The same edges the other way."""
    turned: dict[LineKey, set[LineKey]] = {line: set() for line in edges}
    for line, others in edges.items():
        for other in others:
            turned.setdefault(other, set()).add(line)
    return turned


def _measure(
    before: Mapping[LineKey, Collection[LineKey]], behind: Mapping[LineKey, Collection[LineKey]]
) -> dict[LineKey, int]:
    """How long a chain of others waits for each."""
    missing = {line: len(lines) for line, lines in behind.items()}
    heights = dict.fromkeys(before, 0)
    ends = [line for line, count in missing.items() if not count]
    while ends:
        line = ends.pop()
        for over in before[line]:
            heights[over] = max(heights[over], heights[line] + 1)
            missing[over] -= 1
            if not missing[over]:
                ends.append(over)
    return heights


class Followers(Struct, frozen=True):
    """What is rebuilt because something that it is built on is."""

    after: dict[LineKey, frozenset[LineKey]]
    """The lines, each with those that must be rebuilt before it."""
    stopped: dict[LineKey, str]
    """Lines that should follow and cannot, and why."""


def find_followers(
    root: LineKey,
    bases: Mapping[LineKey, Collection[LineKey]],
    uses: Mapping[LineKey, Collection[LineKey]],
    *,
    obstacles: Mapping[LineKey, str],
    names: Mapping[LineKey, str],
    goals: Collection[LineKey] | None,
) -> Followers:
    """The root, and what is built on it or with it, and on those, as far as it leads to a goal.

    ``bases`` and ``uses`` say what each line is built on and with. Without goals all of it.
    """
    built_on = {
        line: set(bases.get(line, ())) | set(uses.get(line, ())) for line in {*bases, *uses, root}
    }
    children = _turn(built_on)
    wanted = _leading(root, children, built_on, goals, {})
    stops = {line: why for line, why in obstacles.items() if line in wanted}
    while True:
        lines = _leading(root, children, built_on, goals, stops)
        after = {line: frozenset(set(bases.get(line, ())) & lines - {line}) for line in lines}
        found = _circles(after)
        if not found:
            break
        stops |= {line: _draw(circle, names) for line, circle in found.items()}
    cut_off = wanted - lines - stops.keys() if goals is None else (wanted - lines) & set(goals)
    stops |= {
        line: "what it is built on cannot be rebuilt" for line in cut_off if line not in stops
    }
    return Followers(after, stops)


def _leading(
    root: LineKey,
    children: Mapping[LineKey, Collection[LineKey]],
    parents: Mapping[LineKey, Collection[LineKey]],
    goals: Collection[LineKey] | None,
    stops: Mapping[LineKey, str],
) -> set[LineKey]:
    """What is reached from the root past no stop, and of that only what leads to a goal."""
    if root in stops:
        return set()
    reached = _reach([root], children, lambda line: line not in stops)
    if goals is None:
        return reached
    return _reach(reached & set(goals), parents, reached.__contains__) | {root}


def _reach(
    start: Iterable[LineKey],
    edges: Mapping[LineKey, Collection[LineKey]],
    may_pass: Callable[[LineKey], bool],
) -> set[LineKey]:
    found = set(start)
    todo = list(found)
    while todo:
        for line in edges.get(todo.pop(), ()):
            if line not in found and may_pass(line):
                found.add(line)
                todo.append(line)
    return found
