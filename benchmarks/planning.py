"""The plan over a fleet of which a few thousand images run, all of them in need of something."""

from __future__ import annotations

import random
import tempfile
import time
from pathlib import Path

from msgspec.structs import replace

from benchmarks.filling import NOW, fill
from benchmarks.fleet import Fleet
from benchmarks.questions import measure_with_processor
from imagecatalog.catalog import timeline
from imagecatalog.config import Settings
from imagecatalog.domain.apt import ReleaseFacts
from imagecatalog.domain.plans import PlanQuestion
from imagecatalog.domain.runs import RunningContainer
from imagecatalog.matching import updates
from imagecatalog.planning.following import follow_plans, save_plan
from imagecatalog.planning.plan import make_plan
from imagecatalog.store import apt
from imagecatalog.store.engine import Catalog, Connection

RUNNING = 3000
"""Distinct images that run."""
LIMIT = 2.0
"""Seconds that a plan may take."""
_ROUNDS = 10


def run(sizes: list[int]) -> None:
    """Print the figures of each size."""
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            catalog, seconds = _prepare(Path(folder) / "catalog.sqlite", size)
            print(
                f"\nplan, {size:,} images, {RUNNING:,} of them running (filled in {seconds:.0f} s)"
            )
            _measure_all(catalog)
            catalog.close()


def _prepare(path: Path, size: int) -> tuple[Catalog, float]:
    fleet = Fleet(size)
    catalog, seconds = fill(path, fleet)
    chosen = random.Random(3).sample(list(fleet.images()), min(RUNNING, size))
    containers = [
        RunningContainer(
            f"team-{position % 40}",
            f"Deployment/app-{position}",
            f"app-{position}",
            "main",
            "container",
            f"{image.repository}:{image.tag}",
            f"{image.repository}@{image.digest}",
        )
        for position, image in enumerate(chosen)
    ]
    with catalog.write() as c:
        timeline.observe(c, "north", containers, at=NOW)
        _offer(c, fleet)
        updates.judge(c)
    return catalog, seconds


def _offer(c: Connection, fleet: Fleet) -> None:
    """Have the archives offer a version newer than any image has of each tenth package."""
    newest = [
        replace(package, version=f"{package.version}+fix") if position % 10 == 0 else package
        for position, package in enumerate(sorted(fleet.newest()))
    ]
    for position, source in enumerate(fleet.setup.sources):
        number = apt.put_release(
            c, source.uri, source.suite, updates.trust_of(source, ()), tried=NOW
        )
        index = apt.put_index(c, f"planning {position}", newest[position::2])
        apt.point_indices(c, number, [apt.IndexRow("main", "amd64", index, None, None)])
        label = "Debian-Security" if position else "Debian"
        facts = ReleaseFacts(label=label, codename=source.suite)
        apt.save_release(c, number, good=NOW, problem=None, facts=facts, state="{}")


def _measure_all(catalog: Catalog) -> None:
    with catalog.read() as c:
        name = make_plan(c, PlanQuestion(), settings=Settings(), now=NOW).waves[0][0].rebuild
    for title, ask in {
        "every update": PlanQuestion(),
        "security alone": PlanQuestion(security=True),
        "one image for its own sake": PlanQuestion(image=name),
        "one image and all built on it": PlanQuestion(image=name, idle=True),
    }.items():

        def plan(_: int, ask: PlanQuestion = ask) -> object:
            with catalog.read() as c:
                return make_plan(c, ask, settings=Settings(), now=NOW)

        _tell(title, *measure_with_processor(plan, _ROUNDS))
    began, before = time.perf_counter(), time.process_time()
    with catalog.write() as c:
        save_plan(c, PlanQuestion(), settings=Settings(), saved_by=None, now=NOW)
    saved = (time.perf_counter() - began) * 1000
    _tell("make and save", saved, saved, (time.process_time() - before) * 1000)

    def follow(_: int) -> object:
        with catalog.write() as c:
            return follow_plans(c, now=NOW)

    _tell("follow it", *measure_with_processor(follow, _ROUNDS))


def _tell(title: str, median: float, worst: float, processor: float) -> None:
    print(
        f"  {title:<32} {median:9.1f} ms median {worst:9.1f} ms p95 {processor:9.1f} ms processor"
        f"  {worst / 1000 / LIMIT:5.2f} of the limit"
    )
