"""Crawls registries, layouts and archives: what is new is read, what is known is only looked at."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime

from imagecatalog.catalog import timeline
from imagecatalog.config import Settings
from imagecatalog.errors import BadDocument, SourceUnavailable, UsageError
from imagecatalog.jobs.crawl import Crawl
from imagecatalog.jobs.lineage import settle_lineage
from imagecatalog.jobs.matching import judge_findings
from imagecatalog.jobs.report import Failure, Progress, Report, plural, say_nothing
from imagecatalog.matching import succession, updates
from imagecatalog.planning.following import follow_plans
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

    One source's, repository's or image's fault is reported and leaves the others as they are.
    """
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
    settle_lineage(catalog)
    judge_findings(catalog, settings, progress=progress)
    with catalog.write() as c:
        timeline.match_images(c)
        updates.judge(c)
        succession.judge(c, settings.lines)
        closed = follow_plans(c, settings.lines, now=now())
    return report + Report((f"{plural(closed, 'plan')} closed",)) if closed else report


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
