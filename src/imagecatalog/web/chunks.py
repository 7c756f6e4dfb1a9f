"""Bodies that come in chunks, without a length, for WSGI: the bridge to ASGI reads by length alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import SpooledTemporaryFile
from typing import Any

LIMIT = 64 << 20
"""Bytes; more than any route reads, so that it is the route that refuses."""
_IN_MEMORY = 1 << 20
_CHUNK = 1 << 16


@contextmanager
def measured(environ: dict[str, Any]) -> Iterator[None]:
    """Have a request's length be known for the time of the block.

    Where the server ends the input itself (``wsgi.input_terminated``) and no length is told, the
    body is kept first, at most one byte more than ``LIMIT``.
    """
    is_chunked = environ.get("HTTP_TRANSFER_ENCODING", "").strip().lower() == "chunked"
    if not is_chunked or not environ.get("wsgi.input_terminated"):
        yield
        return
    size = 0
    with SpooledTemporaryFile(_IN_MEMORY) as kept:
        while size <= LIMIT and (
            chunk := environ["wsgi.input"].read(min(_CHUNK, LIMIT + 1 - size))
        ):
            size += kept.write(chunk)
        kept.seek(0)
        environ["wsgi.input"], environ["CONTENT_LENGTH"] = kept, str(size)
        yield
