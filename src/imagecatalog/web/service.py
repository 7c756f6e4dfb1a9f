"""What every request needs: the catalog, opened when first asked for, and the clock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from fastapi import Request

from imagecatalog.config import Settings
from imagecatalog.store.engine import Catalog, Connection


class Service:
    """The open catalog. Thread-safe; under WSGI nothing else starts it, so it starts lazily."""

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog | None = None,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.settings = settings
        self.clock = clock
        self._catalog = catalog
        self._lock = threading.Lock()

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


def service_of(request: Request) -> Service:
    """The service of the application that the request came to."""
    service: Service = request.app.state.service
    return service
