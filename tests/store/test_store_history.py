"""The past is summed up once it is old, a cluster after the other, and no more often than once a day."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select
from tests_store import NOON

from imagecatalog.config import Settings
from imagecatalog.config.settings import HistorySettings
from imagecatalog.domain.runs import RunningContainer
from imagecatalog.jobs.history import sum_up_past
from imagecatalog.store import runs
from imagecatalog.store.engine import Catalog
from imagecatalog.store.schema import cluster, run, scan

DAY = timedelta(days=1)
SETTINGS = Settings(history=HistorySettings(days=60, pod_days=30))


def _pod(name: str) -> RunningContainer:
    return RunningContainer("web", "Deployment/app", name, "main", "container", "app:1", "")


def _scan(catalog: Catalog, day: int, *pods: str) -> None:
    with catalog.write() as c:
        runs.record_scan(c, "north", map(_pod, pods), at=NOON + day * DAY)


def _list_runs(catalog: Catalog) -> list[tuple[str, int, int, int | None]]:
    with catalog.read() as c:
        rows = c.execute(select(run).order_by(run.c.since, run.c.pod_name)).all()
    return [
        (
            row.pod_name,
            row.replicas,
            (row.since - NOON).days,
            None if row.until is None else (row.until - NOON).days,
        )
        for row in rows
    ]


def test_what_is_old_is_summed_up_and_what_is_older_is_dropped(catalog: Catalog) -> None:
    _scan(catalog, 0, "a", "b", "c")
    _scan(catalog, 10, "d", "b", "c")
    _scan(catalog, 20, "e", "c")
    _scan(catalog, 45, "f", "c")
    sum_up_past(catalog, SETTINGS, now=NOON + 50 * DAY)
    assert _list_runs(catalog) == [
        # Of the three one goes on, and has its name.
        ("", 2, 0, 20),
        ("c", 1, 0, None),
        ("e", 1, 20, 45),
        ("f", 1, 45, None),
    ]
    sum_up_past(catalog, SETTINGS, now=NOON + 81 * DAY)
    assert _list_runs(catalog) == [("c", 1, 0, None), ("e", 1, 20, 45), ("f", 1, 45, None)]
    with catalog.read() as c:
        assert c.scalar(select(scan.c.at).order_by(scan.c.at).limit(1)) == NOON + 45 * DAY


def test_nothing_is_written_where_nothing_is_old(catalog: Catalog) -> None:
    _scan(catalog, 0, "a")
    _scan(catalog, 1)
    sum_up_past(catalog, SETTINGS, now=NOON + 20 * DAY)
    with catalog.read() as c:
        assert c.scalar(select(cluster.c.summed_up)) is None
    assert _list_runs(catalog) == [("a", 1, 0, 1)]
    # What is late is taken as long as nothing of its time was summed up.
    _scan(catalog, -400, "b")
    assert _list_runs(catalog) == [("b", 1, -400, 0), ("a", 1, 0, 1)]
