"""How answers leave over HTTP: JSON and CSV, entity tags, problems, headers.

Knows no question and no page.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import Request, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from imagecatalog.errors import CatalogError, InvalidBody
from imagecatalog.formats.csv_rows import write_rows

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
JSON = "application/json"
CSV = "text/csv; charset=utf-8"
PROBLEM = "application/problem+json"


class Fault(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One fault of a request: of a query parameter, or of the body at a JSON pointer."""

    detail: str
    parameter: str | None = None
    pointer: str | None = None


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An error (RFC 9457); ``code`` is stable, ``hint`` says what to do."""

    title: str
    status: int
    detail: str
    code: str
    hint: str | None = None
    errors: tuple[Fault, ...] = ()


# msgspec refuses subclasses of str, such as a digest.
_encoder = msgspec.json.Encoder(enc_hook=str)


def encode(value: object) -> bytes:
    """JSON of a struct, or of anything made of them."""
    return _encoder.encode(value)


def respond(
    request: Request, body: bytes, media_type: str, headers: Mapping[str, str] | None = None
) -> Response:
    """The body with its strong entity tag, or 304 when the asker has it (RFC 9110, 13.1.2)."""
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    every = {"ETag": tag, "Cache-Control": "no-cache", **(headers or {})}
    if _has(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=304, headers=every)
    return Response(body, media_type=media_type, headers=every)


def _has(if_none_match: str, tag: str) -> bool:
    known = [part.strip().removeprefix("W/") for part in if_none_match.split(",")]
    return tag in known or known == ["*"]


def next_link(request: Request, cursor: str | None) -> dict[str, str]:
    """A ``Link`` header to the next page (RFC 8288), where there is one."""
    if cursor is None:
        return {}
    url = request.url.include_query_params(after=cursor)
    return {"Link": f'<{url.path}?{url.query}>; rel="next"'}


def write_csv(fields: Sequence[str], items: Iterable[msgspec.Struct]) -> str:
    """One line an item (RFC 4180), in the order of ``fields``; a list in a cell is JSON."""
    out = io.StringIO()
    write_rows(fields, items, out)
    return out.getvalue()


def stream_csv(fields: Sequence[str], pages: Iterable[Iterable[msgspec.Struct]]) -> Iterator[str]:
    """The heading, then each page's lines."""
    yield ",".join(fields) + "\r\n"
    for items in pages:
        yield write_csv(fields, items)


def make_problem(
    status: int,
    detail: str,
    *,
    code: str | None = None,
    hint: str | None = None,
    errors: tuple[Fault, ...] = (),
) -> Problem:
    """A problem whose code is the status's own name unless another is given."""
    phrase = HTTPStatus(status).phrase
    return Problem(
        title=phrase,
        status=status,
        detail=detail,
        code=code or phrase.lower().replace(" ", "-"),
        hint=hint,
        errors=errors,
    )


def describe_error(error: CatalogError) -> Problem:
    """Our error as a problem."""
    faults = error.faults if isinstance(error, InvalidBody) else ()
    return make_problem(
        error.http_status,
        error.message,
        code=error.code,
        hint=error.hint,
        errors=tuple(Fault(detail=what, pointer=where) for where, what in faults),
    )


def describe_faults(faults: Iterable[Mapping[str, Any]]) -> Problem:
    """All faults that pydantic found, each where it is."""
    errors = tuple(_fault(fault["loc"], fault["msg"]) for fault in faults)
    many = "1 fault" if len(errors) == 1 else f"{len(errors)} faults"
    return make_problem(422, f"The request has {many}.", code="invalid-request", errors=errors)


def _fault(where: Sequence[str | int], message: str) -> Fault:
    kind, *path = where
    if kind == "body":
        return Fault(detail=message, pointer=pointer(path))
    return Fault(detail=message, parameter=".".join(map(str, path)))


def pointer(path: Iterable[str | int]) -> str:
    """The JSON pointer (RFC 6901) of pydantic's path; of a key it is that of its value."""
    parts = (str(part).replace("~", "~0").replace("/", "~1") for part in path if part != "[key]")
    return "".join(f"/{part}" for part in parts)


def problem_response(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """The problem as RFC 9457 has it."""
    every = {"Cache-Control": "no-store", **(headers or {})}
    return Response(encode(problem), problem.status, every, PROBLEM)


def wants_page(request: Request) -> bool:
    """Whether a person's browser asks for a page, so that an error should be one too."""
    return (
        request.method == "GET"
        and not request.url.path.startswith("/api/")
        and "text/html" in request.headers.get("accept", "")
    )


class HeadAndHeaders:
    """Adds the security headers to all, and answers HEAD as GET without its body."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, changed so."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        is_head = scope["method"] == "HEAD"

        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                _add_headers(message)
            elif is_head and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        inner = {**scope, "method": "GET"} if is_head else scope
        await self.app(inner, receive, send_with_headers)


def _add_headers(message: Message) -> None:
    present = {name.lower() for name, _ in message["headers"]}
    message["headers"] = [
        *message["headers"],
        *(
            (name.lower().encode(), value.encode())
            for name, value in SECURITY_HEADERS.items()
            if name.lower().encode() not in present
        ),
    ]
