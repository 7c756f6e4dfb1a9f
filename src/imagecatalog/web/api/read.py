"""The reading half of ``/api/v1``: each route one question, its answer the struct's own JSON."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response

from imagecatalog.domain import answers, lineage
from imagecatalog.planning import inspection, search, staleness
from imagecatalog.planning.ancestry import find_image
from imagecatalog.store import builds, disagreements, health, repositories
from imagecatalog.store.engine import Connection
from imagecatalog.store.page import Page
from imagecatalog.web.api import questions
from imagecatalog.web.api.routes import answers_many, answers_one, send_list, send_whole
from imagecatalog.web.api.schemas import (
    USUAL_PAGE,
    BuildsQuestion,
    HoldersQuestion,
    ImagesQuestion,
    Name,
    OutdatedQuestion,
    RepositoriesQuestion,
    SearchQuestion,
    TableQuestion,
)
from imagecatalog.web.http import (
    JSON,
    encode,
    respond,
)
from imagecatalog.web.service import service_of

router = APIRouter(prefix="/api/v1")
_one = partial(answers_one, router)
_many = partial(answers_many, router)


@_one("/overview", answers.Overview)
def get_overview(request: Request) -> Response:
    """How many images run, by verdict, and the ten worst."""
    service = service_of(request)
    with service.read() as c:
        return respond(request, encode(staleness.overview(c, now=service.clock())), JSON)


@_many("/outdated", answers.OutdatedImage)
def list_outdated(request: Request, ask: Annotated[OutdatedQuestion, Query()]) -> Response:
    """Images in need of an update, worst first."""
    return send_list(request, answers.OutdatedImage, ask, questions.ask_outdated)


@_many("/images", answers.ImageSummary)
def list_images(request: Request, ask: Annotated[ImagesQuestion, Query()]) -> Response:
    """Images by digest, with their verdicts."""
    return send_list(request, answers.ImageSummary, ask, questions.ask_images)


@_many("/images/{digest:path}/packages", answers.PackageItem)
def list_image_packages(
    request: Request, digest: Name, ask: Annotated[TableQuestion, Query()]
) -> Response:
    """All packages of an image, each with its candidate; one page."""

    def ask_packages(c: Connection, now: datetime) -> tuple[answers.PackageItem, ...]:
        return inspection.image_detail(c, digest, now=now).packages

    return send_whole(request, answers.PackageItem, ask, ask_packages)


@_many("/images/{digest:path}/builds", lineage.BuildItem)
def list_image_builds(
    request: Request, digest: Name, ask: Annotated[TableQuestion, Query()]
) -> Response:
    """What was told of an image's builds, the last first, each with its parents; one page."""

    def ask_builds(c: Connection, _now: datetime) -> tuple[lineage.BuildItem, ...]:
        return builds.list_builds(c, find_image(c, digest))

    return send_whole(request, lineage.BuildItem, ask, ask_builds)


@_many("/images/{digest:path}/inventories", lineage.InventoryItem)
def list_image_inventories(
    request: Request, digest: Name, ask: Annotated[TableQuestion, Query()]
) -> Response:
    """Who told of an image's packages, whose list counts, and in what they disagree; one page."""

    def ask_inventories(c: Connection, _now: datetime) -> tuple[lineage.InventoryItem, ...]:
        return disagreements.list_inventories(c, find_image(c, digest))

    return send_whole(request, lineage.InventoryItem, ask, ask_inventories)


@_one("/images/{reference:path}", answers.ImageDetail)
def get_image(request: Request, reference: Name) -> Response:
    """One image by digest, by a digest's first letters, or by name."""
    service = service_of(request)
    with service.read() as c:
        detail = inspection.image_detail(c, reference, now=service.clock())
    return respond(request, encode(detail), JSON)


@_many("/builds", lineage.RegisteredName)
def list_builds(request: Request, ask: Annotated[BuildsQuestion, Query()]) -> Response:
    """Names below a repository that registered builds gave, and to which images."""

    def ask_builds(c: Connection, ask: BuildsQuestion, _now: datetime) -> Page[Any]:
        return builds.list_registered(
            c, ask.repository, limit=ask.limit or USUAL_PAGE, after=ask.after
        )

    return send_list(request, lineage.RegisteredName, ask, ask_builds)


@_many("/repositories", answers.RepositorySummary)
def list_repositories(request: Request, ask: Annotated[RepositoriesQuestion, Query()]) -> Response:
    """Repositories by name, with their counts."""
    return send_list(request, answers.RepositorySummary, ask, questions.ask_repositories)


@_many("/repositories/{name:path}/tags", answers.TagPeriod)
def list_tags(request: Request, name: Name, ask: Annotated[TableQuestion, Query()]) -> Response:
    """What each tag of a repository points to and pointed to; one page."""
    return send_whole(
        request, answers.TagPeriod, ask, lambda c, _now: repositories.tag_history(c, name)
    )


@_many("/packages/{name}/images", answers.Holder)
def list_holders(
    request: Request, name: Name, ask: Annotated[HoldersQuestion, Query()]
) -> Response:
    """Images that hold a package, by version."""

    def ask_holders(c: Connection, ask: HoldersQuestion, _now: datetime) -> Page[Any]:
        return questions.ask_holders(c, name, ask)

    return send_list(request, answers.Holder, ask, ask_holders)


@_one("/search", answers.SearchHit, is_list=True)
def find(request: Request, ask: Annotated[SearchQuestion, Query()]) -> Response:
    """Whatever matches, best first."""
    with service_of(request).read() as c:
        hits = search.search(c, ask.q, limit=ask.limit)
    return respond(request, encode(Page(items=hits, next=None)), JSON)


def _send_health(
    request: Request, ask: TableQuestion, kind: Literal["cluster", "registry", "job"]
) -> Response:
    def ask_health(c: Connection, _now: datetime) -> tuple[answers.Health, ...]:
        return tuple(one for one in health.list_health(c) if one.kind == kind)

    return send_whole(request, answers.Health, ask, ask_health)


@_many("/registries", answers.Health)
def list_registries(request: Request, ask: Annotated[TableQuestion, Query()]) -> Response:
    """When each registry was last read well, and its last error."""
    return _send_health(request, ask, "registry")


@_many("/jobs", answers.Health)
def list_jobs(request: Request, ask: Annotated[TableQuestion, Query()]) -> Response:
    """When each job last went well, is due again, and its last error."""
    return _send_health(request, ask, "job")
