"""Intervals: cut, joined and added up as counting second by second does."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from imagecatalog.domain.intervals import Interval, add_up, cut_out, join

START = datetime(2026, 1, 1, tzinfo=UTC)
END = 12


def _at(number: int) -> datetime:
    return START + timedelta(seconds=number)


@st.composite
def _interval(draw: st.DrawFn, *, endless: bool = True) -> Interval:
    since = draw(st.integers(0, END - 2))
    until = draw(st.integers(since + 1, END - 1))
    return _at(since), None if endless and draw(st.booleans()) else _at(until)


def _seconds(intervals: list[Interval]) -> list[int]:
    """In how many of them each second is."""
    return [
        sum(since <= _at(n) and (until is None or _at(n) < until) for since, until in intervals)
        for n in range(END + 1)
    ]


@given(_interval(), _interval())
def test_what_is_cut_out_is_gone_and_nothing_else(whole: Interval, part: Interval) -> None:
    left = cut_out(whole, part)
    expected = [
        int(inside and not out)
        for inside, out in zip(_seconds([whole]), _seconds([part]), strict=True)
    ]
    assert _seconds(left) == expected
    assert all(until is None or since < until for since, until in left)


@given(st.lists(_interval(), max_size=5))
def test_joined_intervals_cover_the_same_and_do_not_touch(intervals: list[Interval]) -> None:
    joined = join(intervals)
    assert _seconds(joined) == [min(1, many) for many in _seconds(intervals)]
    for (_, until), (since, _) in itertools.pairwise(joined):
        assert until is not None
        assert until < since


@given(st.lists(st.tuples(_interval(endless=False), st.integers(1, 3)), max_size=5))
def test_sums_are_those_of_each_second_and_as_long_as_they_can_be(
    told: list[tuple[Interval, int]],
) -> None:
    sums = add_up((since, until, many) for (since, until), many in told)
    for n in range(END):
        expected = sum(many for one, many in told if _seconds([one])[n])
        assert sum(many for since, until, many in sums if _seconds([(since, until)])[n]) == expected
    for one, two in itertools.pairwise(sums):
        assert one[1] is not None
        assert one[1] <= two[0]
        assert one[1] < two[0] or one[2] != two[2]
