"""Fetches advisories: Debian's security tracker, OSV, and Alpine's security database."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import BinaryIO

from imagecatalog.config import Settings
from imagecatalog.errors import BadDocument, CatalogError
from imagecatalog.formats import osv, secdb
from imagecatalog.formats.debian_tracker import read_advisories, read_tracker
from imagecatalog.formats.feed_faults import Faults
from imagecatalog.jobs.feed_files import (
    FileState,
    Outcome,
    Work,
    load_state,
    run_works,
    save_state,
    watch,
)
from imagecatalog.jobs.report import Failure, Progress, Report
from imagecatalog.sources import feeds
from imagecatalog.sources.apt_transport import Validators
from imagecatalog.sources.debian import TrackerFile, list_files
from imagecatalog.sources.feeds import FeedFile, open_feed
from imagecatalog.sources.http import Http
from imagecatalog.store import advisories, health
from imagecatalog.store.engine import Catalog
from imagecatalog.store.faults import GROUP_LIMIT
from imagecatalog.store.scopes import list_held

TRACKER, OSV, SECDB = "debian-tracker", "osv", "alpine-secdb"
_READER = "1"
"""Another one makes every file be read again: a new release may take it to mean something else."""
_OWN = {TRACKER: "Debian", SECDB: "Alpine"}
"""Which of OSV's ecosystems are those of a feed that is read itself."""


def refresh_tracker(
    catalog: Catalog,
    settings: Settings,
    *,
    now: Callable[[], datetime],
    progress: Progress,
    once: bool = False,
) -> Report:
    """Bring the tracker's JSON and its lists of DSA and DLA up to date, each for itself."""
    works = [
        Work(file.kind, file.address, partial(_apply_tracker, catalog, file, progress))
        for file in list_files(settings.feeds.get(TRACKER))
    ]
    noun = "packages and notices"
    return run_works(
        catalog, settings, TRACKER, works, noun=noun, now=now, progress=progress, once=once
    )


def refresh_osv(
    catalog: Catalog,
    settings: Settings,
    *,
    now: Callable[[], datetime],
    progress: Progress,
    once: bool = False,
) -> Report:
    """Bring the records of OSV up to date: of the ecosystems that the catalog has packages of.

    Debian's and Alpine's are left out where their own feeds are read, unless a setting names a file
    or a folder on disk.
    """
    setting = settings.feeds.get(OSV)
    own = {name for feed, name in _OWN.items() if settings.feeds.get(feed) is not False}
    scopes = _list_scopes(catalog)
    try:
        files = feeds.list_osv(setting, scopes, own)
    except CatalogError as error:
        return Report(failed=(Failure.of(OSV, error),))
    if not isinstance(setting, str) or setting.endswith("/"):
        _forget_others(catalog, OSV, {file.name for file in files})
    if not files:
        return Report((f"{OSV}: the catalog has no packages that it tells of",))
    works = [
        Work(file.name, file.address, partial(_apply_osv, catalog, file, progress))
        for file in files
    ]
    return run_works(
        catalog, settings, OSV, works, noun="records", now=now, progress=progress, once=once
    )


def refresh_secdb(
    catalog: Catalog,
    settings: Settings,
    *,
    now: Callable[[], datetime],
    progress: Progress,
    once: bool = False,
) -> Report:
    """Bring Alpine's security database up to date, of the releases that the catalog has images of."""
    files = feeds.list_secdb(settings.feeds.get(SECDB), _list_scopes(catalog))
    if not files:
        return Report((f"{SECDB}: the catalog has no image of Alpine",))
    works = [
        Work(file.name, file.address, partial(_apply_secdb, catalog, file, progress))
        for file in files
    ]
    noun = "packages"
    return run_works(
        catalog, settings, SECDB, works, noun=noun, now=now, progress=progress, once=once
    )


def _list_scopes(catalog: Catalog) -> Collection[str]:
    with catalog.read() as c:
        return list_held(c)


def _forget_others(catalog: Catalog, feed: str, names: Collection[str]) -> None:
    """What is configured to be read is all that counts."""
    full = {f"{feed} {name}" for name in names}
    with catalog.write() as c:
        advisories.retract_feeds(c, f"{feed} ", full)
        health.forget_others(c, "feed", f"{feed} ", full)


def _load(catalog: Catalog, address: str, feed: str) -> FileState:
    """What was kept of a file; nothing where what it told was forgotten, so that it is told anew."""
    state = load_state(catalog, address, _READER)
    with catalog.read() as c:
        return state if advisories.is_told(c, feed) else FileState()


def _apply_tracker(catalog: Catalog, file: TrackerFile, progress: Progress, http: Http) -> Outcome:
    feed = f"{TRACKER} {file.kind}"
    state = _load(catalog, file.address, feed)
    with open_feed(file.address, http, state.validators) as (stream, validators):
        if stream is None:
            return Outcome.unchanged(state)
        with catalog.write() as c:
            told = (
                read_tracker(stream, file.address, advisories.list_digests(c, feed))
                if file.kind == "json"
                else read_advisories(stream, file.address)
            )
            parts = watch(told, Faults(), file.address, f"read {feed}", progress)
            # The JSON is silent of releases that are out of support: nobody mended their faults.
            silent = file.kind == "json"
            applied = advisories.apply_feed(c, feed, parts, where=file.address, keeps_scopes=silent)
            kept = FileState(validators=validators, reader=_READER, parts=applied.parts, feed=feed)
            save_state(c, file.address, kept)
    return Outcome(parts=applied.parts, changed=applied.changed + applied.gone, feed=feed)


def _apply_osv(catalog: Catalog, file: FeedFile, progress: Progress, http: Http) -> Outcome:
    feed = f"{OSV} {file.name}"
    state = _load(catalog, file.address, feed)
    with _open_records(file, http, state.validators) as (records, validators):
        if records is None:
            return Outcome.unchanged(state)
        with catalog.write() as c:
            faults = Faults(advisories.list_digests(c, feed))
            parts = osv.read_osv(records, faults, file.ecosystem)
            watched = watch(parts, faults, file.address, f"read {feed}", progress)
            applied = advisories.apply_feed(c, feed, watched, where=file.address)
            if applied.unjoined:
                faults.note(file.name, _TOO_MANY.format(applied.unjoined, GROUP_LIMIT))
            kept = _state(feed, validators, applied.parts, faults)
            save_state(c, file.address, kept)
    return _outcome(kept, applied)


_TOO_MANY = (
    "{:,} of its names are told to be one fault; over {:,} are not joined: each counts alone"
)


def _state(feed: str, validators: Validators, parts: int, faults: Faults) -> FileState:
    return FileState(
        feed=feed,
        validators=validators,
        reader=_READER,
        parts=parts,
        unread=faults.count,
        problem=str(faults) or None,
    )


def _outcome(state: FileState, applied: advisories.Applied) -> Outcome:
    return Outcome(
        parts=state.parts,
        changed=applied.changed + applied.gone,
        unread=state.unread,
        problem=state.problem,
        feed=state.feed,
    )


@contextmanager
def _open_records(
    file: FeedFile, http: Http, previous: Validators | None
) -> Iterator[tuple[Iterator[osv.Record] | None, Validators]]:
    """The records of a file or folder; None where it is still the previous one."""
    if file.kind == "folder":
        paths, validators = feeds.list_records(file.address)
        yield (None if validators == previous else _read_paths(paths)), validators
        return
    with open_feed(file.address, http, previous) as (stream, validators):
        yield (None if stream is None else _read_stream(file, stream)), validators


def _read_stream(file: FeedFile, stream: BinaryIO) -> Iterator[osv.Record]:
    if file.kind == "zip":
        return osv.list_zipped(stream, file.address)
    if file.kind == "lines":
        return osv.list_lines(stream)
    body = stream.read(osv.RECORD_LIMIT + 1)
    return iter((osv.Record(file.name, body),))


def _read_paths(paths: Collection[Path]) -> Iterator[osv.Record]:
    for path in paths:
        try:
            with path.open("rb") as stream:
                yield osv.Record(path.stem, stream.read(osv.RECORD_LIMIT + 1))
        except OSError as error:
            yield osv.Record(path.stem, b"", error.strerror or str(error))


def _apply_secdb(catalog: Catalog, file: FeedFile, progress: Progress, http: Http) -> Outcome:
    state = load_state(catalog, file.address, _READER)
    limit = secdb.SIZE_LIMIT
    with open_feed(file.address, http, state.validators, limit=limit) as (stream, validators):
        if stream is None:
            return Outcome.unchanged(state)
        database = secdb.open_secdb(stream.read(), file.address)
    name = f"{database.release}/{database.repository}"
    if file.name and name != file.name:
        raise BadDocument(file.address, f"it is about {name} and not about {file.name}")
    feed = f"{SECDB} {name}"
    with catalog.write() as c:
        known = advisories.list_digests(c, feed)
        faults = Faults(known)
        parts = secdb.read_secdb(database, faults)
        watched = watch(parts, faults, file.address, f"read {feed}", progress)
        # In a repository that was young when its release ended nothing was ever fixed.
        applied = advisories.apply_feed(
            c, feed, watched, where=file.address, complete=bool(known or database.packages)
        )
        kept = _state(feed, validators, applied.parts, faults)
        save_state(c, file.address, kept)
    return _outcome(kept, applied)
