"""Two processes that write the same at once, as on PostgreSQL; SQLite has one wait for the other."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from test_store_updates import offer
from tests_store import NOON, SETUP, PutImage, layer, package

from imagecatalog.catalog import ingest
from imagecatalog.domain.contents import LayerEntry, LayerReading, PackageDatabase
from imagecatalog.domain.images import ImageManifest
from imagecatalog.domain.runs import RunningContainer
from imagecatalog.matching.updates import judge
from imagecatalog.planning.verdicts import judge_images
from imagecatalog.store import apt, layers, repositories, runs, scans, updates
from imagecatalog.store.engine import Catalog, Connection
from imagecatalog.store.shelf import Shelf

LATER = NOON + timedelta(seconds=1)
APP = "registry.example.org/team/app"
Write = Callable[[Connection], Any]


class Other:
    """Another process's transaction."""

    def __init__(self, catalog: Catalog, write: Write) -> None:
        self._catalog, self._write = catalog, write
        self._pool = ThreadPoolExecutor(1)
        self._done: Future[Any] | None = None

    def begin(self) -> None:
        """Let it begin, and end if it can before we do."""
        self._done = self._pool.submit(self._run)
        with suppress(TimeoutError):
            self._done.exception(timeout=0.5)

    def _run(self) -> Any:
        with self._catalog.write() as c:
            return self._write(c)

    def result(self) -> Any:
        """What it gave, when we have ended."""
        assert self._done is not None
        self._pool.shutdown()
        return self._done.result()


def at_once(catalog: Catalog, first: Write, second: Write) -> Any:
    """Write first, then second before first is kept; what second gave."""
    other = Other(catalog, second)
    with catalog.write() as c:
        first(c)
        other.begin()
    return other.result()


def test_one_cluster_scanned_twice(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    pod = RunningContainer("web", "Deployment/app", "a", "main", "container", f"{APP}:1", "")
    with catalog.write() as c:
        runs.record_scan(c, "north", [], at=NOON - timedelta(hours=1))
    other = Other(catalog, lambda c: runs.record_scan(c, "north", [pod], at=LATER))
    put = scans.put_run_images

    def put_once_another_began(
        c: Connection, names: set[tuple[str, str]]
    ) -> dict[tuple[str, str], int]:
        monkeypatch.undo()
        other.begin()
        return put(c, names)

    monkeypatch.setattr(scans, "put_run_images", put_once_another_began)
    with catalog.write() as c:
        runs.record_scan(c, "north", [pod], at=NOON)
    counts = other.result()
    assert counts == (1, 0, 0)
    with catalog.read() as c:
        assert [item.containers for item in runs.list_alive(c)] == [1]


def test_one_repository_synced_twice(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        old, new = put_image(c, "old"), put_image(c, "new")
        ingest.record_repository(c, APP, {"1": old}, [old, new], [], now=NOON - timedelta(hours=1))
    at_once(
        catalog,
        lambda c: ingest.record_repository(c, APP, {"1": new}, [new], [], now=NOON),
        lambda c: ingest.record_repository(c, APP, {"1": new}, [new], [], now=LATER),
    )
    with catalog.read() as c:
        assert [period.since for period in repositories.tag_history(c, APP)] == [
            NOON,
            NOON - timedelta(hours=1),
        ]


def test_one_layer_read_twice(catalog: Catalog) -> None:
    database = PackageDatabase((package("ssl"),))
    entries = (
        LayerEntry("etc/os-release", "file", data=b"ID=debian\n"),
        LayerEntry("var/lib/dpkg/status", "file", database=database),
    )
    item = layer("base")
    manifest = ImageManifest("", layer("config"), (item,))
    reading = LayerReading(item.digest, 1, entries)

    mine, others = Shelf(), Shelf()
    with catalog.write() as c:
        layers.put_layers(c, mine, [item])
        layers.put_layers(c, others, [item])
    at_once(
        catalog,
        lambda c: ingest.record_reading(c, mine, manifest, reading),
        lambda c: ingest.record_reading(c, others, manifest, reading),
    )
    with catalog.read() as c:
        assert layers.get_reading(c, item.digest, reader=1) == reading


def test_packages_met_while_their_set_up_is_judged(
    catalog: Catalog, put_image: PutImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with catalog.write() as c:
        put_image(c, "one", [package("ssl", "2.0-1")])
        offer(c, "1.0-2")
    other = Other(catalog, lambda c: put_image(c, "two", [package("ssl", "1.0-1")]))
    list_judged = updates.list_judged

    def list_then_let_another_write(c: Connection, setup_id: int) -> list[updates.Judged]:
        found = list_judged(c, setup_id)
        other.begin()
        return found

    with monkeypatch.context() as patch, catalog.write() as c:
        patch.setattr(updates, "list_judged", list_then_let_another_write)
        judge(c)
    number = other.result()
    with catalog.read() as c:
        found = judge_images(c, [number], now=NOON)[number].verdict
    assert (found.status, "wait to be judged" in str(found.reason)) == ("unknown", True)
    with catalog.write() as c:
        judge(c)
        assert judge_images(c, [number], now=NOON)[number].verdict.status == "security-update"


def test_an_index_that_another_drops(catalog: Catalog) -> None:
    uri = SETUP.sources[0].uri
    with catalog.write() as c:
        one, two = (apt.put_release(c, uri, suite, b"", tried=NOON) for suite in ("one", "two"))
        index = apt.put_index(c, "old", [package("ssl")])
        apt.point_indices(c, one, [apt.IndexRow("main", "amd64", index, None, None)])

    def drop(c: Connection) -> None:
        apt.lock_indices(c)
        apt.point_indices(c, one, [])

    def take(c: Connection) -> int | None:
        apt.lock_indices(c)
        found = apt.find_index(c, "old")
        apt.point_indices(c, two, [apt.IndexRow("main", "amd64", found, None, None)])
        return found

    assert at_once(catalog, drop, take) is None
