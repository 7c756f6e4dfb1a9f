"""One round of handing images to Clair and reading its reports, few at a time.

Every image is kept as soon as it is done, so that a job that is ended goes on where it was; one that
Clair cannot read stops no other.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from msgspec import Struct

from imagecatalog.config import Settings
from imagecatalog.domain.packages import Unknown
from imagecatalog.errors import (
    BadDocument,
    CatalogError,
    ConfigError,
    DatabaseError,
    Missing,
)
from imagecatalog.jobs.report import Failure, Progress, Report, cancelling, plural
from imagecatalog.sources.clair import Clair, ClairRefused, SharedLayer
from imagecatalog.sources.open import open_source
from imagecatalog.sources.registry import Registry
from imagecatalog.store import clair as shelf
from imagecatalog.store import images, lookups
from imagecatalog.store.clair import HeldImage
from imagecatalog.store.engine import Catalog

BUDGET = 1200.0
"""Seconds after which a round begins nothing more: other jobs wait for their turn."""
_AGAIN = timedelta(hours=2)
"""So long an image that Clair could not read is left alone."""
_TAKEN_FOR = timedelta(hours=1)


class _Unreadable(Exception):
    """An image that cannot be handed over, and why."""

    def __init__(self, why: Unknown) -> None:
        super().__init__(why.reason)
        self.why = why


class Registries:
    """The configured registries, each opened when first an image of it is shared; thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._registries = list(_open_registries(settings))

    def share(
        self, names: Iterable[str], held: HeldImage, layers: Sequence[lookups.LayerRow]
    ) -> list[SharedLayer]:
        """Where the layers lie, and what opens them; ``_Unreadable`` where nobody may read them."""
        why = Unknown("no-registry", "no [[registry]] is configured that has it")
        for name in names:
            for registry in self._registries:
                if not registry.covers(name):
                    continue
                try:
                    base, headers = registry.share_blobs(name, held.digest)
                except CatalogError as error:
                    why = Unknown(error.code, error.message)
                    continue
                values: dict[str, tuple[str, ...]] = {k: (v,) for k, v in headers.items()}
                return [
                    SharedLayer(layer.digest, f"{base}{layer.digest}", values) for layer in layers
                ]
        raise _Unreadable(why)

    def close(self) -> None:
        """Give back all connections."""
        for registry in self._registries:
            registry.close()


def _open_registries(settings: Settings) -> Iterable[Registry]:
    for setting in settings.registries:
        try:
            source = open_source(setting.url, settings)
        except ConfigError:
            continue  # which is for a sync to tell
        if isinstance(source, Registry):
            yield source


class _Counts(Struct):
    indexed: int = 0
    read: int = 0
    unreadable: int = 0
    waiting: int = 0


class Round:
    """One round through the images that Clair is to know better, or we what it says of them."""

    def __init__(
        self,
        catalog: Catalog,
        clair: Clair,
        registries: Registries,
        *,
        state: str,
        updates: str | None,
        now: Callable[[], datetime],
    ) -> None:
        self._catalog = catalog
        self._clair = clair
        self._registries = registries
        self._state = state
        self._updates = updates
        self._now = now
        self._counts = _Counts()
        self._failed: list[Failure] = []
        self._lock = threading.Lock()
        self._until = time.monotonic() + BUDGET
        self.stopped: CatalogError | None = None
        """The fault of Clair's own that ended the round."""

    def run(self, at_once: int, progress: Progress) -> Report:
        """Take care of all that are due, some at once; a fault of Clair's own ends the round."""
        due = self._list_due()
        with ThreadPoolExecutor(at_once) as pool, cancelling(pool):
            for number, _ in enumerate(pool.map(self._care, due), 1):
                progress("told Clair of images", number, len(due))
        if self.stopped is not None:
            self._failed.append(Failure.of("clair", self.stopped))
        return Report(tuple(self._list_done()), tuple(self._failed))

    def _list_due(self) -> list[HeldImage]:
        with self._catalog.read() as c:
            every = shelf.list_held(c)
        now = self._now()
        due = [held for held in every if self._is_due(held, now)]
        # what Clair never spoke of comes first
        return sorted(due, key=lambda held: (held.reported is not None, held.number))

    def _is_due(self, held: HeldImage, now: datetime) -> bool:
        if held.problem is not None and held.tried is not None and now < held.tried + _AGAIN:
            return False
        if held.index_state != self._state:
            return True
        return self._updates is not None and held.updates != self._updates

    def _care(self, held: HeldImage) -> None:
        """Index an image where it must be, read its report, keep both; nothing is raised."""
        if self.stopped is not None or time.monotonic() > self._until:
            with self._lock:
                self._counts.waiting += 1
            return
        now = self._now()
        with self._catalog.write() as c:
            if not shelf.take(c, held.number, since=now - _TAKEN_FOR, now=now):
                return
        try:
            self._index_and_read(held)
        except _Unreadable as error:
            with self._lock:
                self._counts.unreadable += 1
            self._fail(held, error.why)
        except (ClairRefused, BadDocument, Missing) as error:
            self._fail(held, Unknown(error.code, error.message), is_lost=isinstance(error, Missing))
            with self._catalog.read() as c:
                name = images.best_names(c, [held.number]).get(held.number, str(held.digest))
            with self._lock:
                self._failed.append(Failure.of(name, error))
        except DatabaseError:
            raise
        except CatalogError as error:
            with self._catalog.write() as c:
                shelf.release(c, [held.number])
            self.stopped = error

    def _index_and_read(self, held: HeldImage) -> None:
        if held.index_state != self._state:
            self._index(held)
        if self._updates is None:
            with self._catalog.write() as c:
                shelf.release(c, [held.number])
            return
        try:
            self._read(held, self._updates)
        except Missing:
            if held.index_state != self._state:
                raise  # it was indexed just now
            self._index(held)
            self._read(held, self._updates)

    def _index(self, held: HeldImage) -> None:
        with self._catalog.read() as c:
            layers = lookups.list_layers(c, held.number)
            homes = lookups.list_repositories_of(c, held.number)
        if not layers:
            raise _Unreadable(Unknown("no-layers", "its layers are not known"))
        # what a registry no longer has may still be there under another name
        names = [name for name, gone in homes if gone is None]
        result = self._clair.index(held.digest, self._registries.share(names, held, layers))
        if not result.is_finished:
            raise ClairRefused(f"Clair could not index {held.digest}: {result.error}")
        with self._catalog.write() as c:
            shelf.save_index(c, held.number, result.report, state=self._state, now=self._now())
        with self._lock:
            self._counts.indexed += 1

    def _read(self, held: HeldImage, updates: str) -> None:
        report = self._clair.report(held.digest)
        if report.manifest != held.digest:
            raise BadDocument(f"Clair's report of {held.digest}", f"it is about {report.manifest}")
        with self._catalog.write() as c:
            shelf.save_report(c, held.number, report, updates=updates, now=self._now())
        with self._lock:
            self._counts.read += 1

    def _fail(self, held: HeldImage, why: Unknown, *, is_lost: bool = False) -> None:
        with self._catalog.write() as c:
            shelf.note_failure(c, held.number, why, now=self._now(), lost=is_lost)

    def _list_done(self) -> Iterable[str]:
        counts = self._counts
        yield f"{plural(counts.indexed, 'image')} indexed"
        yield f"{plural(counts.read, 'report')} read"
        if counts.unreadable:
            yield f"{counts.unreadable:,} that Clair cannot be given"
        if counts.waiting:
            yield f"{counts.waiting:,} left for the next time"
