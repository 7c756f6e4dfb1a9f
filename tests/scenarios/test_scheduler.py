"""The periodic jobs of a server outlive what goes wrong."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from imagecatalog.config import Settings
from imagecatalog.errors import DatabaseLocked
from imagecatalog.jobs import schedule
from imagecatalog.store import health
from imagecatalog.store.engine import Catalog


def test_a_database_that_is_locked_at_the_start(
    sqlite_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "catalog.sqlite"
    path.write_bytes(sqlite_template.read_bytes())
    note_next, locked = health.note_next, [True, True]

    def note_unless_locked(*words: object) -> None:
        if locked:
            locked.pop()
            raise DatabaseLocked("it is locked")
        note_next(*words)  # type: ignore[arg-type]

    monkeypatch.setattr(schedule.health, "note_next", note_unless_locked)
    monkeypatch.setattr(schedule, "_LOOK_EVERY", 0.01)
    catalog = Catalog.open(str(path))
    # what it would fetch is out of reach here
    scheduler = schedule.Scheduler(catalog, Settings(feeds={"debian-tracker": False}))
    scheduler.start()
    try:
        for _ in range(6000):
            with catalog.read() as c:
                if any(item.kind == "job" and item.last_good for item in health.list_health(c)):
                    return
            time.sleep(0.01)
        pytest.fail("no job ran")
    finally:
        scheduler.stop()
        catalog.close()
