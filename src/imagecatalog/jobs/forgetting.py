"""Forgets a feed: all that it told is retracted, and what that changes is judged anew."""

from __future__ import annotations

from imagecatalog.config import Settings
from imagecatalog.domain.feeds import ForgottenFeed
from imagecatalog.jobs.matching import judge_findings
from imagecatalog.jobs.report import Progress, say_nothing
from imagecatalog.planning import feed_list
from imagecatalog.store.engine import Catalog


def forget_feed(
    catalog: Catalog, settings: Settings, name: str, *, progress: Progress = say_nothing
) -> tuple[ForgottenFeed, int]:
    """What was forgotten, and how many packages and names were judged anew for it.

    Raises as ``planning.feed_list.forget`` does.
    """
    with catalog.write() as c:
        gone = feed_list.forget(c, name, settings.feeds)
    return gone, judge_findings(catalog, settings, progress=progress)
