"""Credential plug-ins of kubeconfigs: programs that print a token or a certificate for a while."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Generator
from typing import Any

import httpx2
from lightkube.config.models import UserExec
from msgspec import Struct

from imagecatalog.errors import AccessDenied

_SECONDS = 60


class Credential(Struct, frozen=True):
    """What a plug-in printed; of certificate and key the PEM."""

    token: str | None
    certificate: bytes | None
    key: bytes | None


class PluginAuth(httpx2.Auth):
    """Shows the token; once it is no longer taken, ``renew`` gives another."""

    def __init__(self, token: str | None, renew: Callable[[], str | None]) -> None:
        self._token = token
        self._renew = renew

    def sync_auth_flow(
        self, request: httpx2.Request
    ) -> Generator[httpx2.Request, httpx2.Response, None]:
        """One request, and a second one where the first was not accepted."""
        if self._token is None:  # a certificate says who we are
            yield request
            return
        request.headers["Authorization"] = f"Bearer {self._token}"
        response = yield request
        if response.status_code == 401:
            self._token = self._renew() or self._token
            request.headers["Authorization"] = f"Bearer {self._token}"
            yield request


def run_plugin(plugin: UserExec, where: str) -> Credential:
    """What a credential plug-in prints (client.authentication.k8s.io); raises ``AccessDenied``."""
    environ = dict(os.environ) | {entry.name: entry.value for entry in plugin.env or ()}
    try:
        done = subprocess.run(
            [plugin.command, *(plugin.args or ())],
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=True,
        )
        found = _read_answer(json.loads(done.stdout))
        if found is not None:
            return found
        why = "printed neither token nor certificate"
    except FileNotFoundError:
        why = "is not installed" + (f": {plugin.installHint}" if plugin.installHint else "")
    except subprocess.TimeoutExpired:
        why = f"did not end within {_SECONDS} s"
    except subprocess.CalledProcessError as problem:
        said = problem.stderr.decode(errors="replace").strip()[-500:]
        why = f"left with {problem.returncode}: {said}"
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        why = "printed no credential"
    raise AccessDenied(
        f"{where}: its credential plug-in {plugin.command} {why}",
        hint=f"run it by hand to see: {plugin.command} {' '.join(plugin.args or ())}".rstrip(),
    )


def _read_answer(answer: Any) -> Credential | None:
    status = answer["status"]
    token = status.get("token")
    certificate, key = status.get("clientCertificateData"), status.get("clientKeyData")
    if token and not (isinstance(token, str) and token.isprintable() and token.isascii()):
        return None
    if bool(certificate) != bool(key) or not (token or certificate):
        return None
    pair = (certificate.encode(), key.encode()) if certificate else (None, None)
    return Credential(token or None, *pair)
