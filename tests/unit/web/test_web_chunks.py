"""Bodies in chunks under WSGI: measured, bounded, and left alone where they are not ours to end."""

from __future__ import annotations

import io
from typing import Any

import pytest

from imagecatalog.web import chunks

CHUNKED = {"HTTP_TRANSFER_ENCODING": "Chunked", "wsgi.input_terminated": True}


class Endless(io.RawIOBase):
    """A sender that never stops."""

    sent = 0

    def read(self, size: int = -1) -> bytes:
        assert 0 < size <= 1 << 16
        self.sent += size
        return b"x" * size


def test_a_body_in_chunks_gets_its_length() -> None:
    environ: dict[str, Any] = CHUNKED | {"wsgi.input": io.BytesIO(b"twelve bytes")}
    with chunks.measured(environ):
        assert environ["CONTENT_LENGTH"] == "12"
        assert environ["wsgi.input"].read() == b"twelve bytes"


def test_one_without_end_is_read_a_byte_too_far_and_no_further(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chunks, "LIMIT", 3 << 20)
    sender = Endless()
    environ: dict[str, Any] = CHUNKED | {"wsgi.input": sender}
    with chunks.measured(environ):
        assert int(environ["CONTENT_LENGTH"]) == sender.sent == (3 << 20) + 1


@pytest.mark.parametrize(
    "environ",
    [
        {"CONTENT_LENGTH": "3"},
        {"HTTP_TRANSFER_ENCODING": "chunked"},
        {"HTTP_TRANSFER_ENCODING": "gzip", "wsgi.input_terminated": True},
    ],
)
def test_others_are_left_alone(environ: dict[str, Any]) -> None:
    """Without the server's word that it ends the input, reading on would wait for ever."""
    source = io.BytesIO(b"abc")
    environ["wsgi.input"] = source
    before = dict(environ)
    with chunks.measured(environ):
        assert environ == before
    assert source.tell() == 0
