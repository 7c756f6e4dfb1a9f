"""What a registry lists beside an image (OCI distribution specification 1.1, "Listing Referrers").

Many registries have no such list; that is learnt with the first answer and not asked again.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Protocol

from imagecatalog.domain.images import Descriptor
from imagecatalog.formats.oci import MEMBERS_LIMIT, OCI_INDEX, parse_listing
from imagecatalog.sources.http import Answer

_NOT_OFFERED = frozenset({400, 401, 403, 404, 405, 501})
_OK = 200


class Pages(Protocol):
    """Asks for all pages of a list."""

    def __call__(self, path: str, scope: str, *, allow: frozenset[int]) -> Iterator[Answer]:
        """Each page; a status in ``allow`` is an answer like others."""


class Referrers:
    """The lists of one registry. Safe to share between threads."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._offered: bool | None = None
        self._learning = threading.Lock()
        """For one thread at a time, until it is known."""

    def find(self, path: str, scope: str, where: str) -> tuple[Descriptor, ...]:
        """What the list at ``path`` names, at most ``MEMBERS_LIMIT``; nothing if there are no lists.

        Raises ``SourceUnavailable`` and ``BadDocument``.
        """
        with self._learning if self._offered is None else nullcontext():
            return () if self._offered is False else self._ask(path, scope, where)

    def _ask(self, path: str, scope: str, where: str) -> tuple[Descriptor, ...]:
        found: list[Descriptor] = []
        for answer in self._pages(path, scope, allow=_NOT_OFFERED):
            if not _is_list(answer):
                self._offered = bool(self._offered)
                break
            self._offered = True
            found += parse_listing(answer.body, where)
            if len(found) >= MEMBERS_LIMIT:
                break
        return tuple(found[:MEMBERS_LIMIT])


def _is_list(answer: Answer) -> bool:
    """Whether it is what the specification asks for, and no page of a proxy for people."""
    media_type = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return answer.status == _OK and media_type in (OCI_INDEX, "application/json")
