"""What follows from images that were met or moved: lineage, findings, what runs of them, plans."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from imagecatalog.catalog import timeline
from imagecatalog.config import Settings
from imagecatalog.jobs.lineage import settle_lineage
from imagecatalog.jobs.matching import judge_findings
from imagecatalog.jobs.report import Progress, Report, plural, say_nothing
from imagecatalog.matching import succession, updates
from imagecatalog.planning.following import follow_plans
from imagecatalog.store.engine import Catalog


def settle(
    catalog: Catalog,
    settings: Settings,
    *,
    now: Callable[[], datetime],
    progress: Progress = say_nothing,
) -> Report:
    """Judge all that is new; costs little where nothing is."""
    settle_lineage(catalog)
    judge_findings(catalog, settings, progress=progress)
    with catalog.write() as c:
        timeline.match_images(c)
        timeline.match_past(c)
        updates.judge(c)
        succession.judge(c, settings.lines)
        closed = follow_plans(c, settings.lines, now=now())
    return Report((f"{plural(closed, 'plan')} closed",)) if closed else Report()
