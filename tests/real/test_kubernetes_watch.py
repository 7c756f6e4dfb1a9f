"""What begins and ends in a real cluster is known within seconds, and a watch that cannot be says so."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from go_programs import compile_kubernetes
from kube_apiserver import KubeServer

from imagecatalog.config import ClusterSetting, Settings
from imagecatalog.domain.answers import Health
from imagecatalog.jobs.watch import Watching
from imagecatalog.sources.kube import KubeLimits
from imagecatalog.store import health, runs
from imagecatalog.store.engine import Catalog, initialise

pytestmark = [pytest.mark.real, pytest.mark.compiled]

SECONDS = 30.0
"""On a machine that is busy; it is three otherwise."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeServer]:
    cluster = KubeServer(*compile_kubernetes(), tmp_path_factory.mktemp("kubernetes"))
    try:
        cluster.start()
        cluster.apply_manifests("rights.yaml", "account.yaml", "watch.yaml")
        cluster.bind("imagecatalog", "ClusterRole", "watcher")
        cluster.bind("imagecatalog-watch", "ClusterRole", "watcher")
        cluster.bind("imagecatalog", "ClusterRole", "reader")
        cluster.add_namespace("shop", labels={"team": "sales"})
        cluster.add_pod("shop", "first", status={"phase": "Running"})
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    initialise(str(tmp_path / "catalog.sqlite"))
    with closing(Catalog.open(str(tmp_path / "catalog.sqlite"))) as opened:
        yield opened


@contextmanager
def _watching(
    server: KubeServer, catalog: Catalog, user: str = "watcher", **limits: float
) -> Iterator[None]:
    setting = ClusterSetting("eqiad", str(server.write_user(user)), watch=True)
    watching = Watching(
        catalog,
        Settings(clusters=(setting,)),
        now=lambda: datetime.now(UTC),
        flush=1.1,
        limits=KubeLimits(**limits),  # type: ignore[arg-type]
    )
    watching.start()
    try:
        yield
    finally:
        began = time.monotonic()
        watching.stop()
        assert time.monotonic() - began < 5


def _pods(catalog: Catalog) -> set[str]:
    with catalog.read() as c:
        return {row.pod_name for row in runs.list_runs(c, runs.RunFilter(cluster="eqiad"))}


def _health(catalog: Catalog) -> Health | None:
    with catalog.read() as c:
        return next((one for one in health.list_health(c) if one.name == "watch eqiad"), None)


def _await(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + SECONDS
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.1)


def _has_begun(catalog: Catalog) -> bool:
    found = _health(catalog)
    return found is not None and found.last_good is not None


def test_pods_that_come_change_and_go(server: KubeServer, catalog: Catalog) -> None:
    with _watching(server, catalog):
        _await(lambda: _has_begun(catalog))
        assert _pods(catalog) == {"first"}

        server.add_pod("shop", "second")
        _await(lambda: _pods(catalog) == {"first", "second"})
        server.set_status("shop", "second", {"phase": "Succeeded"})
        _await(lambda: _pods(catalog) == {"first"})
        server.delete_pod("shop", "second")
        server.add_pod("shop", "third")
        _await(lambda: _pods(catalog) == {"first", "third"})
        server.delete_pod("shop", "third")
        _await(lambda: _pods(catalog) == {"first"})
    found = _health(catalog)
    assert found is not None
    assert (found.last_error, found.detail) == (None, "1 pod changed")


def test_a_watch_outlives_the_server_and_what_etcd_forgot(
    server: KubeServer, catalog: Catalog
) -> None:
    with _watching(server, catalog):
        _await(lambda: _has_begun(catalog))
        server.kill()
        server.start()
        server.add_pod("shop", "after")
        server.compact()
        _await(lambda: _pods(catalog) == {"first", "after"})
        server.delete_pod("shop", "after")
        _await(lambda: _pods(catalog) == {"first"})


def test_a_watch_that_the_server_ends_goes_on(server: KubeServer, catalog: Catalog) -> None:
    """Each is for one second: the change falls between two of them, or into one."""
    with _watching(server, catalog, watch_seconds=1):
        _await(lambda: _has_begun(catalog))
        time.sleep(2)
        server.add_pod("shop", "late")
        _await(lambda: _pods(catalog) == {"first", "late"})
        server.delete_pod("shop", "late")
        _await(lambda: _pods(catalog) == {"first"})


def test_without_the_right_to_watch_that_is_told(server: KubeServer, catalog: Catalog) -> None:
    def is_told() -> bool:
        found = _health(catalog)
        return found is not None and "cannot watch" in (found.last_error or "")

    with _watching(server, catalog, "reader"):
        _await(is_told)
    found = _health(catalog)
    assert found is not None
    assert "by the hourly lists alone" in str(found.last_error)
    assert _pods(catalog) == {"first"}
