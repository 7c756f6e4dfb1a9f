"""Scans clusters for what runs: one whole scan of each, side by side; one's failure is its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import datetime
from pathlib import Path

from imagecatalog.catalog import timeline
from imagecatalog.config import ClusterSetting, Settings
from imagecatalog.domain.runs import RunningContainer
from imagecatalog.errors import CatalogError, DatabaseError, UsageError
from imagecatalog.jobs.lineage import settle_lineage
from imagecatalog.jobs.matching import judge_findings
from imagecatalog.jobs.report import Failure, Progress, Report, cancelling, plural, say_nothing
from imagecatalog.matching import succession, updates
from imagecatalog.planning.following import follow_plans
from imagecatalog.sources import kube
from imagecatalog.store import health
from imagecatalog.store.engine import Catalog

_SIDE_BY_SIDE = 8


def record(
    catalog: Catalog,
    settings: Settings,
    *,
    dumps: Mapping[str, Path] | None = None,
    now: Callable[[], datetime],
    progress: Progress = say_nothing,
) -> Report:
    """Scan every cluster of the settings, or take the dumps given instead.

    A scan that fails half-way changes nothing of what the catalog knows of that cluster.
    """
    scans: dict[str, Callable[[], Sequence[RunningContainer]]]
    if dumps:
        scans = {name: _dump_reader(path) for name, path in dumps.items()}
    else:
        scans = {setting.name: _cluster_reader(setting) for setting in settings.clusters}
    if not scans:
        raise UsageError(
            "there is no cluster to scan",
            hint="name one: --clusters NAME:KUBECONFIG, or record --from-dump NAME=PODS.json",
        )
    report = Report()
    with ThreadPoolExecutor(min(len(scans), _SIDE_BY_SIDE)) as pool:
        waiting = {
            pool.submit(_scan, catalog, name, scan, now): name for name, scan in scans.items()
        }
        with cancelling(pool):
            for done, future in enumerate(as_completed(waiting), 1):
                report += future.result()
                progress(f"scanned {waiting[future]}", done, len(waiting))
    settle_lineage(catalog)
    judge_findings(catalog, settings, progress=progress)
    with catalog.write() as c:
        updates.judge(c)
        succession.judge(c, settings.lines)
        closed = follow_plans(c, settings.lines, now=now())
    return report + Report((f"{plural(closed, 'plan')} closed",)) if closed else report


def _dump_reader(path: Path) -> Callable[[], Sequence[RunningContainer]]:
    def read() -> Sequence[RunningContainer]:
        try:
            with path.open("rb") as stream:
                return list(kube.read_dump(stream, str(path)))
        except OSError as error:
            raise UsageError(
                f"cannot read {path}: {error.strerror}",
                hint="make it with: kubectl get pods -A -o json",
            ) from error

    return read


def _cluster_reader(setting: ClusterSetting) -> Callable[[], Sequence[RunningContainer]]:
    return lambda: list(kube.list_running(setting))


def _scan(
    catalog: Catalog,
    name: str,
    scan: Callable[[], Sequence[RunningContainer]],
    now: Callable[[], datetime],
) -> Report:
    at, started = now(), time.monotonic()
    try:
        containers = scan()
        with catalog.write() as c:
            running, new, ended = timeline.observe(c, name, containers, at=at)
            detail = plural(running, "container")
            seconds = time.monotonic() - started
            health.note_try(c, "cluster", name, at=at, seconds=seconds, detail=detail)
    except DatabaseError:
        raise
    except CatalogError as error:
        with catalog.write() as c:
            seconds = time.monotonic() - started
            health.note_try(c, "cluster", name, at=at, seconds=seconds, error=error.message)
        return Report(failed=(Failure.of(f"cluster {name}", error),))
    return Report(done=(f"cluster {name}: {detail}, {new:,} new, {ended:,} ended",))
