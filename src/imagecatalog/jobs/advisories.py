"""Fetches what Debian's security tracker knows; a file that fails keeps what it told before."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from imagecatalog.config import Settings
from imagecatalog.errors import CatalogError, DatabaseError
from imagecatalog.formats.debian_tracker import read_advisories, read_tracker
from imagecatalog.jobs.report import Failure, Progress, Report
from imagecatalog.sources.debian import TrackerFile, list_files, open_file
from imagecatalog.sources.http import Http
from imagecatalog.store import advisories
from imagecatalog.store.advisories import Applied
from imagecatalog.store.engine import Catalog

FEED = "debian-tracker"


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
    done: list[Applied] = []
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
    parts, changed = sum(one.parts for one in done), sum(one.changed + one.gone for one in done)
    return Report((f"{FEED}: {parts:,} packages and notices, {changed:,} changed",), tuple(failed))


def _apply(catalog: Catalog, file: TrackerFile, http: Http) -> Applied:
    read = read_tracker if file.kind == "json" else read_advisories
    with open_file(file, http) as stream, catalog.write() as c:
        parts = read(stream, file.address)
        return advisories.apply_feed(c, f"{FEED} {file.kind}", parts, where=file.address)
