"""Builds that are registered at the same moment are written together, in one transaction.

Each waits until its own is on the disk, and what it waits for is shared: SQLite has one writer, and
every transaction ends with the disk. Nobody waits for company: who finds nobody writing writes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime

from imagecatalog.catalog import lineage
from imagecatalog.catalog.builds import Registered, register_all
from imagecatalog.catalog.configured import ConfiguredSetups
from imagecatalog.catalog.tellings import Telling
from imagecatalog.errors import CatalogError, DatabaseError
from imagecatalog.store.engine import Connection
from imagecatalog.store.shelf import Shelf

TOGETHER = 64
"""Builds in one transaction."""

Check = Callable[[Connection, set[int]], None]
"""May refuse a build by a CatalogError. The set is for the numbers of tokens that were looked at
within this transaction."""
Writing = Callable[[], AbstractContextManager[tuple[Connection, Shelf]]]


class _Waiting:
    """One build, and what becomes of it."""

    def __init__(self, telling: Telling, check: Check, now: datetime) -> None:
        self.telling = telling
        self.check = check
        self.now = now
        self.woken = threading.Event()
        self.answer: Registered | None = None
        self.error: Exception | None = None

    @property
    def is_done(self) -> bool:
        return self.answer is not None or self.error is not None


class Registrar:
    """Registers builds for many threads. ``writing`` gives a transaction and its shelf."""

    def __init__(self, writing: Writing, configured: Callable[[], ConfiguredSetups]) -> None:
        self._writing = writing
        self._configured = configured
        self._lock = threading.Lock()
        self._waiting: list[_Waiting] = []
        self._is_led = False

    def register(self, telling: Telling, *, check: Check, now: datetime) -> Registered:
        """Register a build; what it answers is on the disk.

        ``check`` is called within the transaction and may refuse this build.
        """
        one = _Waiting(telling, check, now)
        with self._lock:
            self._waiting.append(one)
            leads = not self._is_led
            self._is_led = True
        if not leads:
            one.woken.wait()
        if not one.is_done:
            self._lead(one)
        if one.error is not None:
            raise one.error
        assert one.answer is not None
        return one.answer

    def _lead(self, first: _Waiting) -> None:
        """Write what waits, then let the next that came meanwhile lead."""
        with self._lock:
            batch, self._waiting = self._waiting[:TOGETHER], self._waiting[TOGETHER:]
        assert batch[0] is first
        try:
            self._write(batch)
        finally:
            with self._lock:
                following = self._waiting[:1]
                self._is_led = bool(following)
            for one in batch[1:]:
                if not one.is_done:
                    one.error = DatabaseError("the writing was broken off; send it again")
                one.woken.set()
            for one in following:
                one.woken.set()

    def _write(self, batch: Sequence[_Waiting]) -> None:
        try:
            with self._writing() as (c, shelf):
                confirmed: set[int] = set()
                allowed = [one for one in batch if _is_allowed(c, one, confirmed)]
                answers = register_all(
                    c,
                    shelf,
                    [one.telling for one in allowed],
                    configured=self._configured(),
                    now=batch[0].now,
                )
                lineage.settle(c, 4 * TOGETHER)
        except DatabaseError as error:
            for one in batch:
                one.error = error
        except Exception as error:  # noqa: BLE001 - handed to whom it concerns, who raises it
            if len(batch) == 1:
                batch[0].error = error
                return
            for one in batch:  # so that the fault of one is not that of the others
                one.error = None
                self._write([one])
        else:
            for one, answer in zip(allowed, answers, strict=True):
                one.answer = answer


def _is_allowed(c: Connection, one: _Waiting, confirmed: set[int]) -> bool:
    try:
        one.check(c, confirmed)
    except DatabaseError:
        raise
    except CatalogError as error:
        one.error = error
    return one.error is None
