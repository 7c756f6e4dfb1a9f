"""Pages of what runs and ran: by cluster and namespace, one workload's past, clusters, time to patch."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import Field

from imagecatalog.planning import moments, staleness
from imagecatalog.planning.moments import NamespaceSum
from imagecatalog.planning.sights import list_clusters
from imagecatalog.planning.verdicts import Running, judge_images, read_running
from imagecatalog.store import clusters, runs
from imagecatalog.store.engine import Connection
from imagecatalog.store.runs import RunFilter
from imagecatalog.web.api import questions
from imagecatalog.web.api.pasts import ask_patching, ask_workload, name_clusters
from imagecatalog.web.api.schemas import Name, PatchingQuestion, Question, RunningQuestion
from imagecatalog.web.service import service_of
from imagecatalog.web.ui import rows
from imagecatalog.web.ui.charts import draw_past
from imagecatalog.web.ui.pages import read_question
from imagecatalog.web.ui.render import link_query, render

router = APIRouter(include_in_schema=False)

RUNNING_ROWS = 250
_SLIDE = 730
"""Days back that the slider reaches, at most."""


class SlideQuestion(Question):
    """How far back, from the slider, and what else is asked."""

    back: Annotated[int, Field(ge=0, le=_SLIDE)] = 0
    cluster: str | None = None
    namespace: str | None = None
    image: str | None = None
    team: str | None = None


@router.get("/running/back")
def slide_back(request: Request) -> Response:
    """From the slider's place to the moment that it means."""
    ask = read_question(request, SlideQuestion)
    kept = ask.model_dump(exclude={"back"}, exclude_none=True)
    at = service_of(request).clock() - timedelta(days=ask.back)
    moment = f"{at:%Y-%m-%dT%H:%M:00Z}" if ask.back else None
    return RedirectResponse(link_query("/running", **kept, at=moment), status_code=302)


@router.get("/running")
def show_running(request: Request) -> Response:
    """What runs where, now or at a moment past?"""
    ask = read_question(request, RunningQuestion, limit=RUNNING_ROWS)
    service = service_of(request)
    now = service.clock()
    with service.read() as c:
        page = questions.ask_running(c, ask, now)
        running = _read_all(c, ask.at, now)
        by_status = moments.count_statuses(running)
        spaces = _sum_namespaces(c, ask, running)
        first = clusters.first_scan(c)
        known = clusters.list_clusters(c)
        teams = runs.list_teams(c)
    return render(
        request,
        "running.html",
        ask=ask,
        page=page,
        groups=rows.group_running(page.items),
        spaces=spaces,
        images=sum(by_status.values()),
        containers=sum(one.containers for one in running.alive),
        statuses=rows.order_statuses(by_status),
        clusters=known,
        teams=teams,
        first=first,
        days=min((now - first).days + 1, _SLIDE) if first else 0,
        back=(now - ask.at).days if ask.at else 0,
        steps=_list_steps(now, first),
    )


def _read_all(c: Connection, at: datetime | None, now: datetime) -> Running:
    """All that runs, or ran then, as it is judged now."""
    if at is None:
        running = read_running(c, now=now)
    else:
        alive = runs.list_alive(c, RunFilter(at=at))
        numbers = {item.manifest_id for item in alive if item.manifest_id is not None}
        running = Running(alive, judge_images(c, numbers, now=now))
    unmet = [item for item in running.alive if item.manifest_id is None]
    running.unmet = staleness.judge_never_met(c, unmet)
    return running


def _sum_namespaces(
    c: Connection, ask: RunningQuestion, running: Running
) -> tuple[NamespaceSum, ...]:
    """Of all namespaces asked about; what is asked of images alone sums up nothing."""
    if ask.namespace or ask.image or ask.team or ask.after:
        return ()
    return moments.sum_namespaces(c, running, at=ask.at, cluster=ask.cluster)


def _list_steps(now: datetime, first: datetime | None) -> tuple[tuple[str, datetime], ...]:
    """Moments to go back to, as far as anything is remembered."""
    if first is None:
        return ()
    steps = (("a day ago", 1), ("a week ago", 7), ("four weeks ago", 28), ("three months ago", 91))
    found = [(word, now - timedelta(days=days)) for word, days in steps]
    return (*((word, at) for word, at in found if at > first), ("the first scan", first))


@router.get("/running/{workload:path}")
def show_workload(request: Request, workload: Name) -> Response:
    """What did this workload run, and since when?"""
    past = ask_workload(request, workload)
    now = service_of(request).clock()
    return render(
        request,
        "workload.html",
        past=past,
        name=f"{past.cluster}/{past.namespace}/{past.workload}",
        chart=draw_past(past, now=now),
        running=[stay for stay in past.stays if stay.until is None],
    )


@router.get("/clusters")
def show_clusters(request: Request) -> Response:
    """Can what is said of each cluster be trusted?"""
    service = service_of(request)
    now = service.clock()
    with service.read() as c:
        found = list_clusters(c, now=now, configured=name_clusters(service))
    return render(
        request,
        "clusters.html",
        clusters=found,
        late=[one for one in found if one.late],
        well=[one for one in found if not one.late and one.forgotten is None],
    )


@router.get("/patching")
def show_patching(request: Request) -> Response:
    """How long does a fix take until it runs, and what still waits?"""
    ask = read_question(request, PatchingQuestion)
    found = ask_patching(request, ask)
    with service_of(request).read() as c:
        known, teams = clusters.list_clusters(c), runs.list_teams(c)
    return render(request, "patching.html", ask=ask, found=found, clusters=known, teams=teams)
