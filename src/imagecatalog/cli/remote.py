"""A server that answers the questions of the command line, over its ``/api/v1``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import chain
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from imagecatalog.cli.answering import OutdatedQuestion, RunningQuestion
from imagecatalog.cli.server import Server
from imagecatalog.domain.advisories import Exposure, RunningFaults
from imagecatalog.domain.answers import (
    Health,
    Holder,
    ImageDetail,
    ImageSummary,
    OutdatedImage,
    Overview,
    RepositorySummary,
    RunningItem,
    SearchHit,
)
from imagecatalog.domain.feeds import FeedItem
from imagecatalog.domain.findings import ImageFindings
from imagecatalog.domain.lineage import Diff, HistoryItem, Lineage
from imagecatalog.domain.pasts import ClusterItem, PastExposure, Patching
from imagecatalog.domain.plans import Plan, PlanQuestion, PlanSummary
from imagecatalog.domain.second_opinions import ImageOpinion
from imagecatalog.domain.suppressions import DeferralItem, VexDocumentItem, VexItem
from imagecatalog.errors import (
    BadDocument,
)
from imagecatalog.planning.running_faults import FaultFilter
from imagecatalog.sources.http import Answer
from imagecatalog.store.page import Page

T = TypeVar("T")
LARGEST_PAGE = 1000


class RemoteCatalog:
    """Answers from a server; lists are fetched a page at a time while they are read."""

    def __init__(self, server: Server) -> None:
        self._server = server

    @classmethod
    @contextmanager
    def connect(cls, address: str) -> Iterator[RemoteCatalog]:
        """A client of the server at this address; raises UsageError for what is none."""
        with Server.connect(address) as server:
            yield cls(server)

    def overview(self) -> Overview:
        """How many images run, by verdict."""
        return self._one("/overview", Overview)

    def health(self) -> Iterable[Health]:
        """When clusters, registries, feeds and jobs were last well."""
        paths = ("/clusters", "/registries", "/feeds", "/jobs")
        return chain.from_iterable(self._one(path, Page[Health]).items for path in paths)

    def feeds(self) -> Iterable[FeedItem]:
        """By name, those that are switched off too."""
        return self._one("/feeds", Page[FeedItem]).items

    def outdated(self, ask: OutdatedQuestion) -> Iterable[OutdatedImage]:
        """Worst first."""
        query = {
            "all": "true" if ask.all_images else None,
            "security": "true" if ask.security else None,
            "status": ask.status,
            "severity": ask.severity,
            "exploited": "true" if ask.exploited else None,
            "cluster": ask.cluster,
            "namespace": ask.namespace,
            "image": ask.image,
        }
        return self._many("/outdated", OutdatedImage, ask.limit, query)

    def running(self, ask: RunningQuestion) -> Iterable[RunningItem]:
        """By cluster, namespace, workload, pod."""
        query = {
            "at": ask.at.isoformat() if ask.at else None,
            "cluster": ask.cluster,
            "namespace": ask.namespace,
            "image": ask.image,
            "team": ask.team,
        }
        return self._many("/running", RunningItem, ask.limit, query)

    def clusters(self, at: datetime | None = None) -> Iterable[ClusterItem]:
        """By name: as they are now, or how far what ran at a moment past is known."""
        query = {"at": at.isoformat() if at else None}
        return self._one("/clusters", Page[ClusterItem], query).items

    def exposure(
        self, subject: str, cluster: str | None, namespace: str | None, limit: int
    ) -> PastExposure:
        """How long a fault or a range of versions was run; raises NotFound."""
        query = {"cluster": cluster, "namespace": namespace, "limit": str(limit)}
        return self._one(f"/exposure/{quote(subject, safe='')}", PastExposure, query)

    def patching(self, since: datetime | None, cluster: str | None, team: str | None) -> Patching:
        """How long fixes took, and what waits; raises NotFound."""
        query = {"since": since.isoformat() if since else None, "cluster": cluster, "team": team}
        return self._one("/patching", Patching, query)

    def repositories(self, search: str | None, limit: int | None) -> Iterable[RepositorySummary]:
        """By name."""
        return self._many("/repositories", RepositorySummary, limit, {"search": search})

    def images(
        self, repository: str | None, label: str | None, limit: int | None
    ) -> Iterable[ImageSummary]:
        """Of one repository, or with a label; raises NotFound for an unknown repository."""
        query = {"repository": repository, "label": label}
        return self._many("/images", ImageSummary, limit, query)

    def image(self, reference: str) -> ImageDetail:
        """By name, digest or a digest's first letters; raises NotFound."""
        return self._one(f"/images/{quote(reference)}", ImageDetail)

    def holders(self, package: str, below: str | None, limit: int | None) -> Iterable[Holder]:
        """Images that hold a package, by version."""
        path = f"/packages/{quote(package, safe='')}/images"
        return self._many(path, Holder, limit, {"below": below})

    def search(self, text: str, limit: int) -> Iterable[SearchHit]:
        """Best first."""
        query: dict[str, str | None] = {"q": text, "limit": str(limit)}
        page: Page[SearchHit] = self._decode(self._ask("/search", query), Page[SearchHit])
        return page.items

    def lineage(self, reference: str, limit: int) -> Lineage:
        """Ancestors and at most so many descendants; raises NotFound."""
        path = f"/images/{quote(reference, safe='')}/lineage"
        return self._one(path, Lineage, {"limit": str(limit)})

    def affected(self, subject: str, limit: int) -> Exposure:
        """Who has a CVE, a DSA or a range of versions; raises NotFound for what no feed tells of."""
        path = f"/affected/{quote(subject, safe='')}"
        return self._one(path, Exposure, {"limit": str(limit)})

    def running_faults(self, wanted: FaultFilter, limit: int) -> RunningFaults:
        """What is wrong with what runs, worst first."""
        query = {
            "cluster": wanted.cluster,
            "namespace": wanted.namespace,
            "severity": wanted.severity,
            "state": wanted.state,
            "exploited": "true" if wanted.exploited else None,
            "all": "true" if wanted.everything else None,
            "limit": str(limit),
        }
        return self._one("/advisories", RunningFaults, query)

    def findings(self, reference: str, *, all_states: bool) -> ImageFindings:
        """What is wrong with an image; raises NotFound."""
        path = f"/images/{quote(reference, safe='')}/advisories"
        return self._one(path, ImageFindings, {"all": "true"} if all_states else {})

    def opinions(self, reference: str) -> Sequence[ImageOpinion]:
        """What other judges say of an image, and where it is not what we say; raises NotFound."""
        path = f"/images/{quote(reference, safe='')}/opinions"
        return self._one(path, Page[ImageOpinion], {}).items

    def deferrals(self, advisory: str | None, *, all_states: bool) -> Iterable[DeferralItem]:
        """Those in force by when they end, then those that ended; raises NotFound."""
        query = {"advisory": advisory, "all": "true" if all_states else None}
        return self._one("/deferrals", Page[DeferralItem], query).items

    def statements(self, advisory: str | None, limit: int | None) -> Iterable[VexItem]:
        """What VEX documents say, by fault; raises NotFound."""
        return self._many("/vex", VexItem, limit, {"advisory": advisory})

    def vex_documents(self) -> Iterable[VexDocumentItem]:
        """The documents by name, those that were uploaded first."""
        return self._one("/vex/documents", Page[VexDocumentItem]).items

    def plan(self, ask: PlanQuestion) -> Plan:
        """What to rebuild and redeploy in which order."""
        return self._one("/plan", Plan, plan_query(ask))

    def saved_plan(self, number: int) -> Plan:
        """With what became of it; raises NotFound."""
        return self._one(f"/plans/{number}", Plan)

    def saved_plans(self) -> Iterable[PlanSummary]:
        """The last saved first."""
        return self._many("/plans", PlanSummary, None, {})

    def diff(self, a: str, b: str | None) -> Diff:
        """What changed from ``a`` to ``b``, or to the newest of its line; raises NotFound."""
        return self._one("/diff", Diff, {"a": a, "b": b})

    def history(self, reference: str, limit: int) -> Iterable[HistoryItem]:
        """Of an image or a repository, the last first; raises NotFound."""
        path = f"/images/{quote(reference, safe='')}/history"
        return self._many(path, HistoryItem, limit, {})

    def _one(self, path: str, kind: type[T], query: dict[str, str | None] | None = None) -> T:
        answer: T = self._decode(self._ask(path, query or {}), kind)
        return answer

    def _many(
        self, path: str, kind: type[T], limit: int | None, query: dict[str, str | None]
    ) -> Iterator[T]:
        left = limit
        after: str | None = None
        while left is None or left > 0:
            size = LARGEST_PAGE if left is None else min(left, LARGEST_PAGE)
            answer = self._ask(path, {**query, "limit": str(size), "after": after})
            page: Page[T] = self._decode(answer, Page[kind])  # type: ignore[valid-type]
            yield from page.items
            if page.next is None or page.next == after:
                return
            left = None if left is None else left - len(page.items)
            after = page.next

    def _ask(self, path: str, query: dict[str, str | None]) -> Answer:
        return self._server.get(f"/api/v1{path}", query)

    def _decode(self, answer: Answer, kind: Any) -> Any:
        try:
            return msgspec.json.decode(answer.body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
            raise BadDocument(
                answer.url,
                f"not what was asked for: {problem}",
                hint="is that an imagecatalog server, and not of a much older release?",
            ) from None


def plan_query(ask: PlanQuestion) -> dict[str, str | None]:
    """A plan's question as the server takes it."""
    return {
        "for": ask.advisory,
        "package": ask.package,
        "image": ask.image,
        "security": "true" if ask.security else None,
        "all": "true" if ask.idle else None,
        "max_parallel": None if ask.max_parallel is None else str(ask.max_parallel),
    }
