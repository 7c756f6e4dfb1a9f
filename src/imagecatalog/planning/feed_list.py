"""The feeds as they are kept: how well each is, what it told, and until when that counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from imagecatalog.domain.answers import Health
from imagecatalog.domain.feeds import FeedItem, FeedState, ForgottenFeed
from imagecatalog.errors import UsageError
from imagecatalog.store import health, told_feeds
from imagecatalog.store.engine import Connection
from imagecatalog.store.health import FeedAge

_NEVER = FeedAge("", None, too_old=True)
_UNCOUNTED = frozenset({"apt", "clair"})
"""Of which what they tell is counted elsewhere."""
_INSTEAD = {
    "apt": "its archives are those that the images name: each verdict says how old they are",
    "clair": "take [clair] out of the configuration: what it said goes with the next refresh",
}


def list_feeds(
    c: Connection, settings: Mapping[str, object], *, now: datetime
) -> tuple[FeedItem, ...]:
    """All that were ever read, by name; ``settings`` are those of ``[feeds]``.

    A feed of several files stands before these, with what they tell together.
    """
    ages = health.feed_ages(c, now)
    tries = {one.name: one for one in health.list_health(c) if one.kind == "feed"}
    records = told_feeds.count_records(c)
    return tuple(
        _describe(
            name,
            tries.get(name),
            ages.get(name, _NEVER),
            _count(name, records),
            is_off=is_off(name, settings),
        )
        for name in sorted(tries.keys() | records.keys())
    )


def is_off(name: str, settings: Mapping[str, object]) -> bool:
    """Whether the configuration switches a feed off, or the feed that a file is of."""
    return settings.get(name.partition(" ")[0]) is False


def forget(c: Connection, name: str, settings: Mapping[str, object]) -> ForgottenFeed:
    """Retract all that a feed told, or a file of it; what that changes waits to be judged.

    Raises NotFound for one of which nothing is known, and UsageError for one that is no list of
    advisories.
    """
    if name.partition(" ")[0] in _UNCOUNTED:
        raise UsageError(f"{name} is not to be forgotten by itself", hint=_INSTEAD[name])
    feeds, records = told_feeds.forget_feed(c, name)
    return ForgottenFeed(name=name, feeds=feeds, records=records, is_off=is_off(name, settings))


def _count(name: str, records: Mapping[str, int]) -> int | None:
    if name.partition(" ")[0] in _UNCOUNTED:
        return None
    return sum(
        count for feed, count in records.items() if feed == name or feed.startswith(f"{name} ")
    )


def _describe(
    name: str, tried: Health | None, age: FeedAge, records: int | None, *, is_off: bool
) -> FeedItem:
    return FeedItem(
        name=name,
        state=_judge(tried, age, is_off=is_off),
        where=age.address,
        records=records,
        last_good=age.last_good,
        counts_until=age.good_until,
        too_old=age.too_old,
        last_tried=tried.last_tried if tried else None,
        last_error=tried.last_error if tried else None,
        detail=tried.detail if tried else None,
        seconds=tried.seconds if tried else None,
        next_run=tried.next_run if tried else None,
    )


def _judge(tried: Health | None, age: FeedAge, *, is_off: bool) -> FeedState:
    if is_off:
        return "off"
    if age.last_good is None:
        return "never"
    if tried and tried.last_error:
        return "failing"
    return "old" if age.too_old else "well"


def describe_feeds(items: Iterable[FeedItem]) -> str:
    """How many feeds are well, and which are not, as a sentence without its end."""
    items = list(items)
    if not items:
        return "No feed was read yet"
    bad = [one for one in items if one.state in {"failing", "never", "old"}]
    off = [one.name for one in items if one.state == "off"]
    said = (
        f"{len(items) - len(bad) - len(off):,} of {len(items):,} feeds and files of feeds are well"
    )
    words = {"failing": "failing", "never": "never read well", "old": "too old to rest on"}
    for state, word in words.items():
        names = [one.name for one in bad if one.state == state]
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            said += f"; {word}: {', '.join(names[:3])}{more}"
    return said + (f"; switched off, what was read of it stands: {', '.join(off)}" if off else "")
