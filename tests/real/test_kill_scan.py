"""kill -9 in the middle of recording a scan leaves what was there before it, or all of it."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from imagecatalog.domain.runs import RunningContainer
from imagecatalog.store import runs
from imagecatalog.store.engine import Catalog
from imagecatalog.store.schema import run, scan

pytestmark = pytest.mark.real

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
PODS, KILLS = 6_000, 4
CHILD = """
import sys
from datetime import datetime, timedelta
from test_kill_scan import list_containers
from imagecatalog.domain.sightings import Sighting
from imagecatalog.store import runs
from imagecatalog.store.engine import Catalog

url, generation, at = sys.argv[1], int(sys.argv[2]), datetime.fromisoformat(sys.argv[3])
catalog, seen = Catalog.open(url), Sighting(list_containers(generation))
print("begins", flush=True)
with catalog.write() as c:
    runs.record_scan(c, "north", seen, at=at)
print("done", flush=True)
"""


def list_containers(generation: int) -> list[RunningContainer]:
    """What runs: of each three pods one is another in the next generation."""
    return [
        RunningContainer(
            f"team-{n % 40}",
            f"Deployment/app-{n % 900}",
            f"app-{n}-{generation if n % 3 == 0 else 0}",
            "main",
            "container",
            f"registry.example.org/app-{n % 300}:{generation if n % 3 == 0 else 0}",
            "",
        )
        for n in range(PODS)
    ]


def _start(url: str, generation: int, at: datetime) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", CHILD, url, str(generation), at.isoformat()]
    environment = {"PYTHONPATH": __file__.rpartition("/")[0], "PATH": "/usr/bin:/bin"}
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment)


def _read(catalog: Catalog) -> tuple[int, int, int, int]:
    """Scans, runs that go on, runs in all, and those that go on as the API counts them."""
    with catalog.read() as c:
        return (
            c.scalar(select(func.count()).select_from(scan)) or 0,
            c.scalar(select(func.count()).where(run.c.until.is_(None))) or 0,
            c.scalar(select(func.count()).select_from(run)) or 0,
            sum(one.containers for one in runs.list_alive(c)),
        )


def test_a_scan_is_there_whole_or_not_at_all(catalog: Catalog, catalog_url: str) -> None:
    luck = random.Random()
    with catalog.write() as c:
        runs.record_scan(c, "north", list_containers(0), at=NOON)
    generation, seconds, killed = 0, 1.0, 0
    scans, total = 1, PODS
    for turn in range(2 * KILLS):
        at = NOON + timedelta(minutes=turn + 1)
        with _start(catalog_url, generation + 1, at) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "begins\n"
            began = time.monotonic()
            if turn % 2:
                time.sleep(luck.uniform(0, seconds * 0.7))
                child.kill()
            said = child.stdout.read()
        if not turn % 2:
            assert said == "done\n"
            seconds = time.monotonic() - began
        before = (scans, PODS, total, PODS)
        after = (scans + 1, PODS, total + PODS // 3, PODS)
        found = _read(catalog)
        assert found in (before, after)
        if said == "done\n":
            assert found == after
        if found == after:
            generation, scans, total = generation + 1, scans + 1, total + PODS // 3
        else:
            killed += 1
    assert killed
