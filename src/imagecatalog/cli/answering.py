"""The questions of the command line, and the catalog at hand that answers them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Protocol

from msgspec import Struct

from imagecatalog.config import Settings
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
from imagecatalog.planning import (
    ancestry,
    differences,
    exposure,
    feed_list,
    findings,
    following,
    inspection,
    moments,
    past,
    search,
    second_opinions,
    sights,
    staleness,
)
from imagecatalog.planning.past_exposure import past_exposure
from imagecatalog.planning.patching import patching
from imagecatalog.planning.plan import make_plan
from imagecatalog.planning.running_faults import FaultFilter, list_running_faults
from imagecatalog.store import deferrals, health, holders, repositories, vex, vex_documents
from imagecatalog.store.engine import Connection


class Places(Struct, frozen=True, kw_only=True):
    """Where, and which image; None means any."""

    cluster: str | None = None
    namespace: str | None = None
    image: str | None = None
    limit: int | None = None


class OutdatedQuestion(Places, frozen=True, kw_only=True):
    """What of it needs an update."""

    all_images: bool = False
    security: bool = False
    status: str | None = None
    severity: str | None = None
    exploited: bool = False

    @property
    def is_everything(self) -> bool:
        """Whether nothing that runs is left out."""
        return self == OutdatedQuestion(security=self.security)


class RunningQuestion(Places, frozen=True, kw_only=True):
    """What runs, or ran at a moment."""

    at: datetime | None = None
    team: str | None = None

    @property
    def is_everything(self) -> bool:
        """Whether nothing that runs, or ran then, is left out."""
        return self == RunningQuestion(at=self.at)


class Answering(Protocol):
    """A database or a server; every method may raise its errors, lists while they are read."""

    def overview(self) -> Overview:
        """How many images run, by verdict."""

    def health(self) -> Iterable[Health]:
        """When clusters, registries, feeds and jobs were last well."""

    def feeds(self) -> Iterable[FeedItem]:
        """By name, those that are switched off too."""

    def outdated(self, ask: OutdatedQuestion) -> Iterable[OutdatedImage]:
        """Worst first."""

    def running(self, ask: RunningQuestion) -> Iterable[RunningItem]:
        """By cluster, namespace, workload, pod."""

    def clusters(self, at: datetime | None = None) -> Iterable[ClusterItem]:
        """By name: as they are now, or how far what ran at a moment past is known."""

    def exposure(
        self, subject: str, cluster: str | None, namespace: str | None, limit: int
    ) -> PastExposure:
        """How long a fault or a range of versions was run; raises NotFound."""

    def patching(self, since: datetime | None, cluster: str | None, team: str | None) -> Patching:
        """How long fixes took, and what waits; raises NotFound."""

    def repositories(self, search: str | None, limit: int | None) -> Iterable[RepositorySummary]:
        """By name."""

    def images(
        self, repository: str | None, label: str | None, limit: int | None
    ) -> Iterable[ImageSummary]:
        """Of one repository, or with a label; raises NotFound for an unknown repository."""

    def image(self, reference: str) -> ImageDetail:
        """By name, digest or a digest's first letters; raises NotFound."""

    def holders(self, package: str, below: str | None, limit: int | None) -> Iterable[Holder]:
        """Images that hold a package, by version."""

    def search(self, text: str, limit: int) -> Iterable[SearchHit]:
        """Best first."""

    def lineage(self, reference: str, limit: int) -> Lineage:
        """Ancestors and at most so many descendants; raises NotFound."""

    def affected(self, subject: str, limit: int) -> Exposure:
        """Who has a CVE, a DSA or a range of versions; raises NotFound for what no feed tells of."""

    def running_faults(self, wanted: FaultFilter, limit: int) -> RunningFaults:
        """What is wrong with what runs, worst first."""

    def findings(self, reference: str, *, all_states: bool) -> ImageFindings:
        """What is wrong with an image; raises NotFound."""

    def opinions(self, reference: str) -> Sequence[ImageOpinion]:
        """What other judges say of an image, and where it is not what we say; raises NotFound."""

    def deferrals(self, advisory: str | None, *, all_states: bool) -> Iterable[DeferralItem]:
        """Those in force by when they end, then those that ended; raises NotFound."""

    def statements(self, advisory: str | None, limit: int | None) -> Iterable[VexItem]:
        """What VEX documents say, by fault; raises NotFound."""

    def vex_documents(self) -> Iterable[VexDocumentItem]:
        """The documents by name, those that were uploaded first."""

    def plan(self, ask: PlanQuestion) -> Plan:
        """What to rebuild and redeploy in which order."""

    def saved_plan(self, number: int) -> Plan:
        """With what became of it; raises NotFound."""

    def saved_plans(self) -> Iterable[PlanSummary]:
        """The last saved first."""

    def diff(self, a: str, b: str | None) -> Diff:
        """What changed from ``a`` to ``b``, or to the newest of its line; raises NotFound."""

    def history(self, reference: str, limit: int) -> Iterable[HistoryItem]:
        """Of an image or a repository, the last first; raises NotFound."""


class LocalCatalog:
    """Answers from a database, all within one view of it."""

    def __init__(self, c: Connection, settings: Settings, now: datetime | None = None) -> None:
        self._c = c
        self._settings = settings
        self._now = now or datetime.now(UTC)

    def overview(self) -> Overview:
        """How many images run, by verdict."""
        return staleness.overview(self._c, now=self._now)

    def health(self) -> Iterable[Health]:
        """When clusters, registries, feeds and jobs were last well."""
        return health.list_health(self._c)

    def feeds(self) -> Iterable[FeedItem]:
        """By name, those that are switched off too."""
        return feed_list.list_feeds(self._c, self._settings.feeds, now=self._now)

    def outdated(self, ask: OutdatedQuestion) -> Iterable[OutdatedImage]:
        """Worst first."""
        return staleness.outdated(
            self._c,
            now=self._now,
            all_images=ask.all_images,
            security=ask.security,
            status=ask.status,
            severity=ask.severity,
            exploited=ask.exploited,
            cluster=ask.cluster,
            namespace=ask.namespace,
            image=ask.image,
            limit=ask.limit,
        ).items

    def running(self, ask: RunningQuestion) -> Iterable[RunningItem]:
        """By cluster, namespace, workload, pod."""
        return moments.running(
            self._c,
            now=self._now,
            cluster=ask.cluster,
            namespace=ask.namespace,
            image=ask.image,
            team=ask.team,
            at=ask.at,
            limit=ask.limit,
        ).items

    def clusters(self, at: datetime | None = None) -> Iterable[ClusterItem]:
        """By name: as they are now, or how far what ran at a moment past is known."""
        named = [one.name for one in self._settings.clusters]
        return sights.list_clusters(self._c, now=self._now, at=at, configured=named)

    def exposure(
        self, subject: str, cluster: str | None, namespace: str | None, limit: int
    ) -> PastExposure:
        """How long a fault or a range of versions was run; raises NotFound."""
        return past_exposure(
            self._c, subject, now=self._now, cluster=cluster, namespace=namespace, limit=limit
        )

    def patching(self, since: datetime | None, cluster: str | None, team: str | None) -> Patching:
        """How long fixes took, and what waits; raises NotFound."""
        return patching(self._c, now=self._now, since=since, cluster=cluster, team=team)

    def repositories(self, search: str | None, limit: int | None) -> Iterable[RepositorySummary]:
        """By name."""
        return repositories.list_repositories(self._c, search=search, limit=limit).items

    def images(
        self, repository: str | None, label: str | None, limit: int | None
    ) -> Iterable[ImageSummary]:
        """Of one repository, or with a label; raises NotFound for an unknown repository."""
        return inspection.list_images(
            self._c, now=self._now, repository=repository, label=label, limit=limit
        ).items

    def image(self, reference: str) -> ImageDetail:
        """By name, digest or a digest's first letters; raises NotFound."""
        return inspection.image_detail(self._c, reference, now=self._now)

    def holders(self, package: str, below: str | None, limit: int | None) -> Iterable[Holder]:
        """Images that hold a package, by version."""
        return holders.list_holders(self._c, package, below=below, limit=limit).items

    def search(self, text: str, limit: int) -> Iterable[SearchHit]:
        """Best first."""
        return search.search(self._c, text, limit=limit)

    def lineage(self, reference: str, limit: int) -> Lineage:
        """Ancestors and at most so many descendants; raises NotFound."""
        return ancestry.lineage(self._c, reference, now=self._now, limit=limit)

    def affected(self, subject: str, limit: int) -> Exposure:
        """Who has a CVE, a DSA or a range of versions; raises NotFound for what no feed tells of."""
        return exposure.affected(self._c, subject, now=self._now, limit=limit)

    def running_faults(self, wanted: FaultFilter, limit: int) -> RunningFaults:
        """What is wrong with what runs, worst first."""
        return list_running_faults(self._c, now=self._now, wanted=wanted, limit=limit)

    def findings(self, reference: str, *, all_states: bool) -> ImageFindings:
        """What is wrong with an image; raises NotFound."""
        return findings.image_findings(self._c, reference, now=self._now, all_states=all_states)

    def opinions(self, reference: str) -> Sequence[ImageOpinion]:
        """What other judges say of an image, and where it is not what we say; raises NotFound."""
        ours = findings.image_findings(self._c, reference, now=self._now)
        return second_opinions.image_opinions(self._c, ours, now=self._now)

    def deferrals(self, advisory: str | None, *, all_states: bool) -> Iterable[DeferralItem]:
        """Those in force by when they end, then those that ended; raises NotFound."""
        numbers = deferrals.find_numbers(self._c, advisory)
        return deferrals.list_deferrals(
            self._c, now=self._now, advisories=numbers, all_states=all_states
        )

    def statements(self, advisory: str | None, limit: int | None) -> Iterable[VexItem]:
        """What VEX documents say, by fault; raises NotFound."""
        numbers = deferrals.find_numbers(self._c, advisory)
        return vex.list_statements(self._c, advisories=numbers, limit=limit).items

    def vex_documents(self) -> Iterable[VexDocumentItem]:
        """The documents by name, those that were uploaded first."""
        return vex_documents.list_documents(self._c)

    def plan(self, ask: PlanQuestion) -> Plan:
        """What to rebuild and redeploy in which order."""
        return make_plan(self._c, ask, settings=self._settings, now=self._now)

    def saved_plan(self, number: int) -> Plan:
        """With what became of it; raises NotFound."""
        return following.get_plan(self._c, number)

    def saved_plans(self) -> Iterable[PlanSummary]:
        """The last saved first."""
        return following.list_plans(self._c).items

    def diff(self, a: str, b: str | None) -> Diff:
        """What changed from ``a`` to ``b``, or to the newest of its line; raises NotFound."""
        return differences.diff(self._c, a, b, rules=self._settings.lines)

    def history(self, reference: str, limit: int) -> Iterable[HistoryItem]:
        """Of an image or a repository, the last first; raises NotFound."""
        return past.history(self._c, reference, now=self._now, limit=limit).items
