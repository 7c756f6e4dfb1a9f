"""The bill of materials of an image: a route of ``/api/v1``."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from imagecatalog.outlets.sbom import MEDIA_TYPES, SbomFormat, write_sbom
from imagecatalog.planning.inspection import image_detail
from imagecatalog.web.api.routes import PROBLEMS, UNCHANGED
from imagecatalog.web.api.schemas import Name, Question
from imagecatalog.web.http import respond
from imagecatalog.web.service import service_of

router = APIRouter(prefix="/api/v1")

_OBJECT = {"schema": {"type": "object"}}
_DOCUMENTED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The document.",
        "content": {kind.partition(";")[0]: _OBJECT for kind in MEDIA_TYPES.values()},
    }
}


class SbomQuestion(Question):
    """As what."""

    format: SbomFormat = "cyclonedx"


@router.get(
    "/images/{digest:path}/sbom",
    response_class=Response,
    responses=_DOCUMENTED | UNCHANGED | PROBLEMS,
)
def get_sbom(request: Request, digest: Name, ask: Annotated[SbomQuestion, Query()]) -> Response:
    """The packages of an image as CycloneDX 1.6 or SPDX 2.3, in JSON."""
    service = service_of(request)
    with service.read() as c:
        detail = image_detail(c, digest, now=service.clock())
    return respond(request, write_sbom(detail, ask.format), MEDIA_TYPES[ask.format])
