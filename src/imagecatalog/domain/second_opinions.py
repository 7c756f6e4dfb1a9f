"""What another judge, Clair, says of the same images; each of its words stays its own."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from imagecatalog.domain.findings import Severity, State
from imagecatalog.domain.refs import Digest


class FoundPackage(Struct, frozen=True, kw_only=True, cache_hash=True):
    """A package version that Clair finds installed."""

    type: str
    """Of package URLs; empty where Clair does not tell what it is."""
    name: str
    version: str
    arch: str
    source: str
    """Of a language's package: its own name."""
    source_version: str
    distro: str
    """As ``debian 12``; empty where Clair recognises none."""
    origin: str = ""
    """The repositories and the module that it is of, where Clair tells any: it judges by them too."""


class Statement(Struct, frozen=True, kw_only=True, cache_hash=True):
    """A fault of a package as one of Clair's updaters has it."""

    updater: str
    name: str
    """As Clair writes it; of some updaters a whole title."""
    names: tuple[str, ...]
    """The identifiers in it, as CVE-2024-1 and GHSA-…; never none."""
    package: str
    severity: Severity | None
    """Clair's own scale."""
    urgency: str | None
    """The updater's own word."""
    fixed: str | None
    """The first version without the fault; None: none that Clair knows of."""


class ForeignReport(Struct, frozen=True, kw_only=True):
    """What Clair finds in an image, and, of a vulnerability report, what it holds against it."""

    manifest: Digest
    found: dict[FoundPackage, Digest | None]
    """Each package with the layer that brought it."""
    claims: dict[FoundPackage, tuple[Statement, ...]] = {}
    unread: int = 0
    """Members that could not be understood and are left out."""


class Remark(Struct, frozen=True, kw_only=True):
    """What Clair says of one fault in one source package of an image."""

    advisory: str
    names: tuple[str, ...]
    type: str
    """Purl type, or empty."""
    package: str
    """Source package, or a language's package."""
    installed: str
    """Its version, as Clair reads it."""
    binaries: tuple[str, ...]
    """``name version`` of each that is installed of it."""
    severity: Severity | None
    fixed: str | None
    updater: str
    layer: str | None
    """Digest of the layer that brought it."""
    urgency: str | None = None


class Opinion(Struct, frozen=True, kw_only=True):
    """What Clair says of an image. Where ``unknown`` is set, no remark is no sign of health."""

    source: str
    """Who says so: ``clair``."""
    unknown: str | None
    """Why Clair's word is missing, or is not of today."""
    updated: datetime | None
    """When Clair last took in something new."""
    reported: datetime | None
    """When its report was last read; what it said then is told on."""
    packages: int
    """That it finds."""
    remarks: tuple[Remark, ...]


class Difference(Struct, frozen=True, kw_only=True):
    """Where Clair and we do not say the same of a fault in a package."""

    advisory: str
    package: str
    ours: State | None
    """None: we do not list it."""
    fixed: str | None
    """The first good version, as we say."""
    clair: Remark | None
    """None: Clair does not list it."""
    why: str | None
    """Where it can be told."""


class ImageOpinion(Struct, frozen=True, kw_only=True):
    """Another judge's word on an image, and where it is not ours."""

    image: str
    digest: str
    opinion: Opinion
    differences: tuple[Difference, ...]
