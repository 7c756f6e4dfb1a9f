"""Bodies as they are received: of which type, how long, and without their encoding."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable

from fastapi import Request
from starlette.requests import ClientDisconnect

from imagecatalog.errors import BodyTooLarge, InvalidBody, UnsupportedMediaType, UsageError
from imagecatalog.web.http import JSON


def packed(limit: int) -> Callable[[Request], Awaitable[bytes]]:
    """A dependency: the body as it came, no longer than the limit."""

    async def read(request: Request) -> bytes:
        """The body, unpacked."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != JSON and not (kind.startswith("application/") and kind.endswith("+json")):
            raise UnsupportedMediaType(
                f"the body is {kind or 'of no type'}, and only JSON is read here",
                hint="send Content-Type: application/json",
            )
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared[:18]) > limit:
            raise _too_large(limit)
        parts, size = [], 0
        try:
            async for chunk in request.stream():
                size += len(chunk)
                if size > limit:
                    raise _too_large(limit)
                parts.append(chunk)
        except ClientDisconnect:
            raise UsageError("the body broke off") from None
        return b"".join(parts)

    return read


def unpack(request: Request, body: bytes, limit: int) -> bytes:
    """The body without its content encoding (RFC 9110, 8.4)."""
    encoding = request.headers.get("content-encoding", "").strip().lower()
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "x-gzip"):
        raise UnsupportedMediaType(
            f"the content encoding {encoding[:40]!r} is not read here", hint="send gzip, or none"
        )
    inflater = zlib.decompressobj(wbits=31)
    try:
        unpacked = inflater.decompress(body, limit + 1)
    except zlib.error as error:
        raise InvalidBody([("", f"is not gzip, as its Content-Encoding says: {error}")]) from None
    if len(unpacked) > limit:
        raise _too_large(limit)
    if not inflater.eof or inflater.unused_data:
        said = "ends amid its gzip" if not inflater.eof else "goes on after its gzip"
        raise InvalidBody([("", said)])
    return unpacked


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"the body is larger than the {limit} bytes that are read here")
