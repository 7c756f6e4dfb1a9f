"""What every request needs: the catalog, opened when first asked for, shelves, and the clock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from functools import cached_property

from fastapi import Request

from imagecatalog.catalog.configured import ConfiguredSetups, configured_setups
from imagecatalog.config import Settings
from imagecatalog.store.access import TokenRow
from imagecatalog.store.engine import Catalog, Connection
from imagecatalog.store.shelf import Shelf
from imagecatalog.web.last_plan import LastPlan
from imagecatalog.web.together import Registrar

_SHELVES_KEPT = 8
_LARGE_AT_ONCE = 2


class Service:
    """The open catalog. Thread-safe; under WSGI nothing else starts it, so it starts lazily."""

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog | None = None,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.wake = wake
        """Have the jobs of this process, if there are any, look for what was asked of them."""
        self.told: set[str] = set()
        """What the log has said already, and need not say again."""
        self._catalog = catalog
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._shelves: list[Shelf] = []
        self.registrar = Registrar(self.write, lambda: self.configured)
        self.holders: dict[bytes, tuple[float, TokenRow]] = {}
        """Tokens met, by the hash of their secret, and when by the monotonic clock."""
        self.next_plan = LastPlan()
        """What the front page says is to be done next."""
        self.large = threading.BoundedSemaphore(_LARGE_AT_ONCE)
        """To be held while a document is parsed that takes much memory."""

    def catalog(self) -> Catalog:
        """The catalog; a database that could not be opened is tried again by the next request."""
        with self._lock:
            if self._catalog is None:
                self._catalog = Catalog.open(self.settings.database)
            return self._catalog

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A read transaction: all that one page asks sees one state."""
        with self.catalog().read() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[tuple[Connection, Shelf]]:
        """A transaction and a shelf of what is known to be there, for this thread alone.

        Kept when the block ends, dropped whole with its shelf when it raises.
        """
        catalog = self.catalog()
        # SQLite has one writer: whom it finds busy it lets sleep, and a lock wakes at once.
        with self._writing if catalog.embedded else nullcontext():
            with catalog.write() as c:
                shelf = self._take_shelf()
                yield c, shelf
            shelf.make_room()
            with self._lock:
                if len(self._shelves) < _SHELVES_KEPT:
                    self._shelves.append(shelf)

    def _take_shelf(self) -> Shelf:
        with self._lock:
            return self._shelves.pop() if self._shelves else Shelf()

    @cached_property
    def configured(self) -> ConfiguredSetups:
        """The apt set-ups of the configuration for images without any; raises ConfigError."""
        return configured_setups(self.settings)


def service_of(request: Request) -> Service:
    """The service of the application that the request came to."""
    service: Service = request.app.state.service
    return service
