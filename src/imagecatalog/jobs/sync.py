"""Crawls registries, layouts and archives: what is new is read, what is known is only looked at."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime

from imagecatalog.config import Settings
from imagecatalog.errors import BadDocument, SourceUnavailable, UsageError
from imagecatalog.jobs.crawl import Crawl
from imagecatalog.jobs.pushes import sync_pushed
from imagecatalog.jobs.report import Failure, Progress, Report, say_nothing
from imagecatalog.jobs.settling import settle
from imagecatalog.jobs.unmet import fetch_unmet
from imagecatalog.sources.open import open_source
from imagecatalog.store import health
from imagecatalog.store.engine import Catalog


def sync(
    catalog: Catalog,
    settings: Settings,
    addresses: Sequence[str],
    *,
    now: Callable[[], datetime],
    progress: Progress = say_nothing,
) -> Report:
    """Bring the catalog up to date with these sources, or with all registries of the settings.

    What runs of them and was never met is fetched by its digest; what registries told of is looked
    at. One source's, repository's or image's fault is reported and leaves the others as they are.
    """
    is_all = not addresses
    addresses = addresses or [setting.url for setting in settings.registries]
    if not addresses:
        raise UsageError(
            "there is no registry to sync",
            hint="name one: imagecatalog sync https://registry.example.org, or add a [[registry]]",
        )
    for address in addresses:
        open_source(address, settings).close()  # a wrong one is told before any is read
    report = Report()
    for address in addresses:
        report += _sync_address(catalog, settings, address, now, progress)
    report += fetch_unmet(catalog, settings, addresses, now=now, progress=progress)
    report += settle(catalog, settings, now=now, progress=progress)
    return report + sync_pushed(catalog, settings, now=now) if is_all else report


def _sync_address(
    catalog: Catalog,
    settings: Settings,
    address: str,
    now: Callable[[], datetime],
    progress: Progress,
) -> Report:
    at, started = now(), time.monotonic()
    name = address
    try:
        source = open_source(address, settings)
        name = source.name
        try:
            report = Crawl(catalog, settings, source, now).run(progress)
        finally:
            source.close()
    except (SourceUnavailable, BadDocument) as error:
        report = Report(failed=(Failure.of(name, error),))
    told = [f"{failure.subject}: {failure.message}" for failure in report.failed]
    error_text = None
    if told:
        error_text = "; ".join(told[:3]) + (f"; and {len(told) - 3} more" if len(told) > 3 else "")
    with catalog.write() as c:
        health.note_try(
            c,
            "registry",
            name,
            at=at,
            seconds=time.monotonic() - started,
            error=error_text,
            detail=report.done[-1].removeprefix(f"{name}: ") if report.done else None,
        )
    return report
