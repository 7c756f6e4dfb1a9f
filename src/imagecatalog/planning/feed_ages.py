"""Which verdicts rest on a feed that was not read of late: what it would tell now is not known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from imagecatalog.domain.scopes import ECOSYSTEMS, ecosystem_of
from imagecatalog.store.engine import Connection
from imagecatalog.store.health import FeedAge, feed_ages

_OWN = {"debian": "debian-tracker", "alpine": "alpine-secdb"}
"""The feed of a distribution itself, before OSV."""
_SCORES = {
    "kev": "which faults are exploited may have changed since",
    "epss": "how probable it is that a fault is exploited may have changed since",
}


def list_old_feeds(c: Connection, scopes: Iterable[str], *, now: datetime) -> dict[str, str]:
    """Of these scopes those whose advisories are too old to rest on, each with what says so.

    That names the files of a feed that are, and not those that are well. A scope that no feed was ever
    asked of is not among them: nothing was told of it at all.
    """
    ages = feed_ages(c, now)
    found = {}
    for scope in scopes:
        own = [ages[name] for name in _list_own(scope, ages)]
        told = own or [ages[name] for name in _list_others(scope, ages)]
        old = [one for one in told if one.too_old]
        # What a distribution tells itself goes before what others tell of it, however old it is.
        if own and old:
            found[scope] = "; ".join(_say(one, now) for one in sorted(old, key=_last))
        elif old and len(old) == len(told):
            found[scope] = _say(max(old, key=_last), now)
    return found


def list_old_scores(c: Connection, *, now: datetime) -> tuple[str, ...]:
    """A sentence for each of KEV and EPSS that is too old to rest on."""
    ages = feed_ages(c, now)
    return tuple(
        f"{_say(ages[name], now)}: {what}"
        for name, what in _SCORES.items()
        if name in ages and ages[name].too_old
    )


def _list_own(scope: str, ages: Mapping[str, FeedAge]) -> list[str]:
    """The feeds of a scope's distribution itself that were ever asked: their files, where known."""
    os_id, _, release = scope.partition("/")
    own = _OWN.get(os_id, "")
    files = [f"{own} {kind}" for kind in ("json", "DSA", "DLA")]
    files += [
        f"{own} {prefix}{release}/{repository}"
        for prefix in ("", "v")
        for repository in ("main", "community")
    ]
    return [name for name in files if name in ages] or [name for name in (own,) if name in ages]


def _list_others(scope: str, ages: Mapping[str, FeedAge]) -> list[str]:
    """OSV's file of a scope's ecosystem, else those files of it that are not of one."""
    name = f"osv {ecosystem_of(scope)}"
    if name in ages:
        return [name]
    return sorted(
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
