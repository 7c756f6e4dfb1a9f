"""What others push: that Clair's notifier has news.

Nothing is fetched here, and no address that a body brings is ever asked: what was told is kept, and
a job looks at it where the configuration says that Clair is.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from imagecatalog.domain.access import hash_secret
from imagecatalog.errors import BadDocument, NotFound, Unauthorized
from imagecatalog.formats.clair import read_callback
from imagecatalog.formats.jwt import read_token
from imagecatalog.store import access, clair_notices
from imagecatalog.web.api.received import packed, unpack
from imagecatalog.web.http import make_problem, problem_response
from imagecatalog.web.service import Service, service_of

CALLBACK_LIMIT = 64 << 10
"""Bytes of what Clair's notifier posts, packed and unpacked."""
NOTIFIER = "clair-notifier"
"""By which issuer Clair's notifier signs."""
_SECRETS = 4
_SECRET_LIMIT = 4096

router = APIRouter()


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
    with service.read() as c:
        found = access.find_token(c, hash_secret(secret))
    return (
        found is not None
        and found.token.state(service.clock()) == "valid"
        and "record" in found.token.scopes
    )
