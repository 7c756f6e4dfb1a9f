"""Reads one source into the catalog: the whole of it, or what of a repository was asked for.

What is new is read, what is known is only looked at. Tags that another job moved meanwhile are left
as they are: it looked later.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from datetime import datetime

from msgspec import Struct

from imagecatalog.catalog import ingest
from imagecatalog.catalog.configured import configured_setups
from imagecatalog.config import Settings
from imagecatalog.domain.images import Descriptor
from imagecatalog.domain.refs import Digest
from imagecatalog.errors import BadName, CatalogError, DatabaseError, Missing
from imagecatalog.jobs.attachments import Beside, take_beside
from imagecatalog.jobs.reading import Reader
from imagecatalog.jobs.report import Failure, Progress, Report, cancelling, plural
from imagecatalog.sources.interface import ImageSource
from imagecatalog.sources.registry import Registry
from imagecatalog.store import attachments, images, lookups, repositories
from imagecatalog.store.engine import Catalog

_SIDE_BY_SIDE = 8


class _Looked(Struct):
    """What was found in a repository, beside what was known of it before."""

    before: Mapping[str, int]
    """What each of its tags pointed to."""
    asked: frozenset[str] | None
    """The tags that were looked at; None: all."""
    targets: dict[str, int]
    """What each of these points to; those that are gone are left out."""
    untagged: set[int] = set()
    """Images that were asked for by their digests, and are there."""
    lost: set[int] = set()
    """Those that are not."""


class Crawl:
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
                    waiting[pool.submit(self.sync_repository, name)] = name
            except CatalogError as error:
                report += Report(failed=(Failure.of(self._source.name, error),))
            else:
                for name in self._unlisted(names):
                    waiting[pool.submit(self.sync_repository, name)] = name
            with cancelling(pool):
                for done, future in enumerate(as_completed(waiting), 1):
                    report += future.result()
                    progress(f"synced {waiting[future]}", done, len(waiting))
        return report + self.summarise(len(names))

    def look(self, name: str, references: Collection[str]) -> Report:
        """Look at some tags and digests of a repository alone: what they are now, or that they went.

        A failure's subject is ``name:tag`` or ``name@digest``, or the name where all of it failed.
        """
        failed: list[Failure] = []
        digests = {digest for one in references if (digest := _read_digest(one)) is not None}
        with self._catalog.read() as c:
            before = repositories.list_current_tags(c, name)
            known = {number for number, _ in lookups.find_by_digest(c, digests).values()}
        excludes = self._source.excludes if isinstance(self._source, Registry) else _nothing
        tags = {one for one in references if _read_digest(one) is None and not excludes(one)}
        # What is gone by its digest takes its tags with it.
        tags |= {tag for tag, number in before.items() if number in known}
        try:
            found = dict(self._resolve_tags(name, sorted(tags), failed))
            beside = take_beside(found)
            targets = self._read_tags(name, found, beside, failed)
            looked = _Looked(before, frozenset(tags), targets)
            for digest in sorted(digests - {target.digest for target in found.values()}):
                self._look_at(name, digest, looked, beside, failed)
            self._write(name, looked, failed)
            met = looked.untagged.union(targets.values())
            self._reader.attachments.read_repository(name, met, beside)
        except DatabaseError:
            raise
        except CatalogError as error:
            failed.append(Failure.of(name, error))
        return Report(failed=tuple(failed))

    def _look_at(
        self,
        name: str,
        digest: Digest,
        looked: _Looked,
        beside: list[Beside],
        failed: list[Failure],
    ) -> None:
        """Read what is asked for by its digest alone."""
        try:
            settled = self._reader.find_settled([digest]).get(digest)
            if settled is not None and not self._source.exists(name, digest):
                raise Missing(f"{name} has no {digest}")
            read = settled or self._reader.read(name, digest)
        except DatabaseError:
            raise
        except Missing as error:
            with self._catalog.read() as c:
                lost = lookups.find_by_digest(c, [digest])
            looked.lost.update(number for number, _ in lost.values())
            if not lost:
                failed.append(Failure.of(f"{name}@{digest}", error))
        except CatalogError as error:
            failed.append(Failure.of(f"{name}@{digest}", error))
        else:
            if isinstance(read, Beside):
                beside.append(read)
            else:
                looked.untagged.add(read)

    def summarise(self, repositories: int) -> Report:
        """What was read of so many repositories, and what could not be."""
        summary = (
            f"{self._source.name}: {plural(repositories, 'repository', 'repositories')}, "
            f"{plural(self._reader.images, 'new image')}, {plural(self._reader.layers, 'layer')} read"
        )
        if self._reader.unknown:
            summary += f", {self._reader.unknown:,} with unknown packages"
        if count := self._reader.attachments.count:
            summary += f", {plural(count, 'attachment')} read"
        return Report((summary,), (*self._reader.unreadable, *self._reader.attachments.faults))

    def _unlisted(self, names: set[str]) -> set[str]:
        """Repositories of this registry that it no longer lists: they are asked for all the same."""
        if not isinstance(self._source, Registry):
            return set()
        with self._catalog.read() as c:
            known = repositories.list_repository_names(c, self._source.name + "/")
        return {name for name in known.keys() - names if self._source.covers(name)}

    def sync_repository(self, name: str) -> Report:
        """Look at all tags of a repository."""
        failed: list[Failure] = []
        with self._catalog.read() as c:
            before = repositories.list_current_tags(c, name)
        try:
            found = dict(self._resolve_tags(name, self._source.tags(name), failed))
        except Missing:
            found = {}  # the repository is gone
        except CatalogError as error:
            return Report(failed=(Failure.of(name, error),))
        tags = set(found)
        beside = take_beside(found)
        try:
            self._forget_as_images(name, tags - found.keys())
            targets = self._read_tags(name, found, beside, failed)
            self._write(name, _Looked(before, None, targets), failed)
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

    def _resolve_tags(
        self, name: str, tags: Iterable[str], failed: list[Failure]
    ) -> Iterator[tuple[str, Descriptor]]:
        """Each tag with what it points to; those that are gone are left out."""
        for tag in tags:
            try:
                yield tag, self._source.resolve(name, tag)
            except Missing:
                continue
            except CatalogError as error:
                failed.append(Failure.of(f"{name}:{tag}", error))

    def _write(self, name: str, looked: _Looked, failed: list[Failure]) -> None:
        # What could not be read keeps its place: a fault is not a deletion.
        subjects = {failure.subject for failure in failed}
        kept = {
            tag: number
            for tag, number in looked.before.items()
            if (looked.asked is not None and tag not in looked.asked) or f"{name}:{tag}" in subjects
        }
        tags = kept | looked.targets
        with self._catalog.read() as c:
            met = set(looked.targets.values()) | looked.untagged
            members = images.list_members(c, met)
            there = repositories.list_present(c, name)
            present = met.union(*members.values())
            pointed = present.union(kept.values())
            doubtful = {digest: number for digest, number in there.items() if number not in pointed}
            if looked.asked is not None:
                left = {looked.before[tag] for tag in looked.asked & looked.before.keys()}
                left = left.union(looked.lost, *images.list_members(c, left).values())
                doubtful = {digest: number for digest, number in doubtful.items() if number in left}
        gone = self._find_gone(name, doubtful, failed)
        if tags == looked.before and not gone and present <= set(there.values()):
            return
        with self._catalog.write() as c:
            ingest.record_repository(
                c,
                name,
                tags,
                sorted(present),
                gone,
                before=looked.before,
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


def _read_digest(reference: str) -> Digest | None:
    """A tag has no colon, a digest has one."""
    try:
        return Digest.parse(reference) if ":" in reference else None
    except BadName:
        return None


def _nothing(_tag: str) -> bool:
    return False
