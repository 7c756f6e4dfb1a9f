"""Follows the clusters that are to be watched, so that what begins or ends is known within seconds.

Each cluster is listed, and the list recorded as any scan; then its changes are followed from there, and
recorded together every few seconds. A cluster that forgot where we were, and each after an hour, is listed
anew: the list is the truth. Without the right to watch, which is noted, the hourly lists of ``record`` are all that is known.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime

from imagecatalog.catalog import timeline
from imagecatalog.config import ClusterSetting, Settings
from imagecatalog.domain.runs import RunningContainer
from imagecatalog.errors import AccessDenied, CatalogError, SourceUnavailable
from imagecatalog.formats.pods import PodReader, SeenPod, UnreadPod
from imagecatalog.jobs.record import take_scan
from imagecatalog.jobs.report import plural
from imagecatalog.sources.kube import list_pods
from imagecatalog.sources.kube_server import ApiServer, Expired, KubeLimits
from imagecatalog.sources.kube_watch import follow_pods
from imagecatalog.store import health, pushed
from imagecatalog.store.engine import Catalog

_log = logging.getLogger(__name__)
_RELIST = 3600.0
_FLUSH = 3.0
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 300.0
_MOST_PODS = 200_000
"""Changed ones that wait to be recorded; beyond it the cluster is listed anew."""

Pods = dict[tuple[str, str], tuple[RunningContainer, ...]]


class Watching:
    """Watches every cluster that the settings want watched, from ``start`` to ``stop``."""

    def __init__(
        self,
        catalog: Catalog,
        settings: Settings,
        *,
        now: Callable[[], datetime],
        relist: float = _RELIST,
        flush: float = _FLUSH,
        limits: KubeLimits = KubeLimits(),  # noqa: B008
    ) -> None:
        self._stopping = threading.Event()
        self._flush = flush
        keys = settings.teams.keys
        self._watches = [
            ClusterWatch(
                catalog, one, self._stopping, team_keys=keys, now=now, relist=relist, limits=limits
            )
            for one in settings.clusters
            if one.watch
        ]
        targets = [watch.run for watch in self._watches] + ([self._record] if self._watches else [])
        self._threads = [threading.Thread(target=one, name="watch", daemon=True) for one in targets]

    def start(self) -> None:
        """Begin, in threads of their own."""
        for thread in self._threads:
            thread.start()

    def stop(self, *, wait: float = 5.0) -> None:
        """End it, and wait some seconds; what is not recorded then is of the next list."""
        self._stopping.set()
        for watch in self._watches:
            watch.cut()
        until = time.monotonic() + wait
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _record(self) -> None:
        while not self._stopping.wait(self._flush):
            for watch in self._watches:
                watch.record_changes()


class ClusterWatch:
    """Follows one cluster; ``record_changes`` is for another thread to call now and then."""

    def __init__(
        self,
        catalog: Catalog,
        setting: ClusterSetting,
        stopping: threading.Event,
        *,
        team_keys: tuple[str, ...],
        now: Callable[[], datetime],
        relist: float,
        limits: KubeLimits,
    ) -> None:
        self._catalog = catalog
        self._setting = setting
        self._has_keys = bool(team_keys)
        self._reader = PodReader(team_keys)
        self._stopping = stopping
        self._now = now
        self._relist = relist
        self._limits = limits
        self._changed: Pods = {}
        self._waiting = threading.Lock()
        self._recording = threading.Lock()
        self._server: ApiServer | None = None
        self._version = ""
        self._teams: dict[str, str] = {}
        self._list_at = 0.0
        self._pause = _FIRST_PAUSE
        self._is_ill = False

    def run(self) -> None:
        """List and follow until it is to stop; what goes wrong is noted, and tried again later."""
        while not self._stopping.is_set():
            try:
                self._follow()
            except Expired:
                self._version = ""
            except AccessDenied as problem:
                self._note(f"{problem.message}; what runs is known by the hourly lists alone")
            except CatalogError as problem:
                self._note(problem.message)
            except Exception:  # noqa: BLE001 - a fault of ours in one cluster must not end the others
                _log.exception("watch of cluster %s", self._setting.name)
                self._note("an internal error; the log has it")
            self._stopping.wait(self._pause)
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    def cut(self) -> None:
        """End what is being read."""
        server = self._server
        if server is not None:
            server.cut()

    def record_changes(self) -> None:
        """Record the pods that changed since the last time."""
        if not self._changed:
            return
        with self._recording:
            with self._waiting:
                changed, self._changed = self._changed, {}
            at, started = self._now(), time.monotonic()
            try:
                with self._catalog.write() as c:
                    name = self._setting.name
                    _, appeared, _ = timeline.observe_pods(c, name, changed, at=at, now=at)
                    if appeared:
                        pushed.note_pushed(c, name, now=at)
                    health.note_try(
                        c, "job", self._job, at=at, seconds=time.monotonic() - started,
                        detail=f"{plural(len(changed), 'pod')} changed",
                    )  # fmt: skip
            except CatalogError as problem:
                _log.error("%s: %s", self._job, problem.message)
                with self._waiting:
                    self._changed = changed | self._changed

    @property
    def _job(self) -> str:
        return f"watch {self._setting.name}"

    def _follow(self) -> None:
        """List where that is due, and follow until the next list is; raises what keeps it from that."""
        with ApiServer(self._setting, self._limits) as server:
            self._server = server
            if not self._stopping.is_set() and not self._version:
                self._take_list(server)
                self._note(None)
            while not self._stopping.is_set() and (left := self._list_at - time.monotonic()) > 0:
                events = follow_pods(
                    server, self._reader, version=self._version, teams=self._teams, seconds=left
                )
                for event in events:
                    self._take(event.pod)
                    self._version = event.version or self._version
                    self._recover()
                self._recover()
                self._stopping.wait(_FIRST_PAUSE)
        self._version = ""

    def _recover(self) -> None:
        self._pause = _FIRST_PAUSE
        if self._is_ill:
            self._note(None)

    def _take_list(self, server: ApiServer) -> None:
        self.record_changes()
        with self._recording:
            at, started = self._now(), time.monotonic()
            seen = list_pods(server, self._reader, has_keys=self._has_keys)
            take_scan(self._catalog, self._setting.name, seen, at=at, started=started)
        self._version, self._teams = seen.version, seen.teams
        self._list_at = time.monotonic() + self._relist

    def _take(self, pod: SeenPod | UnreadPod | None) -> None:
        if isinstance(pod, SeenPod):
            with self._waiting:
                self._changed[pod.namespace, pod.name] = pod.containers
                if len(self._changed) > _MOST_PODS:
                    raise SourceUnavailable(f"cluster {self._setting.name}: changes without end")
        elif pod is not None:  # it stays as it was; the next list tells of it
            why = f"pod {pod.namespace}/{pod.name} could not be understood: {pod.why[:500]}"
            _log.warning("cluster %s: %s", self._setting.name, why)

    def _note(self, error: str | None) -> None:
        """Write how it stands; a database that is not there is no reason to end."""
        if self._stopping.is_set():
            return
        at = self._now()
        self._is_ill = error is not None
        try:
            with self._catalog.write() as c:
                detail = None if error else "followed"
                health.note_try(c, "job", self._job, at=at, seconds=0, error=error, detail=detail)
        except CatalogError as problem:
            _log.error("%s: %s", self._job, problem.message)
