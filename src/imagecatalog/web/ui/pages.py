"""The pages: each asks what its JSON twin asks, and lays it out. No page needs a script."""

from __future__ import annotations

from typing import TypeVar

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from pydantic import ValidationError

from imagecatalog.domain.answers import SearchHit
from imagecatalog.domain.plans import PlanQuestion
from imagecatalog.planning import (
    feed_list,
    findings,
    inspection,
    origins,
    search,
    second_opinions,
    staleness,
)
from imagecatalog.planning.plan import make_plan
from imagecatalog.planning.verdicts import read_running
from imagecatalog.store import health, holders, package_faults, repositories
from imagecatalog.web.api import questions
from imagecatalog.web.api.schemas import (
    HoldersQuestion,
    ImagesQuestion,
    Name,
    OutdatedQuestion,
    Question,
    RepositoriesQuestion,
    SearchQuestion,
    Text,
)
from imagecatalog.web.service import service_of
from imagecatalog.web.ui import rows
from imagecatalog.web.ui.render import link_image, render

router = APIRouter(include_in_schema=False)
Asked = TypeVar("Asked", bound=Question)

WORST_ROWS = 10
OUTDATED_ROWS = 50
IMAGE_ROWS = 100
SEARCH_ROWS = 50


def read_question(request: Request, kind: type[Asked], **fixed: object) -> Asked:
    """The page's query as a question; a form's empty fields are left out. All faults at once."""
    given = {name: value for name, value in request.query_params.items() if value.strip()}
    try:
        return kind.model_validate({**given, **fixed})
    except ValidationError as error:
        faults = [{**fault, "loc": ("query", *fault["loc"])} for fault in error.errors()]
        raise RequestValidationError(faults) from error


@router.get("/")
def show_overview(request: Request) -> Response:
    """Are we patched?"""
    service = service_of(request)
    now = service.clock()
    with service.read() as c:
        running = read_running(c, now=now)
        overview = staleness.overview(c, now=now, running=running, worst=0)
        found = health.list_health(c)
        told = tuple((one.kind, one.name, one.last_tried, one.last_good) for one in found)
        plan = service.next_plan.get(
            told,
            now,
            lambda: make_plan(
                c,
                PlanQuestion(security=True),
                settings=service.settings,
                now=now,
                running=running,
            ),
        )
        worst = staleness.outdated(c, now=now, limit=WORST_ROWS, running=running)
    return render(
        request,
        "overview.html",
        worst=worst.items,
        plan=plan,
        moves_now=rows.count_workloads(move for move in plan.redeploy if not move.wave),
        overview=overview,
        statuses=rows.order_statuses(overview.by_status),
        health=rows.group_health(found),
    )


@router.get("/outdated")
def show_outdated(request: Request) -> Response:
    """What needs an update, worst first?"""
    ask = read_question(request, OutdatedQuestion, limit=OUTDATED_ROWS)
    service = service_of(request)
    now = service.clock()
    with service.read() as c:
        running = read_running(c, now=now)
        page = questions.ask_outdated(c, ask, now, running)
        overview = staleness.overview(c, now=now, running=running, worst=0)
        found = health.list_health(c)
    return render(
        request,
        "outdated.html",
        ask=ask,
        page=page,
        statuses=rows.order_statuses(overview.by_status),
        overview=overview,
        clusters=rows.group_health(found)["cluster"],
    )


@router.get("/images")
def show_repositories(request: Request) -> Response:
    """Which repositories are there?"""
    ask = read_question(request, RepositoriesQuestion, limit=IMAGE_ROWS)
    service = service_of(request)
    with service.read() as c:
        page = questions.ask_repositories(c, ask, service.clock())
        overview = staleness.overview(c, now=service.clock())
    return render(request, "repositories.html", ask=ask, page=page, overview=overview)


@router.get("/images/{name:path}")
def show_repository(request: Request, name: Name) -> Response:
    """Which versions of this image are there? A name with a tag or digest is one image."""
    if "@" in name or ":" in name.rpartition("/")[2]:
        return RedirectResponse(link_image(name), status_code=302)
    service = service_of(request)
    ask = read_question(request, ImagesQuestion, repository=name, limit=IMAGE_ROWS)
    with service.read() as c:
        history = repositories.tag_history(c, name)
        page = questions.ask_images(c, ask, service.clock())
    return render(request, "repository.html", name=name, page=page, ask=ask, history=history)


@router.get("/image/{reference:path}")
def show_image(request: Request, reference: Name) -> Response:
    """Is this image all right?"""
    service = service_of(request)
    with service.read() as c:
        detail = inspection.image_detail(c, reference, now=service.clock())
        found = findings.image_findings(c, detail.digest, now=service.clock())
        opinions = second_opinions.image_opinions(c, found, now=service.clock())
        origin = origins.image_origin(
            c, detail.digest, now=service.clock(), rules=service.settings.lines
        )
    return render(
        request,
        "image.html",
        image=detail,
        findings=found,
        finding_groups=rows.group_findings(found.items),
        opinions=opinions,
        origin=origin,
        origins=rows.group_origins(detail.updates),
        ancestors_known=bool(origin.lineage.ancestors),
    )


@router.get("/image")
def show_named_image(request: Request, ref: Text) -> Response:
    """The same for a name given as a parameter."""
    return show_image(request, ref)


@router.get("/packages/{name}")
def show_package(request: Request, name: Name) -> Response:
    """Who has this package, in which version?"""
    ask = read_question(request, HoldersQuestion, limit=IMAGE_ROWS)
    with service_of(request).read() as c:
        versions = holders.list_versions(c, name)
        page = questions.ask_holders(c, name, ask)
        rated = package_faults.list_version_faults(c, name)
        faults = package_faults.list_package_faults(c, name, ask.type)
        binaries = package_faults.list_binaries(c, name)
    return render(
        request,
        "package.html",
        name=name,
        ask=ask,
        page=page,
        types=sorted({package.type for package, _ in versions}),
        versions=[one for one in versions if ask.type in {None, one[0].type}],
        rated=rated,
        faults=faults,
        binaries=binaries,
    )


@router.get("/search")
def show_search(request: Request) -> Response:
    """Where is it? Anything that has a name."""
    hits: tuple[SearchHit, ...] = ()
    if not request.query_params.get("q", "").strip():
        return render(request, "search.html", hits=hits)
    ask = read_question(request, SearchQuestion, limit=SEARCH_ROWS)
    with service_of(request).read() as c:
        hits = search.search(c, ask.q, limit=ask.limit)
    return render(request, "search.html", q=ask.q.strip(), hits=hits)


@router.get("/health")
def show_health(request: Request) -> Response:
    """Can the answers be trusted: when was each source last well?"""
    service = service_of(request)
    with service.read() as c:
        found = health.list_health(c)
        feeds = feed_list.list_feeds(c, service.settings.feeds, now=service.clock())
    known = {one.name: one for one in feeds}
    return render(request, "health.html", health=rows.group_health(found), feeds=known)


@router.get("/registries")
@router.get("/feeds")
@router.get("/jobs")
def redirect_health(request: Request) -> Response:
    """The part of the health page that has it."""
    return RedirectResponse(f"/health#{request.url.path.strip('/')}", status_code=302)


@router.get("/favicon.ico")
def redirect_icon() -> Response:
    """What browsers ask for beside an answer that is no page."""
    return RedirectResponse("/static/favicon.svg", status_code=301)
