"""A DebMonitor as we tell it: its addresses, what is shown to it, and what it answers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote, urlsplit

import msgspec
from msgspec import Struct

from imagecatalog.errors import (
    AccessDenied,
    SourceUnavailable,
    UsageError,
    clean_text,
    hide_secrets,
)
from imagecatalog.sources.http import Answer, Http, Patience

_PATIENCE = Patience(read=300, attempts=3)
_ANSWER_LIMIT = 16 << 20
_REFUSALS = (400, 401, 403, 404, 405, 413, 415, 422)
_SHOWN = 300
"""Characters of what it says when it refuses."""


class Destination(Struct, frozen=True, kw_only=True):
    """A DebMonitor, and what is shown to it."""

    server: str
    """Its address."""
    certificate: str | None = None
    """PEM file of our client certificate."""
    key: str | None = None
    """PEM file of its key, where that is another one."""
    ca: str | None = None
    token: str | None = None
    """For a proxy, or a catalog of our own, that takes one."""

    def __repr__(self) -> str:
        return f"Destination(server={hide_secrets(self.server)!r})"


class ClusterAnswer(Struct, frozen=True):
    """What became of a cluster's update."""

    missing: list[str] = []
    """Names of images that it does not know."""
    errors: list[dict[str, object]] = []
    """What it did not take: image, namespace, and error."""


_CLUSTER = msgspec.json.Decoder(ClusterAnswer)


class DebMonitor:
    """Tells one server. What may pass is tried again, as the very same may be told twice."""

    def __init__(self, destination: Destination) -> None:
        self._base = _check_address(destination.server)
        self.name = hide_secrets(self._base)
        certificate = destination.certificate and (destination.certificate, destination.key)
        self._http = Http(
            ca=destination.ca,
            certificate=certificate or None,
            patience=_PATIENCE,
            per_host=1,
            redirects=0,
        )
        self._headers = {"Content-Type": "application/json", "Accept": "*/*"}
        if destination.token:
            self._headers["Authorization"] = f"Bearer {destination.token}"

    @classmethod
    @contextmanager
    def connect(cls, destination: Destination) -> Iterator[DebMonitor]:
        """One that is closed when the block ends; raises UsageError for what is no address."""
        server = cls(destination)
        try:
            yield server
        finally:
            server.close()

    def close(self) -> None:
        """Give back the connection."""
        self._http.close()

    def tell_image(self, name: str, body: bytes) -> None:
        """Tell of an image; raises AccessDenied, other SourceUnavailable, or UsageError for a refusal."""
        self._send(f"/images/{quote(name, safe='/:@')}/update", body)

    def tell_cluster(self, body: bytes) -> ClusterAnswer:
        """Tell what runs in a cluster; raises the same."""
        answer = self._send("/kubernetes/update", body)
        try:
            return _CLUSTER.decode(answer.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise SourceUnavailable(
                f"{self.name} answered {answer.status} with what says nothing of a cluster",
                hint="is that the address of a DebMonitor?",
            ) from None

    def _send(self, path: str, body: bytes) -> Answer:
        answer = self._http.send(
            self._base + path, body, self._headers, _ANSWER_LIMIT, allow=_REFUSALS
        )
        if answer.status in (401, 403):
            raise AccessDenied(
                f"{self.name} answered {answer.status}: {_excerpt(answer)}",
                hint="does it know our certificate? DebMonitor names those in PROXY_IMAGES",
            )
        if answer.status >= 400:
            raise UsageError(f"{self.name} refused it ({answer.status}): {_excerpt(answer)}")
        if answer.status not in (201, 202):
            raise SourceUnavailable(
                f"{self.name} answered {answer.status} where DebMonitor answers 201",
                hint="is that the address of a DebMonitor?",
            )
        return answer


def _excerpt(answer: Answer) -> str:
    """What it says, as one short line."""
    text = clean_text(answer.body[: 8 * _SHOWN].decode(errors="replace"))
    if "html" in answer.headers.get("Content-Type", ""):
        text = re.sub(r"<[^>]*>", " ", text)
    return " ".join(text.split())[:_SHOWN] or "it does not say why"


def _check_address(address: str) -> str:
    try:
        url = urlsplit(address)
        is_one = url.scheme in ("http", "https") and bool(url.hostname) and not url.query
    except ValueError:
        is_one = False
    if not is_one:
        raise UsageError(
            f"--server: {hide_secrets(address)!r} is not the address of a server",
            hint="write https://debmonitor.example.org",
        )
    return address.rstrip("/")
