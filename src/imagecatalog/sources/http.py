"""One HTTP client for every source: trust, patience, retries, bounds; it knows no protocol above HTTP.

Whatever goes wrong below comes out as ``SourceUnavailable`` (or a child of it), ``TooLarge`` or
``TooSlow``. Bodies are asked for and given as they are stored: content encodings are not undone.
"""

from __future__ import annotations

import email.utils
import io
import socket
import ssl
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TypeVar

import httpx2
from msgspec import Struct

from imagecatalog import __version__
from imagecatalog.errors import (
    AccessDenied,
    ConfigError,
    Missing,
    RateLimited,
    SourceUnavailable,
    TooLarge,
    TooSlow,
)
from imagecatalog.sources.bodies import open_chunks

T = TypeVar("T")
BODY_LIMIT = 16 * 1024 * 1024
_TRANSIENT = frozenset({429, 500, 502, 503, 504})


class Patience(Struct, frozen=True):
    """How long is waited for the other side; seconds, and bytes a second."""

    connect: float = 10
    read: float = 30
    """Longest silence within one answer."""
    body: float = 60
    """A body may take this long, and longer only if it comes at ``slowest`` or faster."""
    slowest: float = 16 * 1024
    attempts: int = 4
    in_vain: int = 16
    """Requests in a row, each with all its attempts, after which a host is asked no more."""
    longest_wait: float = 60
    """A ``Retry-After`` beyond this ends the attempts; so do pauses that sum up to twice this."""


PATIENCE = Patience()


class Answer(Struct, frozen=True):
    """A whole answer; ``headers`` are looked up in any case; ``url`` is where redirects ended."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str


class Download(Struct, frozen=True):
    """An answer whose body is still to be read, once, within the ``with`` that gave it."""

    status: int
    headers: Mapping[str, str]
    body: io.BufferedReader
    url: str


class Http:
    """A thread-safe client; ``ca`` is a PEM file trusted beside the system's authorities.

    ``certificate`` is our own, in PEM: its file, and that of its key if that is another one. With
    no ``redirects`` nothing is sent on to where an answer leads. Where a Unix ``socket`` is named all
    goes through it, whatever the host of an address.

    ``get``, ``head``, ``post``, ``send``, ``delete`` and ``stream`` follow redirects (never from https to http, and with
    ``Authorization`` only to the same host), try again what may pass (429, 5xx, a lost connection), and
    raise for a final status from 300 (but 304) unless it is in ``allow``: ``AccessDenied`` 401 and 403,
    ``Missing`` 404 and 410, ``RateLimited`` 429, ``SourceUnavailable`` for the rest.
    """

    def __init__(
        self,
        *,
        ca: str | None = None,
        certificate: tuple[str, str | None] | None = None,
        patience: Patience = PATIENCE,
        per_host: int = 8,
        redirects: int = 5,
        socket: str | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._patience = patience
        self._per_host = per_host
        self._redirects = redirects
        self._sleep = sleep
        self._slots: dict[str, threading.BoundedSemaphore] = {}
        self._slots_lock = threading.Lock()
        self._in_vain: dict[str, int] = {}
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=20)
        self._client = httpx2.Client(
            transport=httpx2.HTTPTransport(uds=socket, limits=limits) if socket else None,
            verify=_trust(ca, certificate),
            timeout=httpx2.Timeout(patience.read, connect=patience.connect),
            # No proxy of the environment leads to this machine itself; all else goes by it.
            mounts=dict.fromkeys(("all://127.0.0.1", "all://localhost", "all://[::1]")),
            limits=limits,
            headers={
                "User-Agent": f"imagecatalog/{__version__}",
                "Accept-Encoding": "identity",
                "Accept": "*/*",
            },
        )

    def get(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        max_bytes: int = BODY_LIMIT,
        *,
        allow: Collection[int] = (),
    ) -> Answer:
        """The answer with its whole body; a longer one than ``max_bytes`` raises ``TooLarge``."""
        request = self._request("GET", url, headers)
        return self._persist(request, lambda: self._fetch(request, max_bytes, allow))

    def head(
        self, url: str, headers: Mapping[str, str] | None = None, *, allow: Collection[int] = ()
    ) -> Answer:
        """The answer without a body."""
        request = self._request("HEAD", url, headers)
        return self._persist(request, lambda: self._fetch(request, BODY_LIMIT, allow))

    def post(
        self,
        url: str,
        form: Mapping[str, str],
        headers: Mapping[str, str] | None = None,
        max_bytes: int = BODY_LIMIT,
        *,
        allow: Collection[int] = (),
    ) -> Answer:
        """Send a form; as it may be sent again, only what may safely be repeated belongs here."""
        request = self._request("POST", url, headers, form)
        return self._persist(request, lambda: self._fetch(request, max_bytes, allow))

    def send(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        max_bytes: int = BODY_LIMIT,
        *,
        allow: Collection[int] = (),
    ) -> Answer:
        """Post bytes; as they may be sent again, only what may safely be repeated belongs here."""
        request = self._request("POST", url, headers, body=body)
        return self._persist(request, lambda: self._fetch(request, max_bytes, allow))

    def delete(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        *,
        allow: Collection[int] = (),
    ) -> Answer:
        """Have what lies there deleted, or what the body lists."""
        request = self._request("DELETE", url, headers, body=body)
        return self._persist(request, lambda: self._fetch(request, BODY_LIMIT, allow))

    @contextmanager
    def stream(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        max_bytes: int | None = None,
        *,
        allow: Collection[int] = (),
    ) -> Iterator[Download]:
        """The answer as soon as its head is there; a body that breaks off raises while being read."""
        request = self._request("GET", url, headers)
        with ExitStack() as stack:
            response = self._persist(request, lambda: self._open(request, allow, stack))
            where = _plain(response.url)
            body = open_chunks(self._chunks(response, where, max_bytes))
            yield Download(response.status_code, response.headers, body, str(response.url))

    def close(self) -> None:
        """Give back all connections."""
        self._client.close()

    def _request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        form: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> httpx2.Request:
        try:
            return self._client.build_request(
                method, url, headers=dict(headers or {}), data=form, content=body
            )
        except (httpx2.InvalidURL, ValueError) as error:
            raise SourceUnavailable(f"{url!r} is not a usable address") from error

    def _persist(self, request: httpx2.Request, act: Callable[[], T]) -> T:
        host = request.url.netloc.decode("ascii", "replace").rpartition("@")[2]
        in_vain = self._in_vain.get(host, 0)
        if in_vain >= self._patience.in_vain:
            raise SourceUnavailable(
                f"{host} failed to answer {in_vain} requests in a row; it is asked no more",
                hint="Check that it is well; the next run asks again.",
            )
        try:
            answer = self._try_again(act)
        except _Transient as transient:
            with self._slots_lock:
                self._in_vain[host] = self._in_vain.get(host, 0) + 1
            raise transient.error from transient
        except SourceUnavailable:
            self._in_vain.pop(host, None)
            raise
        self._in_vain.pop(host, None)
        return answer

    def _try_again(self, act: Callable[[], T]) -> T:
        """As often as it may help; the last fault is raised as ``_Transient``."""
        waited = 0.0
        attempt = 1
        while True:
            try:
                return act()
            except _Transient as transient:
                last = transient
                error = transient.error
            pause = 0.5 * 2**attempt if error.retry_after is None else error.retry_after
            longest = self._patience.longest_wait
            if (
                attempt >= self._patience.attempts
                or pause > longest
                or waited + pause > 2 * longest
            ):
                raise last
            self._sleep(pause)
            waited += pause
            attempt += 1

    def _fetch(self, request: httpx2.Request, max_bytes: int, allow: Collection[int]) -> Answer:
        with ExitStack() as stack:
            response = self._open(request, allow, stack)
            try:
                chunks = self._chunks(response, _plain(response.url), max_bytes)
                body = b"".join(() if request.method == "HEAD" else chunks)
            except SourceUnavailable as error:
                raise _Transient(error) from error
            return Answer(response.status_code, response.headers, body, str(response.url))

    def _open(
        self, request: httpx2.Request, allow: Collection[int], stack: ExitStack
    ) -> httpx2.Response:
        with ExitStack() as trial:
            self._take_slot(request.url.host, trial)
            response = self._follow(request, trial)
            status = response.status_code
            if status >= 300 and status != 304 and status not in allow:
                error = _refusal(request.method, response)
                if status in _TRANSIENT:
                    raise _Transient(error)
                raise error
            stack.push(trial.pop_all())
        return response

    def _take_slot(self, host: str, stack: ExitStack) -> None:
        with self._slots_lock:
            slots = self._slots.setdefault(host, threading.BoundedSemaphore(self._per_host))
        if not slots.acquire(timeout=10 * self._patience.read):
            raise SourceUnavailable(f"{host} is busy with {self._per_host} requests of ours")
        stack.callback(slots.release)

    def _follow(self, request: httpx2.Request, stack: ExitStack) -> httpx2.Response:
        where = _plain(request.url)
        for _ in range(self._redirects + 1):
            try:
                # An answer without a body is read at once, or its connection could not serve again.
                response = self._client.send(
                    request, stream=request.method != "HEAD", follow_redirects=False
                )
            except httpx2.HTTPError as error:
                failure = _failure(error, request.url)
                if _is_lasting(error):
                    raise failure from error
                raise _Transient(failure) from error
            if response.next_request is None:
                stack.callback(response.close)
                return response
            response.close()
            target = response.next_request
            if request.url.scheme == "https" and target.url.scheme != "https":
                raise SourceUnavailable(
                    f"{_plain(request.url)} redirects from https to {_plain(target.url)}"
                )
            request = target
        if not self._redirects:
            raise SourceUnavailable(
                f"{where} leads elsewhere, to {_plain(request.url)}",
                hint="Give that address, if it is the right one.",
            )
        raise SourceUnavailable(
            f"{_plain(request.url)} redirects more than {self._redirects} times"
        )

    def _chunks(
        self, response: httpx2.Response, where: str, max_bytes: int | None
    ) -> Iterator[bytes]:
        limit = float("inf") if max_bytes is None else max_bytes
        declared = response.headers.get("Content-Length", "")
        if declared.isdecimal() and int(declared) > limit:
            raise TooLarge(where, f"{declared} bytes are more than the {max_bytes} that we read")
        received, spent = 0, 0.0
        chunks = response.iter_raw()
        while True:
            began = time.monotonic()
            try:
                chunk = next(chunks, None)
            except httpx2.HTTPError as error:
                raise _failure(error, response.url) from error
            if chunk is None:
                return
            received += len(chunk)
            spent += time.monotonic() - began
            if received > limit:
                raise TooLarge(where, f"more than the {max_bytes} bytes that we read")
            if spent > self._patience.body + received / self._patience.slowest:
                raise TooSlow(
                    where, f"{received} bytes in {spent:.0f} seconds are too few to wait on"
                )
            yield chunk


class _Transient(Exception):
    """A message between two functions: this may pass."""

    def __init__(self, error: SourceUnavailable) -> None:
        super().__init__(error.message)
        self.error = error


def _trust(ca: str | None, certificate: tuple[str, str | None] | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if certificate is not None:
        try:
            # Asked for nowhere: a key that wants a password cannot be used by a timer.
            context.load_cert_chain(*certificate, password="")
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"cannot read our certificate from {' and '.join(filter(None, certificate))}: {error}",
                hint="Name PEM files of a certificate and of its key without a password.",
            ) from error
    if ca is not None:
        try:
            context.load_verify_locations(cafile=ca)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"cannot read certificates from {ca}: {error}",
                hint="Name a PEM file that holds the authority's certificate.",
            ) from error
    return context


def _plain(url: httpx2.URL) -> str:
    """Return the address without user, query and fragment, which may hold secrets."""
    host = url.netloc.decode("ascii", "replace").rpartition("@")[2]
    return f"{url.scheme}://{host}{url.path}"


def _refusal(method: str, response: httpx2.Response) -> SourceUnavailable:
    status = response.status_code
    try:
        phrase = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        phrase = str(status)
    message = f"{_plain(response.url)} answered {phrase} to {method}"
    wait = _read_retry_after(response.headers.get("Retry-After"))
    match status:
        case 401:
            return AccessDenied(message, hint="It wants (other) credentials.")
        case 403:
            return AccessDenied(message, hint="The credentials given do not allow this.")
        case 404 | 410:
            return Missing(message)
        case 429:
            hint = "Try again later; the other side limits requests."
            return RateLimited(message, hint=hint, retry_after=wait)
        case _:
            return SourceUnavailable(message, retry_after=wait)


def _read_retry_after(text: str | None) -> float | None:
    """Seconds of a ``Retry-After`` (RFC 9110, 10.2.3), in either form; None if it has none."""
    if not text:
        return None
    if text.strip().isdecimal():
        return float(text.strip()[:9])
    try:
        at = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _is_lasting(error: httpx2.HTTPError) -> bool:
    """Whether trying again cannot help."""
    lasting = (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError, ssl.SSLCertVerificationError)
    return any(isinstance(cause, lasting) for cause in _causes(error))


def _failure(error: httpx2.HTTPError, url: httpx2.URL) -> SourceUnavailable:
    where = _plain(url)
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return SourceUnavailable(
                f"{where}: the certificate is not trusted: {cause.verify_message}",
                hint="If a private authority signed it, name that one's PEM file as `ca`.",
            )
        if isinstance(cause, socket.gaierror):
            return SourceUnavailable(
                f"{where}: the host name {url.host} is not known",
                hint="Check its spelling and DNS.",
            )
    match error:
        case httpx2.ConnectTimeout() | httpx2.ConnectError():
            hint = "Check that it runs, and the way to it (port, firewall, proxy)."
            return SourceUnavailable(f"{where}: no connection: {_reason(error)}", hint=hint)
        case httpx2.TimeoutException():
            return SourceUnavailable(f"{where}: no answer for too long")
        case httpx2.UnsupportedProtocol():
            return SourceUnavailable(f"{where}: only http and https are spoken")
        case _:
            return SourceUnavailable(f"{where}: the connection broke: {_reason(error)}")


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
