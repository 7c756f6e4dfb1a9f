"""What push agents tell: a scan of a cluster that cannot be reached from here."""

from __future__ import annotations

from contextlib import nullcontext
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Path, Request, Response

from imagecatalog.catalog.told_scans import keep_scan
from imagecatalog.domain.access import Token, repository_of
from imagecatalog.domain.receipts import ScanReceipt
from imagecatalog.errors import BadName, Forbidden
from imagecatalog.formats.scan_faults import read_scan
from imagecatalog.formats.scans import Differences, FailedScan, Scan, WholeScan
from imagecatalog.store.access import TokenRow
from imagecatalog.web.api.received import packed, unpack
from imagecatalog.web.auth import confirm, holder_of
from imagecatalog.web.http import JSON, PROBLEM, Problem, encode
from imagecatalog.web.service import service_of

PACKED_LIMIT = 32 << 20
SCAN_LIMIT = 64 << 20
"""Bytes of a scan, as it comes and unpacked."""

_SMALL = 256 << 10

router = APIRouter()

ClusterName = Annotated[
    str,
    Path(max_length=200, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Its name here."),
]
Holder = Annotated[TokenRow, Depends(holder_of("record"))]
Packed = Annotated[bytes, Depends(packed(PACKED_LIMIT))]

_PROBLEMS = {
    "401": "It wants a token, or this one is good no more.",
    "403": "The token has not the scope `record`, or not all of these images.",
    "409": "`base-not-held`: send the whole scan; `scan-refused`: a moment of which none is taken.",
    "413": "The body is too large.",
    "415": "The body is not JSON, or in an encoding other than gzip.",
    "422": "All faults of the body, each with its JSON pointer.",
    "4XX": "The request asks for what it may not.",
    "5XX": "The catalog cannot be written now; the very same may be sent again.",
}


def _refer(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


_BODIES = {"oneOf": [_refer(one.__name__) for one in (WholeScan, Differences, FailedScan)]}
_RECEIPT = {JSON: {"schema": _refer(ScanReceipt.__name__)}}
_DOCUMENTED: dict[str, Any] = {
    "response_class": Response,
    "status_code": HTTPStatus.CREATED,
    "responses": {
        201: {"description": "A scan that is new here.", "content": _RECEIPT},
        200: {
            "description": "Of this moment something was told before, or the scan failed.",
            "content": _RECEIPT,
        },
        **{
            status: {
                "description": text,
                "content": {PROBLEM: {"schema": _refer(Problem.__name__)}},
            }
            for status, text in _PROBLEMS.items()
        },
    },
    "openapi_extra": {
        "security": [{"token": []}],
        "requestBody": {"required": True, "content": {JSON: {"schema": _BODIES}}},
    },
}


@router.post("/api/v1/clusters/{name}/scan", **_DOCUMENTED)
def take_scan(request: Request, name: ClusterName, holder: Holder, body: Packed) -> Response:
    """Tell what runs in a cluster: all of it, what is different since, or why that is not known.

    Scans may come in any order, and twice.
    """
    service = service_of(request)
    now = service.clock()
    is_small = len(body) <= _SMALL and not request.headers.get("content-encoding")
    with nullcontext() if is_small else service.large:
        scan = read_scan(unpack(request, body, SCAN_LIMIT), now=now)
        _check_images(holder, scan)
        with service.write() as (c, _):
            confirm(c, holder, "record", now=now)
            receipt = keep_scan(c, name, scan, told_by=holder.token.name, now=now)
    service.wake()
    status = HTTPStatus.CREATED if receipt.created else HTTPStatus.OK
    return Response(encode(receipt), status, {"Cache-Control": "no-store"}, JSON)


def _check_images(holder: TokenRow, scan: Scan) -> None:
    """Raise ``Forbidden`` unless the token may speak of every image that is told of."""
    token = holder.token
    if not token.repositories or isinstance(scan, FailedScan):
        return
    pods = (scan,) if isinstance(scan, WholeScan) else scan.pods
    for image in sorted({one.image for pod in pods for one in pod.containers}):
        if not _covers(token, image):
            raise Forbidden(
                f"the token {token.name} may not tell of a cluster that runs {image[:500]}:"
                f" it is for {', '.join(token.repositories)}",
                hint="tell by a token without --repositories: a scan tells of all that runs",
            )


def _covers(token: Token, image: str) -> bool:
    try:
        return token.covers(repository_of(image))
    except BadName:
        return False


def describe_scans() -> dict[str, Any]:
    """OpenAPI component schemas of these bodies, by name."""
    shapes = (WholeScan, Differences, FailedScan)
    _, components = msgspec.json.schema_components(
        shapes, ref_template="#/components/schemas/{name}"
    )
    return components
