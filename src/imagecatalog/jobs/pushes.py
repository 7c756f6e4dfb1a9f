"""Looks at what registries told of: pushed tags and images, and deleted ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from imagecatalog.config import Settings
from imagecatalog.jobs.looking import Looker, find_failure
from imagecatalog.jobs.report import Failure, Report, plural
from imagecatalog.jobs.settling import settle
from imagecatalog.store import sync_requests
from imagecatalog.store.engine import Catalog
from imagecatalog.store.sync_requests import SyncRequest

TRIES = 12
_AT_ONCE = 500
"""Requests of one round; what is more is taken by the next."""
_LEASE = timedelta(minutes=5)
"""So long nobody else looks at them: longer than a round takes as a rule, and if not it is done twice."""
_LONGEST_WAIT = timedelta(hours=1)
_GONE = ("missing", "no-registry")
"""Of what is gone nothing is to be told, nor of what was left out of the configuration since."""


def has_pushes(catalog: Catalog, *, now: datetime) -> bool:
    """Whether anything waits to be looked at."""
    with catalog.read() as c:
        return sync_requests.has_due(c, "push", now=now)


def take_up_pushes(catalog: Catalog, *, now: datetime) -> None:
    """Have what a process that is dead was at looked at by this one."""
    with catalog.write() as c:
        sync_requests.release(c, now=now)


def sync_pushed(catalog: Catalog, settings: Settings, *, now: Callable[[], datetime]) -> Report:
    """Look at all that is due; what fails is tried again later, ever less often."""
    report, count = Report(), 0
    with Looker.open(
        catalog, settings, [one.url for one in settings.registries], now=now
    ) as looker:
        while taken := _take(catalog, now()):
            wanted: dict[str, set[str]] = {}
            for one in taken:
                wanted.setdefault(one.repository, set()).add(one.reference)
            found = looker.look(wanted)
            report += Report(found.done, _close(catalog, taken, found, now()))
            count += len(taken)
    if not count:
        return Report()
    settled = settle(catalog, settings, now=now)
    done = f"{plural(count, 'pushed or deleted tag or image', 'pushed or deleted tags and images')}"
    return Report((*settled.done, f"{done}: {'; '.join(report.done)}"), report.failed)


def _take(catalog: Catalog, now: datetime) -> list[SyncRequest]:
    with catalog.write() as c:
        return sync_requests.take(c, "push", now=now, lease=_LEASE, limit=_AT_ONCE)


def _close(
    catalog: Catalog, taken: Iterable[SyncRequest], report: Report, now: datetime
) -> tuple[Failure, ...]:
    """Drop what is done, put off what failed; the failures."""
    done: list[SyncRequest] = []
    failed: dict[str, Failure] = {}
    with catalog.write() as c:
        for one in taken:
            failure = find_failure(report, one.repository, one.reference)
            if failure is None or failure.code in _GONE:
                done.append(one)
                continue
            failed[failure.subject] = failure
            if one.tries + 1 >= TRIES:
                done.append(one)
            else:
                wait = min(timedelta(minutes=2**one.tries), _LONGEST_WAIT)
                sync_requests.postpone(c, one, failure.message, due=now + wait)
        sync_requests.finish(c, done)
    return tuple(failed.values())
