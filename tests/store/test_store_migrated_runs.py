"""What ran is the same after the step that gives workloads a table of their own."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from imagecatalog.domain.answers import Place
from imagecatalog.store import engine, runs
from imagecatalog.store.engine import Catalog, initialise
from imagecatalog.store.migrations import env

BEFORE = {
    "cluster": "(id, name, last_scan) VALUES (1, 'north', 500), (2, 'south', NULL)",
    "run_image": "(id, image, image_id) VALUES (1, 'a', ''), (2, 'b', '')",
    "run": "(cluster_id, namespace, workload, pod_name, container, kind, run_image_id, since, seen, "
    "until, origin) VALUES "
    "(1, 'web', 'Deployment/x', 'x-1', 'main', 'container', 1, 100, 100, NULL, NULL), "
    "(1, 'web', 'Deployment/x', 'x-2', 'main', 'container', 1, 200, 300, 400, NULL), "
    "(1, 'web', 'Deployment/x', 'x-3', 'main', 'container', 1, 400, 400, 400, NULL), "
    "(1, 'ops', 'Deployment/x', 'x-1', 'main', 'init', 2, 100, 100, NULL, NULL), "
    "(2, 'ops', 'unknown', 'unknown-1', 'unknown', 'container', 2, 300, 300, NULL, 'debmonitor')",
}


def _at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def test_what_ran_is_kept(empty_url: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(env, "HEAD", "0007")
        patch.setattr(engine, "HEAD", "0007")
        initialise(empty_url)
        old = Catalog.open(empty_url)
        with old.write() as c:
            for table, rows in BEFORE.items():
                c.exec_driver_sql(f"INSERT INTO {table} {rows}")
        old.close()
    initialise(empty_url)
    catalog = Catalog.open(empty_url)
    with catalog.read() as c:
        rows = runs.list_runs(c, runs.RunFilter())
        assert [(row.cluster, row.namespace, row.workload, row.pod_name) for row in rows] == [
            ("north", "ops", "Deployment/x", "x-1"),
            ("north", "web", "Deployment/x", "x-1"),
            ("south", "ops", "unknown", "unknown-1"),
        ]
        assert [(row.kind, row.since) for row in rows][:2] == [
            ("init", _at(100)),
            ("container", _at(100)),
        ]
        then = runs.RunFilter(at=_at(300))
        assert {one.image: one.containers for one in runs.list_alive(c, then)} == {"a": 2, "b": 2}
        assert runs.list_places(c, [1], then) == {
            1: [Place(cluster="north", namespace="web", workload="Deployment/x", containers=2)]
        }
        later = runs.RunFilter(at=_at(400), cluster="north")
        assert {one.image: one.containers for one in runs.list_alive(c, later)} == {"a": 1, "b": 1}
    with catalog.write() as c:
        # What is written from now on joins them.
        assert runs.record_scan(c, "north", [], at=_at(600)) == (0, 0, 2)
    catalog.close()
