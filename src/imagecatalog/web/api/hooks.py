"""What others push: that Clair's notifier has news, that a registry was pushed to.

Nothing is fetched here, and no address that a body brings is ever asked: what was told is kept, and
a job looks at it where the configuration says that Clair or the registry is.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from msgspec import Struct

from imagecatalog.catalog.pushes import take_touched
from imagecatalog.domain.access import Token, hash_secret
from imagecatalog.errors import BadDocument, NotFound, Unauthorized
from imagecatalog.formats.clair import read_callback
from imagecatalog.formats.jwt import read_token
from imagecatalog.formats.registry_events import BODY_LIMIT, Ignored, read_notification
from imagecatalog.store import access, clair_notices
from imagecatalog.web.api.received import packed, unpack
from imagecatalog.web.http import JSON, encode, make_problem, problem_response
from imagecatalog.web.service import Service, service_of

CALLBACK_LIMIT = 64 << 10
"""Bytes of what Clair's notifier posts, packed and unpacked."""
NOTIFIER = "clair-notifier"
"""By which issuer Clair's notifier signs."""
IGNORED_LIMIT = 100
"""Events whose reason is told, of those that were ignored."""
_SECRETS = 4
_SECRET_LIMIT = 4096
_TOLD_LIMIT = 1000

router = APIRouter()
_log = logging.getLogger(__name__)


def require_clair(request: Request) -> None:
    """Let pass Clair's notifier: by a token that the shared key signed, or one of ours.

    Raises ``NotFound`` where no Clair is configured, ``Unauthorized``. Without a shared key anybody
    passes: all that can be done is to have the job ask the configured Clair for a notification.
    """
    service = service_of(request)
    clair = service.settings.clair
    if clair is None:
        raise NotFound("no Clair is configured here", hint="write [clair] into the configuration")
    key = clair.read_key()
    if key is None:
        return
    secrets = _list_secrets(request)
    if any(_is_signed(secret, key, service) for secret in secrets):
        return
    if not any(_is_token(secret, service) for secret in secrets):
        raise Unauthorized(
            "this wants a token that Clair's notifier signed",
            hint="give both the same key ([clair] psk, Clair's auth.psk), or have Clair's webhook"
            " send one of our tokens that has the scope record, as Authorization: Bearer",
        )


@router.post("/hooks/clair", include_in_schema=False)
def take_clair_notice(
    request: Request,
    _notifier: Annotated[None, Depends(require_clair)],
    packed: Annotated[bytes, Depends(packed(CALLBACK_LIMIT))],
) -> Response:
    """Keep that Clair has a notification; 200, and nothing else, once that is on the disk."""
    name = read_callback(unpack(request, packed, CALLBACK_LIMIT))
    service = service_of(request)
    with service.write() as (c, _):
        is_kept = clair_notices.put_notice(c, name, now=service.clock())
    if not is_kept:
        return problem_response(
            make_problem(
                503, "Too many notifications wait to be fetched.", hint="is refresh clair run?"
            )
        )
    return Response(status_code=200, headers={"Cache-Control": "no-store"})


class Taken(Struct, frozen=True):
    """The answer to a registry's notification."""

    accepted: int
    """Events whose image is looked at."""
    ignored: tuple[Ignored, ...]
    """The others, at most a hundred, each with its reason."""


May = Callable[[str], bool]
"""Whether who tells something may speak of a repository."""


def require_registry(request: Request) -> May:
    """Let pass who shows the registries' secret, or one of our tokens that may record.

    Raises ``NotFound`` where no secret is configured, ``Unauthorized``.
    """
    service = service_of(request)
    expected = service.settings.hooks.read_registry_secret()
    if expected is None:
        raise NotFound(
            "no secret is configured that registries could show",
            hint='write [hooks] registry_secret = "file:///…" into the configuration',
        )
    shown = _list_shown(request)
    if any(hmac.compare_digest(one.encode(), expected.encode()) for one in shown):
        return lambda _: True
    for one in shown:
        token = _find_token(one, service)
        if token is not None:
            return token.covers
    raise Unauthorized(
        "this wants the secret that registries show",
        hint="have the registry send that of [hooks] registry_secret, or one of our tokens that has"
        " the scope record, as Authorization: Bearer",
    )


@router.post("/hooks/registry", include_in_schema=False)
def take_registry_events(
    request: Request,
    may: Annotated[Any, Depends(require_registry)],
    packed: Annotated[bytes, Depends(packed(BODY_LIMIT))],
) -> Response:
    """Keep what a registry told of as requests; 202 once they are on the disk."""
    told = read_notification(unpack(request, packed, BODY_LIMIT))
    service = service_of(request)
    count, ignored = 0, list(told.ignored)
    if told.touched:
        with service.write() as (c, _):
            taken = take_touched(
                c, service.settings.registries, told.touched, may=may, now=service.clock()
            )
        if taken is None:
            return problem_response(
                make_problem(
                    503,
                    "Too many pushed images wait to be looked at.",
                    hint="does a server with jobs, or a timer of imagecatalog sync, run?",
                )
            )
        count = taken[0]
        ignored += taken[1]
        _tell_once(service, taken[1])
        if count:
            service.wake()
    body = encode(Taken(count, tuple(ignored[:IGNORED_LIMIT])))
    return Response(body, 202, {"Cache-Control": "no-store"}, media_type=JSON)


def _tell_once(service: Service, ignored: Iterable[Ignored]) -> None:
    """Log why events are ignored that somebody's configuration lets us have."""
    for reason in {one.reason for one in ignored} - service.told:
        if len(service.told) < _TOLD_LIMIT:
            service.told.add(reason)
            _log.warning("push notifications are ignored: %s", reason)


def _list_shown(request: Request) -> list[str]:
    """Every secret that may be meant: after a scheme's name, as a password, or alone."""
    found = _list_secrets(request)
    for value in request.headers.getlist("authorization")[:_SECRETS]:
        scheme, _, rest = value.strip()[:_SECRET_LIMIT].partition(" ")
        if not rest:
            found.append(scheme)
        elif scheme.lower() == "basic":
            with suppress(binascii.Error, ValueError):
                text = base64.b64decode(rest.strip(), validate=True).decode()
                found.append(text.partition(":")[2])
    return found


def _list_secrets(request: Request) -> list[str]:
    """All bearer tokens: Clair adds its own to one that its configuration may have; WSGI joins them."""
    values = ",".join(request.headers.getlist("authorization")).split(",")
    found = []
    for value in values[:_SECRETS]:
        scheme, _, secret = value.strip().partition(" ")
        if scheme.lower() == "bearer" and 0 < len(secret) <= _SECRET_LIMIT:
            found.append(secret.strip())
    return found


def _is_signed(secret: str, key: bytes, service: Service) -> bool:
    try:
        return read_token(secret, key, now=service.clock()).iss == NOTIFIER
    except BadDocument:
        return False


def _is_token(secret: str, service: Service) -> bool:
    return _find_token(secret, service) is not None


def _find_token(secret: str, service: Service) -> Token | None:
    """The token of ours that this is, if it may record."""
    with service.read() as c:
        found = access.find_token(c, hash_secret(secret))
    if found is None or found.token.state(service.clock()) != "valid":
        return None
    return found.token if "record" in found.token.scopes else None
