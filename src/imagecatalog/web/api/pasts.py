"""What runs and ran, how long faults were run and fixes took, and the clusters: routes of ``/api/v1``."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from imagecatalog.domain.answers import RunningItem
from imagecatalog.domain.pasts import (
    ClusterItem,
    ExposedSpan,
    PastExposure,
    Patching,
    PatchTimes,
    RunningPage,
    WorkloadPast,
    WorkloadStay,
)
from imagecatalog.errors import BadName
from imagecatalog.planning.past_exposure import past_exposure
from imagecatalog.planning.patching import patching
from imagecatalog.planning.sights import list_clusters
from imagecatalog.planning.workload_past import read_name, workload_past
from imagecatalog.store.engine import Connection
from imagecatalog.store.page import Page
from imagecatalog.web.api import questions
from imagecatalog.web.api.routes import answers_many, answers_one, send_list, send_whole
from imagecatalog.web.api.schemas import (
    ClustersQuestion,
    ExposureQuestion,
    Name,
    PatchingQuestion,
    RunningQuestion,
)
from imagecatalog.web.http import CSV, JSON, encode, next_link, respond, stream_csv
from imagecatalog.web.service import Service, service_of

router = APIRouter(prefix="/api/v1")
_one = partial(answers_one, router)


@router.get("/running.csv", include_in_schema=False)
def write_running(request: Request, ask: Annotated[RunningQuestion, Query()]) -> Response:
    """The containers alone, one a line."""

    def ask_items(c: Connection, ask: RunningQuestion, now: datetime) -> Page[RunningItem]:
        found = questions.ask_running(c, ask, now)
        return Page(found.items, found.next)

    return send_list(request, RunningItem, ask.model_copy(update={"format": "csv"}), ask_items)


@_one("/running", RunningPage, is_table=True)
def list_running(request: Request, ask: Annotated[RunningQuestion, Query()]) -> Response:
    """What runs where, container by container, images never met included; now, or at a moment past.

    `clusters` tells of each cluster how far that is known: where nobody looked, no item says that
    nothing ran.
    """
    if ask.format == "csv":
        return write_running(request, ask)
    service = service_of(request)
    with service.read() as c:
        found = questions.ask_running(c, ask, service.clock())
    return respond(request, encode(found), JSON, next_link(request, found.next))


@answers_many(router, "/clusters", ClusterItem)
def tell_clusters(request: Request, ask: Annotated[ClustersQuestion, Query()]) -> Response:
    """Every cluster: when it was last scanned well, its last error, what runs in it; one page."""
    service = service_of(request)

    def ask_clusters(c: Connection, now: datetime) -> tuple[ClusterItem, ...]:
        return list_clusters(c, now=now, at=ask.at, configured=name_clusters(service))

    return send_whole(request, ClusterItem, ask, ask_clusters)


def name_clusters(service: Service) -> list[str]:
    """Those that the settings name."""
    return [one.name for one in service.settings.clusters]


@router.get("/workloads/{workload:path}.csv", include_in_schema=False)
def write_workload(request: Request, workload: Name) -> Response:
    """The stays alone, one a line."""
    found = ask_workload(request, workload)
    return _write_csv(request, WorkloadStay, found.stays)


@_one("/workloads/{workload:path}", WorkloadPast)
def get_workload(request: Request, workload: Name) -> Response:
    """Which images a workload runs and ran, in how many containers; `cluster/namespace/Kind/name`."""
    return respond(request, encode(ask_workload(request, workload)), JSON)


def ask_workload(request: Request, text: str) -> WorkloadPast:
    """The past of a workload; raises BadName for what names none, and NotFound."""
    name = read_name(text)
    if name is None:
        raise BadName(
            f"{text[:80]!r} names no workload", hint="write cluster/namespace/Deployment/name"
        )
    service = service_of(request)
    with service.read() as c:
        return workload_past(c, name, now=service.clock())


@router.get("/exposure/{subject:path}.csv", include_in_schema=False)
def write_exposure(
    request: Request, subject: Name, ask: Annotated[ExposureQuestion, Query()]
) -> Response:
    """The spans alone, one a line."""
    return _write_csv(request, ExposedSpan, _ask_exposure(request, subject, ask).items)


@_one("/exposure/{subject:path}", PastExposure)
def get_exposure(
    request: Request, subject: Name, ask: Annotated[ExposureQuestion, Query()]
) -> Response:
    """How long a fault was run, and where: of a CVE, a DSA, or `pkg:deb/debian/openssl@<3.0.15`."""
    return respond(request, encode(_ask_exposure(request, subject, ask)), JSON)


def _ask_exposure(request: Request, subject: str, ask: ExposureQuestion) -> PastExposure:
    service = service_of(request)
    with service.read() as c:
        return past_exposure(
            c,
            subject,
            now=service.clock(),
            cluster=ask.cluster,
            namespace=ask.namespace,
            limit=ask.limit,
        )


@router.get("/patching.csv", include_in_schema=False)
def write_patching(request: Request, ask: Annotated[PatchingQuestion, Query()]) -> Response:
    """The times by severity and by team, one a line."""
    found = ask_patching(request, ask)
    return _write_csv(request, PatchTimes, (*found.by_severity, *found.by_team))


@_one("/patching", Patching)
def get_patching(request: Request, ask: Annotated[PatchingQuestion, Query()]) -> Response:
    """From a fix that is out to the rebuilt image to its deployment, by severity and by team."""
    return respond(request, encode(ask_patching(request, ask)), JSON)


def ask_patching(request: Request, ask: PatchingQuestion) -> Patching:
    """How long fixes took, and what waits."""
    service = service_of(request)
    with service.read() as c:
        return patching(c, now=service.clock(), since=ask.since, cluster=ask.cluster, team=ask.team)


def _write_csv(
    request: Request,
    kind: type[WorkloadStay | ExposedSpan | PatchTimes],
    items: tuple[WorkloadStay | ExposedSpan | PatchTimes, ...],
) -> Response:
    body = "".join(stream_csv(kind.__struct_fields__, [items]))
    return respond(request, body.encode(), CSV)
