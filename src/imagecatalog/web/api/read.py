"""The reading half of ``/api/v1``: each route one question, its answer the struct's own JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import chain
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from imagecatalog.domain import answers, lineage
from imagecatalog.planning import inspection, search, staleness
from imagecatalog.store import builds, health, lookups, repositories
from imagecatalog.store.engine import Connection
from imagecatalog.store.page import Page
from imagecatalog.web.api import questions
from imagecatalog.web.api.schemas import (
    LARGEST_PAGE,
    HoldersQuestion,
    ImagesQuestion,
    ListQuestion,
    Name,
    OutdatedQuestion,
    RepositoriesQuestion,
    RunningQuestion,
    SearchQuestion,
    TableQuestion,
)
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

router = APIRouter(prefix="/api/v1")


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


def _one(path: str, item: type, *, is_list: bool = False) -> Callable[[Handler], Handler]:
    """A route that answers JSON alone."""
    documented = _documented(item, is_list=is_list) | UNCHANGED | PROBLEMS
    return router.get(path, response_class=Response, responses=documented)


def _many(path: str, item: type) -> Callable[[Handler], Handler]:
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


def _send_list(
    request: Request, item: type[msgspec.Struct], ask: Asked, asker: Asker[Asked]
) -> Response:
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


def _send_whole(
    request: Request,
    item: type[msgspec.Struct],
    ask: TableQuestion,
    asker: Callable[[Connection, datetime], tuple[Any, ...]],
) -> Response:
    service = service_of(request)
    with service.read() as c:
        items = asker(c, service.clock())
    if _is_csv(request, ask):
        return _send_csv(item, iter([items]))
    return respond(request, encode(Page(items=items, next=None)), JSON)


@_one("/overview", answers.Overview)
def get_overview(request: Request) -> Response:
    """How many images run, by verdict, and the ten worst."""
    service = service_of(request)
    with service.read() as c:
        return respond(request, encode(staleness.overview(c, now=service.clock())), JSON)


@_many("/outdated", answers.OutdatedImage)
def list_outdated(request: Request, ask: Annotated[OutdatedQuestion, Query()]) -> Response:
    """Images in need of an update, worst first."""
    return _send_list(request, answers.OutdatedImage, ask, questions.ask_outdated)


@_many("/running", answers.RunningItem)
def list_running(request: Request, ask: Annotated[RunningQuestion, Query()]) -> Response:
    """What runs where, container by container; images never met included."""
    return _send_list(request, answers.RunningItem, ask, questions.ask_running)


@_many("/images", answers.ImageSummary)
def list_images(request: Request, ask: Annotated[ImagesQuestion, Query()]) -> Response:
    """Images by digest, with their verdicts."""
    return _send_list(request, answers.ImageSummary, ask, questions.ask_images)


@_many("/images/{digest}/packages", answers.PackageItem)
def list_image_packages(
    request: Request, digest: Name, ask: Annotated[TableQuestion, Query()]
) -> Response:
    """All packages of an image, each with its candidate; one page."""

    def ask_packages(c: Connection, now: datetime) -> tuple[answers.PackageItem, ...]:
        return inspection.image_detail(c, digest, now=now).packages

    return _send_whole(request, answers.PackageItem, ask, ask_packages)


@_many("/images/{digest}/builds", lineage.BuildItem)
def list_image_builds(
    request: Request, digest: Name, ask: Annotated[TableQuestion, Query()]
) -> Response:
    """What was told of an image's builds, the last first, each with its parents; one page."""

    def ask_builds(c: Connection, _now: datetime) -> tuple[lineage.BuildItem, ...]:
        return builds.list_builds(c, lookups.resolve(c, digest))

    return _send_whole(request, lineage.BuildItem, ask, ask_builds)


@_one("/images/{reference:path}", answers.ImageDetail)
def get_image(request: Request, reference: Name) -> Response:
    """One image by digest, by a digest's first letters, or by name."""
    service = service_of(request)
    with service.read() as c:
        detail = inspection.image_detail(c, reference, now=service.clock())
    return respond(request, encode(detail), JSON)


@_many("/repositories", answers.RepositorySummary)
def list_repositories(request: Request, ask: Annotated[RepositoriesQuestion, Query()]) -> Response:
    """Repositories by name, with their counts."""
    return _send_list(request, answers.RepositorySummary, ask, questions.ask_repositories)


@_many("/repositories/{name:path}/tags", answers.TagPeriod)
def list_tags(request: Request, name: Name, ask: Annotated[TableQuestion, Query()]) -> Response:
    """What each tag of a repository points to and pointed to; one page."""
    return _send_whole(
        request, answers.TagPeriod, ask, lambda c, _now: repositories.tag_history(c, name)
    )


@_many("/packages/{name}/images", answers.Holder)
def list_holders(
    request: Request, name: Name, ask: Annotated[HoldersQuestion, Query()]
) -> Response:
    """Images that hold a package, by version."""

    def ask_holders(c: Connection, ask: HoldersQuestion, _now: datetime) -> Page[Any]:
        return questions.ask_holders(c, name, ask)

    return _send_list(request, answers.Holder, ask, ask_holders)


@_one("/search", answers.SearchHit, is_list=True)
def find(request: Request, ask: Annotated[SearchQuestion, Query()]) -> Response:
    """Whatever matches, best first."""
    with service_of(request).read() as c:
        hits = search.search(c, ask.q, limit=ask.limit)
    return respond(request, encode(Page(items=hits, next=None)), JSON)


def _send_health(
    request: Request, ask: TableQuestion, kind: Literal["cluster", "registry", "feed", "job"]
) -> Response:
    def ask_health(c: Connection, _now: datetime) -> tuple[answers.Health, ...]:
        return tuple(one for one in health.list_health(c) if one.kind == kind)

    return _send_whole(request, answers.Health, ask, ask_health)


@_many("/clusters", answers.Health)
def list_clusters(request: Request, ask: Annotated[TableQuestion, Query()]) -> Response:
    """When each cluster was last scanned well, and its last error."""
    return _send_health(request, ask, "cluster")


@_many("/registries", answers.Health)
def list_registries(request: Request, ask: Annotated[TableQuestion, Query()]) -> Response:
    """When each registry was last read well, and its last error."""
    return _send_health(request, ask, "registry")


@_many("/feeds", answers.Health)
def list_feeds(request: Request, ask: Annotated[TableQuestion, Query()]) -> Response:
    """When each feed was last fetched well, and its last error."""
    return _send_health(request, ask, "feed")


@_many("/jobs", answers.Health)
def list_jobs(request: Request, ask: Annotated[TableQuestion, Query()]) -> Response:
    """When each job last went well, is due again, and its last error."""
    return _send_health(request, ask, "job")
