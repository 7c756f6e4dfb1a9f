"""What is wrong: with one image, and with all that runs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from imagecatalog.domain.advisories import RunningFault, RunningFaults
from imagecatalog.domain.findings import Finding, ImageFindings
from imagecatalog.planning import findings
from imagecatalog.planning.running_faults import (
    FaultFilter,
    FaultState,
    Rating,
    list_running_faults,
)
from imagecatalog.store.engine import Connection
from imagecatalog.web.api.routes import answers_one
from imagecatalog.web.api.schemas import LARGEST_PAGE, USUAL_PAGE, Cursor, Name, Question, Text
from imagecatalog.web.http import CSV, JSON, encode, next_link, respond, write_csv
from imagecatalog.web.service import service_of

router = APIRouter(prefix="/api/v1")


class FindingsQuestion(Question):
    """Whether what is fixed, and what it is not affected by, is told too."""

    all: bool = False


@router.get("/images/{digest:path}/advisories.csv", include_in_schema=False)
def list_image_findings(
    request: Request, digest: Name, ask: Annotated[FindingsQuestion, Query()]
) -> Response:
    """The findings alone, one a line."""
    found = _ask(request, digest, ask)
    body = write_csv(Finding.__struct_fields__, found.items)
    return respond(request, body.encode(), CSV)


@answers_one(router, "/images/{digest:path}/advisories", ImageFindings)
def get_image_findings(
    request: Request, digest: Name, ask: Annotated[FindingsQuestion, Query()]
) -> Response:
    """What is wrong with an image, worst first, suppressed findings last; and what is unknown."""
    return respond(request, encode(_ask(request, digest, ask)), JSON)


def _ask(request: Request, reference: str, ask: FindingsQuestion) -> ImageFindings:
    service = service_of(request)
    with service.read() as c:
        return findings.image_findings(c, reference, now=service.clock(), all_states=ask.all)


class FaultsQuestion(Question):
    """Which faults of what runs."""

    cluster: Text | None = None
    namespace: Text | None = None
    severity: Annotated[Rating | None, Field(description="This severity alone.")] = None
    state: Annotated[FaultState | None, Field(description="This state alone.")] = None
    exploited: Annotated[bool, Field(description="Known to be exploited alone.")] = False
    all: Annotated[bool, Field(description="Also those that are suppressed everywhere.")] = False
    limit: Annotated[
        int | None, Field(ge=1, le=LARGEST_PAGE, description="Items a page; 100 as JSON.")
    ] = None
    after: Annotated[Cursor | None, Field(description="`next` of the page before.")] = None

    def wanted(self) -> FaultFilter:
        """The same as planning takes it."""
        return FaultFilter(
            cluster=self.cluster,
            namespace=self.namespace,
            severity=self.severity,
            state=self.state,
            exploited=self.exploited,
            everything=self.all,
        )


@router.get("/advisories.csv", include_in_schema=False)
def write_running_faults(request: Request, ask: Annotated[FaultsQuestion, Query()]) -> Response:
    """The items alone, one a line."""
    with service_of(request).read() as c:
        found = ask_faults(c, ask, service_of(request).clock())
    body = write_csv(RunningFault.__struct_fields__, found.items)
    return respond(request, body.encode(), CSV)


@answers_one(router, "/advisories", RunningFaults)
def get_running_faults(request: Request, ask: Annotated[FaultsQuestion, Query()]) -> Response:
    """What is wrong with all that runs, worst first; those without a fix too."""
    service = service_of(request)
    if ask.limit is None:
        ask = ask.model_copy(update={"limit": USUAL_PAGE})
    with service.read() as c:
        found = ask_faults(c, ask, service.clock())
    return respond(request, encode(found), JSON, next_link(request, found.next))


def ask_faults(c: Connection, ask: FaultsQuestion, now: datetime) -> RunningFaults:
    """The faults of what runs; all of them without a limit."""
    return list_running_faults(c, now=now, wanted=ask.wanted(), limit=ask.limit, after=ask.after)
