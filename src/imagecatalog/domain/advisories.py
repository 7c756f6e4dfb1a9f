"""Advisories: known faults of packages, and where each is fixed."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

from imagecatalog.domain.answers import Place
from imagecatalog.domain.findings import Severity, State, Suppression

FixStatus = Literal["fixed", "open", "not-affected", "undetermined"]
"""``open``: affected, and no fix is out; ``undetermined``: nobody has found out yet."""


class AffectedRange(Struct, frozen=True):
    """Versions with a fault, as byte keys: from ``low`` on and below ``high``, or up to it."""

    low: bytes | None
    """None: from the first version on."""
    high: bytes | None
    """None: without an end."""
    high_inclusive: bool = False
    fixed: str | None = None
    """The first version without the fault, where one is named."""

    def contains(self, key: bytes) -> bool:
        """Whether the version with that key has the fault."""
        if self.low is not None and key < self.low:
            return False
        return self.high is None or key < self.high or (self.high_inclusive and key == self.high)


class Affected(Struct, frozen=True, kw_only=True):
    """What a feed says of one advisory for a package of a scope."""

    advisory: str
    """CVE-…, DSA-…, GHSA-…, as the feed writes it."""
    scope: str
    """``debian/bookworm``, ``pypi`` (``domain.scopes``)."""
    name: str
    """The source package, or a language's package by its canonical name."""
    status: FixStatus
    ranges: tuple[AffectedRange, ...] = ()
    """The versions that it speaks of; none: all versions."""
    urgency: str | None = None
    """The feed's own word."""
    reason: str | None = None
    """Why no fix is to be expected soon: no-dsa, postponed, point-release, ignored, end-of-life;
    of an undetermined one: invalid-range, where the feed names a version that is none."""

    @property
    def fixed(self) -> str | None:
        """The first version without the fault; of several ranges that of the last."""
        return next((one.fixed for one in reversed(self.ranges) if one.fixed), None)


class Rating(Struct, frozen=True, kw_only=True):
    """How bad a fault is, by one way to measure it."""

    system: Literal["CVSS_V2", "CVSS_V3", "CVSS_V4", "word"]
    vector: str | None = None
    """CVSS vector string; of a word the word."""
    score: float | None = None
    """CVSS base score."""
    severity: Severity | None = None


class Advisory(Struct, frozen=True, kw_only=True):
    """One advisory, as a feed tells of it."""

    name: str
    description: str | None = None
    published: datetime | None = None
    modified: datetime | None = None
    covers: tuple[str, ...] = ()
    """The faults that it bundles, as a DSA does with its CVEs."""
    aliases: tuple[str, ...] = ()
    """Other names of the very same fault."""
    ratings: tuple[Rating, ...] = ()


class FeedPart(Struct, frozen=True, kw_only=True):
    """The part of a feed about one thing (a source package, a DSA): replaced as a whole."""

    name: str
    digest: bytes
    """Of its bytes: a part with the digest it had is not looked at again."""
    advisories: tuple[Advisory, ...]
    affected: tuple[Affected, ...]
    scopes: frozenset[str] = frozenset()
    """Of one that has not changed, and of which nothing else is told: the scopes it speaks of."""


class AffectedPackage(Struct, frozen=True, kw_only=True):
    """A binary package of which some image holds a bad version."""

    package: str
    source: str
    release: str | None
    """Codename of the release that it is bad in; None: in any."""
    versions: tuple[str, ...]
    """The bad ones that images hold, oldest first."""
    fixed: str | None
    """The first good source version; None: no fix is out."""
    reason: str | None = None
    """Why none is, where somebody says so."""


class ExposedImage(Struct, frozen=True, kw_only=True, gc=False):
    """An image that holds a bad package."""

    image: str
    digest: str
    packages: tuple[str, ...]
    """``name version``."""
    running: tuple[Place, ...]
    suppressed: Suppression | None = None
    """Why the fault does not count in it: it is listed all the same."""


class FeedStatement(Struct, frozen=True, kw_only=True):
    """What a feed tells of a fault in a package of a scope."""

    scope: str
    """A release of a distribution, as ``debian/bookworm``, or a language's packages, as ``pypi``."""
    source: str
    advisory: str
    """The name by which the feed tells it."""
    status: FixStatus
    fixed: str | None
    urgency: str | None
    reason: str | None
    feed: str


class Exposure(Struct, frozen=True, kw_only=True):
    """Where an advisory, or a range of versions, is found: what runs first."""

    id: str
    aliases: tuple[str, ...]
    description: str | None
    severity: str | None
    """None: nobody rates it, or what is asked for is no advisory."""
    exploited: bool
    packages: tuple[AffectedPackage, ...]
    images: tuple[ExposedImage, ...]
    containers: int
    """That run any of them."""
    more_images: bool
    """Whether images that do not run are left out beyond the limit."""
    unknown: int
    """Images that run and of which the answer is not known: no packages, or no feed of their release."""
    undetermined: tuple[str, ...] = ()
    """``source in release`` of which nobody has found out yet whether it is affected."""
    due: datetime | None = None
    """Until when CISA wants it fixed, where it is known to be exploited."""
    epss: float | None = None
    """Probability of being exploited within 30 days."""
    statements: tuple[FeedStatement, ...] = ()
    """What the feeds tell of it, of releases that nobody holds too."""
    old_scores: tuple[str, ...] = ()
    """Which of KEV and EPSS are too old to rest on, a sentence each."""


class FixedIn(Struct, frozen=True, kw_only=True):
    """The first version without a fault, in one scope."""

    scope: str
    source: str
    fixed: str


class RunningFault(Struct, frozen=True, kw_only=True):
    """A fault that what runs holds: one item of ``advisories``."""

    advisory: str
    """The fault's usual name."""
    aliases: tuple[str, ...]
    """Its other names, and the notices that bundle it."""
    severity: Severity | None
    exploited: bool
    due: datetime | None
    """Until when CISA wants an exploited one fixed."""
    epss: float | None
    state: State
    """Of its packages that run the one with most to do: a fix is out before none is."""
    packages: tuple[str, ...]
    """Source packages, or packages of a language."""
    fixed: tuple[FixedIn, ...]
    images: int
    """Distinct images that run and hold it, those left out in which it is suppressed."""
    containers: int
    suppressed: int
    """Images that run, and in which it does not count."""
    waiting_since: datetime | None
    """When the first notice told of a fix for what is held; None: none is known."""


class RunningFaults(Struct, frozen=True, kw_only=True):
    """What runs and is not all right, worst first: exploited, severity, fix out, EPSS, containers.

    The numbers are of all that was asked about, whatever severity or state the items are kept to.
    """

    fixable: int
    """Faults that a fix is out for, negligible ones left out."""
    exploited: int
    """Those of them that are known to be exploited."""
    unfixed: int
    """All others that count."""
    undetermined: int
    suppressed: int
    """Faults that count in nothing that runs."""
    images: int
    """Distinct images that run and hold a fixable fault."""
    running: int
    """Distinct images that run, and whose packages are known."""
    unknown: int
    """Images that run anywhere, and whose packages are not known, or of whose release no feed tells."""
    total: int
    """How many items there are, on all pages."""
    items: tuple[RunningFault, ...]
    next: str | None
    """Cursor of the next page."""
    old_scores: tuple[str, ...] = ()
    """Which of KEV and EPSS are too old to rest on, a sentence each."""
