"""Where the boxes of a graph stand and how its lines run: rows from the top, sources above targets.

Boxes never overlap, a line touches none but its two ends', and the same graph in any order of its
lines gives the same picture. Knows nothing of what is drawn.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

SIDE_GAP = 16
"""Pixels between two neighbours of a row."""
ROW_GAP = 44
"""Pixels between two rows, where lines cross over."""
LANE = 2
"""Width of a line that passes through a row."""
MARGIN = 8
_END_GAP = 18
"""Pixels between lines of different kinds where they end at one box, if it is wide enough."""
_SWEEPS = 6
_STRAIGHTNESS = 256
"""How much more a lane's place counts than a box's: long lines bend little, boxes make room."""

Point = tuple[int, int]
_Item = tuple[str, str, int]
"""A box ``(key, "", 0)``, or where the lines of one box and kind pass a row: ``(key, kind, row)``."""


@dataclass(frozen=True)
class Box:
    """A box to place, in pixels. ``least`` is the first rank where it may stand."""

    key: str
    width: int
    height: int
    least: int = 0


@dataclass(frozen=True, order=True)
class Line:
    """A line to draw. Lines of one source and kind share their way as far as they can."""

    source: str
    target: str
    kind: str = "line"


@dataclass(frozen=True)
class Placed:
    """A box and its place."""

    key: str
    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Route:
    """A line's way from its source: straight along rows, slanting only in the gaps between."""

    line: Line
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Picture:
    """The whole; ``sideways``: ranks go from left to right instead of downwards."""

    width: int
    height: int
    boxes: tuple[Placed, ...]
    routes: tuple[Route, ...]
    sideways: bool = False


@dataclass
class _Grid:
    """The rows while they are put in order; ``above`` and ``below`` are each item's neighbours."""

    rows: list[list[_Item]]
    widths: dict[_Item, int]
    above: dict[_Item, list[_Item]] = field(default_factory=lambda: defaultdict(list))
    below: dict[_Item, list[_Item]] = field(default_factory=lambda: defaultdict(list))


def arrange(
    boxes: Sequence[Box], lines: Iterable[Line], *, across: int = 5, sideways: bool = False
) -> Picture:
    """Place the boxes, at most ``across`` in a row (a rank of more takes several), and the lines.

    Lines to themselves or to boxes that are not there are left out; in a cycle the line that
    closes it goes upwards. Boxes that nothing else orders keep the order given. ``sideways`` ranks
    go from left to right, and each begins at the top, where a reader begins.
    """
    if sideways:
        boxes = [Box(box.key, box.height, box.width, box.least) for box in boxes]
    given = {box.key: place for place, box in enumerate(boxes)}
    known = {
        line
        for line in lines
        if line.source != line.target and line.source in given and line.target in given
    }
    drawn = sorted(known, key=lambda line: (given[line.source], given[line.target], line.kind))
    ranks = _rank(boxes, drawn)
    row_of = _wrap(boxes, drawn, ranks, across)
    grid = _weave(boxes, drawn, row_of)
    _untangle(grid)
    lefts = _pack(grid) if sideways else _spread(grid)
    picture = _measure(boxes, drawn, row_of, grid, lefts)
    return _turn(picture) if sideways else picture


def _rank(boxes: Sequence[Box], lines: Sequence[Line]) -> dict[str, int]:
    """The longest way to each box from any source, the closing lines of cycles left out."""
    targets: dict[str, list[str]] = {box.key: [] for box in boxes}
    for line in lines:
        if line.target not in targets[line.source][-1:]:
            targets[line.source].append(line.target)
    order, closing = _walk(targets)
    ranks = {box.key: box.least for box in boxes}
    for key in order:
        for target in targets[key]:
            if (key, target) not in closing:
                ranks[target] = max(ranks[target], ranks[key] + 1)
    return ranks


def _walk(targets: Mapping[str, Sequence[str]]) -> tuple[list[str], set[tuple[str, str]]]:
    """Sources before targets, and the lines that go back to a box still being walked from."""
    closing: set[tuple[str, str]] = set()
    state: dict[str, bool] = {}  # False while it is on the way, True when done
    finished: list[str] = []
    for start in targets:
        stack = [(start, iter(targets[start]))] if start not in state else []
        state.setdefault(start, False)
        while stack:
            key, rest = stack[-1]
            target = next(rest, None)
            if target is None:
                stack.pop()
                state[key] = True
                finished.append(key)
            elif target not in state:
                state[target] = False
                stack.append((target, iter(targets[target])))
            elif not state[target]:
                closing.add((key, target))
    return finished[::-1], closing


def _wrap(
    boxes: Sequence[Box], lines: Sequence[Line], ranks: Mapping[str, int], across: int
) -> dict[str, int]:
    """The row of each box: ends of lines first, so that what goes on is next to what follows."""
    sources: dict[str, list[str]] = defaultdict(list)
    going_on = set()
    for line in lines:
        if ranks[line.source] < ranks[line.target]:
            sources[line.target].append(line.source)
            going_on.add(line.source)
    by_rank: dict[int, list[str]] = defaultdict(list)
    for box in boxes:
        by_rank[ranks[box.key]].append(box.key)
    places: dict[str, int] = {}
    row_of: dict[str, int] = {}
    row = 0
    for rank in sorted(by_rank):
        keys = sorted(
            by_rank[rank],
            key=lambda key: (
                key in going_on,
                min((places[one] for one in sources[key]), default=0),
            ),
        )
        rows = -(-len(keys) // across)
        for place, key in enumerate(keys):
            places[key] = len(places)
            row_of[key] = row + place * rows // len(keys)
        row += rows
    return row_of


def _ends(line: Line, row_of: Mapping[str, int]) -> tuple[str, str]:
    """The upper and the lower end."""
    is_down = row_of[line.source] < row_of[line.target]
    return (line.source, line.target) if is_down else (line.target, line.source)


def _way(line: Line, row_of: Mapping[str, int]) -> list[_Item]:
    """The items from the upper to the lower end."""
    upper, lower = _ends(line, row_of)
    between = range(row_of[upper] + 1, row_of[lower])
    return [(upper, "", 0), *((upper, line.kind, row) for row in between), (lower, "", 0)]


def _weave(boxes: Sequence[Box], lines: Sequence[Line], row_of: Mapping[str, int]) -> _Grid:
    """All rows with their boxes and the lanes that pass through."""
    rows: list[list[_Item]] = [[] for _ in range(max(row_of.values(), default=-1) + 1)]
    grid = _Grid(rows, {})
    for box in sorted(boxes, key=lambda box: row_of[box.key]):
        item = (box.key, "", 0)
        rows[row_of[box.key]].append(item)
        grid.widths[item] = box.width
    joined: set[tuple[_Item, _Item]] = set()
    for line in lines:
        for upper, lower in pairwise(_way(line, row_of)):
            if lower[1] and lower not in grid.widths:
                grid.widths[lower] = LANE
                row = rows[lower[2]]
                row.insert(len(row) // 2, lower)
            if (upper, lower) not in joined:
                joined.add((upper, lower))
                grid.below[upper].append(lower)
                grid.above[lower].append(upper)
    return grid


def _untangle(grid: _Grid) -> None:
    """Put each row in the order of its neighbours' middle, down and up again, a few times."""
    for sweep in range(_SWEEPS):
        is_down = sweep % 2 == 0
        neighbours = grid.above if is_down else grid.below
        order = grid.rows if is_down else grid.rows[::-1]
        for before, row in pairwise(order):
            places = {item: place / len(before) for place, item in enumerate(before)}
            own = {item: place / len(row) for place, item in enumerate(row)}
            wanted = {
                item: _middle([places[one] for one in neighbours[item]], own[item]) for item in row
            }
            row.sort(key=wanted.__getitem__)


def _middle(numbers: Sequence[float], otherwise: float = 0.0) -> float:
    return sum(numbers) / len(numbers) if numbers else otherwise


def _spread(grid: _Grid) -> dict[_Item, int]:
    """The left end of each item: near its neighbours, in the row's order, never too close."""
    centres: dict[_Item, float] = {}
    for row in grid.rows:
        wanted = [_middle([centres[one] for one in grid.above[item]]) for item in row]
        _settle(grid, row, wanted, centres)
    for sweep in range(_SWEEPS):
        for row in grid.rows[::-1] if sweep % 2 == 0 else grid.rows:
            neighbours = grid.below if sweep % 2 == 0 else grid.above
            wanted = [
                _middle([centres[one] for one in neighbours[item]], centres[item]) for item in row
            ]
            _settle(grid, row, wanted, centres)
    lefts = {item: round(centre - grid.widths[item] / 2) for item, centre in centres.items()}
    least = min(lefts.values(), default=0)
    return {item: left - least for item, left in lefts.items()}


def _pack(grid: _Grid) -> dict[_Item, int]:
    """The start of each item, every row without a hole."""
    starts: dict[_Item, int] = {}
    for row in grid.rows:
        start = 0
        for item in row:
            starts[item] = start
            start += grid.widths[item] + SIDE_GAP
    return starts


def _settle(
    grid: _Grid, row: Sequence[_Item], wanted: Sequence[float], centres: dict[_Item, float]
) -> None:
    """The centres nearest to those wanted (least squares) that keep the row's order and gaps."""
    offsets = [0.0]
    for left, right in pairwise(row):
        offsets.append(offsets[-1] + (grid.widths[left] + grid.widths[right]) / 2 + SIDE_GAP)
    # Pool adjacent violators: what would overlap moves as one block to its common mean.
    blocks: list[tuple[float, int, int]] = []
    for item, place, offset in zip(row, wanted, offsets, strict=True):
        start, weight, size = place - offset, _STRAIGHTNESS if item[1] else 1, 1
        while blocks and blocks[-1][0] >= start:
            mean, much, many = blocks.pop()
            start = (mean * much + start * weight) / (much + weight)
            weight, size = weight + much, size + many
        blocks.append((start, weight, size))
    starts = [round(start) for start, _, size in blocks for _ in range(size)]
    for item, start, offset in zip(row, starts, offsets, strict=True):
        centres[item] = start + offset


def _measure(
    boxes: Sequence[Box],
    lines: Sequence[Line],
    row_of: Mapping[str, int],
    grid: _Grid,
    lefts: Mapping[_Item, int],
) -> Picture:
    """The rows from the top, and the lines between them."""
    heights = [0] * len(grid.rows)
    for box in boxes:
        heights[row_of[box.key]] = max(heights[row_of[box.key]], box.height)
    tops = [MARGIN]
    for height in heights:
        tops.append(tops[-1] + height + ROW_GAP)
    placed = {
        box.key: Placed(
            box.key, lefts[box.key, "", 0] + MARGIN, tops[row_of[box.key]], box.width, box.height
        )
        for box in boxes
    }

    def follow(line: Line) -> Route:
        way = _way(line, row_of)
        first, last = placed[way[0][0]], placed[way[-1][0]]
        middle = first.x + first.width // 2
        bottom = first.y + heights[row_of[first.key]]
        points = [(middle, first.y + first.height), (middle, bottom)]
        for item in way[1:-1]:
            x = lefts[item] + MARGIN + LANE // 2
            points += [(x, tops[item[2]]), (x, tops[item[2]] + heights[item[2]])]
        points.append((last.x + last.width // 2, last.y))
        is_down = way[0][0] == line.source
        return Route(line, tuple(points if is_down else points[::-1]))

    routes = _part_ends([follow(line) for line in lines], placed)
    width = max((lefts[item] + grid.widths[item] for item in lefts), default=0) + 2 * MARGIN
    height = tops[-1] - (ROW_GAP if heights else 0) + MARGIN
    return Picture(width, height, tuple(placed[box.key] for box in boxes), routes)


def _part_ends(routes: Sequence[Route], placed: Mapping[str, Placed]) -> tuple[Route, ...]:
    """Lines of different kinds end at different points of a box, in the order they come from."""
    comes_from: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for route in routes:
        comes_from[route.line.target][route.line.kind].append(route.points[-2][0])
    parted = []
    for route in routes:
        if route.points[-2][1] >= route.points[-1][1]:
            parted.append(route)  # one that goes upwards ends where others begin
            continue
        kinds = comes_from[route.line.target]
        order = [kind for _, kind in sorted((_middle(xs), kind) for kind, xs in kinds.items())]
        step = min(_END_GAP, placed[route.line.target].width // len(order))
        x, y = route.points[-1]
        x += round((order.index(route.line.kind) - (len(order) - 1) / 2) * step)
        parted.append(Route(route.line, (*route.points[:-1], (x, y))))
    return tuple(parted)


def _turn(picture: Picture) -> Picture:
    """The picture mirrored so that what went down goes to the right."""
    return Picture(
        picture.height,
        picture.width,
        tuple(Placed(box.key, box.y, box.x, box.height, box.width) for box in picture.boxes),
        tuple(
            Route(route.line, tuple((y, x) for x, y in route.points)) for route in picture.routes
        ),
        sideways=True,
    )
