"""What a registry wants to see before it answers: nothing, Basic, or a Bearer token of a realm.

RFC 9110, 11.6.1 (challenges), RFC 6750 (Bearer) and the token specification of the distribution
project, also its OAuth 2 form for identity tokens.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from urllib.parse import urlencode, urlsplit

from msgspec import Struct

from imagecatalog.errors import AccessDenied, SourceUnavailable
from imagecatalog.formats.oci import decode_json
from imagecatalog.sources.credentials import Credential
from imagecatalog.sources.http import Http

LEAST_LIFETIME = 60.0
"""Seconds that a token lasts which says nothing or less (token specification)."""
_PARAMETER = re.compile(
    r'(?P<key>[A-Za-z][A-Za-z0-9_-]*)\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^\s,"]+))'
    r"|(?P<scheme>[A-Za-z][A-Za-z0-9_-]*)"
)


class Challenge(Struct, frozen=True):
    """One way in that a ``WWW-Authenticate`` header offers; ``scheme`` and keys in lower case."""

    scheme: str
    parameters: dict[str, str]


class _Grant(Struct):
    token: str | None = None
    access_token: str | None = None
    expires_in: float | None = None


def parse_challenges(header: str) -> tuple[Challenge, ...]:
    """Every challenge of the header in its order; what is no challenge is passed over."""
    challenges: list[Challenge] = []
    for match in _PARAMETER.finditer(header):
        if scheme := match["scheme"]:
            challenges.append(Challenge(scheme.lower(), {}))
        elif challenges:
            value = match["plain"] or re.sub(r"\\(.)", r"\1", match["quoted"] or "")
            challenges[-1].parameters[match["key"].lower()] = value
    return tuple(challenges)


class Authorization:
    """The ``Authorization`` of each scope of one registry, learnt from its challenges; thread-safe.

    A credential is looked for when first a registry asks for one, and is shown to no other host
    than the registry's and the realm's that it names.
    """

    def __init__(
        self,
        http: Http,
        registry: str,
        find: Callable[[], Credential | None],
        *,
        secure: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http = http
        self._registry = registry
        self._find = find
        self._secure = secure
        self._clock = clock
        self._lock = threading.Lock()
        self._basic: str | None = None
        self._tokens: dict[str, tuple[str, float]] = {}
        self._credential: tuple[Credential | None] | None = None

    def headers(self, scope: str) -> dict[str, str]:
        """What to send with a request of this scope, as far as it is known by now."""
        if self._basic is not None:
            return {"Authorization": self._basic}
        token, until = self._tokens.get(scope, ("", 0.0))
        return {"Authorization": f"Bearer {token}"} if self._clock() < until else {}

    def renew(self, answer: Mapping[str, str], scope: str) -> bool:
        """Take up the challenge of a 401 (its headers); False if it leaves nothing new to try.

        Raises ``AccessDenied`` if the realm refuses the credential, ``SourceUnavailable`` and
        ``BadDocument`` if it does not answer as it should.
        """
        offers = {
            c.scheme: c.parameters for c in parse_challenges(answer.get("WWW-Authenticate", ""))
        }
        with self._lock:
            credential = self._look_up()
            if "bearer" in offers:
                self._tokens[scope] = self._fetch_token(offers["bearer"], scope, credential)
                return True
            if "basic" not in offers or credential is None or self._basic is not None:
                return False
            self._basic = credential.basic()
            return True

    def _look_up(self) -> Credential | None:
        if self._credential is None:
            self._credential = (self._find(),)
        return self._credential[0]

    def _fetch_token(
        self, challenge: Mapping[str, str], scope: str, credential: Credential | None
    ) -> tuple[str, float]:
        realm = challenge.get("realm", "")
        if urlsplit(realm).scheme not in ({"https"} if self._secure else {"http", "https"}):
            raise SourceUnavailable(f"{self._registry} names no usable realm for its tokens")
        wanted = {"service": challenge.get("service", ""), "scope": challenge.get("scope") or scope}
        began = self._clock()
        try:
            body = self._ask(realm, {k: v for k, v in wanted.items() if v}, credential)
        except AccessDenied as error:
            raise AccessDenied(
                f"{self._registry}: its token service refuses: {error.message}",
                hint=login_hint(self._registry),
            ) from error
        grant = decode_json(body, _Grant, f"token of {self._registry}")
        token = grant.token or grant.access_token
        if not token or not token.isascii() or not token.isprintable():
            raise SourceUnavailable(f"{self._registry}: its token service gave no token")
        lifetime = max(LEAST_LIFETIME, grant.expires_in or 0.0)
        return token, began + 0.9 * lifetime

    def _ask(self, realm: str, wanted: dict[str, str], credential: Credential | None) -> bytes:
        if credential is not None and credential.identity_token:
            form = {
                "grant_type": "refresh_token",
                "client_id": "imagecatalog",
                "refresh_token": credential.identity_token,
            }
            return self._http.post(realm, {**form, **wanted}).body
        headers = {} if credential is None else {"Authorization": credential.basic()}
        joint = "&" if urlsplit(realm).query else "?"
        return self._http.get(f"{realm}{joint}{urlencode(wanted)}", headers).body


def login_hint(registry: str) -> str:
    """How a person gives a credential for the registry."""
    return (
        f"Run `docker login {registry}` as the user that this runs as, or give username and"
        " password_file in its [[registry]]."
    )
