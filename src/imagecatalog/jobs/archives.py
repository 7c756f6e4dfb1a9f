"""Fetches the archives that images' apt set-ups name, each once, through the configured mirrors."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from imagecatalog.catalog import ingest
from imagecatalog.catalog.configured import configured_setups
from imagecatalog.config import Settings
from imagecatalog.domain.apt import AptSetup, AptSource, Keyring
from imagecatalog.domain.packages import Package
from imagecatalog.errors import BadDocument, CatalogError, ConfigError, DatabaseError, hide_secrets
from imagecatalog.jobs.report import Failure, Progress, Report, cancelling, plural
from imagecatalog.matching import updates
from imagecatalog.sources.apt import (
    FetchedRelease,
    ReleaseState,
    Unchanged,
    fetch_release,
    read_index,
)
from imagecatalog.sources.http import Http
from imagecatalog.store import apt, health
from imagecatalog.store.engine import Catalog, Connection

_SIDE_BY_SIDE = 4
_STATE = msgspec.json.Decoder(ReleaseState)


class _Wanted(Struct, frozen=True):
    """A suite to fetch, with all that set-ups which believe the same keys want of it."""

    source: AptSource
    trust: bytes
    keyrings: tuple[Keyring, ...]
    architectures: tuple[str, ...]
    local: bool

    @property
    def name(self) -> str:
        return hide_secrets(f"{self.source.uri} {self.source.suite}")


class _Try(Struct, frozen=True):
    """How the fetching of a suite went."""

    name: str
    at: datetime
    seconds: float
    detail: str | None
    failure: Failure | None


def refresh_archives(
    catalog: Catalog, settings: Settings, *, now: Callable[[], datetime], progress: Progress
) -> Report:
    """Fetch what changed of every archive that some image's apt names, and judge anew by it.

    An archive that fails keeps what was read of it before, and its verdicts say so.
    """
    configured = configured_setups(settings)
    with catalog.write() as c:
        ingest.point_configured(c, configured)
    with catalog.read() as c:
        setups = [row.setup for row in apt.list_setups(c, used=True)]
    wanted = _gather(setups, {setup.digest() for setup in configured.values()})
    keyrings = tuple(_read_keyring(path) for path in settings.apt_keyrings)
    fetcher = _Fetcher(catalog, settings, keyrings, now)
    tries: list[_Try] = []
    try:
        with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
            waiting = {pool.submit(fetcher.fetch, item): item for item in wanted}
            with cancelling(pool):
                for done, future in enumerate(as_completed(waiting), 1):
                    tries.append(future.result())
                    progress(f"fetched {waiting[future].name}", done, len(waiting))
    finally:
        fetcher.close()
    with catalog.write() as c:
        _note(c, tries)
        changed = updates.judge(c)
    names = {item.name for item in wanted}
    judged = f"apt: {plural(len(names), 'archive')}, {plural(changed, 'verdict')} changed"
    return Report((judged,), tuple(item.failure for item in tries if item.failure))


def _note(c: Connection, tries: Sequence[_Try]) -> None:
    """Write how each suite went; one that was fetched by several sets of keys is as well as the worst."""
    health.forget_others(c, "feed", "apt ", {f"apt {item.name}" for item in tries})
    for item in sorted(tries, key=lambda item: item.failure is not None):
        health.note_try(
            c,
            "feed",
            f"apt {item.name}",
            at=item.at,
            seconds=item.seconds,
            error=item.failure.message if item.failure else None,
            detail=item.detail,
        )


def _gather(setups: Sequence[AptSetup], local: set[bytes]) -> list[_Wanted]:
    """Each suite once for each set of keys, with the components and architectures of all."""
    found: dict[tuple[str, str, bytes], _Wanted] = {}
    for setup in setups:
        is_local = setup.digest() in local
        for source in setup.sources:
            trust = updates.trust_of(source, setup.keyrings)
            keyrings = updates.usable_keyrings(source, setup.keyrings)
            resolved = source.resolve(setup.architectures)
            key = (resolved.uri, resolved.suite, trust)
            new = _Wanted(resolved, trust, keyrings, resolved.architectures or (), is_local)
            found[key] = _join(found[key], new) if key in found else new
    return list(found.values())


def _join(one: _Wanted, other: _Wanted) -> _Wanted:
    components = dict.fromkeys((*one.source.components, *other.source.components))
    return _Wanted(
        msgspec.structs.replace(
            one.source, components=tuple(components), architectures=None, added=(), removed=()
        ),
        one.trust,
        one.keyrings,
        tuple(dict.fromkeys((*one.architectures, *other.architectures))),
        one.local or other.local,
    )


def _read_keyring(path: str) -> Keyring:
    try:
        return Keyring(path, Path(path).expanduser().read_bytes())
    except OSError as error:
        raise ConfigError(f"[apt] keyrings: cannot read {path}: {error.strerror}") from error


class _Fetcher:
    """Fetches suites and puts their indices into the catalog. Safe to share between threads."""

    def __init__(
        self,
        catalog: Catalog,
        settings: Settings,
        keyrings: tuple[Keyring, ...],
        now: Callable[[], datetime],
    ) -> None:
        self._catalog = catalog
        self._settings = settings
        self._keyrings = keyrings
        self._now = now
        self._http = Http()

    def close(self) -> None:
        """Give back connections."""
        self._http.close()

    def fetch(self, wanted: _Wanted) -> _Try:
        """Bring one suite up to date."""
        at, started = self._now(), time.monotonic()
        with self._catalog.write() as c:
            number = apt.put_release(
                c, wanted.source.uri, wanted.source.suite, wanted.trust, tried=at
            )
        try:
            detail = self._fetch(wanted, number, at)
        except DatabaseError:
            raise
        except CatalogError as error:
            failure = Failure.of(wanted.name, error)
            return _Try(wanted.name, at, time.monotonic() - started, None, failure)
        return _Try(wanted.name, at, time.monotonic() - started, detail, None)

    def _fetch(self, wanted: _Wanted, number: int, at: datetime) -> str:
        source = wanted.source
        with self._catalog.read() as c:
            row = apt.find_release(c, source.uri, source.suite, wanted.trust)
        previous = None
        if row is not None and row.state is not None:
            previous = _STATE.decode(row.state)
        try:
            release = fetch_release(
                source,
                architectures=wanted.architectures,
                keyrings=wanted.keyrings,
                mirrors=self._settings.apt_mirrors,
                http=self._http,
                previous=previous,
                now=at,
                configured=self._keyrings,
                local=wanted.local,
            )
        except CatalogError as error:
            with self._catalog.write() as c:
                apt.save_release(c, number, good=None, problem=error.message)
            raise
        if isinstance(release, Unchanged):
            with self._catalog.write() as c:
                state = msgspec.json.encode(release.state).decode()
                apt.save_release(c, number, good=at, problem=None, state=state)
            return "unchanged"
        return self._store(release, number, at)

    def _store(self, release: FetchedRelease, number: int, at: datetime) -> str:
        """Put a suite into the catalog in one transaction; an index that fails keeps what it was."""
        with self._catalog.read() as c:
            new = [ref for ref in release.indices if apt.find_index(c, ref.fingerprint) is None]
        # Read to the end, and so verified, before the transaction: no lock waits for a network.
        read: dict[str, list[Package]] = {}
        problems: dict[str, str] = {}
        for ref in new:
            try:
                read[ref.fingerprint] = list(read_index(ref, release, http=self._http))
            except CatalogError as error:
                problems[ref.fingerprint] = error.message
        with self._catalog.write() as c:
            apt.lock_indices(c)
            before = {(row.component, row.architecture): row for row in apt.list_indices(c, number)}
            rows = []
            for ref in release.indices:
                problem = problems.get(ref.fingerprint)
                found = None if problem else apt.find_index(c, ref.fingerprint)
                if found is None and ref.fingerprint in read:
                    found = apt.put_index(c, ref.fingerprint, read[ref.fingerprint])
                elif found is None:
                    # Known a moment ago, another suite's change may have dropped it since.
                    problem = problems.setdefault(
                        ref.fingerprint, f"{release.base}: the archive changed while it was read"
                    )
                    old = before.get((ref.component, ref.architecture))
                    found = None if old is None else old.id
                rows.append(apt.IndexRow(ref.component, ref.architecture, found, None, problem))
            lacking = [
                apt.IndexRow(lack.component, lack.architecture, None, None, lack.why)
                for lack in release.lacks
            ]
            apt.point_indices(c, number, rows + lacking)
            # Without the state of now, an index that failed is asked for again next time.
            state = None if problems else msgspec.json.encode(release.state).decode()
            apt.save_release(c, number, good=at, problem=None, facts=release.facts, state=state)
        if problems:
            raise BadDocument(release.base, "; ".join(problems.values()))
        return f"{plural(len(rows), 'index', 'indices')} of {release.date or 'no date'}"
