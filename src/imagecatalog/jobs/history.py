"""Keeps the past of what ran small: what is long past is summed up, what is longer past dropped."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from imagecatalog.config import Settings
from imagecatalog.jobs.report import Report, plural
from imagecatalog.store import run_sums
from imagecatalog.store.engine import Catalog

_OFTEN = timedelta(days=1)
"""So much of the past is summed up at once: what is done more often writes more."""


def sum_up_past(catalog: Catalog, settings: Settings, *, now: datetime) -> Report:
    """Sum up what ended ``pod_days`` ago, drop what ended ``days`` ago; a cluster after the other.

    Each step is a transaction of its own, so that scans come in between.
    """
    history = settings.history
    all_else = now - timedelta(days=history.days)
    pods = max(all_else, now - timedelta(days=history.pod_days))
    with catalog.read() as c:
        overdue = run_sums.list_clusters(c, before=pods - _OFTEN)
    for number in overdue:
        _repeat(catalog, number, run_sums.sum_up, pods)
        _repeat(catalog, number, run_sums.drop_ended, all_else)
    return Report((f"{plural(len(overdue), 'cluster')} summed up",) if overdue else ())


def _repeat(catalog: Catalog, number: int, step: Callable[..., bool], until: datetime) -> None:
    is_more = True
    while is_more:
        with catalog.write() as c:
            is_more = step(c, number, until=until)
