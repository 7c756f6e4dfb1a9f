"""What is to be looked at in registries: once however often it is asked for, never lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from imagecatalog.store import sync_requests
from imagecatalog.store.engine import Catalog

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
LEASE = timedelta(minutes=5)
APP = ("registry.example.org/app", "1.0")
WEB = ("registry.example.org/web", "2.0")


def _take(
    catalog: Catalog, at: datetime = NOON, origin: sync_requests.Origin = "push"
) -> list[str]:
    with catalog.write() as c:
        taken = sync_requests.take(c, origin, now=at, lease=LEASE, limit=100)
    return [f"{one.repository}:{one.reference}" for one in taken]


def _ask(catalog: Catalog, *wanted: tuple[str, str], at: datetime = NOON) -> bool:
    with catalog.write() as c:
        return sync_requests.ask(c, wanted, now=at)


def test_what_is_asked_for_thrice_is_done_once(catalog: Catalog) -> None:
    assert _ask(catalog, APP, WEB, APP)
    assert _ask(catalog, APP, at=NOON + timedelta(seconds=1))
    assert sorted(_take(catalog, NOON + LEASE)) == [
        "registry.example.org/app:1.0",
        "registry.example.org/web:2.0",
    ]


def test_who_has_taken_it_has_it_for_a_while(catalog: Catalog) -> None:
    """A process that is killed loses nothing: the next takes it when its time is over."""
    _ask(catalog, APP)
    assert len(_take(catalog)) == 1
    assert _take(catalog, NOON + timedelta(minutes=4)) == []
    assert len(_take(catalog, NOON + LEASE)) == 1


def test_a_server_that_starts_takes_up_what_was_under_way(catalog: Catalog) -> None:
    _ask(catalog, APP)
    _take(catalog)
    with catalog.write() as c:
        sync_requests.release(c, now=NOON)
    assert len(_take(catalog)) == 1


def test_what_is_done_is_gone_but_not_if_asked_for_meanwhile(catalog: Catalog) -> None:
    _ask(catalog, APP, WEB)
    with catalog.write() as c:
        taken = sync_requests.take(c, "push", now=NOON, lease=LEASE, limit=100)
    _ask(catalog, WEB)
    with catalog.write() as c:
        sync_requests.finish(c, taken)
    assert _take(catalog) == ["registry.example.org/web:2.0"]


def test_what_failed_is_due_later_with_its_reason(catalog: Catalog) -> None:
    _ask(catalog, APP, WEB)
    later = NOON + timedelta(hours=1)
    with catalog.write() as c:
        first, second = sync_requests.take(c, "push", now=NOON, lease=LEASE, limit=100)
    _ask(catalog, (second.repository, second.reference))
    with catalog.write() as c:
        for one in (first, second):
            sync_requests.postpone(c, one, "no answer", due=later)
    with catalog.write() as c:
        assert sync_requests.has_due(c, "push", now=NOON)
        (again,) = sync_requests.take(c, "push", now=NOON, lease=LEASE, limit=100)
        assert (again.reference, again.tries, again.problem) == (second.reference, 0, None)
        sync_requests.finish(c, [again])
        assert not sync_requests.has_due(c, "push", now=later - timedelta(seconds=1))
        (again,) = sync_requests.take(c, "push", now=later, lease=LEASE, limit=100)
        assert (again.reference, again.tries, again.problem) == (first.reference, 1, "no answer")


def test_too_many_are_refused(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync_requests, "WAITING_LIMIT", 2)
    assert _ask(catalog, APP)
    assert not _ask(catalog, WEB, ("registry.example.org/web", "3.0"))
    assert _take(catalog) == ["registry.example.org/app:1.0"]


def test_what_runs_waits_its_time_and_is_forgotten_when_it_runs_no_more(catalog: Catalog) -> None:
    with catalog.write() as c:
        sync_requests.ask_running(c, {APP, WEB}, now=NOON)
        taken = sync_requests.take(c, "running", now=NOON, lease=LEASE, limit=100)
        for one in taken:
            sync_requests.postpone(c, one, "gone there", due=NOON + timedelta(hours=2))
    with catalog.write() as c:
        sync_requests.ask_running(c, {APP}, now=NOON + timedelta(hours=1))
        assert sync_requests.list_problems(c) == {APP: "gone there"}
    assert _take(catalog, NOON + timedelta(hours=1), "running") == []
    assert _take(catalog, NOON + timedelta(hours=2), "push") == []
    assert _take(catalog, NOON + timedelta(hours=2), "running") == ["registry.example.org/app:1.0"]
