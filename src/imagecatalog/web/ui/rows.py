"""Lists gathered into the rows that pages show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from imagecatalog.domain.advisories import Exposure, FeedStatement
from imagecatalog.domain.answers import STATUS_ORDER, Health, Place, RunningItem, Status, Update
from imagecatalog.domain.builds import Evidence, Role
from imagecatalog.domain.findings import SEVERITIES, Finding, Severity
from imagecatalog.domain.plans import Redeploy
from imagecatalog.planning.finding_sentences import describe_state
from imagecatalog.planning.running_faults import FaultState

STATUS_WORDS: dict[Status, str] = {
    "security-update": "Security update",
    "end-of-life": "End of life",
    "update": "Update",
    "superseded": "Superseded",
    "unknown": "Unknown",
    "current": "Current",
}


STATUS_SENTENCES: dict[Status, tuple[str, str]] = {
    "security-update": ("needs a security update", "need a security update"),
    "end-of-life": ("is of a release out of support", "are of a release out of support"),
    "update": ("needs an update, not for security", "need an update, not for security"),
    "superseded": ("has a newer version", "have a newer version"),
    "unknown": ("could not be judged", "could not be judged"),
    "current": ("is up to date", "are up to date"),
}
"""What one image, or several, of a status do."""


EVIDENCE_NAMES: dict[Evidence, str] = {
    "registered": "the registered build",
    "provenance": "its provenance",
    "annotation": "its annotation",
    "layers": "its layers",
}
ROLE_WORDS: dict[Role, str] = {"base": "base", "stage": "build stage", "copy": "copied from"}


@dataclass(frozen=True)
class UpdateOrigin:
    """How many updates are of packages that one ancestor brought; None: the image's own."""

    inherited_from: str | None
    updates: int


def group_origins(updates: Iterable[Update]) -> tuple[UpdateOrigin, ...]:
    """Who must act: each ancestor that brought something, most first, the image itself last."""
    numbers = Counter(update.inherited_from for update in updates)
    ordered = sorted(numbers.items(), key=lambda pair: (pair[0] is None, -pair[1], pair[0] or ""))
    return tuple(UpdateOrigin(name, number) for name, number in ordered)


def count_workloads(moves: Iterable[Redeploy]) -> int:
    """Distinct workloads; one that runs several images that move is one."""
    return len({(move.cluster, move.namespace, move.workload) for move in moves})


@dataclass(frozen=True)
class WorkloadRow:
    """One image in one container of a workload: the first begun of them, and how many there are."""

    item: RunningItem
    containers: int
    troubles: tuple[tuple[str, int], ...] = ()
    """Why some of them do not run, and how many: ``ImagePullBackOff``."""
    pods: tuple[str, ...] = ()
    """Their names; none where it is so long past that these are not kept."""


@dataclass(frozen=True)
class NamespaceRows:
    """The rows of one namespace of one cluster."""

    cluster: str
    namespace: str
    rows: tuple[WorkloadRow, ...]


def group_running(items: Iterable[RunningItem]) -> tuple[NamespaceRows, ...]:
    """Containers as rows by namespace; expects the order of ``running``."""
    return tuple(
        NamespaceRows(cluster, namespace, _workload_rows(list(group)))
        for (cluster, namespace), group in groupby(items, lambda i: (i.cluster, i.namespace))
    )


def _workload_rows(items: Sequence[RunningItem]) -> tuple[WorkloadRow, ...]:
    groups: dict[tuple[str, ...], list[RunningItem]] = {}
    for item in items:
        key = (item.workload, item.container, item.kind, item.image, item.digest or "")
        groups.setdefault(key, []).append(item)
    return tuple(
        WorkloadRow(
            min(group, key=lambda item: item.since),
            sum(item.replicas for item in group),
            _list_troubles(group),
            tuple(item.pod_name for item in group if item.pod_name),
        )
        for group in groups.values()
    )


def _list_troubles(items: Iterable[RunningItem]) -> tuple[tuple[str, int], ...]:
    """An init container that is done is no trouble."""
    counted = Counter(
        item.state_reason or item.state
        for item in items
        if item.state == "waiting" or (item.state == "terminated" and item.kind == "container")
    )
    return tuple(counted.most_common())


def sum_places(places: Iterable[Place]) -> tuple[tuple[str, int], ...]:
    """Containers by cluster, by name."""
    totals: dict[str, int] = {}
    for place in places:
        totals[place.cluster] = totals.get(place.cluster, 0) + place.containers
    return tuple(sorted(totals.items()))


def list_workloads(places: Iterable[Place]) -> tuple[str, ...]:
    """``namespace/name`` of the workloads, each once however many clusters have it."""
    names = (f"{place.namespace}/{place.workload.rpartition('/')[2]}" for place in places)
    return tuple(dict.fromkeys(names))


def order_statuses(by_status: dict[str, int]) -> tuple[tuple[Status, str, int], ...]:
    """(status, its word, how many), worst first; those that later releases judge only when met."""
    always = {"security-update", "update", "unknown", "current"}
    return tuple(
        (status, STATUS_WORDS[status], by_status.get(status, 0))
        for status in STATUS_ORDER
        if status in always or by_status.get(status)
    )


def group_health(found: Iterable[Health]) -> dict[str, list[Health]]:
    """By kind, each kind there."""
    groups: dict[str, list[Health]] = {kind: [] for kind in ("cluster", "registry", "feed", "job")}
    for one in found:
        groups[one.kind].append(one)
    return groups


@dataclass(frozen=True)
class FindingGroup:
    """The findings of one package that one thing is to be done about."""

    first: Finding
    severity: Severity | None
    """The worst of them."""
    is_exploited: bool
    advisories: tuple[str, ...]


def group_findings(findings: Iterable[Finding]) -> list[FindingGroup]:
    """Those that count, by package and what is to be done, in their order: the worst first."""
    grouped: dict[tuple[object, ...], list[Finding]] = {}
    for one in findings:
        if one.suppressed is None:
            key = (one.type, one.source, one.installed, one.inherited_from, describe_state(one))
            grouped.setdefault(key, []).append(one)
    return [
        FindingGroup(
            first=many[0],
            severity=max((one.severity for one in many), key=SEVERITIES.index),
            is_exploited=any(one.exploited for one in many),
            advisories=tuple(one.advisory for one in many),
        )
        for many in grouped.values()
    ]


FAULT_STATES: tuple[tuple[FaultState, str], ...] = (
    ("fix-out", "fix out"),
    ("no-fix", "no fix yet"),
    ("wont-fix", "will not be fixed"),
    ("undetermined", "undetermined"),
    ("suppressed", "suppressed everywhere"),
)


@dataclass(frozen=True)
class Statements:
    """What feeds say of a fault: of releases and packages that images hold, and of others."""

    ours: tuple[FeedStatement, ...]
    elsewhere: tuple[FeedStatement, ...]


def split_statements(found: Exposure) -> Statements:
    """Apart where some image holds a bad version."""
    held = {(one.source, one.release) for one in found.packages}
    ours: list[FeedStatement] = []
    elsewhere: list[FeedStatement] = []
    for one in found.statements:
        release = one.scope.partition("/")[2] or None
        (ours if (one.source, release) in held else elsewhere).append(one)
    return Statements(tuple(ours), tuple(elsewhere))
