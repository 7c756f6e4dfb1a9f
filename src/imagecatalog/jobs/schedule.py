"""Runs the periodic jobs in the one server process of an embedded database.

What must not wait for a long job to end runs beside them, there and on PostgreSQL.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from imagecatalog.config import Settings
from imagecatalog.errors import CatalogError
from imagecatalog.jobs.clair import has_notices
from imagecatalog.jobs.history import sum_up_past
from imagecatalog.jobs.matching import has_waiting, judge_findings
from imagecatalog.jobs.pushes import has_pushes, sync_pushed, take_up_pushes
from imagecatalog.jobs.record import judge_runs, record
from imagecatalog.jobs.refresh import list_feeds, refresh
from imagecatalog.jobs.report import Report
from imagecatalog.jobs.sync import sync
from imagecatalog.store import health, pushed
from imagecatalog.store.engine import Catalog

_log = logging.getLogger(__name__)
_LOOK_EVERY = 5.0
_BURST = 0.5
"""Seconds in which the rest of what belongs together arrives."""


class Job(Struct, frozen=True):
    """A job with its interval."""

    name: str
    every: timedelta
    run: Callable[[], Report]
    is_asked_for: Callable[[], bool] = lambda: False
    """Whether there is something that should not wait for its time."""
    is_prompt: bool = False
    """Whether it should not even wait for another job to end."""


def utc_now() -> datetime:
    """The moment it is, in UTC."""
    return datetime.now(UTC)


def list_jobs(catalog: Catalog, settings: Settings) -> list[Job]:
    """The periodic jobs that the settings give work to, in the order in which one feeds the next."""
    jobs = _list_syncs(catalog, settings)
    if settings.clusters or settings.hosts:
        jobs.append(
            Job("record", timedelta(hours=1), lambda: record(catalog, settings, now=utc_now))
        )
    jobs.append(
        Job(
            "judge",
            timedelta(hours=1),
            lambda: _judge(catalog, settings),
            lambda: has_waiting(catalog) or _has_pushed(catalog),
        )
    )
    jobs.append(
        Job(
            "history",
            timedelta(days=1),
            lambda: sum_up_past(catalog, settings, now=utc_now()),
        )
    )
    feeds = list_feeds(settings)
    if "clair" in feeds:
        feeds.remove("clair")
        jobs.append(
            Job(
                "clair",
                timedelta(hours=1),
                lambda: refresh(catalog, settings, ["clair"], now=utc_now),
                lambda: has_notices(catalog, now=utc_now()),
            )
        )
    if feeds:
        jobs.append(
            Job(
                "refresh",
                timedelta(hours=1),
                lambda: refresh(catalog, settings, feeds, now=utc_now),
            )
        )
    return jobs


def _list_syncs(catalog: Catalog, settings: Settings) -> list[Job]:
    """What reads registries: each hour all of them, and at once what they tell of."""
    hour = timedelta(hours=1)
    jobs = []
    if settings.registries:
        jobs.append(Job("sync", hour, lambda: sync(catalog, settings, [], now=utc_now)))
    if settings.registries and settings.hooks.registry_secret is not None:
        jobs.append(
            Job(
                "pushes",
                hour,
                lambda: sync_pushed(catalog, settings, now=utc_now),
                lambda: has_pushes(catalog, now=utc_now()),
                is_prompt=True,
            )
        )
    return jobs


def _judge(catalog: Catalog, settings: Settings) -> Report:
    """What was registered or told since the last job is judged without waiting for the next."""
    if _has_pushed(catalog):
        return judge_runs(catalog, settings, now=utc_now())
    judge_findings(catalog, settings)
    return Report()


def _has_pushed(catalog: Catalog) -> bool:
    with catalog.read() as c:
        return pushed.last_pushed(c) is not None


class Scheduler:
    """Runs each job when it was last run longer ago than its interval, one at a time.

    Prompt jobs have a thread of their own; without ``periodic`` they are all that is run.
    """

    def __init__(self, catalog: Catalog, settings: Settings, *, periodic: bool = True) -> None:
        self._catalog = catalog
        jobs = list_jobs(catalog, settings)
        lanes = [[one for one in jobs if one.is_prompt is prompt] for prompt in (False, True)]
        self._stopping = threading.Event()
        self._woken = threading.Event()
        self._takes_up = periodic
        self._threads = [
            threading.Thread(target=self._run, args=(lane,), name=name, daemon=True)
            for lane, name, wanted in zip(
                lanes, ("jobs", "prompt jobs"), (periodic, True), strict=True
            )
            if lane and wanted
        ]

    def start(self) -> None:
        """Begin, in threads of its own; what is overdue runs at once."""
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Have prompt jobs look at once whether there is work."""
        self._woken.set()

    def stop(self, *, wait: float = 5.0) -> None:
        """Begin no further job, and wait some seconds for one under way: it may be ended anywhere."""
        self._stopping.set()
        self._woken.set()
        until = time.monotonic() + wait
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _run(self, jobs: Sequence[Job]) -> None:
        is_prompt = any(job.is_prompt for job in jobs)
        if is_prompt and self._takes_up:
            self._take_up()
        due = {job.name: self._first_run(job) for job in jobs}
        while not self._stopping.is_set():
            began = time.monotonic()
            for job in jobs:
                if self._stopping.is_set():
                    break
                if due[job.name] <= utc_now() or self._is_asked_for(job):
                    due[job.name] = utc_now() + job.every
                    self._run_job(job, due[job.name])
            if is_prompt:
                self._rest(time.monotonic() - began)
            else:
                self._stopping.wait(_LOOK_EVERY)

    def _rest(self, worked: float) -> None:
        """Wait to be woken, at least as long as the work took: a storm leaves others their share."""
        self._stopping.wait(min(worked, 60.0))
        if self._woken.wait(_LOOK_EVERY):
            self._woken.clear()
            self._stopping.wait(_BURST)

    def _take_up(self) -> None:
        try:
            take_up_pushes(self._catalog, now=utc_now())
        except CatalogError as error:
            _log.error("job pushes: %s", error.message)

    def _is_asked_for(self, job: Job) -> bool:
        try:
            return job.is_asked_for()
        except CatalogError as error:
            _log.error("job %s: %s", job.name, error.message)
            return False

    def _first_run(self, job: Job) -> datetime:
        try:
            with self._catalog.read() as c:
                known = {item.name: item for item in health.list_health(c) if item.kind == "job"}
            last = known[job.name].last_tried if job.name in known else None
            due = utc_now() if last is None else last + job.every
            self._note_next(job, due)
        except CatalogError as error:
            _log.error("job %s: %s", job.name, error.message)
            return utc_now()
        return due

    def _note_next(self, job: Job, due: datetime) -> None:
        with self._catalog.write() as c:
            health.note_next(c, "job", job.name, due)

    def _run_job(self, job: Job, due: datetime) -> None:
        at, started = utc_now(), time.monotonic()
        try:
            report = job.run()
        except CatalogError as error:
            message: str | None = error.message
            detail = None
        except Exception:  # noqa: BLE001 - a fault of ours in one job must not end the others
            _log.exception("job %s", job.name)
            message, detail = "an internal error; the log has it", None
        else:
            told = [f"{item.subject}: {item.message}" for item in report.failed]
            message = "; ".join(told[:3]) or None
            detail = report.done[-1] if report.done else None
        try:
            with self._catalog.write() as c:
                seconds = time.monotonic() - started
                health.note_try(
                    c, "job", job.name, at=at, seconds=seconds, error=message, detail=detail
                )
            self._note_next(job, due)
        except CatalogError as error:
            _log.error("job %s: %s", job.name, error.message)
