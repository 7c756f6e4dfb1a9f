"""Feeds: how well each is and what it told; who may decide has one forgotten."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from imagecatalog.domain.feeds import FeedItem, ForgottenFeed
from imagecatalog.errors import Forbidden
from imagecatalog.planning import feed_list
from imagecatalog.store.access import TokenRow
from imagecatalog.store.engine import Connection
from imagecatalog.web.api.routes import PROBLEMS, answers_many, send_whole
from imagecatalog.web.api.schemas import Name, TableQuestion
from imagecatalog.web.auth import confirm, holder_of
from imagecatalog.web.http import JSON, encode
from imagecatalog.web.service import service_of

router = APIRouter(prefix="/api/v1")
deciding = APIRouter(prefix="/api/v1")
"""What a token decides on, whoever may read."""

Holder = Annotated[TokenRow, Depends(holder_of("decide"))]


@answers_many(router, "/feeds", FeedItem)
def list_feeds(request: Request, ask: Annotated[TableQuestion, Query()]) -> Response:
    """When each feed, and each file of one, was last read well, what it told, and its last error."""
    settings = service_of(request).settings

    def ask_feeds(c: Connection, now: datetime) -> tuple[FeedItem, ...]:
        return feed_list.list_feeds(c, settings.feeds, now=now)

    return send_whole(request, FeedItem, ask, ask_feeds)


@deciding.delete(
    "/feeds/{name:path}",
    response_class=Response,
    responses={
        200: {
            "description": "What was forgotten; what that changes is judged anew soon.",
            "content": {JSON: {"schema": {"$ref": "#/components/schemas/ForgottenFeed"}}},
        },
        **PROBLEMS,
    },
    openapi_extra={"security": [{"token": []}]},
)
def forget_feed(request: Request, holder: Holder, name: Name) -> Response:
    """Retract all that a feed told, or one file of it, as if it had never been read."""
    if holder.token.repositories:
        raise Forbidden(
            f"the token {holder.token.name} is for some repositories alone, and feeds are about any",
            hint="create a token without --repositories",
        )
    service = service_of(request)
    with service.write() as (c, _):
        confirm(c, holder, "decide", now=service.clock())
        gone: ForgottenFeed = feed_list.forget(c, name, service.settings.feeds)
    return Response(encode(gone), 200, {"Cache-Control": "no-store"}, JSON)
