"""DebMonitor's own addresses, so that its clients can point here: what is in an image, what runs.

Who tells shows a token, or a client certificate that a trusted proxy verified.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from msgspec import Struct

from imagecatalog.catalog import debmonitor
from imagecatalog.domain.access import Scope
from imagecatalog.domain.receipts import ClusterReceipt
from imagecatalog.domain.refs import Digest
from imagecatalog.errors import Forbidden, InvalidBody, NotFound
from imagecatalog.store import health
from imagecatalog.store.access import TokenRow
from imagecatalog.store.engine import Connection
from imagecatalog.web.api.debmonitor_bodies import (
    FAULTS_SHOWN,
    read_cluster_update,
    read_image_update,
)
from imagecatalog.web.api.received import packed, unpack
from imagecatalog.web.api.schemas import Name
from imagecatalog.web.auth import check_coverage, confirm, holder_of
from imagecatalog.web.certificates import certificate_name
from imagecatalog.web.http import (
    JSON,
    PROBLEM,
    Problem,
    describe_error,
    encode,
    make_problem,
    problem_response,
)
from imagecatalog.web.service import service_of

BODY_LIMIT = 8 << 20
"""Bytes, packed and unpacked."""

router = APIRouter()


class Teller(Struct, frozen=True):
    """Who tells: the name of a token, or of a certificate."""

    name: str
    holder: TokenRow | None


def _teller_of(scope: Scope) -> Callable[[Request], Awaitable[Teller]]:
    # The clients know no token, but send what ~/.netrc has as Basic. A body of JSON is nothing that
    # another site's page could have a browser send.
    find_holder = holder_of(scope, may_be_basic=True)

    async def find(request: Request) -> Teller:
        settings = service_of(request).settings.api
        name = certificate_name(request, settings)
        if name is not None and name in settings.certificate_names:
            return Teller(name, None)
        if name is not None and "authorization" not in request.headers:
            raise Forbidden(
                f"the certificate of {name} may not tell of images",
                hint="[api] certificate_names of the configuration says whose may",
            )
        holder = await find_holder(request)
        return Teller(holder.token.name, holder)

    return find


Registering = Annotated[Teller, Depends(_teller_of("register"))]
Recording = Annotated[Teller, Depends(_teller_of("record"))]
Bytes = Annotated[bytes, Depends(packed(BODY_LIMIT))]

_PROBLEM: dict[str, Any] = {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}


def _documented(body: str, answers: dict[int, dict[str, Any]]) -> dict[str, Any]:
    problems = {
        "400": "All faults of the body, each with its JSON pointer.",
        "401": "It wants a token, or a certificate that a trusted proxy verified.",
        "403": "The token or the certificate may not tell this.",
        "422": "The address cannot be read.",
        "4XX": "The request asks for what it may not.",
        "5XX": "The catalog cannot be written now; the very same may be sent again.",
    }
    return {
        "response_class": Response,
        "status_code": HTTPStatus.CREATED,
        "responses": {
            **answers,
            **{
                status: {"description": text, "content": {PROBLEM: _PROBLEM}}
                for status, text in problems.items()
            },
        },
        "openapi_extra": {
            "security": [{"token": []}],
            "requestBody": {
                "required": True,
                "content": {JSON: {"schema": {"$ref": f"#/components/schemas/{body}"}}},
            },
        },
    }


_RECEIPT = {JSON: {"schema": {"$ref": f"#/components/schemas/{ClusterReceipt.__name__}"}}}
_TEXT = {"text/plain": {"schema": {"type": "string", "maxLength": 0}}}


@router.post(
    "/images/{name:path}/update",
    **_documented("ImageUpdateBody", {201: {"description": "It was taken.", "content": _TEXT}}),
)
def update_image(request: Request, name: Name, teller: Registering, received: Bytes) -> Response:
    """Tell an image's packages and their upgrades, as `debmonitor-client` does.

    `name` is the image's name as `image_name` has it. Answers with an empty body.
    """
    service = service_of(request)
    now = service.clock()
    try:
        update = read_image_update(unpack(request, received, BODY_LIMIT), name)
    except InvalidBody as error:
        return _refuse(error)
    with service.write() as (c, shelf):
        _check(c, teller, "register", update.image, now)
        debmonitor.keep_image(
            c, shelf, update, told_by=teller.name, configured=service.configured, now=now
        )
    return Response(b"", HTTPStatus.CREATED, {"Cache-Control": "no-store"}, "text/plain")


@router.post(
    "/kubernetes/update",
    **_documented(
        "ClusterUpdateBody",
        {
            201: {"description": "It was taken.", "content": _RECEIPT},
            202: {"description": "Some images are missing, or not taken.", "content": _RECEIPT},
        },
    ),
)
def update_cluster(request: Request, teller: Recording, received: Bytes) -> Response:
    """Tell how many containers of each image run in each namespace of a cluster, all of it."""
    service = service_of(request)
    now = service.clock()
    try:
        update = read_cluster_update(unpack(request, received, BODY_LIMIT))
    except InvalidBody as error:
        return _refuse(error)
    with service.write() as (c, _):
        _check(c, teller, "record", None, now)
        unsure = {one.image for one in update.errors}
        missing = debmonitor.observe(c, update.cluster, update.images, unsure=unsure, at=now)
        name = f"{update.cluster} (DebMonitor)"
        detail = f"{len(update.images):,} images, told by {teller.name}"
        health.note_try(c, "cluster", name, at=now, seconds=0, detail=detail)
    receipt = ClusterReceipt(
        missing=missing,
        errors=update.errors[:FAULTS_SHOWN],
        success=not missing and not update.errors,
    )
    status = HTTPStatus.CREATED if receipt.success else HTTPStatus.ACCEPTED
    return Response(encode(receipt), status, {"Cache-Control": "no-store"}, JSON)


@router.post("/hosts/{name:path}", include_in_schema=False)
def refuse_host(name: Name) -> Response:
    """Hosts are none of a catalog of images."""
    raise NotFound(
        f"hosts are not kept here, so nothing is told of {name.partition('/')[0]}",
        hint="debmonitor-client -i IMAGE tells of an image; hosts are for DebMonitor",
    )


def _refuse(error: InvalidBody) -> Response:
    """Faults of a body are answered as DebMonitor has it: by 400."""
    told = describe_error(error)
    return problem_response(
        make_problem(HTTPStatus.BAD_REQUEST, told.detail, code=told.code, errors=told.errors)
    )


def _check(c: Connection, teller: Teller, scope: Scope, name: str | None, now: datetime) -> None:
    if teller.holder is None:
        return
    confirm(c, teller.holder, scope, now=now)
    if name is not None:
        digest = Digest.parse(name.partition("@")[2]) if "@" in name else None
        check_coverage(c, teller.holder.token, name, digest)
