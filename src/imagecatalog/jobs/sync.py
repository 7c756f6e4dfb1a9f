"""Crawls registries, layouts and archives: what is new is read, what is known is only looked at."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from datetime import datetime

from imagecatalog.catalog import ingest, timeline
from imagecatalog.catalog.configured import configured_setups
from imagecatalog.config import Settings
from imagecatalog.domain.images import Descriptor
from imagecatalog.domain.refs import Digest
from imagecatalog.errors import (
    BadDocument,
    CatalogError,
    DatabaseError,
    Missing,
    SourceUnavailable,
    UsageError,
)
from imagecatalog.jobs.attachments import Beside, take_beside
from imagecatalog.jobs.lineage import settle_lineage
from imagecatalog.jobs.matching import judge_findings
from imagecatalog.jobs.reading import Reader
from imagecatalog.jobs.report import Failure, Progress, Report, cancelling, plural, say_nothing
from imagecatalog.matching import succession, updates
from imagecatalog.planning.following import follow_plans
from imagecatalog.sources.interface import ImageSource
from imagecatalog.sources.open import open_source
from imagecatalog.sources.registry import Registry
from imagecatalog.store import attachments, health, images, repositories
from imagecatalog.store.engine import Catalog

_SIDE_BY_SIDE = 8


def sync(
    catalog: Catalog,
    settings: Settings,
    addresses: Sequence[str],
    *,
    now: Callable[[], datetime],
    progress: Progress = say_nothing,
) -> Report:
    """Bring the catalog up to date with these sources, or with all registries of the settings.

    One source's, repository's or image's fault is reported and leaves the others as they are.
    """
    addresses = addresses or [setting.url for setting in settings.registries]
    if not addresses:
        raise UsageError(
            "there is no registry to sync",
            hint="name one: imagecatalog sync https://registry.example.org, or add a [[registry]]",
        )
    for address in addresses:
        open_source(address, settings).close()  # a wrong one is told before any is read
    report = Report()
    for address in addresses:
        report += _sync_address(catalog, settings, address, now, progress)
    settle_lineage(catalog)
    judge_findings(catalog, settings, progress=progress)
    with catalog.write() as c:
        timeline.match_images(c)
        updates.judge(c)
        succession.judge(c, settings.lines)
        closed = follow_plans(c, settings.lines, now=now())
    return report + Report((f"{plural(closed, 'plan')} closed",)) if closed else report


def _sync_address(
    catalog: Catalog,
    settings: Settings,
    address: str,
    now: Callable[[], datetime],
    progress: Progress,
) -> Report:
    at, started = now(), time.monotonic()
    name = address
    try:
        source = open_source(address, settings)
        name = source.name
        try:
            report = _Crawl(catalog, settings, source, now).run(progress)
        finally:
            source.close()
    except (SourceUnavailable, BadDocument) as error:
        report = Report(failed=(Failure.of(name, error),))
    told = [f"{failure.subject}: {failure.message}" for failure in report.failed]
    error_text = None
    if told:
        error_text = "; ".join(told[:3]) + (f"; and {len(told) - 3} more" if len(told) > 3 else "")
    with catalog.write() as c:
        health.note_try(
            c,
            "registry",
            name,
            at=at,
            seconds=time.monotonic() - started,
            error=error_text,
            detail=report.done[-1].removeprefix(f"{name}: ") if report.done else None,
        )
    return report


class _Crawl:
    """One source, once through."""

    def __init__(
        self, catalog: Catalog, settings: Settings, source: ImageSource, now: Callable[[], datetime]
    ) -> None:
        self._catalog = catalog
        self._source = source
        self._now = now
        self._configured = configured_setups(settings)
        self._reader = Reader(catalog, source, self._configured, now)

    def run(self, progress: Progress) -> Report:
        """All repositories, side by side."""
        report = Report()
        names: set[str] = set()
        waiting: dict[Future[Report], str] = {}
        with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
            try:
                for name in self._source.repositories():
                    names.add(name)
                    waiting[pool.submit(self._sync_repository, name)] = name
            except CatalogError as error:
                report += Report(failed=(Failure.of(self._source.name, error),))
            else:
                for name in self._unlisted(names):
                    waiting[pool.submit(self._sync_repository, name)] = name
            with cancelling(pool):
                for done, future in enumerate(as_completed(waiting), 1):
                    report += future.result()
                    progress(f"synced {waiting[future]}", done, len(waiting))
        summary = (
            f"{self._source.name}: {plural(len(names), 'repository', 'repositories')}, "
            f"{plural(self._reader.images, 'new image')}, {plural(self._reader.layers, 'layer')} read"
        )
        if self._reader.unknown:
            summary += f", {self._reader.unknown:,} with unknown packages"
        if count := self._reader.attachments.count:
            summary += f", {plural(count, 'attachment')} read"
        faults = (*self._reader.unreadable, *self._reader.attachments.faults)
        return report + Report((summary,), faults)

    def _unlisted(self, names: set[str]) -> set[str]:
        """Repositories of this registry that it no longer lists: they are asked for all the same."""
        if not isinstance(self._source, Registry):
            return set()
        with self._catalog.read() as c:
            known = repositories.list_repository_names(c, self._source.name + "/")
        return {name for name in known.keys() - names if self._source.covers(name)}

    def _sync_repository(self, name: str) -> Report:
        failed: list[Failure] = []
        try:
            found = dict(self._resolve_tags(name, failed))
        except CatalogError as error:
            return Report(failed=(Failure.of(name, error),))
        tags = set(found)
        beside = take_beside(found)
        try:
            self._forget_as_images(name, tags - found.keys())
            targets = self._read_tags(name, found, beside, failed)
            self._write(name, targets, failed)
            self._reader.attachments.read_repository(name, set(targets.values()), beside)
        except DatabaseError:
            raise
        except CatalogError as error:
            failed.append(Failure.of(name, error))
        return Report(failed=tuple(failed))

    def _forget_as_images(self, name: str, tags: set[str]) -> None:
        """Correct what an older release made of tags that stand for attachments."""
        if tags:
            with self._catalog.read() as c:
                tags &= repositories.list_current_tags(c, name).keys()
        if tags:
            with self._catalog.write() as c:
                attachments.forget_as_images(c, name, tags)

    def _read_tags(
        self,
        name: str,
        tags: Mapping[str, Descriptor],
        beside: list[Beside],
        failed: list[Failure],
    ) -> dict[str, int]:
        """The images that the tags point to; what turns out to be none goes to ``beside``."""
        targets: dict[str, int] = {}
        settled = self._reader.find_settled([target.digest for target in tags.values()])
        new = {target.digest for target in tags.values()} - settled.keys()
        artifacts = self._reader.attachments.find_artifacts(new) if new else ()
        for tag, target in tags.items():
            if target.digest in artifacts:
                continue
            try:
                read = settled.get(target.digest) or self._reader.read(name, target.digest)
            except DatabaseError:
                raise
            except CatalogError as error:
                failed.append(Failure.of(f"{name}:{tag}", error))
            else:
                if isinstance(read, Beside):
                    beside.append(read)
                else:
                    targets[tag] = read
        return targets

    def _resolve_tags(self, name: str, failed: list[Failure]) -> Iterator[tuple[str, Descriptor]]:
        """Each tag with what it points to; none where the repository is gone."""
        try:
            for tag in self._source.tags(name):
                try:
                    yield tag, self._source.resolve(name, tag)
                except Missing:
                    continue  # it went between the list and now
                except CatalogError as error:
                    failed.append(Failure.of(f"{name}:{tag}", error))
        except Missing:
            return

    def _write(self, name: str, targets: dict[str, int], failed: list[Failure]) -> None:
        with self._catalog.read() as c:
            current = repositories.list_current_tags(c, name)
            members = images.list_members(c, set(targets.values()))
            before = repositories.list_present(c, name)
        # What could not be read keeps its place: a fault is not a deletion.
        subjects = {failure.subject for failure in failed}
        kept = {tag: number for tag, number in current.items() if f"{name}:{tag}" in subjects}
        tags = kept | targets
        present = set(tags.values()).union(*members.values()) if members else set(tags.values())
        doubtful = {d: number for d, number in before.items() if number not in present}
        gone = self._find_gone(name, doubtful, failed)
        if tags == current and not gone and present <= set(before.values()):
            return
        with self._catalog.write() as c:
            ingest.record_repository(
                c,
                name,
                tags,
                sorted(present),
                gone,
                configured=self._configured,
                now=self._now(),
            )

    def _find_gone(
        self, name: str, doubtful: dict[Digest, int], failed: list[Failure]
    ) -> list[int]:
        """Those which the source says that it no longer has; none more once it fails to say."""
        gone: list[int] = []
        for digest, number in doubtful.items():
            try:
                if not self._source.exists(name, digest):
                    gone.append(number)
            except CatalogError as error:
                failed.append(Failure.of(f"{name}@{digest}", error))
                break
        return gone
