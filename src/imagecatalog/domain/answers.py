"""What the catalog answers: the JSON shapes of the contract, one struct each.

Field order is the order of columns. Times are aware datetimes in UTC.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

from imagecatalog.domain.contents import FileProblem
from imagecatalog.domain.findings import Severity

Status = Literal["security-update", "update", "superseded", "end-of-life", "current", "unknown"]
"""A verdict; ``superseded`` is an image that runs and is not the newest of its line, or not built on
the newest of its base's; ``end-of-life`` comes with support data."""

STATUS_ORDER: tuple[Status, ...] = (
    "security-update",
    "end-of-life",
    "update",
    "superseded",
    "unknown",
    "current",
)
"""Worst first."""


class Update(Struct, frozen=True, kw_only=True):
    """A newer version that apt would install over an installed package."""

    package: str
    type: str
    arch: str
    source: str
    installed: str
    candidate: str
    security: bool
    origin: str
    """Label and codename of the archive that has it, as ``Debian-Security/bookworm-security``."""
    held: bool = False
    advisories: tuple[str, ...] = ()
    severity: str | None = None
    exploited: bool = False
    inherited_from: str | None = None
    since: datetime | None = None
    """When it was first seen on offer, or seen to be one for security."""
    suppressed: tuple[str, ...] = ()
    """Those of the advisories that do not count in this image."""


class Place(Struct, frozen=True, kw_only=True, gc=False):
    """Where an image runs: one workload."""

    cluster: str
    namespace: str
    workload: str
    containers: int


class Drift(Struct, frozen=True, kw_only=True):
    """A tag means another image by now than what was started by its name and still runs."""

    tag: str
    """The whole name."""
    digest: str
    """The image or index that the tag points to."""
    since: datetime
    """When it was first seen pointing there."""
    left: datetime | None = None
    """When it was last seen leaving what runs; None: it was never seen pointing there."""


class Verdict(Struct, frozen=True, kw_only=True):
    """The judgement of one image; ``reason`` says why it is unknown or incomplete."""

    status: Status
    reason: str | None = None
    security: int = 0
    """How many packages have a security update."""
    updates: int = 0
    """How many packages have any update, security updates included."""
    waiting_since: datetime | None = None
    """When the first of its security updates, or else of its updates, was first seen."""
    suppressed: int = 0
    """How many faults of it do not count, by a VEX statement or a deferral."""
    unjudged: str | None = None
    """Which packages of it nobody judges, whatever the status."""


class OutdatedImage(Struct, frozen=True, kw_only=True):
    """One item of ``outdated``."""

    image: str
    digest: str | None
    platform: str | None
    distro: str | None
    status: Status
    reason: str | None
    running: tuple[Place, ...]
    updates: tuple[Update, ...]
    newer: str | None = None
    """The newest tag of its line, where that is another image."""
    base: str | None = None
    """The image it is built on, as far as that is known."""
    newer_base: str | None = None
    """The newest tag of its base's line, where that is another image."""
    waiting_since: datetime | None = None
    """When the first of its security updates, or else of its updates, was first seen."""
    severity: Severity | None = None
    """The worst of the faults in it that a fix is out for, and that count."""
    exploited: bool = False
    """Whether any fault in it that counts is known to be exploited."""
    drift: tuple[Drift, ...] = ()
    """The tags by which it runs, and which mean another image by now."""
    suppressed: int = 0
    """How many faults of it do not count, by a VEX statement or a deferral."""
    unjudged: str | None = None
    """Which packages of it nobody judges, whatever the status."""


class RunningItem(Struct, frozen=True, kw_only=True):
    """One container of one pod, for as long as it was seen."""

    cluster: str
    namespace: str
    workload: str
    pod_name: str
    container: str
    kind: Literal["container", "init", "ephemeral"]
    image: str
    digest: str | None
    since: datetime
    seen: datetime
    known: bool
    index_digest: str | None = None
    platform: str | None = None
    status: Status = "unknown"
    reason: str | None = None
    """Of the verdict."""
    until: datetime | None = None
    """The first scan that no longer saw it; None: it runs still."""
    replicas: int = 1
    """More than one where it is long past, and several pods are summed up without their names."""
    team: str = ""
    """Whose workload it is; empty: no label says."""
    matched_by: str | None = None
    """How the image was found: manifest, index, config, or tag; None: it was not."""
    state: Literal["running", "waiting", "terminated", ""] = ""
    """As it is now; empty: not told, or past."""
    state_reason: str = ""
    """Of that state, as ``ImagePullBackOff``."""
    drift: Drift | None = None
    """What its tag means by now, or meant then, where that is another image."""


class Overview(Struct, frozen=True, kw_only=True):
    """The front page: how many distinct images run, by verdict."""

    running: int
    """Distinct images that run, known or not."""
    containers: int
    by_status: dict[str, int]
    repositories: int
    images: int
    waiting_since: datetime | None
    """When the oldest security update that waits in what runs was first seen."""
    worst: tuple[OutdatedImage, ...]
    """The ten worst, their ``updates`` left empty."""
    by_severity: dict[str, int] = {}
    """Running images by the worst of the faults in them that a fix is out for."""
    exploited: int = 0
    """Running images with a fault that is known to be exploited."""
    unjudged: int = 0
    """Running images with packages that nobody judges, whatever their verdict."""


class Health(Struct, frozen=True, kw_only=True):
    """When a cluster, registry, feed or job was last well."""

    kind: Literal["cluster", "registry", "feed", "job"]
    name: str
    last_good: datetime | None
    last_tried: datetime | None
    last_error: str | None
    seconds: float | None
    """How long the last attempt took."""
    next_run: datetime | None = None
    detail: str | None = None


class TagPeriod(Struct, frozen=True, kw_only=True):
    """What a tag pointed to, from ``since`` until ``until`` (None: still)."""

    tag: str
    digest: str
    since: datetime
    until: datetime | None


class RepositorySummary(Struct, frozen=True, kw_only=True):
    """One repository with its counts."""

    repository: str
    """Registry and path."""
    tags: int
    images: int
    running: int
    """Distinct images of it that run."""
    newest_tag: str | None
    newest_seen: datetime | None


class LayerItem(Struct, frozen=True, kw_only=True):
    """One layer of an image, the base first."""

    digest: str
    size: int
    problem: str | None = None


class PackageItem(Struct, frozen=True, kw_only=True):
    """One installed package with what apt would make of it."""

    package: str
    type: str
    arch: str
    source: str
    source_version: str
    installed: str
    candidate: str | None = None
    security: bool = False
    held: bool = False
    origin: str | None = None
    inherited_from: str | None = None
    """The farthest base that has the very same version; None: the image's own."""
    third_party: bool = False
    """The distribution did not build it: its advisories say nothing of it."""


class ImageSummary(Struct, frozen=True, kw_only=True):
    """One image in a list."""

    image: str
    digest: str
    platform: str | None
    distro: str | None
    created: datetime | None
    first_seen: datetime
    gone: datetime | None
    """When the registry no longer had it; None while it has."""
    tags: tuple[str, ...]
    verdict: Verdict
    running: int
    """Containers."""


class AttachmentItem(Struct, frozen=True, kw_only=True):
    """What a registry keeps beside an image, as it was found there."""

    kind: Literal["provenance", "sbom", "signature", "other"]
    media_type: str
    """Of the predicate, the document or the artifact."""
    digest: str
    subject: str
    """Digest of the image or index that it is attached to."""
    signature: Literal["none", "unverified", "verified"]
    """Nobody checks signatures here: one that is there is "unverified"."""
    seen: datetime
    problem: str | None = None
    """Why nothing of it counts, or what of it was not understood."""


class ToldDifference(Struct, frozen=True, kw_only=True):
    """A package of which we and DebMonitor's client tell different updates."""

    package: str
    installed: str
    here: str | None
    """The version that apt would install by our reading; None: none."""
    there: str | None
    """The version that the client told of; None: none."""


class ToldUpdates(Struct, frozen=True, kw_only=True):
    """What DebMonitor's clients told of an image."""

    name: str
    """By which they told of it."""
    told_by: str
    """Whose token or certificate."""
    received: datetime
    os: str
    counts: bool
    """Whether the verdict rests on it, as there is none of our own."""
    updates: tuple[Update, ...]
    differences: tuple[ToldDifference, ...]
    """From our own updates, where there is a verdict of our own."""


class ImageDetail(Struct, frozen=True, kw_only=True):
    """All of one image."""

    image: str
    digest: str
    index_digest: tuple[str, ...]
    platform: str | None
    media_type: str
    config_digest: str | None
    created: datetime | None
    first_seen: datetime
    gone: datetime | None
    distro: str | None
    names: tuple[str, ...]
    """Every repository that has or had it."""
    tags: tuple[TagPeriod, ...]
    verdict: Verdict
    updates: tuple[Update, ...]
    packages: tuple[PackageItem, ...]
    layers: tuple[LayerItem, ...]
    running: tuple[Place, ...]
    apt_sources: tuple[str, ...]
    """One line each, as sources.list(5) writes them."""
    labels: dict[str, str] = {}
    """Of its configuration, and its manifest's annotations."""
    attachments: tuple[AttachmentItem, ...] = ()
    """What is attached to it or to an index that names it, the newest first."""
    base: str | None = None
    """The image it is built on, as far as that is known."""
    newer: str | None = None
    """The newest tag of its line, where that is another image."""
    newer_base: str | None = None
    """The newest tag of its base's line, where that is another image."""
    debmonitor: ToldUpdates | None = None
    """What DebMonitor's clients told of it."""
    problems: tuple[FileProblem, ...] = ()
    """Files that tell of packages and could not be read: what they hold is not known."""
    drift: tuple[Drift, ...] = ()
    """The tags by which it runs, and which mean another image by now."""


class Holder(Struct, frozen=True, kw_only=True):
    """An image that holds a package of some version."""

    image: str
    digest: str
    package: str
    version: str
    running: int


class SearchHit(Struct, frozen=True, kw_only=True):
    """One thing that a search found."""

    kind: Literal["image", "repository", "package", "workload", "namespace", "cluster", "advisory"]
    name: str
    detail: str
    link: str
    """Path of its page."""
