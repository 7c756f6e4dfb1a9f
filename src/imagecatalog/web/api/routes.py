"""How routes of ``/api/v1`` answer: one value or a list, as JSON, CSV and what describes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import chain
from typing import Any, TypeVar

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from imagecatalog.store.engine import Connection
from imagecatalog.store.page import Page
from imagecatalog.web.api.schemas import LARGEST_PAGE, ListQuestion, TableQuestion
from imagecatalog.web.http import (
    CSV,
    JSON,
    PROBLEM,
    Problem,
    encode,
    next_link,
    respond,
    stream_csv,
)
from imagecatalog.web.service import service_of

Handler = TypeVar("Handler", bound=Callable[..., Response])
Asked = TypeVar("Asked", bound=ListQuestion)


Asker = Callable[[Connection, Asked, datetime], Page[Any]]
"""A question about the catalog."""


def _reference(item: type) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{item.__name__}"}


PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"description": text, "content": {PROBLEM: {"schema": _reference(Problem)}}}
    for status, text in {
        "4XX": "The request asks for what it may not.",
        "422": "All faults of the request.",
        "5XX": "The catalog cannot answer now.",
    }.items()
}
UNCHANGED: dict[int | str, dict[str, Any]] = {304: {"description": "What `If-None-Match` has."}}


def _documented(
    item: type, *, is_list: bool = False, is_table: bool = False
) -> dict[int | str, dict[str, Any]]:
    schema: dict[str, Any] = _reference(item)
    if is_list:
        schema = {
            "type": "object",
            "required": ["items", "next"],
            "properties": {
                "items": {"type": "array", "items": schema},
                "next": {"type": ["string", "null"], "description": "Cursor of the next page."},
            },
        }
    content: dict[str, Any] = {JSON: {"schema": schema}}
    if is_table:
        content["text/csv"] = {"schema": {"type": "string"}}
    return {200: {"description": (item.__doc__ or "").partition("\n")[0], "content": content}}


def answers_one(
    router: APIRouter, path: str, item: type, *, is_list: bool = False, is_table: bool = False
) -> Callable[[Handler], Handler]:
    """A route that answers JSON alone; one whose answer ``is_table`` writes CSV as well."""
    documented = _documented(item, is_list=is_list, is_table=is_table) | UNCHANGED | PROBLEMS
    return router.get(path, response_class=Response, responses=documented)


def answers_many(router: APIRouter, path: str, item: type) -> Callable[[Handler], Handler]:
    """A route that answers a list, and its ``.csv`` twin."""

    def register(handler: Handler) -> Handler:
        router.get(f"{path}.csv", include_in_schema=False)(handler)
        documented = _documented(item, is_list=True, is_table=True)
        return router.get(
            path, response_class=Response, responses=documented | UNCHANGED | PROBLEMS
        )(handler)

    return register


def _is_csv(request: Request, ask: TableQuestion) -> bool:
    return ask.format == "csv" or request.url.path.endswith(".csv")


def _send_csv(item: type[msgspec.Struct], pages: Iterator[tuple[Any, ...]]) -> Response:
    first = next(pages)  # A fault must show before the first byte is sent.
    rows = stream_csv(item.__struct_fields__, chain([first], pages))
    return StreamingResponse(rows, media_type=CSV, headers={"Cache-Control": "no-cache"})


def send_list(
    request: Request, item: type[msgspec.Struct], ask: Asked, asker: Asker[Asked]
) -> Response:
    """A page of a list as JSON, or the list as CSV."""
    if _is_csv(request, ask):
        return _send_csv(item, _pages(request, ask, asker))
    service = service_of(request)
    with service.read() as c:
        page = asker(c, ask, service.clock())
    return respond(request, encode(page), JSON, next_link(request, page.next))


def _pages(request: Request, ask: Asked, asker: Asker[Asked]) -> Iterator[tuple[Any, ...]]:
    """Pages until the last one, or the one that was asked for by a limit."""
    service = service_of(request)
    is_limited = ask.limit is not None
    ask = ask.model_copy(update={"limit": ask.limit or LARGEST_PAGE})
    while True:
        with service.read() as c:
            page = asker(c, ask, service.clock())
        yield page.items
        if is_limited or page.next is None:
            return
        ask = ask.model_copy(update={"after": page.next})


def send_whole(
    request: Request,
    item: type[msgspec.Struct],
    ask: TableQuestion,
    asker: Callable[[Connection, datetime], tuple[Any, ...]],
) -> Response:
    """A list that is always whole, as JSON or CSV."""
    service = service_of(request)
    with service.read() as c:
        items = asker(c, service.clock())
    if _is_csv(request, ask):
        return _send_csv(item, iter([items]))
    return respond(request, encode(Page(items=items, next=None)), JSON)
