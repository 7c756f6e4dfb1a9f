"""All that writes, at once on PostgreSQL, as processes of their own would: it ends well, and all is there."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from threading import Barrier

import msgspec
import pytest
from sqlalchemy import select

from imagecatalog import sample
from imagecatalog.catalog.registration import keep_build
from imagecatalog.config import Settings
from imagecatalog.domain.builds import Build
from imagecatalog.domain.refs import decode_hook
from imagecatalog.jobs.demo import run_demo
from imagecatalog.jobs.matching import judge_findings
from imagecatalog.jobs.record import record
from imagecatalog.jobs.refresh import refresh
from imagecatalog.jobs.sync import sync
from imagecatalog.planning.exposure import affected
from imagecatalog.store import standing_images
from imagecatalog.store.engine import Catalog
from imagecatalog.store.schema import advisory, finding
from imagecatalog.store.shelf import Shelf

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
_builds = msgspec.json.Decoder(list[Build], dec_hook=decode_hook)
Job = Callable[[Catalog, Settings], object]


def _sync(catalog: Catalog, settings: Settings) -> None:
    assert not sync(catalog, settings, [f"oci:{sample.images()}"], now=lambda: NOW).failed


def _refresh(catalog: Catalog, settings: Settings) -> None:
    assert not refresh(catalog, settings, now=lambda: NOW).failed


def _record(catalog: Catalog, settings: Settings) -> None:
    assert not record(catalog, settings, dumps=sample.pods(), now=lambda: NOW).failed


def _register(catalog: Catalog, _: Settings) -> None:
    for build in _builds.decode(sample.builds().read_bytes()):
        with catalog.write() as c:
            keep_build(c, Shelf(), build, told_by="sample", configured={}, now=NOW)


def _run_at_once(url: str, settings: Settings, *jobs: Job) -> None:
    start = Barrier(len(jobs))

    def run(job: Job) -> None:
        with closing(Catalog.open(url)) as catalog:
            start.wait(timeout=60)
            job(catalog, settings)

    with ThreadPoolExecutor(len(jobs)) as pool:
        list(pool.map(run, jobs))


def _where(catalog: Catalog) -> dict[str, tuple[int, dict[str, int]]]:
    """How many containers run each fault, and in how many places each image does."""
    found = {}
    faults = select(advisory.c.name).join(finding, finding.c.advisory_id == advisory.c.id)
    with catalog.read() as c:
        for fault in sorted(set(c.scalars(faults))):
            answer = affected(c, fault, now=NOW)
            images = {str(one.digest): len(one.running) for one in answer.images}
            found[fault] = answer.containers, images
    return found


@pytest.fixture(scope="module")
def one_by_one(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, object]:
    """The settings of the sample, and what is right: told by jobs that ran one after the other."""
    settings, report = run_demo(tmp_path_factory.mktemp("demo"), now=lambda: NOW)
    assert not report.failed
    with closing(Catalog.open(settings.database)) as catalog:
        return settings, _where(catalog)


def test_two_syncs_then_all_jobs_at_once(
    one_by_one: tuple[Settings, object], make_postgresql: Callable[..., str]
) -> None:
    settings, right = one_by_one
    url = make_postgresql(initialised=True)
    _run_at_once(url, settings, _sync, _sync)
    _run_at_once(url, settings, _sync, _refresh, _record, _register, _record)
    with closing(Catalog.open(url)) as catalog:
        judge_findings(catalog, settings)
        found = _where(catalog)
        assert found == right
        assert sum(containers > 0 for containers, _ in found.values()) > 5, found
        with catalog.write() as c:
            standing_images.forget_all(c)
        assert _where(catalog) == right
