"""Pages of plans: one that is asked for, those that were saved, and one of them to watch."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, get_args

from fastapi import APIRouter, Request, Response

from imagecatalog.domain.plans import Plan, StepState
from imagecatalog.outlets import graphs
from imagecatalog.outlets.docker_pkg import with_commands
from imagecatalog.planning import following, staleness
from imagecatalog.planning.plan import make_plan
from imagecatalog.web.api.plans import Number, PlanAsk
from imagecatalog.web.api.schemas import ListQuestion
from imagecatalog.web.http import respond
from imagecatalog.web.service import service_of
from imagecatalog.web.ui.graph import SHOWN_REASONS, draw_plan
from imagecatalog.web.ui.pages import read_question
from imagecatalog.web.ui.render import TEXT, command, link_query, render
from imagecatalog.web.ui.rows import count_workloads

router = APIRouter(include_in_schema=False)

PLAN_ROWS = 100
SHOWN = 500
"""Rows of each table of a plan; what is more is in the JSON."""


@router.get("/plan")
def show_plan(request: Request) -> Response:
    """What is to be rebuilt, in which order, and what moves then?"""
    ask = read_question(request, PlanAsk)
    service = service_of(request)
    now = service.clock()
    with service.read() as c:
        plan = make_plan(c, ask.question(), settings=service.settings, now=now)
        overview = staleness.overview(c, now=now)
    asked = ask.model_dump(by_alias=True, exclude_defaults=True)
    address = link_query(str(request.url_for("save_plan")), **asked)
    return render(
        request,
        "plan.html",
        **describe_plan(plan),
        ask=ask,
        is_filtered=bool(asked),
        overview=overview,
        json=link_query("/api/v1/plan", **asked),
        forms=_link_forms("/plan", asked),
        line=plan.asked,
        save_lines=(f"{plan.asked} --save", _write_post(address)),
    )


def _write_post(address: str) -> str:
    # The shell must fill the variable in, so its word is in double quotes.
    header = '--header "Authorization: Bearer $IMAGE_CATALOG_TOKEN"'
    return f"curl --request POST {header} {shlex.quote(address)}"


@router.get("/plan.dot")
def write_plan_dot(request: Request) -> Response:
    """The same as a Graphviz document."""
    return _write(request, graphs.plan_dot)


@router.get("/plan.mmd")
def write_plan_mermaid(request: Request) -> Response:
    """The same as a Mermaid flowchart."""
    return _write(request, graphs.plan_mermaid)


def _write(request: Request, write: Callable[[Plan], str]) -> Response:
    ask = read_question(request, PlanAsk)
    service = service_of(request)
    with service.read() as c:
        plan = make_plan(c, ask.question(), settings=service.settings, now=service.clock())
    return respond(request, write(plan).encode(), TEXT)


@router.get("/plans")
def show_plans(request: Request) -> Response:
    """Which plans were saved, and how far are they?"""
    ask = read_question(request, ListQuestion, limit=PLAN_ROWS)
    with service_of(request).read() as c:
        page = following.list_plans(c, limit=ask.limit, after=ask.after)
    return render(request, "plans.html", page=page, ask=ask)


@router.get("/plan/{number}.dot")
def write_saved_plan_dot(request: Request, number: Number) -> Response:
    """The same as a Graphviz document."""
    return _write_saved(request, number, graphs.plan_dot)


@router.get("/plan/{number}.mmd")
def write_saved_plan_mermaid(request: Request, number: Number) -> Response:
    """The same as a Mermaid flowchart."""
    return _write_saved(request, number, graphs.plan_mermaid)


def _write_saved(request: Request, number: int, write: Callable[[Plan], str]) -> Response:
    with service_of(request).read() as c:
        plan = following.get_plan(c, number)
    return respond(request, write(plan).encode(), TEXT)


@router.get("/plan/{number}")
def show_saved_plan(request: Request, number: Number) -> Response:
    """What became of a plan?"""
    with service_of(request).read() as c:
        plan = following.get_plan(c, number)
    return render(
        request,
        "plan.html",
        **describe_plan(plan),
        json=f"/api/v1/plans/{number}",
        forms=_link_forms(f"/plan/{number}", {}),
        line=command("plan", "--id", number),
    )


def describe_plan(plan: Plan) -> dict[str, Any]:
    """What the page shows of a plan."""
    plan = with_commands(plan)
    numbers = Counter(step.state for wave in plan.waves for step in wave)
    return {
        "plan": plan,
        "drawing": draw_plan(plan),
        "shown": SHOWN,
        "shown_reasons": SHOWN_REASONS,
        "states": [(state, numbers[state]) for state in get_args(StepState)],
        "workloads": count_workloads(plan.redeploy),
    }


def _link_forms(path: str, asked: Mapping[str, object]) -> list[tuple[str, str]]:
    return [
        ("DOT", link_query(f"{path}.dot", **asked)),
        ("Mermaid", link_query(f"{path}.mmd", **asked)),
    ]
