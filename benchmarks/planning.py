"""The plan over a fleet of which a few thousand images run, all of them in need of something."""

from __future__ import annotations

import time

from benchmarks.filling import NOW, RUNNING, borrow
from benchmarks.questions import measure_with_processor
from imagecatalog.config import Settings
from imagecatalog.domain.plans import PlanQuestion
from imagecatalog.planning.following import follow_plans, save_plan
from imagecatalog.planning.plan import make_plan
from imagecatalog.store.engine import Catalog

LIMIT = 2.0
"""Seconds that a plan may take."""
_ROUNDS = 10


def run(sizes: list[int]) -> None:
    """Print the figures of each size."""
    for size in sizes:
        with borrow(size) as (catalog, _):
            print(f"\nplan, {size:,} images, {RUNNING:,} of them running")
            _measure_all(catalog)


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
