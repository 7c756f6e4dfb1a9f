"""Who is affected by an advisory, or by a range of versions."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from imagecatalog.domain.advisories import ExposedImage, Exposure
from imagecatalog.planning import exposure
from imagecatalog.web.api.routes import answers_one
from imagecatalog.web.api.schemas import Name, Question
from imagecatalog.web.http import CSV, JSON, encode, respond, write_csv
from imagecatalog.web.service import service_of

router = APIRouter(prefix="/api/v1")


class AffectedQuestion(Question):
    """How many of the images that do not run."""

    limit: Annotated[int, Field(ge=0, le=1000)] = exposure.USUAL_LIMIT


@router.get("/affected/{subject:path}.csv", include_in_schema=False)
def list_affected_images(
    request: Request, subject: Name, ask: Annotated[AffectedQuestion, Query()]
) -> Response:
    """The images alone, one a line."""
    service = service_of(request)
    with service.read() as c:
        found = exposure.affected(c, subject, now=service.clock(), limit=ask.limit)
    body = write_csv(ExposedImage.__struct_fields__, found.images)
    return respond(request, body.encode(), CSV)


@answers_one(router, "/affected/{subject:path}", Exposure)
def get_affected(
    request: Request, subject: Name, ask: Annotated[AffectedQuestion, Query()]
) -> Response:
    """Packages, images and what runs of them: of a CVE, a DSA, or `pkg:deb/debian/openssl@<3.0.15`."""
    service = service_of(request)
    with service.read() as c:
        found = exposure.affected(c, subject, now=service.clock(), limit=ask.limit)
    return respond(request, encode(found), JSON)
