"""Why findings do not count: statements of VEX documents, and deferrals; who may decide adds to them."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from msgspec import Struct
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from imagecatalog.catalog.deferrals import put_off
from imagecatalog.domain.access import Token
from imagecatalog.domain.suppressions import (
    DeferralItem,
    DeferralWish,
    VexDocumentItem,
    VexItem,
    VexReceipt,
)
from imagecatalog.errors import Forbidden, InvalidBody
from imagecatalog.formats.vex import LIMIT, parse_vex
from imagecatalog.store import deferrals, vex, vex_documents
from imagecatalog.store.access import TokenRow
from imagecatalog.store.engine import Connection
from imagecatalog.store.page import Page
from imagecatalog.web.api.received import packed, unpack
from imagecatalog.web.api.routes import PROBLEMS, answers_many, send_list, send_whole
from imagecatalog.web.api.schemas import USUAL_PAGE, ListQuestion, Moment, TableQuestion, Text
from imagecatalog.web.auth import confirm, holder_of
from imagecatalog.web.http import JSON, encode, pointer
from imagecatalog.web.service import service_of

WISH_LIMIT = 64 << 10
"""Bytes of a deferral."""

router = APIRouter(prefix="/api/v1")
deciding = APIRouter(prefix="/api/v1")
"""What a token decides on, whoever may read."""

Holder = Annotated[TokenRow, Depends(holder_of("decide"))]
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]


class DeferralsQuestion(TableQuestion):
    """Which deferrals."""

    all: Annotated[bool, Field(description="Also those that ended more than a month ago.")] = False
    advisory: Annotated[Text | None, Field(description="Of this fault, by any name.")] = None


class StatementsQuestion(ListQuestion):
    """Which statements."""

    advisory: Annotated[Text | None, Field(description="Of this fault, by any name.")] = None


class DeferralBody(BaseModel):
    """A fault to put off."""

    model_config = ConfigDict(extra="forbid")

    advisory: Annotated[str, Field(max_length=100, examples=["CVE-2026-1234"])]
    until: Annotated[Moment, Field(description="From then on it counts again.")]
    why: Annotated[str, Field(min_length=1, max_length=2000)]
    package: Annotated[
        str | None, Field(max_length=200, description="Binary or source package; left out: any.")
    ] = None
    image: Annotated[
        str | None, Field(max_length=500, description="Glob on images' names; left out: any.")
    ] = None
    by: Annotated[
        str | None, Field(max_length=100, description="Who decided it, beside the token's name.")
    ] = None


@answers_many(router, "/deferrals", DeferralItem)
def list_deferrals(request: Request, ask: Annotated[DeferralsQuestion, Query()]) -> Response:
    """Deferrals in force by when they end, then those that ended within a month, or all."""

    def ask_deferrals(c: Connection, now: datetime) -> tuple[DeferralItem, ...]:
        numbers = deferrals.find_numbers(c, ask.advisory)
        return deferrals.list_deferrals(c, now=now, advisories=numbers, all_states=ask.all)

    return send_whole(request, DeferralItem, ask, ask_deferrals)


@answers_many(router, "/vex/documents", VexDocumentItem)
def list_documents(request: Request, ask: Annotated[TableQuestion, Query()]) -> Response:
    """VEX documents by name, those that were uploaded first; the withdrawn ones too."""

    def ask_documents(c: Connection, _now: datetime) -> tuple[VexDocumentItem, ...]:
        return vex_documents.list_documents(c)

    return send_whole(request, VexDocumentItem, ask, ask_documents)


@answers_many(router, "/vex", VexItem)
def list_statements(request: Request, ask: Annotated[StatementsQuestion, Query()]) -> Response:
    """What VEX documents say, by fault: those that suppress nothing, too."""

    def ask_statements(c: Connection, ask: StatementsQuestion, _now: datetime) -> Page[Any]:
        numbers = deferrals.find_numbers(c, ask.advisory)
        return vex.list_statements(
            c, advisories=numbers, limit=ask.limit or USUAL_PAGE, after=ask.after
        )

    return send_list(request, VexItem, ask, ask_statements)


def _documented(
    kind: type[Struct], new: str, known: str, body: dict[str, Any] | None
) -> dict[str, Any]:
    content = {JSON: {"schema": {"$ref": f"#/components/schemas/{kind.__name__}"}}}
    extra: dict[str, Any] = {"security": [{"token": []}]}
    if body is not None:
        extra["requestBody"] = {"required": True, "content": {JSON: {"schema": body}}}
    return {
        "response_class": Response,
        "status_code": HTTPStatus.CREATED if body is not None else HTTPStatus.OK,
        "responses": {
            **({201: {"description": new, "content": content}} if body is not None else {}),
            200: {"description": known, "content": content},
            **PROBLEMS,
        },
        "openapi_extra": extra,
    }


_WISH_SCHEMA = DeferralBody.model_json_schema()


@deciding.post(
    "/deferrals",
    **_documented(
        DeferralItem, "A deferral that is new.", "The very same is in force already.", _WISH_SCHEMA
    ),
)
def put_off_fault(
    request: Request, holder: Holder, body: Annotated[bytes, Depends(packed(WISH_LIMIT))]
) -> Response:
    """Put a fault off until a moment: its findings do not count till then, and stay listed."""
    wish, by = _read_wish(unpack(request, body, WISH_LIMIT))
    service = service_of(request)
    now = service.clock()
    with service.write() as (c, _):
        confirm(c, holder, "decide", now=now)
        _check_glob(holder.token, wish.image)
        made = put_off(
            c,
            wish,
            by=f"{by} ({holder.token.name})" if by else holder.token.name,
            most_days=service.settings.deferrals.max_days,
            now=now,
        )
    return _answer(made.deferral, created=made.created)


@deciding.delete(
    "/deferrals/{number}", **_documented(DeferralItem, "", "The deferral as it is now.", None)
)
def withdraw_deferral(request: Request, holder: Holder, number: Number) -> Response:
    """Take a deferral back: its findings count again from now on. It stays listed."""
    service = service_of(request)
    now = service.clock()
    with service.write() as (c, _):
        confirm(c, holder, "decide", now=now)
        _check_glob(holder.token, deferrals.get_deferral(c, number, now=now).image)
        item, _ = deferrals.withdraw_deferral(c, number, by=holder.token.name, now=now)
    return _answer(item, created=False)


@deciding.post(
    "/vex",
    **_documented(
        VexReceipt,
        "A document that is new here, or says something else than before.",
        "The very same document was told before.",
        {"type": "object"},
    ),
)
def upload_vex(
    request: Request, holder: Holder, body: Annotated[bytes, Depends(packed(LIMIT))]
) -> Response:
    """Tell a VEX document: OpenVEX, CSAF or CycloneDX, as JSON.

    It replaces the one of the same name that the same token told before. No signature is verified.
    """
    _check_any(holder)
    service = service_of(request)
    body = unpack(request, body, LIMIT)
    with service.large:
        document = parse_vex(body, "the document")
    name = "" if document.name == "the document" else document.name
    part, digest = f"{holder.token.name}: {name or document.author}", vex.digest_of(body)
    now = service.clock()
    with service.write() as (c, _):
        confirm(c, holder, "decide", now=now)
        is_new = vex.list_documents(c, "upload").get(part) != digest
        is_new = is_new or vex_documents.is_withdrawn(c, part)
        if is_new:
            vex.put_document(c, "upload", part, document, digest, now=now)
    receipt = VexReceipt(
        document=part,
        author=document.author,
        format=document.format,
        statements=len(document.statements),
        created=is_new,
    )
    return _answer(receipt, created=is_new)


@deciding.delete(
    "/vex/documents/{number}",
    **_documented(VexDocumentItem, "", "The document as it is now.", None),
)
def withdraw_vex(request: Request, holder: Holder, number: Number) -> Response:
    """Take an uploaded document back: it suppresses nothing from now on. It stays listed."""
    _check_any(holder)
    service = service_of(request)
    now = service.clock()
    with service.write() as (c, _):
        confirm(c, holder, "decide", now=now)
        item, _ = vex_documents.withdraw_document(c, str(number), by=holder.token.name, now=now)
    return _answer(item, created=False)


def _check_any(holder: TokenRow) -> None:
    if holder.token.repositories:
        raise Forbidden(
            f"the token {holder.token.name} is for some repositories alone, and VEX is about any",
            hint="create a token without --repositories",
        )


def _read_wish(body: bytes) -> tuple[DeferralWish, str | None]:
    try:
        told = DeferralBody.model_validate_json(body)
    except ValidationError as error:
        faults = [(pointer(fault["loc"]), fault["msg"]) for fault in error.errors()]
        raise InvalidBody(faults) from None
    wish = DeferralWish(
        advisory=told.advisory,
        until=told.until,
        why=told.why.strip(),
        package=told.package or None,
        image=told.image or None,
    )
    return wish, told.by


def _check_glob(token: Token, image: str | None) -> None:
    if not token.covers_glob(image):
        raise Forbidden(
            f"the token {token.name} may not decide of {image or 'all images'}: it is for "
            + ", ".join(token.repositories),
            hint="name images that it covers, or create a token whose --repositories do",
        )


def _answer(value: DeferralItem | VexReceipt | VexDocumentItem, *, created: bool) -> Response:
    status = HTTPStatus.CREATED if created else HTTPStatus.OK
    return Response(encode(value), status, {"Cache-Control": "no-store"}, JSON)
