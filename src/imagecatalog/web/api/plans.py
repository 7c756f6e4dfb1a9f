"""Plans over HTTP: one that is asked for, those that were saved, and the saving of one."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import Field

from imagecatalog.domain.plans import Plan, PlanQuestion, PlanSummary
from imagecatalog.outlets.docker_pkg import with_commands
from imagecatalog.planning import following
from imagecatalog.planning.plan import make_plan
from imagecatalog.store.access import TokenRow
from imagecatalog.store.engine import Connection
from imagecatalog.store.page import Page
from imagecatalog.web.api.routes import PROBLEMS, answers_many, answers_one, send_list
from imagecatalog.web.api.schemas import USUAL_PAGE, ListQuestion, Question, Text
from imagecatalog.web.auth import confirm, holder_of
from imagecatalog.web.http import JSON, encode, respond
from imagecatalog.web.service import service_of

MOST_PARALLEL = 10_000

router = APIRouter(prefix="/api/v1")
saving = APIRouter(prefix="/api/v1")
"""What a token decides on, whoever may read."""
_one = partial(answers_one, router)
_many = partial(answers_many, router)


class PlanAsk(Question):
    """What is to be planned for; nothing given: every update of everything that runs."""

    for_: Annotated[
        Text | None,
        Field(alias="for", description="A CVE, DSA, … or `pkg:deb/debian/openssl@<3.0.15`."),
    ] = None
    package: Annotated[Text | None, Field(description="A binary or source package.")] = None
    image: Annotated[
        Text | None, Field(description="It is rebuilt, and what is built on it follows.")
    ] = None
    security: Annotated[bool, Field(description="Security updates alone.")] = False
    all: Annotated[bool, Field(description="Also images that do not run.")] = False
    max_parallel: Annotated[
        int | None, Field(ge=1, le=MOST_PARALLEL, description="The largest wave.")
    ] = None

    def question(self) -> PlanQuestion:
        """The same as the catalog takes it."""
        return PlanQuestion(
            security=self.security,
            advisory=self.for_ or None,
            package=self.package or None,
            image=self.image or None,
            idle=self.all,
            max_parallel=self.max_parallel,
        )


Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
Holder = Annotated[TokenRow, Depends(holder_of("register"))]


@_one("/plan", Plan)
def preview_plan(request: Request, ask: Annotated[PlanAsk, Query()]) -> Response:
    """What to rebuild in which order, what moves then, and what remains; nothing is saved."""
    service = service_of(request)
    with service.read() as c:
        plan = make_plan(c, ask.question(), settings=service.settings, now=service.clock())
    return respond(request, encode(with_commands(plan)), JSON)


@_many("/plans", PlanSummary)
def list_plans(request: Request, ask: Annotated[ListQuestion, Query()]) -> Response:
    """Saved plans, the last saved first."""

    def ask_plans(c: Connection, ask: ListQuestion, _now: datetime) -> Page[Any]:
        return following.list_plans(c, limit=ask.limit or USUAL_PAGE, after=ask.after)

    return send_list(request, PlanSummary, ask, ask_plans)


@_one("/plans/{number}", Plan)
def get_plan(request: Request, number: Number) -> Response:
    """A saved plan with what became of each step."""
    with service_of(request).read() as c:
        plan = following.get_plan(c, number)
    return respond(request, encode(with_commands(plan)), JSON)


@saving.post(
    "/plans",
    response_class=Response,
    status_code=HTTPStatus.CREATED,
    responses={
        201: {
            "description": "The plan as it was saved.",
            "content": {JSON: {"schema": {"$ref": "#/components/schemas/Plan"}}},
        },
        **PROBLEMS,
    },
    openapi_extra={"security": [{"token": []}]},
)
def save_plan(request: Request, holder: Holder, ask: Annotated[PlanAsk, Query()]) -> Response:
    """Make a plan and keep it: its steps close by themselves when the packages really moved."""
    service = service_of(request)
    now = service.clock()
    with service.write() as (c, _):
        confirm(c, holder, "register", now=now)
        plan = following.save_plan(
            c, ask.question(), settings=service.settings, saved_by=holder.token.name, now=now
        )
    location = {"Location": f"/api/v1/plans/{plan.id}"}
    return Response(encode(with_commands(plan)), HTTPStatus.CREATED, location, JSON)
