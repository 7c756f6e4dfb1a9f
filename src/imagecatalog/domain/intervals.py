"""Intervals of time, half open: from their begin on, up to and without their end; None never ends."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

Interval = tuple[datetime, datetime | None]
Told = tuple[datetime, datetime | None, int]
"""An interval with how many there were at once."""


def cut_out(whole: Interval, part: Interval) -> list[Interval]:
    """What is left of an interval without another: nothing, one piece or two."""
    since, until = whole
    begin, end = part
    pieces: list[Interval] = []
    if since < begin:
        pieces.append((since, begin if until is None or until > begin else until))
    if end is not None and (until is None or until > end):
        pieces.append((max(since, end), until))
    return pieces


def join(intervals: Iterable[Interval]) -> list[Interval]:
    """The longest intervals that cover the same: those that touch or overlap are one."""
    joined: list[Interval] = []
    for since, until in sorted(intervals, key=lambda one: one[0]):
        if joined:
            begin, end = joined[-1]
            if end is None:
                break
            if since <= end:
                joined[-1] = (begin, None if until is None else max(end, until))
                continue
        joined.append((since, until))
    return joined


def add_up(told: Iterable[Told]) -> list[Told]:
    """The longest intervals in which the sum stays the same, in their order; all have an end."""
    steps: dict[datetime, int] = {}
    for since, until, count in told:
        assert until is not None
        steps[since] = steps.get(since, 0) + count
        steps[until] = steps.get(until, 0) - count
    found: list[Told] = []
    begin, total = None, 0
    for moment in sorted(at for at, step in steps.items() if step):
        if begin is not None and total:
            found.append((begin, moment, total))
        begin, total = moment, total + steps[moment]
    return found
