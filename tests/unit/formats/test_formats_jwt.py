"""Tokens signed with a shared key: RFC 7515's own example, ours, and forged ones."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagecatalog.errors import BadDocument, SignatureInvalid
from imagecatalog.formats.jwt import read_token, sign_token

# RFC 7515, appendix A.1
RFC_KEY = base64.urlsafe_b64decode(
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow=="
)
RFC_TOKEN = (
    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9"
    ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
)
EXPIRES = datetime.fromtimestamp(1300819380, UTC)
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
KEY = b"a key"


def _part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_the_example_of_the_rfc() -> None:
    assert read_token(RFC_TOKEN, RFC_KEY, now=EXPIRES - timedelta(minutes=1)).iss == "joe"
    assert read_token(RFC_TOKEN, RFC_KEY, now=EXPIRES + timedelta(seconds=15)).iss == "joe"
    with pytest.raises(SignatureInvalid, match="another time"):
        read_token(RFC_TOKEN, RFC_KEY, now=EXPIRES + timedelta(seconds=16))


def test_what_we_sign_is_read_by_whose_clock_differs_a_little() -> None:
    token = sign_token("imagecatalog", KEY, now=NOW)
    for seconds in (-15, 0, 15, 3600):
        claims = read_token(token, KEY, now=NOW + timedelta(seconds=seconds))
        assert claims.iss == "imagecatalog"
    with pytest.raises(SignatureInvalid):
        read_token(token, KEY, now=NOW - timedelta(seconds=16))
    with pytest.raises(SignatureInvalid):
        read_token(token, KEY, now=NOW + timedelta(hours=2))


def test_forged_ones() -> None:
    header, claims, signature = sign_token("clair-notifier", KEY, now=NOW).split(".")
    unsigned = _part({"alg": "none"})
    for token in (
        f"{unsigned}.{claims}.",
        f"{unsigned}.{claims}.{signature}",
        f"{header}.{_part({'iss': 'clair-notifier'})}.{signature}",
        f"{_part({'alg': 'HS512'})}.{claims}.{signature}",
    ):
        with pytest.raises(SignatureInvalid):
            read_token(token, KEY, now=NOW)
    with pytest.raises(SignatureInvalid):
        read_token(f"{header}.{claims}.{signature}", b"another key", now=NOW)


@pytest.mark.parametrize(
    "token", ["", ".", "..", "a.b", "a.b.c", "é.b.c", "x" * 5000, "e30.e30.e30"]
)
def test_what_is_no_token(token: str) -> None:
    with pytest.raises(BadDocument):
        read_token(token, KEY, now=NOW)


@given(st.text(max_size=60), st.integers(0, 200))
def test_nothing_else_is_raised(text: str, cut: int) -> None:
    token = sign_token("x", KEY, now=NOW)
    with pytest.raises(BadDocument):
        read_token(token[:cut] + text + "!", KEY, now=NOW)
