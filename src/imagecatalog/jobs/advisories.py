"""Fetches what Debian's security tracker knows; a file that fails keeps what it told before."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec

from imagecatalog.config import Settings
from imagecatalog.errors import CatalogError, DatabaseError
from imagecatalog.formats.debian_tracker import read_advisories, read_tracker
from imagecatalog.jobs.report import Failure, Progress, Report
from imagecatalog.sources.apt_transport import Validators
from imagecatalog.sources.debian import TrackerFile, list_files, open_file
from imagecatalog.sources.http import Http
from imagecatalog.store import advisories
from imagecatalog.store.advisories import Applied
from imagecatalog.store.engine import Catalog

FEED = "debian-tracker"
_STATE = msgspec.json.Decoder(Validators)


def refresh_tracker(
    catalog: Catalog,
    settings: Settings,
    *,
    now: Callable[[], datetime],  # noqa: ARG001 - every feed is called alike
    progress: Progress,
) -> Report:
    """Bring the tracker's JSON and its lists of DSA and DLA up to date, each for itself."""
    files = list_files(settings.feeds.get(FEED))
    http = Http()
    done: list[Applied | None] = []
    failed: list[Failure] = []
    try:
        for number, file in enumerate(files, 1):
            try:
                done.append(_apply(catalog, file, http))
            except DatabaseError:
                raise
            except CatalogError as error:
                failed.append(Failure.of(f"{FEED} {file.kind}", error))
            progress(f"read {FEED} {file.kind}", number, len(files))
    finally:
        http.close()
    if not done:
        return Report(failed=tuple(failed))
    applied = [one for one in done if one is not None]
    if not applied:
        return Report((f"{FEED}: unchanged",), tuple(failed))
    parts = sum(one.parts for one in applied)
    changed = sum(one.changed + one.gone for one in applied)
    return Report((f"{FEED}: {parts:,} packages and notices, {changed:,} changed",), tuple(failed))


def _apply(catalog: Catalog, file: TrackerFile, http: Http) -> Applied | None:
    """Apply a file; None where it is the one that was applied last."""
    read = read_tracker if file.kind == "json" else read_advisories
    with catalog.read() as c:
        state = advisories.get_file_state(c, file.address)
    previous = None if state is None else _STATE.decode(state)
    with open_file(file, http, previous) as (stream, validators):
        if stream is None:
            return None
        with catalog.write() as c:
            parts = read(stream, file.address)
            applied = advisories.apply_feed(c, f"{FEED} {file.kind}", parts, where=file.address)
            state = msgspec.json.encode(validators).decode()
            advisories.save_file_state(c, file.address, state)
    return applied
