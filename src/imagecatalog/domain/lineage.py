"""What an image is built on and what is built on it: the answers."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

from imagecatalog.domain.answers import Status
from imagecatalog.domain.builds import Evidence, Role
from imagecatalog.domain.pasts import ReplicaStep


class Relative(Struct, frozen=True, kw_only=True):
    """An ancestor or a descendant. ``depth`` 1 is a parent or a child."""

    image: str
    digest: str | None
    """None: only a name was told, and the catalog knows no image of it."""
    role: Role
    evidence: Evidence
    """The best that speaks for this edge."""
    depth: int
    of: str
    """Digest of the relative one step nearer to the image asked about."""
    also: tuple[Evidence, ...] = ()
    """What else says the same."""
    known: bool = True
    """Whether the catalog holds it."""
    status: Status = "unknown"
    running: int = 0
    """Containers."""


class Contradiction(Struct, frozen=True, kw_only=True):
    """Where two who tell of an image's parents do not agree; nothing is settled silently."""

    image: str
    """The child's name."""
    digest: str
    evidence: Evidence
    """Whose word was not taken."""
    says: str
    against: Evidence
    """Whose word was."""


class Lineage(Struct, frozen=True, kw_only=True):
    """The ancestors of an image, nearest first, and its descendants by depth and name."""

    image: str
    digest: str
    ancestors: tuple[Relative, ...]
    descendants: tuple[Relative, ...]
    contradictions: tuple[Contradiction, ...] = ()
    more_descendants: bool = False
    """Whether there are more than are listed."""
    status: Status = "unknown"
    running: int = 0


class PackageOrigin(Struct, frozen=True, kw_only=True):
    """A package and the ancestor that brought it."""

    package: str
    type: str
    arch: str
    installed: str
    inherited_from: str | None
    """Name of the farthest base with the same version; None: the image's own."""
    digest: str | None
    """Of that base."""


class BuildItem(Struct, frozen=True, kw_only=True):
    """One build of an image, as one teller has it."""

    evidence: Evidence
    image: str | None
    digest: str | None
    platform: str | None
    builder: str | None
    builder_version: str | None
    started: datetime | None
    finished: datetime | None
    source_repository: str | None
    source_revision: str | None
    source_path: str | None
    link: str | None
    reason: str | None
    told_by: str | None
    signature: str | None
    received: datetime
    parents: tuple[ParentItem, ...]


class ParentItem(Struct, frozen=True, kw_only=True):
    """A parent as it was told; ``resolved``: given, then (the tag of that time), later, or null."""

    image: str | None
    digest: str | None
    role: Role
    resolved: str | None


class RegisteredName(Struct, frozen=True, kw_only=True):
    """A name that a registered build gave, and what it meant by it."""

    image: str
    """With its tag."""
    digest: str | None
    """Null while nobody knows what the name means."""
    builder: str | None


class InventoryItem(Struct, frozen=True, kw_only=True):
    """A list of the image's packages that somebody told, beside the one that counts."""

    kind: str
    """``layers``, ``sbom`` or ``registered``."""
    told_by: str
    format: str
    tool: str | None
    received: datetime | None
    packages: int
    counts: bool
    """Whether it is the one that verdicts rest on: layers before SBOM before registered."""
    only_here: tuple[str, ...] = ()
    """``name version arch`` that it has and the one that counts has not, of the kinds both list."""
    not_here: tuple[str, ...] = ()
    """The other way round; of either at most 50 are told."""
    differences: int = 0
    """How many there are on both sides."""
    problem: str | None = None


class PackageChange(Struct, frozen=True, kw_only=True):
    """A package of one image against another."""

    package: str
    type: str
    arch: str
    source: str
    a: str | None
    """Version in the first; None: not there."""
    b: str | None


class PackageChanges(Struct, frozen=True, kw_only=True):
    """What became of the packages, each by name."""

    added: tuple[PackageChange, ...]
    removed: tuple[PackageChange, ...]
    upgraded: tuple[PackageChange, ...]
    downgraded: tuple[PackageChange, ...]


class AdvisoryChanges(Struct, frozen=True, kw_only=True):
    """Which faults went, came and stayed with the packages."""

    fixed: tuple[str, ...] = ()
    introduced: tuple[str, ...] = ()
    remaining: tuple[str, ...] = ()
    """Those that both have."""


class LayerChanges(Struct, frozen=True, kw_only=True):
    """Layers in common from the base on, then each one's own."""

    common: int
    a: tuple[str, ...]
    b: tuple[str, ...]


class Diff(Struct, frozen=True, kw_only=True):
    """What changed from image ``a`` to image ``b``."""

    a: str
    b: str
    a_digest: str
    b_digest: str
    packages: PackageChanges
    advisories: AdvisoryChanges
    layers: LayerChanges
    config: dict[str, tuple[str | None, str | None]]
    """Labels, platform, creation, distribution that differ: before, after."""
    reason: str | None = None
    """Why packages could not be compared, where they could not."""


class HistoryItem(Struct, frozen=True, kw_only=True):
    """Something that happened to an image: a tag pointed to it, it was built, it ran."""

    event: Literal["tag", "build", "run"]
    at: datetime
    """When it began; of a build when it ended, as its builder says, else when it was told."""
    until: datetime | None
    """When a tag moved on or a workload no longer ran it; None: it does still, or of a build."""
    image: str
    digest: str | None
    detail: str
    """What a person wants to know of it, in a few words."""
    cluster: str | None = None
    namespace: str | None = None
    workload: str | None = None
    build: BuildItem | None = None
    container: str | None = None
    """Of a workload's own history."""
    replicas: tuple[ReplicaStep, ...] = ()
    """How many containers ran when, likewise."""
