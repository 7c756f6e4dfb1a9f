"""Who may: the token of a request, and what it is good for (RFC 6750, RFC 7617).

Secrets are compared by their hashes in an index, and appear in no message.
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime

from fastapi import Request
from fastapi.concurrency import run_in_threadpool

from imagecatalog.config import TOKEN_VARIABLE
from imagecatalog.domain.access import Scope, Token, hash_secret, repository_of
from imagecatalog.domain.refs import Digest
from imagecatalog.errors import (
    BadName,
    CatalogError,
    DatabaseError,
    Forbidden,
    TokenExpired,
    TokenRevoked,
    TokenUnknown,
    Unauthorized,
)
from imagecatalog.store import access
from imagecatalog.store.access import TokenRow
from imagecatalog.store.engine import Connection
from imagecatalog.web.service import Service, service_of

_HEADER_LIMIT = 1000
_TRUSTED_SECONDS = 60.0
_HOLDERS_KEPT = 1000


def holder_of(
    scope: Scope, *, may_be_basic: bool = False
) -> Callable[[Request], Awaitable[TokenRow]]:
    """A dependency of who writes: the token of the request, which has the scope.

    It raises ``Unauthorized`` and its children, or ``Forbidden``. A token met within the last
    minute passes without a question to the database, so that its body is read: ``confirm`` it
    before anything is written.
    """

    async def find(request: Request) -> TokenRow:
        """The token of this request."""
        service = service_of(request)
        key = hash_secret(_read_secret(request, may_be_basic=may_be_basic))
        met, row = service.holders.get(key, (0.0, None))
        if row is None or time.monotonic() - met > _TRUSTED_SECONDS:
            row = await run_in_threadpool(_find, service, key)
            if len(service.holders) >= _HOLDERS_KEPT:
                service.holders.clear()
            service.holders[key] = time.monotonic(), row
        _check(row.token, scope, service.clock())
        return row

    return find


def confirm(c: Connection, holder: TokenRow, scope: Scope, *, now: datetime) -> None:
    """Raise what ``holder_of`` does if that is true by now, and note that the token is used."""
    row = access.get_token(c, holder.id)
    _check(row.token, scope, now)
    access.note_use(c, row, now=now)


def _find(service: Service, key: bytes) -> TokenRow:
    with service.read() as c:
        found = access.find_token(c, key)
    if found is None:
        raise TokenUnknown(
            "there is no such token", hint="was it copied whole, and is it of this server?"
        )
    return found


def _check(token: Token, scope: Scope, now: datetime) -> None:
    match token.state(now):
        case "revoked":
            raise TokenRevoked(f"the token {token.name} was revoked")
        case "expired":
            raise TokenExpired(
                f"the token {token.name} expired on {token.expires:%Y-%m-%d %H:%M} UTC",
                hint="create another: imagecatalog token create",
            )
    if scope != "read" and scope not in token.scopes:
        raise Forbidden(
            f"the token {token.name} has not the scope {scope}; it has {', '.join(token.scopes)}",
            hint=f"create one that has: imagecatalog token create --scope {scope}",
        )


def require_reader(request: Request) -> None:
    """Let pass who has any token; raises ``Unauthorized`` and its children."""
    service = service_of(request)
    now = service.clock()
    found = _find(service, hash_secret(_read_secret(request, may_be_basic=True)))
    _check(found.token, "read", now)
    if not access.is_use_noted(found, now):
        # A question is answered also where nothing can be written.
        with suppress(DatabaseError), service.write() as (c, _):
            access.note_use(c, found, now=now)


def check_coverage(c: Connection, token: Token, image: str | None, digest: Digest | None) -> None:
    """Raise ``Forbidden`` unless the token may speak of this name and of this digest.

    What the catalog met in repositories is theirs; else whose name it bears or runs under; else it
    is of whom names it first.
    """
    if not token.repositories:
        return
    if image is not None and not token.covers(repository_of(image)):
        raise _not_covered(token, repository_of(image))
    owners = [] if digest is None else access.list_homes(c, digest)
    if digest is not None and not owners:
        owners = [_home_of(name) for name in access.list_given_names(c, digest)]
    if owners and not any(token.covers(owner) for owner in owners):
        raise _not_covered(token, f"{digest}, which is of {owners[0]}")
    if not owners and image is None:
        raise _not_covered(token, f"{digest}, of which no repository is known")


def _home_of(name: str) -> str:
    """The repository of a name that was told; a runtime may tell one that is none."""
    try:
        return repository_of(name)
    except BadName:
        return name


def _not_covered(token: Token, what: str) -> Forbidden:
    return Forbidden(
        f"the token {token.name} may not speak of {what}: it is for "
        + ", ".join(token.repositories),
        hint="name the image, or create a token with --repositories that cover it",
    )


def challenge(error: CatalogError) -> dict[str, str]:
    """The headers that go with an error: what would be let in."""
    if not isinstance(error, Unauthorized):
        return {}
    detail = "" if type(error) is Unauthorized else ', error="invalid_token"'
    return {
        "WWW-Authenticate": f'Bearer realm="imagecatalog"{detail}, '
        'Basic realm="imagecatalog", charset="UTF-8"'
    }


def _read_secret(request: Request, *, may_be_basic: bool) -> str:
    """The secret that is shown.

    Browsers repeat Basic by themselves, so by it is only written what no page can have them send.
    """
    scheme, _, rest = request.headers.get("authorization", "")[:_HEADER_LIMIT].partition(" ")
    secret = ""
    if scheme.lower() == "bearer":
        secret = rest.strip()
    elif scheme.lower() == "basic" and may_be_basic:
        with suppress(binascii.Error, ValueError):
            secret = base64.b64decode(rest.strip(), validate=True).decode().partition(":")[2]
    if not secret:
        way = ", or as the password of a log-in with any name" if may_be_basic else ""
        raise Unauthorized(
            "this wants a token",
            hint=f"send it as Authorization: Bearer{way}; the command line takes it from "
            f"{TOKEN_VARIABLE}. Who runs the catalog makes one by: imagecatalog token create",
        )
    return secret
