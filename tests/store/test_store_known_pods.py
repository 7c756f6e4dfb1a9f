"""A pod that a scan could not make out counts as it did before; the others are as the scan has them."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from imagecatalog.domain.runs import RunningContainer
from imagecatalog.domain.sightings import Sighting
from imagecatalog.formats.pods import UnreadPod
from imagecatalog.jobs.record import take_scan
from imagecatalog.sources.kube import ClusterScan
from imagecatalog.store import health, runs
from imagecatalog.store.engine import Catalog

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def container(pod: str, name: str = "main") -> RunningContainer:
    return RunningContainer("shop", f"Pod/{pod}", pod, name, "container", "web:1", "", "sales")


def running(catalog: Catalog) -> list[tuple[str, str, datetime]]:
    with catalog.read() as c:
        found = runs.list_runs(c, runs.RunFilter(cluster="eqiad"))
    return [(row.pod_name, row.container, row.since) for row in found]


def test_what_could_not_be_read_ends_nothing_and_is_told(catalog: Catalog) -> None:
    whole = ClusterScan(Sighting([container("a"), container("b"), container("b", "proxy")]))
    take_scan(catalog, "eqiad", whole, at=NOW, started=time.monotonic())
    later = NOW + timedelta(hours=1)
    unread = tuple(UnreadPod("shop", name, "no list") for name in ("b", "new"))

    seen = ClusterScan(Sighting([container("c")]), unread)
    report = take_scan(catalog, "eqiad", seen, at=later, started=time.monotonic())

    assert running(catalog) == [("b", "main", NOW), ("b", "proxy", NOW), ("c", "main", later)]
    (failure,) = report.failed
    assert "2 pods could not be understood" in failure.message
    assert "shop/b: no list" in failure.message
    with catalog.read() as c:
        (told,) = [one for one in health.list_health(c) if one.kind == "cluster"]
    assert (told.last_error, told.last_good) == (failure.message, NOW)
