"""Judges what changed, a part at a time: nobody who writes waits long, and a stop loses little."""

from __future__ import annotations

from collections.abc import Callable

from imagecatalog.config import Settings
from imagecatalog.jobs.report import Progress, say_nothing
from imagecatalog.matching import match
from imagecatalog.store import components, findings, standing_images, waiting
from imagecatalog.store.engine import Catalog, Connection


def has_waiting(catalog: Catalog) -> bool:
    """Whether anything waits to be judged, or runs since and was not added up yet."""
    with catalog.read() as c:
        return findings.has_waiting(c) or waiting.has_unkept(c)


def judge_findings(
    catalog: Catalog, settings: Settings, *, progress: Progress = say_nothing
) -> int:
    """Hold against advisories what is new or of what a feed says something else; how many it were."""

    def step(do: Callable[[Connection], int]) -> int:
        with catalog.write() as c:
            return do(c)

    step(lambda c: components.settle_scopes(c, settings.derived))
    whole = 0
    while left := step(match.enrol_some):
        whole = whole or left
        progress("looked through images met before", whole - left, whole)
    whole, judged = step(findings.count_waiting), 0
    while some := step(match.judge_some):
        judged += some
        progress("held packages against advisories", judged, max(whole, judged))
    with catalog.write() as c:
        findings.keep_standings(c)
        standing_images.keep_images(c)
    return judged
