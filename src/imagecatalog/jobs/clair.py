"""Hands images to Clair and reads what it says of them; fetches what its notifier told of.

Politely: nothing is handed over that Clair has in its present state, no report is read that rests on
the updates of the last one, and what is no longer wanted is deleted there.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing
from datetime import datetime, timedelta

from imagecatalog.config import ClairSetting, Settings
from imagecatalog.domain.packages import Unknown
from imagecatalog.domain.refs import Digest
from imagecatalog.errors import (
    BadDocument,
    CatalogError,
    ConfigError,
    DatabaseError,
    RateLimited,
)
from imagecatalog.jobs.clair_round import Registries, Round
from imagecatalog.jobs.report import Failure, Progress, Report, plural
from imagecatalog.sources.clair import Clair
from imagecatalog.store import clair as shelf
from imagecatalog.store import clair_notices
from imagecatalog.store.clair import ServerRow
from imagecatalog.store.engine import Catalog

FEED = "clair"
_DELETED_AT_ONCE = 100
_PAGES = 200
"""Of one notification."""
_TRIES = 12
_NEVER_UPDATED = Unknown("clair-never-updated", "Clair has never updated: it knows no faults yet")
_UNINFORMED = Report(
    failed=(
        Failure(
            FEED, _NEVER_UPDATED.code, _NEVER_UPDATED.reason, "its log tells how its updaters do"
        ),
    )
)

Clock = Callable[[], datetime]


def refresh_clair(
    catalog: Catalog, settings: Settings, *, now: Clock, progress: Progress
) -> Report:
    """Bring Clair to know the images that are wanted, and us to know what it says of them."""
    setting = settings.clair
    if setting is None:
        raise ConfigError(
            "no Clair is configured", hint='write [clair] url = "http://…" into the file'
        )
    with ExitStack() as stack:
        clair = stack.enter_context(closing(Clair(setting, now=now)))
        with catalog.write() as c:
            server = shelf.put_server(c, setting.url)
        noted = _read_notices(catalog, clair, now)
        try:
            state, updates = _ask(catalog, clair, server, now)
        except DatabaseError:
            raise
        except CatalogError as error:
            _note_silence(catalog, server, error)
            return _tell(noted, Report(failed=(Failure.of(FEED, error),)))
        _note_wanted(catalog, setting, server, now)
        deleted = _delete(catalog, clair, setting, now)
        registries = stack.enter_context(closing(Registries(settings)))
        work = Round(catalog, clair, registries, state=state, updates=updates, now=now)
        done = work.run(setting.at_once, progress)
        if work.stopped is not None and not isinstance(work.stopped, RateLimited):
            _note_silence(catalog, server, work.stopped)
        with catalog.write() as c:
            shelf.sweep(c)
        return _tell(done, deleted, noted, _UNINFORMED if updates is None else Report())


def _tell(*reports: Report) -> Report:
    """All of them, what was done as one sentence."""
    whole = sum(reports, Report())
    said = (f"{FEED}: {', '.join(whole.done)}",) if whole.done else ()
    return Report(said, whole.failed)


def forget_clair(catalog: Catalog) -> None:
    """Drop what a Clair said that is no longer configured."""
    with catalog.read() as c:
        if shelf.get_server(c) is None:
            return
    with catalog.write() as c:
        shelf.forget_server(c)


def has_notices(catalog: Catalog, *, now: datetime) -> bool:
    """Whether a notification waits to be fetched."""
    with catalog.read() as c:
        return bool(clair_notices.list_due(c, now=now, limit=1))


def _ask(catalog: Catalog, clair: Clair, server: ServerRow, now: Clock) -> tuple[str, str | None]:
    """The state of its indexer, and a fingerprint of its updates; None where it never updated."""
    state, updates = clair.index_state(), clair.updates()
    with catalog.write() as c:
        shelf.note_answer(
            c,
            server.id,
            index_state=state,
            updates=updates.fingerprint or None,
            updated=updates.newest,
            problem=None if updates.fingerprint else _NEVER_UPDATED,
            now=now(),
        )
    return state, updates.fingerprint or None


def _note_silence(catalog: Catalog, server: ServerRow, error: CatalogError) -> None:
    why = Unknown(error.code, f"Clair could not be asked: {error.message}")
    with catalog.write() as c:
        shelf.note_silence(c, server.id, why)


def _note_wanted(catalog: Catalog, setting: ClairSetting, server: ServerRow, now: Clock) -> None:
    with catalog.write() as c:
        wanted = shelf.list_wanted(c, everything=setting.images == "all")
        shelf.note_wanted(c, server.id, wanted, now=now())


def _delete(catalog: Catalog, clair: Clair, setting: ClairSetting, now: Clock) -> Report:
    """Have Clair forget what is gone, and what was not wanted for long enough."""
    with catalog.read() as c:
        wanted = shelf.list_wanted(c, everything=setting.images == "all")
        rest = {held.number: held for held in shelf.list_held(c) if held.number not in wanted}
        gone = shelf.list_gone(c, rest)
    before = now() - timedelta(days=setting.keep_days)
    idle = [held for held in rest.values() if held.number in gone or held.wanted <= before]
    failed: list[Failure] = []
    count = 0
    for start in range(0, len(idle), _DELETED_AT_ONCE):
        some = idle[start : start + _DELETED_AT_ONCE]
        try:
            clair.delete([held.digest for held in some])
        except CatalogError as error:
            failed.append(Failure.of(FEED, error))
            break
        with catalog.write() as c:
            shelf.forget(c, [held.number for held in some])
        count += len(some)
    done = (f"{plural(count, 'image')} deleted there",) if count else ()
    return Report(done, tuple(failed))


def _read_notices(catalog: Catalog, clair: Clair, now: Clock) -> Report:
    """Fetch what the notifier told of; the images in it have their reports read anew."""
    with catalog.read() as c:
        due = clair_notices.list_due(c, now=now())
    failed: list[Failure] = []
    count = 0
    for notice in due:
        try:
            count += _read_notice(catalog, clair, notice.name)
        except DatabaseError:
            raise
        except CatalogError as error:
            failed.append(Failure.of(f"{FEED} notification {notice.name}", error))
            later = now() + timedelta(minutes=min(2**notice.tries, 360))
            with catalog.write() as c:
                if notice.tries >= _TRIES:
                    clair_notices.drop_notice(c, notice.name)
                else:
                    clair_notices.postpone(c, notice.name, error.message, due=later)
        else:
            with catalog.write() as c:
                clair_notices.drop_notice(c, notice.name)
    read = len(due) - len(failed)
    done = (f"{plural(read, 'notification')} about {plural(count, 'image')}",) if read else ()
    return Report(done, tuple(failed[:10]))


def _read_notice(catalog: Catalog, clair: Clair, name: str) -> int:
    """Read all its pages, keep what they say, then have Clair delete it; the images told of."""
    manifests: set[Digest] = set()
    page = clair.notification(name)
    manifests.update(page.manifests)
    for _ in range(_PAGES):
        if page.next is None:
            break
        page = clair.notification(name, page.next)
        manifests.update(page.manifests)
    else:
        raise BadDocument(f"Clair's notification {name}", f"it has more than {_PAGES} pages")
    with catalog.write() as c:
        found = shelf.note_news(c, manifests)
    clair.forget_notification(name)
    return len(found)
