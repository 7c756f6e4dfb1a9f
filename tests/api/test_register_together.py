"""Builds that come at the same moment are written together, and each is answered for itself."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from imagecatalog.catalog.builds import Registered
from imagecatalog.catalog.tellings import prepare
from imagecatalog.domain.builds import Build
from imagecatalog.domain.refs import Digest
from imagecatalog.errors import DatabaseConflict, DatabaseFull, Forbidden
from imagecatalog.store.engine import Catalog, Connection
from imagecatalog.store.shelf import Shelf
from imagecatalog.web.together import Check, Registrar

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


class Writing:
    """Transactions that are counted, and the first of which is held up."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.count = 0
        self.is_writing = threading.Event()
        self.may_go_on = threading.Event()

    @contextmanager
    def __call__(self) -> Iterator[tuple[Connection, Shelf]]:
        self.count += 1
        with self.catalog.write() as c:
            if self.count == 1:
                self.is_writing.set()
                assert self.may_go_on.wait(30)
            yield c, Shelf()


def run_apart(work: Coroutine[None, None, Any]) -> Any:
    """In a thread of its own: the browser of other tests keeps an event loop running in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def told(number: int) -> Build:
    return Build(digest=Digest.of(b"%d" % number), reason=str(number))


def register_many(
    writing: Writing, count: int, refused: dict[int, Exception]
) -> list[Registered | Exception]:
    """One first, and while it is written all the others."""
    registrar = Registrar(writing, dict)

    def register(number: int) -> Registered | Exception:
        def check(_c: Connection, _confirmed: set[int]) -> None:
            if number in refused:
                raise refused[number]

        try:
            return registrar.register(prepare(told(number), told_by="ci"), check=check, now=NOON)
        except Exception as error:  # noqa: BLE001 - what was raised is what is tested
            return error

    with ThreadPoolExecutor(count) as pool:
        first = pool.submit(register, 0)
        assert writing.is_writing.wait(30)
        others = [pool.submit(register, number) for number in range(1, count)]
        while len(registrar._waiting) < count - 1:
            pass
        writing.may_go_on.set()
        return [one.result() for one in (first, *others)]


def test_who_comes_while_another_writes_is_written_together(catalog: Catalog) -> None:
    writing = Writing(catalog)
    found = register_many(writing, 100, {})
    assert writing.count == 3
    assert all(isinstance(one, Registered) and one.created for one in found)
    assert [one.digest for one in found if isinstance(one, Registered)] == [
        told(number).digest for number in range(100)
    ]


def test_a_refusal_is_one_clients_alone(catalog: Catalog) -> None:
    writing = Writing(catalog)
    found = register_many(writing, 8, {3: Forbidden("not yours"), 5: Forbidden("nor yours")})
    assert writing.count == 2
    assert [isinstance(one, Forbidden) for one in found] == [n in (3, 5) for n in range(8)]


def test_a_fault_of_ours_with_one_build_spares_the_others(catalog: Catalog) -> None:
    found = register_many(Writing(catalog), 8, {3: ZeroDivisionError()})
    assert Counter(map(type, found)) == {Registered: 7, ZeroDivisionError: 1}


def test_a_database_that_fails_fails_for_all(catalog: Catalog) -> None:
    writing = Writing(catalog)
    found = register_many(writing, 8, {3: DatabaseFull("no room")})
    assert writing.count == 2
    assert Counter(map(type, found)) == {Registered: 1, DatabaseFull: 7}


@pytest.mark.parametrize("conflicts", [1, 2])
def test_who_had_to_give_way_tries_once_more(catalog: Catalog, conflicts: int) -> None:
    writing = Writing(catalog)
    writing.may_go_on.set()
    left = [DatabaseConflict("gave way")] * conflicts

    def check(_c: Connection, _confirmed: set[int]) -> None:
        if left:
            raise left.pop()

    registrar = Registrar(writing, dict)
    waiting = prepare(told(1), told_by=None)
    if conflicts == 1:
        assert registrar.register(waiting, check=check, now=NOON).created
    else:
        with pytest.raises(DatabaseConflict):
            registrar.register(waiting, check=check, now=NOON)
    assert writing.count == 2


def test_what_comes_to_an_event_loop_at_once_is_one_transaction(catalog: Catalog) -> None:
    writing = Writing(catalog)
    writing.may_go_on.set()
    registrar = Registrar(writing, dict)

    def check(number: int) -> Check:
        return _refuse if number == 3 else lambda *_: None

    async def register(number: int) -> Registered:
        telling = prepare(told(number), told_by="ci")
        return await registrar.register_soon(telling, check=check(number), now=NOON)

    async def register_all() -> list[Registered | BaseException]:
        return await asyncio.gather(*map(register, range(16)), return_exceptions=True)

    for turn in range(2):  # a loop that is closed keeps nobody from the next
        found = run_apart(register_all())
        assert writing.count == turn + 1
        assert [isinstance(one, Forbidden) for one in found] == [n == 3 for n in range(16)]
        assert [one.digest for one in found if isinstance(one, Registered)] == [
            told(number).digest for number in range(16) if number != 3
        ]


def test_who_goes_away_keeps_nobody_waiting(catalog: Catalog) -> None:
    writing = Writing(catalog)
    registrar = Registrar(writing, dict)

    def register(number: int) -> asyncio.Task[Registered]:
        telling = prepare(told(number), told_by="ci")
        return asyncio.ensure_future(
            registrar.register_soon(telling, check=lambda *_: None, now=NOON)
        )

    async def go() -> Registered:
        first = register(0)
        while not writing.is_writing.is_set():
            await asyncio.sleep(0)
        gone, stays = register(1), register(2)
        await asyncio.sleep(0)
        first.cancel()
        gone.cancel()
        writing.may_go_on.set()
        return await asyncio.wait_for(stays, 30)

    assert run_apart(go()).created


def test_who_is_alone_waits_for_nobody(catalog: Catalog) -> None:
    writing = Writing(catalog)
    writing.may_go_on.set()
    registrar = Registrar(writing, dict)
    for number in range(3):
        registrar.register(prepare(told(number), told_by=None), check=lambda *_: None, now=NOON)
    with pytest.raises(Forbidden):
        registrar.register(prepare(told(9), told_by=None), check=_refuse, now=NOON)
    assert writing.count == 4


def _refuse(_c: Connection, _confirmed: set[int]) -> None:
    raise Forbidden("not yours")


def test_what_a_check_confirmed_holds_for_its_transaction_alone(catalog: Catalog) -> None:
    writing = Writing(catalog)
    writing.may_go_on.set()
    registrar = Registrar(writing, dict)
    seen: list[set[int]] = []

    def check(_c: Connection, confirmed: set[int]) -> None:
        seen.append(set(confirmed))
        confirmed.add(1)

    for number in range(2):
        registrar.register(prepare(told(number), told_by=None), check=check, now=NOON)
    assert seen == [set(), set()]
