"""Brings VEX documents up to date; one that fails keeps what it said before."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

import msgspec
from msgspec import Struct

from imagecatalog.config import Settings
from imagecatalog.domain.suppressions import VexDocument
from imagecatalog.errors import BadDocument, CatalogError, ConfigError, DatabaseError
from imagecatalog.formats.vex import find_vex
from imagecatalog.jobs.report import Failure, Progress, Report
from imagecatalog.sources.apt_transport import Validators
from imagecatalog.sources.http import Http
from imagecatalog.sources.vex import Document, name_of, open_documents
from imagecatalog.store import advisories, vex
from imagecatalog.store.dialect import batches
from imagecatalog.store.engine import Catalog

FEED = "vex"
_AT_ONCE = 50
"""Documents in one transaction."""


class _State(Struct, frozen=True):
    """What was kept of a source: what tells it from a later one, and its documents."""

    validators: Validators
    parts: tuple[str, ...]
    feed: str = "vex"


class _Parsed(Struct):
    part: str
    digest: bytes
    document: VexDocument


_STATE = msgspec.json.Decoder(_State)


def list_sources(settings: Settings) -> tuple[str, ...]:
    """Where documents lie: there is no public default, for whose word counts is for you to say."""
    named = settings.feeds.get(FEED)
    if isinstance(named, str):
        return (named,)
    return () if named is False else settings.vex


def refresh_vex(
    catalog: Catalog, settings: Settings, *, now: Callable[[], datetime], progress: Progress
) -> Report:
    """Keep what the documents of all sources say now; documents that are gone are retracted.

    All are, where the feed is switched off. Raises ConfigError where nothing is said of it.
    """
    sources = list_sources(settings)
    if not sources and settings.feeds.get(FEED) is not False:
        raise ConfigError(
            "no VEX documents are configured",
            hint='write [feeds] vex = ["file:///srv/vex/"], or give --from-file vex=PATH',
        )
    run = _Run(catalog, now(), progress)
    http = Http()
    try:
        for address in sources:
            run.read(address, http)
    finally:
        http.close()
    gone = run.retract()
    if run.changed is None:
        return Report((f"{FEED}: unchanged",) if sources else (), tuple(run.failed))
    said = f"{FEED}: {len(run.kept):,} documents, {run.changed + gone:,} changed"
    if run.others:
        said += f"; {run.others:,} files are no VEX"
    return Report((said,), tuple(run.failed))


class _Run:
    """One refresh of all sources."""

    def __init__(self, catalog: Catalog, now: datetime, progress: Progress) -> None:
        self._catalog, self._now, self._progress = catalog, now, progress
        with catalog.read() as c:
            self._known = vex.list_documents(c, "vex")
        self.kept: set[str] = set()
        self.changed: int | None = None
        self.others = 0
        self.failed: list[Failure] = []

    def read(self, address: str, http: Http) -> None:
        """Read a source; one that fails keeps all that it told before."""
        with self._catalog.read() as c:
            kept = advisories.get_file_state(c, address)
        state = None if kept is None else _STATE.decode(kept)
        try:
            previous = None if state is None else state.validators
            with open_documents(address, http, previous) as (documents, validators):
                if documents is not None:
                    self._apply(address, documents, validators)
                    return
        except DatabaseError:
            raise
        except CatalogError as error:
            self.failed.append(Failure.of(f"{FEED} {address}", error))
        self.kept.update(state.parts if state else ())

    def _apply(self, address: str, documents: Iterable[Document], validators: Validators) -> None:
        parts: list[str] = []
        failures = len(self.failed)
        changed = 0
        try:
            for some in batches(documents, _AT_ONCE):
                parsed = [found for one in some if (found := self._parse(address, one, parts))]
                changed += len(parsed)
                self._put(parsed)
                self._progress(f"read {FEED} {name_of(address)}", len(parts), None)
        finally:
            self.kept.update(parts)
        if not parts:
            raise BadDocument(
                address,
                "it has no VEX document",
                hint="what was known of it is kept; take it out of [feeds] where it is meant",
            )
        is_whole = len(self.failed) == failures
        state = _State(validators if is_whole else Validators(), tuple(sorted(parts)))
        with self._catalog.write() as c:
            advisories.save_file_state(c, address, msgspec.json.encode(state).decode())
        self.changed = (self.changed or 0) + changed

    def _put(self, parsed: Iterable[_Parsed]) -> None:
        with self._catalog.write() as c:
            for one in parsed:
                vex.put_document(c, "vex", one.part, one.document, one.digest, now=self._now)

    def _parse(self, address: str, told: Document, parts: list[str]) -> _Parsed | None:
        """A document that is new or not what it was."""
        name, body = told
        folder = name_of(address)
        part = name if name == folder else f"{folder}/{name}"
        if part in self.kept:
            part = f"{address} {name}"
        try:
            if isinstance(body, BadDocument):
                raise body
            digest = vex.digest_of(body)
            if self._known.get(part) == digest:
                parts.append(part)
                return None
            document = find_vex(body, part)
            if document is None and part in self._known:
                raise BadDocument(part, "it was a VEX document, and is none any more")
        except BadDocument as error:
            self.failed.append(Failure.of(f"{FEED} {part}", error))
            if part in self._known:
                parts.append(part)
            return None
        if document is None:
            self.others += 1
            return None
        parts.append(part)
        return _Parsed(part, digest, document)

    def retract(self) -> int:
        """Drop the documents that no source has any more; how many they were."""
        gone = self._known.keys() - self.kept
        if gone:
            with self._catalog.write() as c:
                vex.drop_documents(c, "vex", gone)
            self.changed = self.changed or 0
        return len(gone)
