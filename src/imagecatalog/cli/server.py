"""A server of ours as the command line meets it: its address, our token, its refusals."""

from __future__ import annotations

import gzip
import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_address
from urllib.parse import urlencode, urlsplit

import msgspec
from msgspec import Struct

from imagecatalog.config import TOKEN_VARIABLE
from imagecatalog.errors import (
    BaseNotHeld,
    BodyTooLarge,
    CatalogError,
    ConfigError,
    Forbidden,
    InvalidBody,
    NotFound,
    ScanRefused,
    SourceUnavailable,
    Unauthorized,
    UsageError,
    hide_secrets,
)
from imagecatalog.sources.http import Answer, Http, Patience

_MAX_ANSWER = 256 << 20
_REFUSALS = (400, 401, 403, 404, 405, 409, 413, 415, 422)
_READ_OURS = (*_REFUSALS, 500, 503)
"""Statuses whose bodies tell what is wrong (RFC 9457)."""
_PATIENCE = Patience(read=120)
_PERSISTENCE = Patience(read=300, attempts=6)
"""For what may be sent again, and would be lost."""
ONCE = Patience(read=300, attempts=1)
"""For who tries again himself."""
_WORTH_PACKING = 64 << 10
_LOG = logging.getLogger(__name__)
_BY_STATUS: dict[int, type[CatalogError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    413: BodyTooLarge,
}
_BY_CODE: dict[str, type[CatalogError]] = {kind.code: kind for kind in (BaseNotHeld, ScanRefused)}


class _Fault(Struct):
    detail: str = ""
    pointer: str | None = None
    parameter: str | None = None


class _Problem(Struct):
    detail: str
    code: str
    hint: str | None = None
    errors: list[_Fault] = []


_PROBLEM = msgspec.json.Decoder(_Problem)


class Server:
    """A server, asked and told with the token of the environment."""

    def __init__(self, address: str, http: Http, token: str | None) -> None:
        self._base = address.rstrip("/")
        self.name = hide_secrets(self._base)
        self._http = http
        self._headers = {"Accept": "application/json, application/problem+json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    @classmethod
    @contextmanager
    def connect(
        cls,
        address: str,
        *,
        writes: bool = False,
        token: str | None = None,
        patience: Patience | None = None,
    ) -> Iterator[Server]:
        """A client of the server at this address; raises UsageError for what is none.

        Without a ``token`` that of the environment is shown.
        """
        host = check_address(address)
        token = token or read_token(os.environ)
        if token and urlsplit(address).scheme == "http" and not _is_loopback(host):
            _LOG.warning("the token goes to %s unencrypted: give --server https://…", host)
        http = Http(patience=patience or (_PERSISTENCE if writes else _PATIENCE))
        try:
            yield cls(address, http, token)
        finally:
            http.close()

    def get(self, path: str, query: Mapping[str, str | None]) -> Answer:
        """What it answers well; raises what it refuses as the error that it is."""
        given = urlencode({key: value for key, value in query.items() if value is not None})
        url = self._base + path + (f"?{given}" if given else "")
        answer = self._http.get(url, self._headers, _MAX_ANSWER, allow=_READ_OURS)
        if answer.status >= 400:
            raise self._refusal(answer)
        return answer

    def post(self, path: str, body: bytes, query: Mapping[str, str | None]) -> Answer:
        """The same for JSON that may be sent again, which is done while the fault may pass."""
        given = urlencode({key: value for key, value in query.items() if value is not None})
        url = self._base + path + (f"?{given}" if given else "")
        headers = {**self._headers, "Content-Type": "application/json"}
        if len(body) > _WORTH_PACKING:
            body = gzip.compress(body, 6, mtime=0)
            headers["Content-Encoding"] = "gzip"
        answer = self._http.send(url, body, headers, allow=_REFUSALS)
        if urlsplit(answer.url)[:2] != urlsplit(url)[:2]:
            raise UsageError(
                f"--server: {self.name} leads elsewhere, to {hide_secrets(answer.url)}",
                hint="give that address: what is told is not sent on",
            )
        if answer.status >= 400:
            raise self._refusal(answer)
        return answer

    def delete(self, path: str) -> Answer:
        """The same, having what lies at a path taken back."""
        answer = self._http.delete(self._base + path, self._headers, allow=_REFUSALS)
        if answer.status >= 400:
            raise self._refusal(answer)
        return answer

    def _refusal(self, answer: Answer) -> CatalogError:
        path = urlsplit(answer.url).path
        try:
            problem = _PROBLEM.decode(answer.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return SourceUnavailable(
                f"{self.name} answered {answer.status} to {path}",
                hint="is that the address of an imagecatalog server?",
            )
        if any(fault.pointer is not None for fault in problem.errors):
            return InvalidBody([(fault.pointer or "", fault.detail) for fault in problem.errors])
        said = f"{problem.detail} {'; '.join(fault.detail for fault in problem.errors)}".strip()
        if answer.status >= 500:
            return SourceUnavailable(f"{self.name}: {said}", hint=problem.hint)
        kind = _BY_CODE.get(problem.code) or _BY_STATUS.get(answer.status, UsageError)
        return kind(said, hint=problem.hint)


def read_token(environ: Mapping[str, str], *, where: str = TOKEN_VARIABLE) -> str | None:
    """The token of the environment; raises ``ConfigError``, which does not show it."""
    token = environ.get(TOKEN_VARIABLE, "").strip()
    if token and not re.fullmatch(r"[!-~]{1,500}", token):
        raise ConfigError(f"{where} holds what is no token", hint="copy it anew")
    return token or None


def check_address(address: str) -> str:
    """The host of a server's address; raises UsageError for what is none."""
    try:
        url = urlsplit(address)
        host = url.hostname if url.scheme in ("http", "https") else None
    except ValueError:
        host = None
    if not host:
        raise UsageError(
            f"--server: {address!r} is not the address of a server",
            hint="write http://127.0.0.1:3691 or https://catalog.example.org",
        )
    return host


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
