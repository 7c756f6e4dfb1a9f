"""What others say of an image beside us: a route of ``/api/v1``."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from imagecatalog.domain.second_opinions import ImageOpinion
from imagecatalog.planning.findings import image_findings
from imagecatalog.planning.second_opinions import image_opinions
from imagecatalog.store.page import Page
from imagecatalog.web.api.routes import answers_one
from imagecatalog.web.api.schemas import Name
from imagecatalog.web.http import JSON, encode, respond
from imagecatalog.web.service import service_of

router = APIRouter(prefix="/api/v1")


@answers_one(router, "/images/{digest:path}/opinions", ImageOpinion, is_list=True)
def list_image_opinions(request: Request, digest: Name) -> Response:
    """What Clair says of an image, worst first, and where it and we differ; empty without a Clair."""
    service = service_of(request)
    with service.read() as c:
        ours = image_findings(c, digest, now=service.clock())
        found = image_opinions(c, ours, now=service.clock())
    return respond(request, encode(Page(items=found, next=None)), JSON)
