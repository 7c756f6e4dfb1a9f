"""Advisories: known faults of packages, and where each is fixed."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

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
