"""A Clair 4 over HTTP: its indexer, its matcher, its notifier (its OpenAPI document, version 1).

Requests are signed with the shared key where one is set. Clair fetches the layers itself, while we
wait: indexing may take minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Struct

from imagecatalog.config import ClairSetting
from imagecatalog.domain.refs import Digest
from imagecatalog.domain.second_opinions import ForeignReport
from imagecatalog.errors import Missing, SourceUnavailable
from imagecatalog.formats.clair import (
    REPORT_LIMIT,
    IndexResult,
    Notification,
    Updates,
    read_fault,
    read_index_report,
    read_index_state,
    read_notification,
    read_updates,
    read_vulnerability_report,
)
from imagecatalog.formats.jwt import sign_token
from imagecatalog.sources.http import Answer, Http, Patience

PAGE = 500
"""Images on a page of a notification."""
PATIENCE = Patience(read=900, attempts=3, longest_wait=30)
"""An answer comes when an image is indexed, not before."""
_INDEXER, _MATCHER, _NOTIFIER = "/indexer/api/v1", "/matcher/api/v1", "/notifier/api/v1"
_REFUSED = (400, 412, 415, 500)
_WRITER = msgspec.json.Encoder(enc_hook=str)


class ClairRefused(SourceUnavailable):
    """Clair answers, and could not do this: an image that it cannot read, most often."""

    code = "clair-refused"


class ClairInitialising(SourceUnavailable):
    """Clair has no vulnerabilities yet, so that no report of it would mean anything."""

    code = "clair-initialising"


class SharedLayer(Struct, frozen=True):
    """A layer, where it lies, and the headers that open it."""

    hash: Digest
    uri: str
    headers: dict[str, tuple[str, ...]]


class _Manifest(Struct):
    hash: Digest
    layers: Sequence[SharedLayer]


class Clair:
    """One Clair. Thread-safe; raises the ``SourceUnavailable`` family and ``BadDocument``."""

    def __init__(
        self, setting: ClairSetting, *, now: Callable[[], datetime], http: Http | None = None
    ) -> None:
        self._base = setting.url.rstrip("/")
        self._key = setting.read_key()
        self._issuer = setting.issuer
        self._now = now
        self._http = http or Http(ca=setting.ca, patience=PATIENCE, per_host=setting.at_once + 1)

    def index_state(self) -> str:
        """What its indexer finds changes with this; whoever keeps reports compares it."""
        return read_index_state(self._get(f"{_INDEXER}/index_state").body, "Clair's index state")

    def updates(self) -> Updates:
        """What it last took in of vulnerabilities."""
        answer = self._get(f"{_MATCHER}/internal/update_operation?latest=true")
        return read_updates(answer.body, "Clair's updates")

    def index(self, digest: Digest, layers: Sequence[SharedLayer]) -> IndexResult:
        """Have it fetch and index an image, anew where it has it; ``ClairRefused`` where it cannot.

        Never conditional: it answers that nothing changed also of an image that it never met.
        """
        body = _WRITER.encode(_Manifest(digest, layers))
        answer = self._http.send(
            self._base + f"{_INDEXER}/index_report",
            body,
            self._headers() | {"Content-Type": "application/json"},
            REPORT_LIMIT,
            allow=_REFUSED,
        )
        self._check(answer, f"index {digest}")
        return read_index_report(answer.body, f"Clair's index report of {digest}")

    def report(self, digest: Digest) -> ForeignReport:
        """What it holds against an image; ``Missing`` of one that it has not indexed."""
        answer = self._get(
            f"{_MATCHER}/vulnerability_report/{quote(digest, safe=':')}", allow=_REFUSED
        )
        self._check(answer, f"report on {digest}")
        if answer.status == 202:
            raise ClairInitialising(
                "Clair is initialising: it has no vulnerabilities yet",
                hint="its log tells how its updaters do",
            )
        return read_vulnerability_report(answer.body, f"Clair's report of {digest}")

    def delete(self, digests: Sequence[Digest]) -> None:
        """Have it forget images; of those that it does not know it says nothing."""
        answer = self._http.delete(
            self._base + f"{_INDEXER}/index_report",
            self._headers() | {"Content-Type": "application/json"},
            _WRITER.encode(digests),
            allow=_REFUSED,
        )
        self._check(answer, "delete images")

    def notification(self, name: str, after: str | None = None) -> Notification:
        """A page of a notification, from ``after`` on; one that is not there has no images."""
        query = {"page_size": str(PAGE)} | ({"next": after} if after else {})
        path = f"{_NOTIFIER}/notification/{quote(name)}?{urlencode(query)}"
        answer = self._get(path, allow=_REFUSED)
        self._check(answer, f"give its notification {name}")
        return read_notification(answer.body, f"Clair's notification {name}")

    def forget_notification(self, name: str) -> None:
        """Tell it that a notification is done with; one that is not there is done with too."""
        url = self._base + f"{_NOTIFIER}/notification/{quote(name)}"
        try:
            answer = self._http.delete(url, self._headers(), allow=_REFUSED)
        except Missing:
            return
        self._check(answer, f"delete its notification {name}")

    def close(self) -> None:
        """Give back all connections."""
        self._http.close()

    def _get(self, path: str, *, allow: Sequence[int] = ()) -> Answer:
        return self._http.get(self._base + path, self._headers(), REPORT_LIMIT, allow=allow)

    def _headers(self) -> dict[str, str]:
        if self._key is None:
            return {}
        return {"Authorization": f"Bearer {sign_token(self._issuer, self._key, now=self._now())}"}

    def _check(self, answer: Answer, what: str) -> None:
        if answer.status >= 400:
            said = read_fault(answer.body) or f"it answered {answer.status}"
            raise ClairRefused(f"Clair could not {what}: {said}")
