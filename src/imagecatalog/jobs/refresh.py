"""Brings the feeds up to date and judges anew what changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime

from imagecatalog.config import Settings
from imagecatalog.errors import UsageError, hide_secrets
from imagecatalog.jobs.advisories import refresh_osv, refresh_secdb, refresh_tracker
from imagecatalog.jobs.archives import refresh_archives
from imagecatalog.jobs.clair import forget_clair, refresh_clair
from imagecatalog.jobs.exploits import refresh_epss, refresh_kev
from imagecatalog.jobs.feed_files import count_days
from imagecatalog.jobs.matching import judge_findings
from imagecatalog.jobs.report import Progress, Report, say_nothing
from imagecatalog.jobs.vex import list_sources, refresh_vex
from imagecatalog.sources import feeds
from imagecatalog.sources.debian import TRACKER
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
"""The feeds that are silent of what they were not asked of lately; each may be several files."""
_PUBLIC = {
    "debian-tracker": TRACKER,
    "alpine-secdb": feeds.SECDB,
    "osv": feeds.OSV,
    "kev": feeds.KEV,
    "epss": feeds.EPSS,
}


def refresh(
    catalog: Catalog,
    settings: Settings,
    names: Sequence[str] = (),
    *,
    now: Callable[[], datetime],
    once: Collection[str] = (),
    progress: Progress = say_nothing,
) -> Report:
    """Bring these feeds up to date, or all that the settings do not switch off.

    A feed that is read from a file ``once`` and fails is as well as it was before.
    """
    unknown = [name for name in names if name not in FEEDS]
    if unknown:
        raise UsageError(f"there is no feed {unknown[0]!r}", hint=f"known: {', '.join(FEEDS)}")
    report = Report()
    if settings.clair is None:
        forget_clair(catalog)
    for name in names or list_feeds(settings):
        at, started = now(), time.monotonic()
        more = {"once": name in once} if name in _AGEING else {}
        found = FEEDS[name](catalog, settings, now=now, progress=progress, **more)
        if name not in once or found.done:
            _note(catalog, settings, name, found, at=at, seconds=time.monotonic() - started)
        report += found
    judge_findings(catalog, settings, progress=progress)
    return report


def _note(
    catalog: Catalog, settings: Settings, name: str, found: Report, *, at: datetime, seconds: float
) -> None:
    """Write how well a feed is: what failed of one in parts is named, and the others are well."""
    errors = "; ".join(f"{failure.subject}: {failure.message}" for failure in found.failed[:3])
    if len(found.failed) > 3:
        errors += f"; and {len(found.failed) - 3:,} more"
    is_parted = name in _AGEING
    with catalog.write() as c:
        health.note_try(
            c,
            "feed",
            name,
            at=at,
            seconds=seconds,
            error=errors or None,
            detail=found.done[-1].removeprefix(f"{name}: ") if found.done else None,
            good_for=count_days(settings, name) if is_parted else None,
            address=_find_address(settings, name),
            in_part=is_parted and bool(found.done),
        )


def _find_address(settings: Settings, name: str) -> str | None:
    """Where a feed is read from; none of apt, whose archives the images name."""
    if name == "clair":
        return None if settings.clair is None else hide_secrets(settings.clair.url)
    if name == "vex":
        return ", ".join(map(hide_secrets, list_sources(settings))) or None
    setting = settings.feeds.get(name)
    return hide_secrets(setting) if isinstance(setting, str) else _PUBLIC.get(name)


def list_feeds(settings: Settings) -> list[str]:
    """The feeds that the settings do not switch off; Clair and VEX where they are configured."""
    wanting = {"clair": settings.clair is None, "vex": not list_sources(settings)}
    names = [name for name in FEEDS if settings.feeds.get(name) is not False]
    return [name for name in names if not wanting.get(name)]
