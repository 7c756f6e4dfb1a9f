"""Brings feeds that are files up to date: each file for itself, each in one transaction.

A file that cannot be fetched or believed keeps what it told before, and is told as failed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta

import msgspec
from msgspec import Struct

from imagecatalog.config import Settings
from imagecatalog.domain.advisories import FeedPart
from imagecatalog.errors import CatalogError, DatabaseError, hide_secrets
from imagecatalog.formats.feed_faults import Faults
from imagecatalog.jobs.report import Failure, Progress, Report
from imagecatalog.sources.apt_transport import Validators
from imagecatalog.sources.http import Http
from imagecatalog.store import advisories, health
from imagecatalog.store.engine import Catalog, Connection

_SAY_EVERY = 1000
_USUAL_DAYS = 2.0
_DAYS = {"kev": 7.0, "epss": 7.0}
"""After how many days what a feed told is too old; KEV is not published daily."""


class FileState(Struct, frozen=True, kw_only=True):
    """What is kept of a file that was applied."""

    validators: Validators = Validators()
    reader: str = ""
    """By which release of ours it was read, so that another one reads it again."""
    parts: int = 0
    unread: int = 0
    problem: str | None = None
    """The first of what could not be read."""
    version: str = ""
    """What the file says of which day it is."""
    address: str = ""
    newest: int = 0
    """Of EPSS: the newest advisory of which a score was looked for."""
    feed: str = ""
    """Which it told: with that feed this is forgotten, too."""


class Outcome(Struct, frozen=True, kw_only=True):
    """What became of one file; ``changed`` is None where it is the one that was applied last."""

    parts: int
    changed: int | None
    unread: int = 0
    problem: str | None = None
    version: str = ""
    feed: str = ""
    """Which it turned out to tell."""

    @classmethod
    def unchanged(cls, state: FileState) -> Outcome:
        """Of the file that was applied last."""
        return cls(
            parts=state.parts,
            changed=None,
            unread=state.unread,
            problem=state.problem,
            version=state.version,
            feed=state.feed,
        )


class Work(Struct, frozen=True):
    """A file to bring up to date; ``name`` is empty for a feed of one file."""

    name: str
    address: str
    run: Callable[[Http], Outcome]


_decode_state = msgspec.json.Decoder(FileState).decode


def load_state(catalog: Catalog, key: str, reader: str) -> FileState:
    """What was kept of a file, if it was read as it would be read now; else an empty state."""
    with catalog.read() as c:
        kept = advisories.get_file_state(c, key)
    try:
        state = _decode_state(kept or "{}")
    except msgspec.DecodeError:
        return FileState()
    return state if state.reader == reader else FileState()


def save_state(c: Connection, key: str, state: FileState) -> None:
    """Keep it with what was applied, in one transaction."""
    advisories.save_file_state(c, key, msgspec.json.encode(state).decode())


def watch(
    parts: Iterable[FeedPart], faults: Faults, where: str, what: str, progress: Progress
) -> Iterator[FeedPart]:
    """Pass the parts on; raise BadDocument at their end where too much of them was broken."""
    for number, part in enumerate(parts):
        if number and number % _SAY_EVERY == 0:
            progress(what, number, None)
        yield part
    faults.check(where)


def count_days(settings: Settings, feed: str) -> timedelta:
    """How long what a feed told counts."""
    days = settings.feed_days.get(feed, _DAYS.get(feed, _USUAL_DAYS))
    return timedelta(days=days)


def run_works(
    catalog: Catalog,
    settings: Settings,
    feed: str,
    works: Sequence[Work],
    *,
    noun: str,
    now: Callable[[], datetime],
    progress: Progress,
    once: bool = False,
) -> Report:
    """Do all, each for itself; the health of each of several is kept by its own name, too.

    A file that is read ``once`` is none that the feed is followed by: that it fails says nothing of
    how well the feed is.
    """
    http = Http()
    done: list[Outcome] = []
    failed: list[Failure] = []
    try:
        for number, work in enumerate(works, 1):
            name = f"{feed} {work.name}".strip()
            at, started = now(), time.monotonic()
            outcome = _try(work, name, http)
            if isinstance(outcome, Failure):
                failed.append(outcome)
            else:
                done.append(outcome)
                name = outcome.feed or name
            if name != feed and not (once and isinstance(outcome, Failure)):
                with catalog.write() as c:
                    health.note_try(
                        c,
                        "feed",
                        name,
                        at=at,
                        seconds=time.monotonic() - started,
                        error=outcome.message if isinstance(outcome, Failure) else None,
                        detail=None if isinstance(outcome, Failure) else summarise([outcome], noun),
                        good_for=count_days(settings, feed),
                        address=hide_secrets(work.address),
                    )
            progress(f"read {name}", number, len(works))
    finally:
        http.close()
    return Report((f"{feed}: {summarise(done, noun)}",) if done else (), tuple(failed))


def summarise(outcomes: Sequence[Outcome], noun: str) -> str:
    """``12,345 records, 3 changed``, and which could not be read."""
    parts = sum(one.parts for one in outcomes)
    noun += "".join(f" of {one.version}" for one in outcomes if one.version)
    if all(one.changed is None for one in outcomes):
        said = f"unchanged, {parts:,} {noun}"
    else:
        said = f"{parts:,} {noun}, {sum(one.changed or 0 for one in outcomes):,} changed"
    unread = sum(one.unread for one in outcomes)
    if not unread:
        return said
    shown = "; ".join(one.problem for one in outcomes if one.problem)
    return f"{said}; {unread:,} cannot be read, what they said before stands: {shown}"


def _try(work: Work, name: str, http: Http) -> Outcome | Failure:
    try:
        return work.run(http)
    except DatabaseError:
        raise
    except CatalogError as error:
        return Failure.of(name, error)
