"""JSON Web Tokens signed with a shared key (RFC 7519; HS256 of RFC 7518, 3.2), and no others."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from datetime import datetime

import msgspec
from msgspec import Struct

from imagecatalog.errors import BadDocument, SignatureInvalid

LEEWAY = 15.0
"""Seconds by which the clocks of both sides may differ."""
LIFETIME = 3600.0
"""Seconds for which what we sign is good: a request and its repetitions may take long."""
LIMIT = 4096
_BEFORE = 60
"""Seconds by which our clock may be ahead of the reader's."""


class _Header(Struct):
    alg: str


class Claims(Struct, frozen=True, omit_defaults=True):
    """Who says it (``iss``), and from when until when it counts; seconds since 1970."""

    iss: str = ""
    iat: float | None = None
    nbf: float | None = None
    exp: float | None = None


_HEADER = msgspec.json.Decoder(_Header)
_CLAIMS = msgspec.json.Decoder(Claims)
_WRITER = msgspec.json.Encoder()
_OURS = b'{"alg":"HS256","typ":"JWT"}'


def sign_token(issuer: str, key: bytes, *, now: datetime) -> str:
    """A token of this issuer that is good around now."""
    at = int(now.timestamp())
    claims = Claims(iss=issuer, iat=at, nbf=at - _BEFORE, exp=at + int(LIFETIME))
    signed = f"{_write(_OURS)}.{_write(_WRITER.encode(claims))}"
    return f"{signed}.{_write(_sign(signed, key))}"


def read_token(token: str, key: bytes, *, now: datetime) -> Claims:
    """The claims of a token that this key signed and that counts now, within ``LEEWAY``.

    Raises ``BadDocument`` for what is no such token, ``SignatureInvalid`` for one that another key
    signed, or another algorithm, none included, and for one out of its time.
    """
    signed, _, signature = token.rpartition(".")
    header, dot, body = signed.partition(".")
    if len(token) > LIMIT or not dot:
        raise BadDocument("token", "it is no JSON Web Token")
    try:
        algorithm = _HEADER.decode(_read(header)).alg
        given = _read(signature)
        claims = _CLAIMS.decode(_read(body))
    except (msgspec.DecodeError, binascii.Error, ValueError, RecursionError) as error:
        raise BadDocument("token", "it is no JSON Web Token") from error
    if algorithm != "HS256" or not hmac.compare_digest(given, _sign(signed, key)):
        raise SignatureInvalid("token", "it is not signed with the shared key")
    at = now.timestamp()
    begins = max(claims.nbf or 0.0, claims.iat or 0.0)
    if at + LEEWAY < begins or (claims.exp is not None and claims.exp < at - LEEWAY):
        raise SignatureInvalid("token", "it counted at another time; do the clocks agree?")
    return claims


def _sign(text: str, key: bytes) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def _write(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _read(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
