"""What ran when: pasts of workloads, how long faults were run and fixes took, how far it is known.

Times are aware datetimes in UTC; of a span the end is the first moment beyond it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

from imagecatalog.domain.answers import Health, RunningItem, Status
from imagecatalog.domain.findings import Severity


class ClusterItem(Health, frozen=True, kw_only=True):
    """A cluster: ``last_good`` and its like are of scans, as of every source of facts."""

    type: str
    """kubernetes, docker or podman."""
    first_scan: datetime | None = None
    """The first whole scan that is remembered."""
    last_scan: datetime | None = None
    """The last whole scan; of a moment past, the last one before it."""
    containers: int = 0
    """That run, or ran at the moment asked about."""
    images: int = 0
    """Distinct images of these."""
    unknown: int = 0
    """Of these, images that the catalog never met."""
    late: bool = False
    """Whether it was not seen well for over two hours."""
    configured: bool | None = None
    """Whether the settings name it still; None: they do not tell of its kind."""
    forgotten: datetime | None = None
    """When somebody said that it is no more."""
    known: bool = True
    """Whether what ran there at the moment asked about is known."""
    note: str | None = None
    """Why it is not known, or how far it is."""


class ClusterSight(Struct, frozen=True, kw_only=True):
    """How far what runs in a cluster, or ran there at the moment asked about, is known."""

    cluster: str
    first_scan: datetime | None
    last_scan: datetime | None
    """The last whole one, or the last before that moment."""
    known: bool
    note: str | None
    """Why it is not known."""


class RunningPage(Struct, frozen=True, kw_only=True):
    """What runs, or ran at a moment, page by page, and how far that is known."""

    items: tuple[RunningItem, ...]
    next: str | None
    clusters: tuple[ClusterSight, ...]
    """Of each cluster asked about: where nothing is known, no item says that nothing ran."""


class ReplicaStep(Struct, frozen=True, kw_only=True):
    """From this moment on so many containers."""

    at: datetime
    replicas: int


class WorkloadStay(
    Struct, frozen=True, kw_only=True, rename={"since": "from", "until": "to", "steps": "replicas"}
):
    """A time for which a container of a workload ran one image."""

    container: str
    kind: Literal["container", "init", "ephemeral"]
    image: str
    digest: str | None
    known: bool
    """Whether the catalog holds it."""
    matched_by: str | None
    """manifest, index, config or tag; None: it is not known."""
    status: Status
    """Of the image as it is judged now."""
    reason: str | None
    since: datetime
    until: datetime | None
    """The first scan that no longer saw it; None: it runs still."""
    seen: datetime
    """The last scan that saw it."""
    most: int
    """Containers at once, at most."""
    steps: tuple[ReplicaStep, ...]
    """How many ran when."""


class Gap(Struct, frozen=True, kw_only=True, rename={"since": "from", "until": "to"}):
    """A time between two whole scans that was longer than usual: what ran within it is not known."""

    since: datetime
    until: datetime | None
    """None: there was no scan since."""


class WorkloadPast(Struct, frozen=True, kw_only=True):
    """What a workload ran, the last first."""

    cluster: str
    namespace: str
    workload: str
    team: str
    first_scan: datetime | None
    """Of its cluster: before it nothing is known."""
    last_scan: datetime | None
    gaps: tuple[Gap, ...]
    stays: tuple[WorkloadStay, ...]


class ExposedSpan(
    Struct,
    frozen=True,
    kw_only=True,
    rename={"since": "from", "until": "to"},
):
    """A time for which a workload ran images with a fault."""

    cluster: str
    namespace: str
    workload: str
    team: str
    since: datetime
    until: datetime | None
    still: bool
    containers: int
    """At once, at most."""
    images: tuple[str, ...]
    """By which names, the first first."""
    packages: tuple[str, ...]
    """``name version`` of what is bad in them."""
    waited: float | None
    """Seconds for which it ran on when a fix was out; None: when that was is not known."""


class ExposedStep(Struct, frozen=True, kw_only=True):
    """From this moment on so many containers ran with the fault."""

    at: datetime
    containers: int


class PastExposure(Struct, frozen=True, kw_only=True):
    """How long an advisory, or a range of versions, was run, and where."""

    id: str
    first: datetime | None
    """The first scan of any cluster: before it nothing is known."""
    fix_since: datetime | None
    """When the first fix for what was run was out; None: that is not known."""
    fix_told_by: Literal["notice", "apt"] | None
    """Whose word that is: the date of an advisory's notice, or when an archive was first seen to have it."""
    containers: int
    """That run it now."""
    workloads: int
    """Of which any runs it now."""
    unknown: int
    """Images that ran and of which the packages, hence the answer, are not known."""
    items: tuple[ExposedSpan, ...]
    """Those that go on first, then the last that ended first."""
    steps: tuple[ExposedStep, ...]
    more: int = 0
    """Spans that are left out beyond the limit, the first to end."""


class PatchTimes(Struct, frozen=True, kw_only=True):
    """How long faults took from the day a fix was out, each fault once for each workload: in seconds."""

    severity: Severity | None
    team: str | None
    """None: all teams; empty: workloads that no label says a team of."""
    patched: int
    """Where an image without the fault took the place of one with it."""
    rebuilt_median: float | None
    """From the fix to the first image of that repository without the fault."""
    rebuilt_p90: float | None
    deployed_median: float | None
    """From the fix until the workload ran an image without it."""
    deployed_p90: float | None
    waiting: int
    """Where the fix is still not run."""
    rebuilt: int
    """Of these, where an image without the fault is built and only to be deployed."""
    waiting_median: float | None
    """From the fix until now."""
    oldest: datetime | None
    """The first fix that still waits."""


class Uncounted(Struct, frozen=True, kw_only=True):
    """Faults of workloads of which the time is not known."""

    number: int
    reason: str


class WaitingWorkload(Struct, frozen=True, kw_only=True):
    """A workload that runs faults for which a fix is out."""

    cluster: str
    namespace: str
    workload: str
    team: str
    image: str
    faults: int
    severity: Severity | None
    """The worst of them."""
    waiting_since: datetime
    """When the first of the fixes was out."""
    rebuilt: str | None
    """The first image of its repository without the worst of them, where there is one."""


class Patching(Struct, frozen=True, kw_only=True):
    """From a fix that is out to the rebuilt image to its deployment."""

    since: datetime
    """What was patched since, and what waits now, is counted."""
    until: datetime
    total: PatchTimes
    by_severity: tuple[PatchTimes, ...]
    by_team: tuple[PatchTimes, ...]
    unknown: tuple[Uncounted, ...]
    waiting: tuple[WaitingWorkload, ...]
    """Those that wait longest, the worst first."""
