"""What is wrong: with one image, and with all that runs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from imagecatalog.domain.findings import Finding, ImageFindings
from imagecatalog.planning import findings
from imagecatalog.web.api.routes import answers_one
from imagecatalog.web.api.schemas import Name, Question
from imagecatalog.web.http import CSV, JSON, encode, respond, write_csv
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
