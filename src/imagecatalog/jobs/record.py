"""Scans clusters for what runs: one whole scan of each, side by side; one's failure is its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import datetime
from pathlib import Path

from msgspec import Struct

from imagecatalog.catalog import timeline
from imagecatalog.config import ClusterSetting, HostSetting, Settings
from imagecatalog.domain.sightings import Sighting
from imagecatalog.errors import CatalogError, DatabaseError, UsageError
from imagecatalog.jobs.history import sum_up_past
from imagecatalog.jobs.lineage import settle_lineage
from imagecatalog.jobs.matching import judge_findings
from imagecatalog.jobs.report import Failure, Progress, Report, cancelling, plural, say_nothing
from imagecatalog.matching import succession, updates
from imagecatalog.planning.following import follow_plans
from imagecatalog.sources import kube
from imagecatalog.sources.docker_host import scan_host
from imagecatalog.sources.kube import ClusterScan
from imagecatalog.store import health, known_pods, pushed
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
    """Scan every cluster and host of the settings, or take the dumps given instead.

    A scan that fails half-way changes nothing of what the catalog knows of that cluster.
    """
    scans: dict[str, Callable[[], ClusterScan]]
    keys = settings.teams.keys
    if dumps:
        scans = {name: _dump_reader(path, keys) for name, path in dumps.items()}
    else:
        scans = {one.name: _cluster_reader(one, keys) for one in settings.clusters}
        scans |= {one.name: _host_reader(one, keys) for one in settings.hosts}
    if not scans:
        raise UsageError(
            "there is no cluster to scan",
            hint="name one: --clusters NAME:KUBECONFIG, or record --from-dump NAME=PODS.json",
        )
    report = Report()
    with ThreadPoolExecutor(min(len(scans), _SIDE_BY_SIDE)) as pool:
        waiting = {pool.submit(_look, scan, now): name for name, scan in scans.items()}
        with cancelling(pool):
            # Looked at side by side, recorded one by one: so the memory that recording takes is taken once.
            for done, future in enumerate(as_completed(tuple(waiting)), 1):
                name = waiting.pop(future)
                report += _record(catalog, name, future.result())
                del future
                progress(f"scanned {name}", done, len(scans))
    sum_up_past(catalog, settings, now=now())
    return report + judge_runs(catalog, settings, now=now(), progress=progress)


def judge_runs(
    catalog: Catalog, settings: Settings, *, now: datetime, progress: Progress = say_nothing
) -> Report:
    """Judge what runs, after it was recorded."""
    with catalog.read() as c:
        told = pushed.last_pushed(c)
    settle_lineage(catalog)
    judge_findings(catalog, settings, progress=progress)
    with catalog.write() as c:
        updates.judge(c)
        succession.judge(c, settings.lines)
        closed = follow_plans(c, settings.lines, now=now)
        if told is not None:
            pushed.forget_pushed(c, told)
    return Report((f"{plural(closed, 'plan')} closed",) if closed else ())


def _dump_reader(path: Path, keys: tuple[str, ...]) -> Callable[[], ClusterScan]:
    def read() -> ClusterScan:
        try:
            with path.open("rb") as stream:
                return ClusterScan(Sighting(kube.read_dump(stream, str(path), keys)))
        except OSError as error:
            raise UsageError(
                f"cannot read {path}: {error.strerror}",
                hint="make it with: kubectl get pods -A -o json",
            ) from error

    return read


def _cluster_reader(setting: ClusterSetting, keys: tuple[str, ...]) -> Callable[[], ClusterScan]:
    return lambda: kube.read_cluster(setting, team_keys=keys)


def _host_reader(setting: HostSetting, keys: tuple[str, ...]) -> Callable[[], ClusterScan]:
    return lambda: scan_host(setting, team_keys=keys)


class _Look(Struct, frozen=True):
    """How a look at a cluster went."""

    at: datetime
    started: float
    """By the monotonic clock."""
    seen: ClusterScan | CatalogError


def _look(scan: Callable[[], ClusterScan], now: Callable[[], datetime]) -> _Look:
    at, started = now(), time.monotonic()
    try:
        return _Look(at, started, scan())
    except CatalogError as error:
        return _Look(at, started, error)


def _record(catalog: Catalog, name: str, look: _Look) -> Report:
    try:
        if isinstance(look.seen, CatalogError):
            raise look.seen
        return take_scan(catalog, name, look.seen, at=look.at, started=look.started)
    except DatabaseError:
        raise
    except CatalogError as error:
        with catalog.write() as c:
            seconds = time.monotonic() - look.started
            health.note_try(c, "cluster", name, at=look.at, seconds=seconds, error=error.message)
        return Report(failed=(Failure.of(f"cluster {name}", error),))


def take_scan(
    catalog: Catalog, name: str, seen: ClusterScan, *, at: datetime, started: float
) -> Report:
    """Record one whole scan of a cluster; of pods that could not be understood nothing changes.

    ``started`` is when it was begun, by the monotonic clock.
    """
    unread = [(pod.namespace, pod.name) for pod in seen.unread]
    with catalog.write() as c:
        kept = known_pods.list_known(c, name, unread)
        seen.containers.add(kept)
        running, new, ended = timeline.observe(
            c, name, seen.containers, at=at, now=at, kind=seen.kind
        )
        detail = "; ".join((plural(running, "container"), *seen.remarks))
        fault = kube.explain_unread(name, seen)
        seconds, error = time.monotonic() - started, fault.message if fault else None
        health.note_try(c, "cluster", name, at=at, seconds=seconds, error=error, detail=detail)
    failed = (Failure.of(f"cluster {name}", fault),) if fault else ()
    return Report((f"cluster {name}: {detail}, {new:,} new, {ended:,} ended",), failed)
