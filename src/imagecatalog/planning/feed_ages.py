"""Which verdicts rest on a feed that was not read of late: what it would tell now is not known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from imagecatalog.domain.scopes import ECOSYSTEMS, ecosystem_of
from imagecatalog.store.engine import Connection
from imagecatalog.store.health import FeedAge, feed_ages

_OWN = {"debian": "debian-tracker", "alpine": "alpine-secdb"}
"""The feed of a distribution itself, before OSV."""


def list_old_feeds(c: Connection, scopes: Iterable[str], *, now: datetime) -> dict[str, str]:
    """Of these scopes those whose advisories are too old to rest on, each with a sentence that says so.

    A scope that no feed was ever asked of is not among them: nothing was told of it at all.
    """
    ages = feed_ages(c, now)
    found = {}
    for scope in scopes:
        told = [ages[name] for name in _list_sources(scope, ages)]
        if told and all(one.too_old for one in told):
            found[scope] = _say(max(told, key=_last), now)
    return found


def list_old_scores(c: Connection, *, now: datetime) -> tuple[str, ...]:
    """A sentence for each of KEV and EPSS that is too old to rest on."""
    ages = feed_ages(c, now)
    return tuple(
        _say(ages[name], now) for name in ("kev", "epss") if name in ages and ages[name].too_old
    )


def _list_sources(scope: str, ages: Mapping[str, FeedAge]) -> list[str]:
    """The feeds that were asked of a scope; files of OSV that are not of one ecosystem come last."""
    own = _OWN.get(scope.partition("/")[0])
    named: set[str | None] = {own, f"osv {ecosystem_of(scope)}"}
    release = scope.partition("/")[2]
    if own == "alpine-secdb":
        named |= {f"{own} {prefix}{release}/main" for prefix in ("", "v")}
        if any(name in ages for name in named - {own}):
            named.discard(own)
    found = sorted(name for name in named if name is not None and name in ages)
    return found or sorted(
        name for name in ages if name.startswith("osv ") and name[4:] not in ECOSYSTEMS.values()
    )


def _say(age: FeedAge, now: datetime) -> str:
    if age.last_good is None:
        return f"{age.feed} was never read well"
    days = (now - age.last_good).days
    count = f"{days} days" if days != 1 else "1 day"
    return f"{age.feed} was last read well {count} ago, on {age.last_good:%Y-%m-%d}"


def _last(age: FeedAge) -> float:
    return age.last_good.timestamp() if age.last_good else 0.0
