"""Where boxes stand and lines run, on graphs of any shape."""

from __future__ import annotations

import random
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagecatalog.web.ui.placement import Box, Line, Picture, Placed, arrange

sizes = st.integers(1, 300)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[Box], list[Line], int, bool]:
    """Boxes of any size, lines between any of them: cycles, loops, and ends that are not there."""
    number = draw(st.integers(0, 14))
    boxes = [
        Box(f"b{place}", draw(sizes), draw(sizes), draw(st.integers(0, 4)))
        for place in range(number)
    ]
    names = st.sampled_from([*(box.key for box in boxes), "nowhere"])
    kinds = st.sampled_from(["x", "y"])
    lines = draw(st.lists(st.builds(Line, names, names, kinds), max_size=40))
    return boxes, lines, draw(st.integers(1, 6)), draw(st.booleans())


def _apart(one: Placed, other: Placed) -> bool:
    return (
        one.x + one.width <= other.x
        or other.x + other.width <= one.x
        or one.y + one.height <= other.y
        or other.y + other.height <= one.y
    )


def _is_on_edge(box: Placed, x: int, y: int) -> bool:
    inside = box.x <= x <= box.x + box.width and box.y <= y <= box.y + box.height
    return inside and (x in (box.x, box.x + box.width) or y in (box.y, box.y + box.height))


def _crosses(box: Placed, start: tuple[int, int], end: tuple[int, int]) -> bool:
    """Whether the rectangle that a piece of a line spans has more than its rim in the box."""
    (x1, x2), (y1, y2) = sorted([start[0], end[0]]), sorted([start[1], end[1]])
    return (x1 < box.x + box.width and box.x < x2 and y1 < box.y + box.height and box.y < y2) or (
        # An upright or level piece has no inside of its own.
        (x1 == x2 and box.x < x1 < box.x + box.width and y1 < box.y + box.height and box.y < y2)
        or (y1 == y2 and box.y < y1 < box.y + box.height and x1 < box.x + box.width and box.x < x2)
    )


def _check(picture: Picture, boxes: list[Box], lines: list[Line]) -> None:
    placed = {box.key: box for box in picture.boxes}
    assert [(box.key, box.width, box.height) for box in picture.boxes] == [
        (box.key, box.width, box.height) for box in boxes
    ]
    for one, other in combinations(picture.boxes, 2):
        assert _apart(one, other), (one, other)
    for box in picture.boxes:
        assert box.x >= 0
        assert box.y >= 0
        assert box.x + box.width <= picture.width
        assert box.y + box.height <= picture.height
    drawn = [route.line for route in picture.routes]
    assert len(drawn) == len(set(drawn))
    assert set(drawn) == {
        line
        for line in lines
        if line.source != line.target and {line.source, line.target} <= placed.keys()
    }
    for route in picture.routes:
        assert _is_on_edge(placed[route.line.source], *route.points[0])
        assert _is_on_edge(placed[route.line.target], *route.points[-1])
        for start, end in pairwise(route.points):
            assert 0 <= start[0] <= picture.width
            assert 0 <= start[1] <= picture.height
            for box in picture.boxes:
                assert not _crosses(box, start, end), (route, box)


@settings(max_examples=200, deadline=None)
@given(graphs(), st.randoms(use_true_random=False))
def test_boxes_are_apart_and_lines_run_from_box_to_box_between_them(
    graph: tuple[list[Box], list[Line], int, bool], shuffler: random.Random
) -> None:
    boxes, lines, across, sideways = graph
    picture = arrange(boxes, lines, across=across, sideways=sideways)
    _check(picture, boxes, lines)
    shuffled = [*lines, *lines]
    shuffler.shuffle(shuffled)
    assert arrange(boxes, shuffled, across=across, sideways=sideways) == picture


@settings(max_examples=100, deadline=None)
@given(graphs())
def test_sources_are_above_their_targets_unless_a_cycle_closes(
    graph: tuple[list[Box], list[Line], int, bool],
) -> None:
    boxes, lines, across, _ = graph
    forward = [line for line in lines if line.source < line.target]
    picture = arrange(boxes, forward, across=across)
    placed = {box.key: box for box in picture.boxes}
    for route in picture.routes:
        source, target = placed[route.line.source], placed[route.line.target]
        assert source.y + source.height < target.y
    beside = arrange(boxes, forward, across=across, sideways=True)
    places = {box.key: box for box in beside.boxes}
    for route in beside.routes:
        source, target = places[route.line.source], places[route.line.target]
        assert source.x + source.width < target.x


def test_a_cycle_is_drawn_with_one_line_upwards() -> None:
    boxes = [Box(key, 100, 40) for key in "abc"]
    picture = arrange(boxes, [Line("a", "b"), Line("b", "c"), Line("c", "a"), Line("b", "b")])
    going_up = [route.line for route in picture.routes if route.points[0][1] > route.points[-1][1]]
    assert going_up == [Line("c", "a")]
    assert len(picture.routes) == 3


def test_a_wide_rank_takes_several_rows_and_one_line_leads_through_them() -> None:
    boxes = [Box("root", 100, 40), *(Box(f"leaf{place:02}", 100, 40) for place in range(20))]
    lines = [Line("root", box.key) for box in boxes[1:]]
    picture = arrange(boxes, lines, across=5)
    rows = sorted({box.y for box in picture.boxes})
    assert len(rows) == 5
    assert picture.width < 700
    ways = {route.points[2:-1] for route in picture.routes}
    longest = max(ways, key=len)
    assert all(longest[: len(way)] == way for way in ways)


def test_what_has_children_is_next_to_them() -> None:
    boxes = [Box(key, 100, 40) for key in ("root", "parent", "a", "b", "c", "child")]
    lines = [Line("root", key) for key in ("parent", "a", "b", "c")] + [Line("parent", "child")]
    rows = {box.key: box.y for box in arrange(boxes, lines, across=2).boxes}
    assert rows["root"] < rows["a"] < rows["parent"] < rows["child"]


def test_lines_of_different_kinds_end_apart_in_the_order_they_come_from() -> None:
    boxes = [Box(key, 100, 40) for key in ("a", "b", "c", "child")]
    lines = [Line("a", "child", "z"), Line("b", "child", "m"), Line("c", "child", "z")]
    ends = {route.line.source: route.points[-1] for route in arrange(boxes, lines).routes}
    assert ends["a"] == ends["c"] != ends["b"]
    lines = [Line("a", "child", "z"), Line("b", "child", "a")]
    ends = {
        route.line.source: route.points[-1]
        for route in arrange(boxes[:2] + boxes[3:], lines).routes
    }
    assert ends["a"][0] < ends["b"][0]


def test_a_child_stands_under_its_parent() -> None:
    picture = arrange([Box("a", 100, 40), Box("b", 60, 40)], [Line("a", "b")])
    upper, lower = picture.boxes
    assert upper.x + 50 == lower.x + 30
    assert arrange([], []).boxes == ()


@pytest.mark.parametrize("lines", [499, 1000])
def test_five_hundred_boxes_are_apart(lines: int) -> None:
    chance = random.Random(7)
    boxes = [Box(f"b{place}", 176, 62) for place in range(500)]
    ends = [sorted(chance.sample(range(500), 2)) for _ in range(lines)]
    picture = arrange(boxes, [Line(f"b{a}", f"b{b}") for a, b in ends])
    for one, other in combinations(picture.boxes, 2):
        assert _apart(one, other)
