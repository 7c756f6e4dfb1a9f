"""Brings the feeds up to date and judges anew what changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from imagecatalog.config import Settings
from imagecatalog.errors import UsageError
from imagecatalog.jobs.advisories import refresh_osv, refresh_secdb, refresh_tracker
from imagecatalog.jobs.archives import refresh_archives
from imagecatalog.jobs.clair import forget_clair, refresh_clair
from imagecatalog.jobs.exploits import refresh_epss, refresh_kev
from imagecatalog.jobs.feed_files import count_days
from imagecatalog.jobs.matching import judge_findings
from imagecatalog.jobs.report import Progress, Report, say_nothing
from imagecatalog.jobs.vex import list_sources, refresh_vex
from imagecatalog.store import health
from imagecatalog.store.engine import Catalog

_Feed = Callable[..., Report]

FEEDS: Mapping[str, _Feed] = {
    "apt": refresh_archives,
    "debian-tracker": refresh_tracker,
    "alpine-secdb": refresh_secdb,
    "osv": refresh_osv,
    "kev": refresh_kev,
    "epss": refresh_epss,
    "clair": refresh_clair,
    "vex": refresh_vex,
}
"""The feeds of this release, by name, in the order in which one rests on another."""


_AGEING = frozenset({"debian-tracker", "alpine-secdb", "osv", "kev", "epss"})
"""The feeds that are silent of what they were not asked of lately."""


def refresh(
    catalog: Catalog,
    settings: Settings,
    feeds: Sequence[str] = (),
    *,
    now: Callable[[], datetime],
    progress: Progress = say_nothing,
) -> Report:
    """Bring these feeds up to date, or all that the settings do not switch off."""
    unknown = [name for name in feeds if name not in FEEDS]
    if unknown:
        raise UsageError(f"there is no feed {unknown[0]!r}", hint=f"known: {', '.join(FEEDS)}")
    report = Report()
    if settings.clair is None:
        forget_clair(catalog)
    for name in feeds or list_feeds(settings):
        at, started = now(), time.monotonic()
        found = FEEDS[name](catalog, settings, now=now, progress=progress)
        errors = "; ".join(f"{failure.subject}: {failure.message}" for failure in found.failed[:3])
        with catalog.write() as c:
            health.note_try(
                c,
                "feed",
                name,
                at=at,
                seconds=time.monotonic() - started,
                error=errors or None,
                detail=found.done[-1].removeprefix(f"{name}: ") if found.done else None,
                good_for=count_days(settings, name) if name in _AGEING else None,
            )
        report += found
    judge_findings(catalog, settings, progress=progress)
    return report


def list_feeds(settings: Settings) -> list[str]:
    """The feeds that the settings do not switch off; Clair and VEX where they are configured."""
    wanting = {"clair": settings.clair is None, "vex": not list_sources(settings)}
    names = [name for name in FEEDS if settings.feeds.get(name) is not False]
    return [name for name in names if not wanting.get(name)]
