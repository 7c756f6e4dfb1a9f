"""Pages of advisories: what is wrong with what runs, and one fault with all who have it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import Field

from imagecatalog.planning.fault_story import tell_fault
from imagecatalog.planning.past_exposure import tell_past
from imagecatalog.store import health
from imagecatalog.web.api.advisories import FaultsQuestion, ask_faults
from imagecatalog.web.api.schemas import Name, Question
from imagecatalog.web.service import service_of
from imagecatalog.web.ui import rows
from imagecatalog.web.ui.charts import draw_exposure
from imagecatalog.web.ui.pages import read_question
from imagecatalog.web.ui.render import command, link_advisory, link_query, render

router = APIRouter(include_in_schema=False)

FAULT_ROWS = 100
IDLE_IMAGES = 50
MOST_LANES = 30


class StoryQuestion(Question):
    """How many of the images that do not run."""

    limit: Annotated[int, Field(ge=0, le=1000)] = IDLE_IMAGES


@router.get("/advisories")
def show_faults(request: Request) -> Response:
    """Which faults does what runs hold, and which first?"""
    ask = read_question(request, FaultsQuestion, limit=FAULT_ROWS)
    service = service_of(request)
    with service.read() as c:
        found = ask_faults(c, ask, service.clock())
        known = health.list_health(c)
    asked = ask.model_dump(exclude={"limit", "after"}, exclude_defaults=True)
    return render(
        request,
        "advisories.html",
        found=found,
        ask=ask,
        asked=asked,
        clusters=rows.group_health(known)["cluster"],
        json=link_query("/api/v1/advisories", **asked),
        csv=link_query("/api/v1/advisories.csv", **asked),
        line=_write_command(ask),
    )


def _write_command(ask: FaultsQuestion) -> str:
    words: list[object] = ["advisories"]
    words += ["--fixable" if ask.state == "fix-out" else None]
    words += ["--exploited" if ask.exploited else None]
    words += ["--all" if ask.all or ask.state == "suppressed" else None]
    for name in ("severity", "cluster", "namespace"):
        value = getattr(ask, name)
        words += [f"--{name}", value] if value else []
    return command(*words)


@router.get("/advisories/{name:path}")
def show_fault(request: Request, name: Name) -> Response:
    """Are we exposed to this fault: where does it run, and what mends it?"""
    ask = read_question(request, StoryQuestion)
    service = service_of(request)
    with service.read() as c:
        now = service.clock()
        story = tell_fault(c, name, now=now, limit=ask.limit)
        past = tell_past(c, story.subject, now=now, fault=story.fault)
    chart = draw_exposure(
        past.items, past.steps, fix_since=past.fix_since, now=now, most_lanes=MOST_LANES
    )
    json = "/api/v1/affected" + link_advisory(story.exposure.id).removeprefix("/advisories")
    return render(
        request,
        "advisory.html",
        name=story.exposure.id,
        story=story,
        past=past,
        chart=chart,
        here=rows.split_statements(story.exposure),
        json=json,
        csv=f"{json}.csv",
        line=command("affected", story.exposure.id),
    )
