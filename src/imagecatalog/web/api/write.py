"""The writing half of the API: builds and SBOMs, by who holds a token with the scope ``register``.

The token is looked at before the body is read, the body before the database is written to.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import APIRoute
from msgspec import Struct

from imagecatalog.catalog.registration import keep_sbom, write_receipt
from imagecatalog.catalog.tellings import Telling, prepare
from imagecatalog.domain.builds import Build
from imagecatalog.domain.receipts import BuildReceipt, SbomReceipt
from imagecatalog.domain.refs import Digest
from imagecatalog.formats.sbom import parse_sbom
from imagecatalog.store.access import TokenRow
from imagecatalog.store.engine import Connection
from imagecatalog.web.api.builds import read_build, read_known
from imagecatalog.web.api.received import packed, unpack
from imagecatalog.web.api.schemas import Name, Text
from imagecatalog.web.auth import check_coverage, confirm, holder_of
from imagecatalog.web.http import JSON, PROBLEM, Problem, encode
from imagecatalog.web.service import service_of

BUILD_LIMIT = 16 << 20
SBOM_LIMIT = 50 << 20
"""Bytes of a body, packed and unpacked."""

_SMALL = 256 << 10
"""Bytes of a body that is read within the event loop, in some milliseconds at most."""

router = APIRouter()
_find_holder = holder_of("register")
_receive = packed(BUILD_LIMIT)


Holder = Annotated[TokenRow, Depends(_find_holder)]
SbomBytes = Annotated[bytes, Depends(packed(SBOM_LIMIT))]


def _documented(
    body: dict[str, Any], receipt: type[Struct], new: str, known: str
) -> dict[str, Any]:
    def schema(kind: type) -> dict[str, Any]:
        return {"schema": {"$ref": f"#/components/schemas/{kind.__name__}"}}

    problems = {
        "401": "It wants a token, or this one is good no more.",
        "403": "The token has not the scope `register`, or not this repository.",
        "413": "The body is too large.",
        "415": "The body is not JSON, or in an encoding other than gzip.",
        "422": "All faults of the body, each with its JSON pointer.",
        "4XX": "The request asks for what it may not.",
        "5XX": "The catalog cannot be written now; the very same may be sent again.",
    }
    return {
        "response_class": Response,
        "status_code": HTTPStatus.CREATED,
        "responses": {
            201: {"description": new, "content": {JSON: schema(receipt)}},
            200: {"description": known, "content": {JSON: schema(receipt)}},
            **{
                status: {"description": text, "content": {PROBLEM: schema(Problem)}}
                for status, text in problems.items()
            },
        },
        "openapi_extra": {
            "security": [{"token": []}],
            "requestBody": {"required": True, "content": body},
        },
    }


_BUILD = _documented(
    {JSON: {"schema": {"$ref": "#/components/schemas/BuildBody"}}},
    BuildReceipt,
    "A build that is new here.",
    "The very same build was registered before.",
)
_SBOM = _documented(
    {
        kind: {"schema": {"type": "object"}}
        for kind in (JSON, "application/vnd.cyclonedx+json", "application/spdx+json")
    },
    SbomReceipt,
    "A document that is new here.",
    "The very same list was told before.",
)


class _Plain(APIRoute):
    """Hands the request to its function: the least that a route can cost, and no dependencies."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The function itself."""
        handler: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        return handler


async def register_build(request: Request) -> Response:
    """Register a build; `image` or `digest` is required, the rest is what the builder knows."""
    holder = await _find_holder(request)
    build, telling = await _read(request, await _receive(request), holder.token.name)
    service = service_of(request)
    now = service.clock()

    def check(c: Connection, confirmed: set[int]) -> None:
        """Whether the token still holds, and covers the build."""
        if holder.id not in confirmed:
            confirm(c, holder, "register", now=now)
            confirmed.add(holder.id)
        check_coverage(c, holder.token, build.image, build.digest)

    kept = await service.registrar.register_soon(telling, check=check, now=now)
    return _answer(write_receipt(build, kept))


async def register_build_by_its_old_name(request: Request) -> Response:
    """The same as `POST /api/v1/builds`."""
    return await register_build(request)


for _path, _endpoint in {
    "/api/v1/builds": register_build,
    "/register_build": register_build_by_its_old_name,
}.items():
    router.add_api_route(_path, _endpoint, methods=["POST"], route_class_override=_Plain, **_BUILD)


async def _read(request: Request, body: bytes, told_by: str) -> tuple[Build, Telling]:
    """The build that a body tells of, ready to be registered.

    What may take long is done by another thread, while others are answered.
    """
    is_bare = not request.headers.get("content-encoding")
    build = read_known(body) if is_bare and len(body) <= _SMALL else None
    if build is not None:
        return build, prepare(build, told_by=told_by)
    return await run_in_threadpool(_read_whole, request, body, told_by)


def _read_whole(request: Request, body: bytes, told_by: str) -> tuple[Build, Telling]:
    build = read_build(unpack(request, body, BUILD_LIMIT))
    return build, prepare(build, told_by=told_by)


@router.post("/api/v1/sboms/{digest}", **_SBOM)
def upload_sbom(
    request: Request, digest: Name, holder: Holder, packed: SbomBytes, image: Text | None = None
) -> Response:
    """Tell an image's packages by a CycloneDX or SPDX document in JSON.

    `digest` is that of its manifest or index. `image` is its name, which a token limited to
    repositories needs where the catalog has met neither the image nor a build of it.
    """
    subject = Digest.parse(digest)
    service = service_of(request)
    with service.large:
        inventory = parse_sbom(unpack(request, packed, SBOM_LIMIT), "the document")
    now = service.clock()
    with service.write() as (c, shelf):
        confirm(c, holder, "register", now=now)
        check_coverage(c, holder.token, image, subject)
        receipt = keep_sbom(
            c,
            shelf,
            subject,
            inventory,
            told_by=holder.token.name,
            configured=service.configured,
            now=now,
        )
    return _answer(receipt)


def _answer(receipt: BuildReceipt | SbomReceipt) -> Response:
    headers = {"Cache-Control": "no-store"}
    if receipt.created:
        headers["Location"] = receipt.url
    return Response(encode(receipt), 201 if receipt.created else 200, headers, JSON)
