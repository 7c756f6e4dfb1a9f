"""One cluster's API server, asked within limits of time and memory; its refusals put in words."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Self

import httpx2
from lightkube.core.exceptions import ConfigError as LightkubeError
from msgspec import Struct

from imagecatalog.config import ClusterSetting
from imagecatalog.errors import (
    AccessDenied,
    BadDocument,
    Missing,
    RateLimited,
    SourceUnavailable,
    TooLarge,
    TooSlow,
)
from imagecatalog.sources.kubeconfig import open_access

__all__ = ["ApiServer", "Expired", "KubeLimits"]

_TRANSIENT = (429, 500, 502, 503, 504)
_RIGHTS = "bind the ClusterRole of deploy/kubernetes/rights.yaml to that user"


class KubeLimits(Struct, frozen=True, kw_only=True):
    """How much and how long we listen to one cluster."""

    page: int = 500
    """Pods asked for at once; fewer where a page of so many is too large."""
    page_bytes: int = 32 << 20
    """Of one page, unpacked."""
    pages: int = 20_000
    pods: int = 2_000_000
    seconds: float = 900.0
    """For the whole list."""
    silence: float = 30.0
    """Seconds without a byte."""
    attempts: int = 4
    """For the first page; waits of 0.5, 1, 2, … s lie between them, or what the server asks for."""
    attempts_within: int = 8
    """For a later page: long enough for a server to start anew."""
    restarts: int = 3
    """Of the whole list when its ``continue`` token has expired (410)."""
    watch_seconds: float = 300.0
    """After which a watch is begun anew where it stood."""


class Expired(Exception):
    """What was asked for is too old (410)."""


class _Transient(Exception):
    """A fault that may have passed a moment later."""

    def __init__(self, fault: SourceUnavailable) -> None:
        super().__init__(fault.message)
        self.fault = fault


class ApiServer:
    """A connection with a cluster, to be closed; what it says is bytes."""

    def __init__(
        self,
        cluster: ClusterSetting,
        limits: KubeLimits,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._access = open_access(cluster, silence=limits.silence)
        self._cluster = cluster
        self.where = f"cluster {cluster.name}"
        self.limits = limits
        self._sleep = sleep
        self._deadline = float("inf")
        self._sockets: list[socket.socket] = []
        self._is_cut = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._access.client.close()

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """All that is asked within the block ends after so many seconds, however the bytes come."""
        self._deadline = time.monotonic() + seconds
        # whoever drips a byte a second is never silent: the connection itself is cut
        alarm = threading.Timer(seconds, self.cut)
        alarm.daemon = True
        alarm.start()
        try:
            yield
        finally:
            alarm.cancel()
            self._deadline = float("inf")

    def cut(self) -> None:
        """End what is being read; from any thread, and for good."""
        self._is_cut = True
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def read(self, path: str, params: Mapping[str, str], *, attempts: int) -> bytearray:
        """The whole answer, asked for again while that may help.

        Who was given a page may have the next one: a server that has just started does not know its
        rights yet, and a refusal is then no last word. Raises ``Expired`` (410), ``TooLarge``, ``TooSlow``, and ``SourceUnavailable`` for the rest.
        """
        for attempt in range(1, attempts):
            try:
                return self._fetch(path, params)
            except _Transient as again:
                wait = again.fault.retry_after
                wait = 0.5 * 2 ** (attempt - 1) if wait is None else wait
                if time.monotonic() + wait > self._deadline:
                    raise again.fault from None
                self._sleep(wait)
        try:
            return self._fetch(path, params)
        except _Transient as again:
            raise again.fault from None

    @contextmanager
    def follow(self, path: str, params: Mapping[str, str]) -> Iterator[Iterator[bytes]]:
        """The lines of an answer as they come. Raises as ``read`` does, also while they are read."""
        timeout = httpx2.Timeout(self.limits.watch_seconds + self.limits.silence, connect=10)
        request = self._request(path, params, {"Accept-Encoding": "identity"}, timeout)
        with self._faults():
            response = self._access.client.send(request, stream=True)
        try:
            with self._faults():
                self._check(response)
            yield self._lines(response)
        except _Transient as again:
            raise again.fault from None
        finally:
            response.close()

    def _fetch(self, path: str, params: Mapping[str, str]) -> bytearray:
        request = self._request(path, params, {"Accept-Encoding": "gzip"})
        try:
            with self._faults():
                response = self._access.client.send(request, stream=True)
                try:
                    self._check(response, may_change=(401, 403) if "continue" in params else ())
                    return self._unpack(response)
                finally:
                    response.close()
        except _Broken as broken:
            raise _Transient(broken.fault) from None

    def _request(
        self, path: str, params: Mapping[str, str], headers: Mapping[str, str], timeout: Any = None
    ) -> httpx2.Request:
        if self._is_cut:
            raise TooSlow(self.where, "no whole answer in the time that there is")
        extensions: dict[str, Any] = {"trace": self._note_connection}
        if self._access.server_name:
            extensions["sni_hostname"] = self._access.server_name
        client = self._access.client
        return client.build_request(
            "GET", path, params=params, headers=headers, extensions=extensions,
            timeout=timeout or client.timeout,
        )  # fmt: skip

    def _note_connection(self, event: str, told: Mapping[str, Any]) -> None:
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._sockets = [one for one in self._sockets if one.fileno() != -1]
            self._sockets.append(told["return_value"].get_extra_info("socket"))

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except (httpx2.HTTPError, OSError) as problem:
            if self._is_cut:
                raise TooSlow(self.where, "no whole answer in the time that there is") from None
            fault = _unreachable(self._cluster, self._access.server, problem)
            if _certificate_fault(problem):
                raise fault from None
            raise _Broken(fault) from None
        except LightkubeError as problem:
            raise AccessDenied(f"{self.where}: {problem}") from None

    def _check(self, response: httpx2.Response, may_change: tuple[int, ...] = ()) -> None:
        if response.status_code == 410:
            raise Expired
        if response.status_code != 200:
            fault = _refusal(self._cluster, response, bytes(self._unpack(response)))
            raise _Transient(fault) if response.status_code in (*_TRANSIENT, *may_change) else fault

    def _unpack(self, response: httpx2.Response) -> bytearray:
        """The body, never more than a page of it in memory."""
        room = self.limits.page_bytes
        encoding = response.headers.get("Content-Encoding", "identity")
        unpack = zlib.decompressobj(31) if encoding == "gzip" else None
        if unpack is None and encoding != "identity":
            raise BadDocument(self.where, f"answers in the encoding {encoding[:40]}")
        body = bytearray()
        for chunk in response.iter_raw():
            try:
                body += unpack.decompress(chunk, room - len(body) + 1) if unpack else chunk
            except zlib.error as problem:
                raise BadDocument(self.where, f"the answer cannot be unpacked: {problem}") from None
            if len(body) > room:
                raise TooLarge(self.where, f"a page of over {room} bytes")
        if self._is_cut or (unpack and not unpack.eof):
            raise httpx2.RemoteProtocolError("the answer ends before its end")
        return body

    def _lines(self, response: httpx2.Response) -> Iterator[bytes]:
        with self._faults():
            rest = bytearray()
            for chunk in response.iter_raw():
                if b"\n" not in chunk:
                    rest += chunk
                    if len(rest) > self.limits.page_bytes:
                        raise TooLarge(self.where, "an event of a watch that has no end")
                    continue
                *lines, last = (bytes(rest) + chunk).split(b"\n")
                rest = bytearray(last)
                yield from lines
            if self._is_cut:
                raise TooSlow(self.where, "the watch was ended")


class _Broken(SourceUnavailable):
    """The connection broke, as itself told to whoever does not try again."""

    def __init__(self, fault: SourceUnavailable) -> None:
        super().__init__(fault.message, hint=fault.hint)
        self.fault = fault


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
    elif isinstance(problem, httpx2.ProxyError):
        why = f"cannot be reached through the proxy: {problem}"
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
