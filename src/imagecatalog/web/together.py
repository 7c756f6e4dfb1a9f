"""Builds that are registered at the same moment are written together, in one transaction.

Each waits until its own is on the disk, and what it waits for is shared: SQLite has one writer, and
every transaction ends with the disk. Nobody waits for company that is not at the door already.
"""

from __future__ import annotations

import asyncio
import threading
from asyncio import AbstractEventLoop
from asyncio import Future as AsyncFuture
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from datetime import datetime

from imagecatalog.catalog import lineage
from imagecatalog.catalog.builds import Registered, register_all
from imagecatalog.catalog.configured import ConfiguredSetups
from imagecatalog.catalog.tellings import Telling
from imagecatalog.errors import CatalogError, DatabaseConflict, DatabaseError
from imagecatalog.store.engine import Connection
from imagecatalog.store.shelf import Shelf

TOGETHER = 64
"""Builds in one transaction."""
_CALM = 5
"""Turns of the event loop in which no other build came."""
_LATEST = 0.02
"""Seconds after which a transaction begins although others still come."""

Check = Callable[[Connection, set[int]], None]
"""May refuse a build by a CatalogError. The set is for the numbers of tokens that were looked at
within this transaction."""
Writing = Callable[[], AbstractContextManager[tuple[Connection, Shelf]]]


class _Waiting:
    """One build, and what becomes of it."""

    def __init__(
        self,
        telling: Telling,
        check: Check,
        now: datetime,
        loop: AbstractEventLoop | None,
    ) -> None:
        self.telling = telling
        self.check = check
        self.now = now
        self.loop = loop
        """Of who waits in one; None: a thread waits."""
        self.future: Future[Registered] | AsyncFuture[Registered] = (
            Future() if loop is None else loop.create_future()
        )
        self.answer: Registered | None = None
        self.error: Exception | None = None


class Registrar:
    """Registers builds for many. ``writing`` gives a transaction and its shelf.

    One thread writes. That of an event loop takes turns with it: were requests read while it
    writes, each of the two would wait for the interpreter at every word with the database. So the
    next transaction begins when the loop has nothing else to do, with all that came meanwhile.
    """

    def __init__(self, writing: Writing, configured: Callable[[], ConfiguredSetups]) -> None:
        self._writing = writing
        self._configured = configured
        self._lock = threading.Lock()
        self._waiting: list[_Waiting] = []
        self._arrived = 0
        self._is_led = False
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="registrar")

    def register(self, telling: Telling, *, check: Check, now: datetime) -> Registered:
        """Register a build; what it answers is on the disk.

        ``check`` is called within the transaction and may refuse this build.
        """
        one = _Waiting(telling, check, now, None)
        self._join(one)
        assert isinstance(one.future, Future)
        return one.future.result()

    async def register_soon(self, telling: Telling, *, check: Check, now: datetime) -> Registered:
        """The same for who waits in an event loop, and does not keep it."""
        one = _Waiting(telling, check, now, asyncio.get_running_loop())
        self._join(one)
        assert isinstance(one.future, AsyncFuture)
        return await one.future

    def _join(self, one: _Waiting) -> None:
        with self._lock:
            self._waiting.append(one)
            self._arrived += 1
            is_first = not self._is_led
            self._is_led = True
        if is_first:
            self._begin(one.loop)

    def _begin(self, loop: AbstractEventLoop | None) -> None:
        """Have the next transaction written, once the loop has read what it may read now."""
        if loop is not None and loop.is_running():
            with suppress(RuntimeError):  # it was closed just now, and nobody waits in it
                loop.call_soon_threadsafe(self._gather, loop, self._arrived, 0, loop.time())
                return
        self._writer.submit(self._lead)

    def _gather(self, loop: AbstractEventLoop, seen: int, turns: int, since: float) -> None:
        is_calm = turns >= _CALM and seen == self._arrived
        is_late = loop.time() - since > _LATEST
        if is_calm or is_late or len(self._waiting) >= TOGETHER:
            self._writer.submit(self._lead)
            return
        turns = turns + 1 if seen == self._arrived else 0
        loop.call_soon(self._gather, loop, self._arrived, turns, since)

    def _lead(self) -> None:
        """Write what waits, answer, and see to those that came meanwhile."""
        with self._lock:
            batch, self._waiting = self._waiting[:TOGETHER], self._waiting[TOGETHER:]
        try:
            self._write(batch)
        finally:
            _answer(batch)
            with self._lock:
                following = self._waiting[:1]
                self._is_led = bool(following)
            for one in following:
                self._begin(one.loop)

    def _write(self, batch: Sequence[_Waiting]) -> None:
        try:
            self._try(batch)
        except DatabaseError as error:
            for one in batch:
                one.error = error
        except Exception as error:  # noqa: BLE001 - handed to whom it concerns, who raises it
            if len(batch) == 1:
                batch[0].error = error
                return
            for one in batch:  # so that the fault of one is not that of the others
                self._write([one])

    def _try(self, batch: Sequence[_Waiting]) -> None:
        try:
            self._write_together(batch)
        except DatabaseConflict:  # the other has what it wanted by now
            self._write_together(batch)

    def _write_together(self, batch: Sequence[_Waiting]) -> None:
        for one in batch:
            one.error = None
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
        for one, answer in zip(allowed, answers, strict=True):
            one.answer = answer


def _answer(batch: Sequence[_Waiting]) -> None:
    """Tell all what became of theirs; those in an event loop at once, which wakes it once."""
    by_loop: dict[AbstractEventLoop | None, list[_Waiting]] = {}
    for one in batch:
        by_loop.setdefault(one.loop, []).append(one)
    for loop, waiting in by_loop.items():
        if loop is None:
            _settle(waiting)
        else:
            with suppress(RuntimeError):  # it is closed, and nobody waits in it
                loop.call_soon_threadsafe(_settle, waiting)


def _settle(waiting: Sequence[_Waiting]) -> None:
    for one in waiting:
        if one.future.cancelled():
            continue
        if one.answer is not None:
            one.future.set_result(one.answer)
        else:
            broken = DatabaseError("the writing was broken off; send it again")
            one.future.set_exception(one.error or broken)


def _is_allowed(c: Connection, one: _Waiting, confirmed: set[int]) -> bool:
    try:
        one.check(c, confirmed)
    except DatabaseError:
        raise
    except CatalogError as error:
        one.error = error
    return one.error is None
