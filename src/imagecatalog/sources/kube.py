"""What runs in a cluster: its API server's paged list of pods, with the rights to list pods alone.

The kubeconfig is read by lightkube, which also knows tokens and token files. Exec plug-ins we run
ourselves, for a time limit and their ``v1`` form; certificates too, to leave no key behind on disk. The list
is read in pages of 500 (Kubernetes API concepts, "Retrieving large results sets in chunks") without
``resourceVersion``, for with ``resourceVersion=0`` a server ignores the limit. No more than a page
and the identifiers of the pods already seen are held.
"""

from __future__ import annotations

import base64
import json
import os
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import msgspec
import yaml  # type: ignore[import-untyped]
from lightkube.config.client_adapter import BearerAuth, user_auth
from lightkube.config.kubeconfig import KubeConfig, SingleConfig
from lightkube.config.models import Cluster, Context, User, UserExec
from lightkube.core.exceptions import ConfigError as LightkubeError
from msgspec import Struct, ValidationError

from imagecatalog import __version__
from imagecatalog.config import IN_CLUSTER, ClusterSetting
from imagecatalog.domain.runs import RunningContainer
from imagecatalog.errors import (
    AccessDenied,
    Missing,
    RateLimited,
    SourceUnavailable,
    TooLarge,
    TooSlow,
)
from imagecatalog.formats.pods import PodPage, decode_page, read_dump

__all__ = ["KubeLimits", "list_running", "read_dump"]

PAGE = 500
# lightkube reads a kubeconfig into these, and clusters are scanned side by side: msgspec 0.22 crashes
# where two threads are the first to use a type.
_READY = tuple(msgspec.json.Decoder(kind) for kind in (Context, Cluster, User))
_TRANSIENT = (429, 500, 502, 503, 504)
_EXEC_SECONDS = 60
_GUIDE = "docs/howto/add-a-cluster.md shows how to make one"
_RIGHTS = "bind a ClusterRole with the verbs get and list on pods and namespaces to that user"


class KubeLimits(Struct, frozen=True, kw_only=True):
    """How much and how long we listen to one cluster."""

    page_bytes: int = 128 << 20
    """Of one page, unpacked."""
    pages: int = 20_000
    seconds: float = 900.0
    """For the whole list."""
    silence: float = 30.0
    """Seconds without a byte."""
    attempts: int = 4
    """For one page; waits of 0.5, 1, 2 s lie between them, or what the server asks for."""
    restarts: int = 3
    """Of the whole list when its ``continue`` token has expired (410)."""


_LIMITS = KubeLimits()


def list_running(
    cluster: ClusterSetting,
    *,
    limits: KubeLimits = _LIMITS,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[RunningContainer]:
    """Every container of every pod that runs or waits to, each pod once.

    Raises ``SourceUnavailable`` or ``BadDocument``, perhaps after containers were yielded: those
    are then not the whole and must not be taken for it.
    """
    with _connect(cluster, limits) as client:
        listing = _Listing(cluster, client, limits, sleep)
        seen: set[str] = set()
        for page in listing.pages():
            for pod in page.items or ():
                identity = pod.metadata.uid or f"{pod.metadata.namespace}/{pod.metadata.name}"
                if identity not in seen:
                    seen.add(identity)
                    yield from pod.containers()


class _Expired(Exception):
    """The ``continue`` token is too old."""


class _Transient(Exception):
    """A fault that may have passed a moment later."""

    def __init__(self, fault: SourceUnavailable) -> None:
        super().__init__(fault.message)
        self.fault = fault


class _Listing:
    """One listing of a cluster's pods, within its limits."""

    def __init__(
        self,
        cluster: ClusterSetting,
        client: httpx2.Client,
        limits: KubeLimits,
        sleep: Callable[[float], None],
    ) -> None:
        self._cluster = cluster
        self._where = f"cluster {cluster.name}"
        self._client = client
        self._limits = limits
        self._sleep = sleep
        self._deadline = time.monotonic() + limits.seconds

    def pages(self) -> Iterator[PodPage]:
        """The pages in order; from the first again when the server forgot where we were."""
        token, restarts = "", 0
        for _ in range(self._limits.pages):
            try:
                page = self._page(token)
            except _Expired:
                restarts += 1
                if restarts > self._limits.restarts:
                    raise SourceUnavailable(
                        f"{self._where}: the list of pods expired {restarts} times before its end",
                        hint="the API server forgets lists faster than it answers; try again later",
                    ) from None
                token = ""
                continue
            yield page
            following = page.metadata.next or ""
            if not following:
                return
            if following == token:
                raise SourceUnavailable(f"{self._where}: the API server repeats a page for ever")
            token = following
        raise SourceUnavailable(f"{self._where}: more than {self._limits.pages} pages of pods")

    def _page(self, token: str) -> PodPage:
        for attempt in range(1, self._limits.attempts):
            try:
                return decode_page(self._fetch(token), self._where)
            except _Transient as again:
                wait = again.fault.retry_after
                wait = 0.5 * 2 ** (attempt - 1) if wait is None else wait
                if time.monotonic() + wait > self._deadline:
                    raise again.fault from None
                self._sleep(wait)
        try:
            return decode_page(self._fetch(token), self._where)
        except _Transient as again:
            raise again.fault from None

    def _fetch(self, token: str) -> bytes:
        params = {"limit": str(PAGE)} | ({"continue": token} if token else {})
        try:
            with self._client.stream("GET", "api/v1/pods", params=params) as response:
                body = self._read(response)
        except (httpx2.HTTPError, OSError) as problem:
            fault = _unreachable(self._cluster, str(self._client.base_url), problem)
            if _certificate_fault(problem):
                raise fault from None
            raise _Transient(fault) from None
        except LightkubeError as problem:
            raise AccessDenied(f"{self._where}: {problem}") from None
        if response.status_code == 410:
            raise _Expired
        if response.status_code != 200:
            fault = _refusal(self._cluster, response, body)
            raise _Transient(fault) if response.status_code in _TRANSIENT else fault
        return body

    def _read(self, response: httpx2.Response) -> bytes:
        body = bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > self._limits.page_bytes:
                raise TooLarge(self._where, f"a page of over {self._limits.page_bytes} bytes")
            if time.monotonic() > self._deadline:
                raise TooSlow(self._where, f"no whole list within {self._limits.seconds:.0f} s")
        return bytes(body)


def _certificate_fault(problem: BaseException | None) -> ssl.SSLError | None:
    while problem is not None:
        if isinstance(problem, ssl.SSLError):
            return problem
        problem = problem.__cause__ or problem.__context__
    return None


def _unreachable(cluster: ClusterSetting, server: str, problem: Exception) -> SourceUnavailable:
    where = f"cluster {cluster.name}"
    fault = _certificate_fault(problem)
    if isinstance(fault, ssl.SSLCertVerificationError):
        return SourceUnavailable(
            f"{where}: the certificate of {server} is not to be trusted: {fault.verify_message}",
            hint=f"certificate-authority in {cluster.kubeconfig} must hold the authority that signed it",
        )
    if fault is not None:
        return SourceUnavailable(
            f"{where}: no TLS connection with {server}: {fault.reason or fault}",
            hint=f"check the server's address and the client certificate in {cluster.kubeconfig}",
        )
    if isinstance(problem, httpx2.TimeoutException):
        why = "did not answer in time"
    elif isinstance(problem, httpx2.ConnectError):
        why = f"cannot be reached: {problem}"
    else:
        why = f"broke off: {str(problem) or type(problem).__name__}"
    return SourceUnavailable(
        f"{where}: {server} {why}",
        hint=f"is that the API server? The address stands in {cluster.kubeconfig}",
    )


def _refusal(cluster: ClusterSetting, response: httpx2.Response, body: bytes) -> SourceUnavailable:
    where, status = f"cluster {cluster.name}", response.status_code
    said = _status_message(body)
    if status == 401:
        return AccessDenied(
            f"{where}: the API server does not accept the credentials of {cluster.kubeconfig}",
            hint="its token or client certificate may have expired",
        )
    if status == 403:
        return AccessDenied(
            f"{where}: {said or 'the API server refuses the list of pods'}", hint=_RIGHTS
        )
    if status == 404:
        return Missing(
            f"{where}: nothing at {response.url.copy_with(query=None)}",
            hint=f"is the server in {cluster.kubeconfig} an API server?",
        )
    if 300 <= status < 400:
        said = said or "it redirects, which an API server does not"
    kind = RateLimited if status == 429 else SourceUnavailable
    return kind(
        f"{where}: the API server answered {status}" + (f": {said}" if said else ""),
        retry_after=_retry_after(response),
    )


def _status_message(body: bytes) -> str:
    """The sentence of a ``Status`` (meta/v1), if the body is one."""
    try:
        message = json.loads(body)["message"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return message[:500] if isinstance(message, str) else ""


def _retry_after(response: httpx2.Response) -> float | None:
    text = response.headers.get("Retry-After", "")
    return min(float(text), 300.0) if text.isdecimal() and len(text) < 9 else None


def _connect(cluster: ClusterSetting, limits: KubeLimits) -> httpx2.Client:
    config = _read_kubeconfig(cluster)
    where = f"cluster {cluster.name}: kubeconfig {cluster.kubeconfig}"
    user = config.user or User()
    try:
        if user.token_file:
            user.token_file = str(config.abs_file(user.token_file))
        auth = BearerAuth(_run_plugin(user.exec, where)) if user.exec else user_auth(user)
        server = urlsplit(config.cluster.server)
        if server.scheme not in ("https", "http") or not server.hostname or server.port == 0:
            raise SourceUnavailable(
                f"{where}: {config.cluster.server!r} is not the address of an API server",
                hint="server is an address like https://kube.example.org:6443",
            )
        return httpx2.Client(
            base_url=config.cluster.server.rstrip("/") + "/",
            verify=_trust(config, user),
            auth=auth,
            timeout=httpx2.Timeout(limits.silence, connect=10),
            headers={"Accept": "application/json", "User-Agent": f"imagecatalog/{__version__}"},
            # as for kubectl, no proxy stands before a server on this machine
            trust_env=server.hostname not in ("localhost", "127.0.0.1", "::1"),
        )
    except (OSError, ValueError, httpx2.InvalidURL, LightkubeError) as problem:
        raise SourceUnavailable(
            f"{where}: {_sentence(problem)}",
            hint="its certificates, keys and address must be whole and readable",
        ) from None


def _trust(config: SingleConfig, user: User) -> ssl.SSLContext:
    """Whom we believe and who we are. Keys written into the kubeconfig touch the disk for an instant."""
    cluster = config.cluster
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority = _material(config, cluster.certificate_auth, cluster.certificate_auth_data)
    if cluster.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif authority is not None:
        context.load_verify_locations(cadata=authority.decode("latin-1"))
    else:
        context.load_default_certs()
    certificate = _material(config, user.client_cert, user.client_cert_data)
    key = _material(config, user.client_key, user.client_key_data)
    if certificate is not None:
        with tempfile.NamedTemporaryFile() as chain:
            chain.write(certificate + b"\n" + (key or b""))
            chain.flush()
            # an empty password, lest OpenSSL ask a person who is not there
            context.load_cert_chain(chain.name, password=b"")
    return context


def _material(config: SingleConfig, path: str | None, inline: str | None) -> bytes | None:
    if inline:
        return base64.b64decode(inline, validate=True)
    return Path(config.abs_file(path)).read_bytes() if path else None


def _sentence(problem: Exception) -> str:
    if isinstance(problem, ssl.SSLError):
        return f"a certificate or key of it cannot be used ({problem.reason or problem})"
    if isinstance(problem, OSError) and problem.filename:
        return f"{problem.filename}: {problem.strerror}"
    return str(problem)


def _read_kubeconfig(cluster: ClusterSetting) -> SingleConfig:
    where = f"cluster {cluster.name}: kubeconfig {cluster.kubeconfig}"
    try:
        if cluster.kubeconfig == IN_CLUSTER:
            found = KubeConfig.from_service_account().get()
        else:
            with open(cluster.kubeconfig, "rb"):  # noqa: PTH123 - says why it cannot be read
                found = KubeConfig.from_file(cluster.kubeconfig).get()
    except OSError as problem:
        raise SourceUnavailable(
            f"{where} cannot be read: {problem.strerror}", hint=_GUIDE
        ) from None
    except yaml.YAMLError:
        raise SourceUnavailable(f"{where} is not YAML", hint=_GUIDE) from None
    except LightkubeError as problem:
        why = "names no current context" if "current context" in str(problem) else f": {problem}"
        raise SourceUnavailable(f"{where} {why}".replace(" : ", ": "), hint=_GUIDE) from None
    except KeyError as problem:
        raise SourceUnavailable(f"{where} lacks {problem.args[0]!r}", hint=_GUIDE) from None
    except (ValidationError, ValueError, TypeError, AttributeError, RecursionError):
        raise SourceUnavailable(f"{where} is not a kubeconfig", hint=_GUIDE) from None
    assert found is not None
    return found


def _run_plugin(plugin: UserExec, where: str) -> str:
    """The token that a credential plug-in prints (client.authentication.k8s.io)."""
    environ = dict(os.environ) | {entry.name: entry.value for entry in plugin.env or ()}
    info = {
        "apiVersion": plugin.apiVersion,
        "kind": "ExecCredential",
        "spec": {"interactive": False},
    }
    environ["KUBERNETES_EXEC_INFO"] = json.dumps(info)
    try:
        done = subprocess.run(
            [plugin.command, *(plugin.args or ())],
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_EXEC_SECONDS,
            check=True,
        )
        answer: Any = json.loads(done.stdout)
        token = answer["status"]["token"]
        if isinstance(token, str):
            return token
        why = "printed no token"
    except FileNotFoundError:
        why = "is not installed" + (f": {plugin.installHint}" if plugin.installHint else "")
    except subprocess.TimeoutExpired:
        why = f"did not end within {_EXEC_SECONDS} s"
    except subprocess.CalledProcessError as problem:
        said = problem.stderr.decode(errors="replace").strip()[-500:]
        why = f"left with {problem.returncode}: {said}"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        why = "printed no token"
    raise AccessDenied(
        f"{where}: its credential plug-in {plugin.command} {why}",
        hint=f"run it by hand to see: {plugin.command} {' '.join(plugin.args or ())}".rstrip(),
    )
