"""Drawing what a page shows as a graph: 500 descendants one by one, and a plan."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable

from benchmarks.filling import NOW, borrow
from benchmarks.questions import measure, measure_with_processor
from imagecatalog.config import Settings
from imagecatalog.domain.plans import PlanQuestion
from imagecatalog.outlets.graphs import lineage_dot, plan_dot
from imagecatalog.planning.ancestry import lineage
from imagecatalog.planning.plan import make_plan
from imagecatalog.web.ui.graph import ALL, Drawing, draw_lineage, draw_plan

SIZE = 100_000
"""Images of the fleet: of fewer no image has 500 descendants."""
_ROUNDS = 20


def run() -> None:
    """Print how long each takes, beside Graphviz where it is installed."""
    with borrow(SIZE) as (catalog, fleet), catalog.read() as c:
        found = lineage(c, str(fleet.image(0).digest), now=NOW)
        plan = make_plan(c, PlanQuestion(), settings=Settings(), now=NOW)
    print(f"\ndrawing, of a fleet of {SIZE:,} images")
    _tell("every image", lambda _: draw_lineage(found, (ALL,)), lineage_dot(found))
    _tell("plan", lambda _: draw_plan(plan), plan_dot(plan))


def _tell(name: str, draw: Callable[[int], Drawing], document: str) -> None:
    drawing = draw(0)
    boxes = len(drawing.images) + len(drawing.steps)
    median, high, processor = measure_with_processor(draw, _ROUNDS)
    print(
        f"  {name:24} {boxes:6,} boxes, {drawing.width:,} × {drawing.height:,} pixels"
        f"   p50 {median:7.1f} ms   p95 {high:7.1f} ms   processor {processor:7.1f} ms"
        f"{_ask_peer(document, median)}"
    )


def _ask_peer(document: str, ours: float) -> str:
    """What Graphviz takes to lay out the same."""
    program = shutil.which("dot")
    if program is None:
        return "   Graphviz's dot is not installed"
    body = document.encode()

    def lay_out(_: int) -> object:
        return subprocess.run([program, "-Tplain"], input=body, capture_output=True, check=True)

    theirs, _ = measure(lay_out, 3)
    return f"   dot {theirs:.0f} ms   ratio {ours / theirs:.3f}"
