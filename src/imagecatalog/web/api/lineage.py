"""Where images come from, what changed, what happened to them: routes of ``/api/v1``."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from imagecatalog.domain.lineage import Diff, HistoryItem, Lineage
from imagecatalog.planning import ancestry, differences, past
from imagecatalog.store.engine import Connection
from imagecatalog.store.page import Page
from imagecatalog.web.api.routes import answers_many, answers_one, send_list
from imagecatalog.web.api.schemas import (
    USUAL_PAGE,
    DiffQuestion,
    LineageQuestion,
    ListQuestion,
    Name,
)
from imagecatalog.web.http import JSON, encode, respond
from imagecatalog.web.service import service_of

router = APIRouter(prefix="/api/v1")
_one = partial(answers_one, router)
_many = partial(answers_many, router)


@_one("/images/{digest:path}/lineage", Lineage)
def get_lineage(
    request: Request, digest: Name, ask: Annotated[LineageQuestion, Query()]
) -> Response:
    """What an image is built on and what is built on it, one item for each edge."""
    service = service_of(request)
    with service.read() as c:
        found = ancestry.lineage(c, digest, now=service.clock(), limit=ask.limit)
    return respond(request, encode(found), JSON)


@_many("/images/{digest:path}/history", HistoryItem)
def list_history(request: Request, digest: Name, ask: Annotated[ListQuestion, Query()]) -> Response:
    """Tags, builds and runs of an image or a repository, or runs of a workload, the last first.

    A workload is named `cluster/namespace/Kind/name`.
    """

    def ask_history(c: Connection, ask: ListQuestion, now: datetime) -> Page[HistoryItem]:
        return past.history(c, digest, now=now, limit=ask.limit or USUAL_PAGE, after=ask.after)

    return send_list(request, HistoryItem, ask, ask_history)


@_one("/diff", Diff)
def get_diff(request: Request, ask: Annotated[DiffQuestion, Query()]) -> Response:
    """What changed from one image to another: packages, layers, configuration."""
    service = service_of(request)
    with service.read() as c:
        found = differences.diff(c, ask.a, ask.b, rules=service.settings.lines)
    return respond(request, encode(found), JSON)
