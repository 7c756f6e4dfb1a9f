"""Advisories: known faults of packages, and where each is fixed."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

from imagecatalog.domain.answers import Place

FixStatus = Literal["fixed", "open", "not-affected", "undetermined"]
"""``open``: affected, and no fix is out; ``undetermined``: nobody has found out yet."""


class Affected(Struct, frozen=True, kw_only=True):
    """What a feed says of one advisory for a source package in a release of a distribution."""

    advisory: str
    """CVE-…, DSA-…, GHSA-…, as the feed writes it."""
    release: str
    """Codename."""
    source: str
    """Source package."""
    status: FixStatus
    fixed: str | None = None
    """The first source version without the fault."""
    urgency: str | None = None
    """The feed's own word."""
    reason: str | None = None
    """Of an open one: why no fix is to be expected soon: no-dsa, postponed, ignored, end-of-life."""


class Advisory(Struct, frozen=True, kw_only=True):
    """One advisory; ``covers`` are the faults that it bundles, as a DSA does with its CVEs."""

    name: str
    description: str | None = None
    published: datetime | None = None
    covers: tuple[str, ...] = ()


class FeedPart(Struct, frozen=True, kw_only=True):
    """The part of a feed about one thing (a source package, a DSA): replaced as a whole."""

    name: str
    digest: bytes
    """Of its bytes: a part with the digest it had is not looked at again."""
    advisories: tuple[Advisory, ...]
    affected: tuple[Affected, ...]


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


class ExposedImage(Struct, frozen=True, kw_only=True):
    """An image that holds a bad package."""

    image: str
    digest: str
    packages: tuple[str, ...]
    """``name version``."""
    running: tuple[Place, ...]


class Exposure(Struct, frozen=True, kw_only=True):
    """Where an advisory, or a range of versions, is found: what runs first."""

    id: str
    aliases: tuple[str, ...]
    description: str | None
    severity: str | None
    """None: no feed that rates it is read yet."""
    exploited: bool
    packages: tuple[AffectedPackage, ...]
    images: tuple[ExposedImage, ...]
    containers: int
    """That run any of them."""
    more_images: bool
    """Whether images that do not run are left out beyond the limit."""
    unknown: int
    """Images that run and of which the packages, hence the answer, are not known."""
    undetermined: tuple[str, ...] = ()
    """``source in release`` of which nobody has found out yet whether it is affected."""
