"""Fetches images that run and that the catalog never met, whatever their tags have become."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from imagecatalog.catalog import timeline
from imagecatalog.catalog.unmet import list_askable
from imagecatalog.config import Settings
from imagecatalog.jobs.looking import Looker, find_failure
from imagecatalog.jobs.report import Failure, Progress, Report
from imagecatalog.store import sync_requests
from imagecatalog.store.engine import Catalog
from imagecatalog.store.sync_requests import SyncRequest

AT_ONCE = 500
"""Images that one sync fetches so."""
_LEASE = timedelta(minutes=30)
_FIRST_WAIT = timedelta(hours=2)
_LONGEST_WAIT = timedelta(days=7)
_UNMATCHED = "its registry has it, and it is not what the runtime says that it runs"


def fetch_unmet(
    catalog: Catalog,
    settings: Settings,
    addresses: Sequence[str],
    *,
    now: Callable[[], datetime],
    progress: Progress,
) -> Report:
    """Fetch what runs of these registries and is unknown, a bounded number at once.

    What fails is told the first time, and tried ever less often.
    """
    with catalog.write() as c:
        timeline.match_images(c)
    with Looker.open(catalog, settings, addresses, now=now) as looker:
        with catalog.read() as c:
            askable = {one for one in list_askable(c) if looker.covers(one[0])}
        with catalog.write() as c:
            sync_requests.ask_running(c, askable, now=now())
            taken = sync_requests.take(c, "running", now=now(), lease=_LEASE, limit=AT_ONCE)
        if not taken:
            return Report()
        wanted: dict[str, set[str]] = {}
        for one in taken:
            wanted.setdefault(one.repository, set()).add(one.reference)
        report = looker.look(wanted, progress)
    failed = _close(catalog, taken, report, now())
    done = tuple(f"of what runs and was not known: {line}" for line in report.done)
    return Report(done, failed)


def _close(
    catalog: Catalog, taken: Sequence[SyncRequest], report: Report, now: datetime
) -> tuple[Failure, ...]:
    """Drop what is known by now, put off what is not; the failures that were not told before."""
    told: dict[str, Failure] = {}
    with catalog.write() as c:
        timeline.match_images(c)
        rest = list_askable(c)
        for one in taken:
            if (one.repository, one.reference) not in rest:
                sync_requests.finish(c, [one])
                continue
            failure = find_failure(report, one.repository, one.reference)
            if failure is not None and not one.tries:
                told[failure.subject] = failure
            why = failure.message if failure else _UNMATCHED
            wait = min(_FIRST_WAIT * 2 ** min(one.tries, 10), _LONGEST_WAIT)
            sync_requests.postpone(c, one, why, due=now + wait)
    return tuple(told.values())
