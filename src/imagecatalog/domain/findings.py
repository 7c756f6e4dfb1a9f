"""Findings: what is wrong with a package version, how bad it is, and why it may not count."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

Severity = Literal["negligible", "low", "medium", "high", "critical"]
"""How bad a fault is; None where nobody rated it."""

SEVERITIES: tuple[Severity | None, ...] = (
    None,
    "negligible",
    "low",
    "medium",
    "high",
    "critical",
)
"""By rank, the least first: a database keeps the rank."""

State = Literal["fix-out", "no-fix", "wont-fix", "undetermined", "fixed", "not-affected", "unknown"]
"""``fix-out``: install the fixed version. ``no-fix``: affected, none is out yet. ``wont-fix``: the
distribution said that none will come (ignored, end-of-life). ``undetermined``: nobody has found out.
``fixed``: this version has the fix. ``unknown``: nobody who could tell was heard, or not of late."""

STATE_ORDER: tuple[State, ...] = (
    "fix-out",
    "no-fix",
    "wont-fix",
    "undetermined",
    "unknown",
    "fixed",
    "not-affected",
)


class Suppression(Struct, frozen=True, kw_only=True):
    """Why a finding does not count: it stays, and says so."""

    by: Literal["vex", "deferral"]
    status: str
    """Of VEX: ``not_affected`` or ``fixed``; of a deferral ``deferred``."""
    why: str | None
    """Its justification, or the words of who decided."""
    who: str
    since: datetime | None
    until: datetime | None


class Finding(Struct, frozen=True, kw_only=True):
    """A fault in a package of an image, or held against a package version."""

    advisory: str
    """The fault's usual name: a CVE where it has one."""
    aliases: tuple[str, ...] = ()
    """Its other names, and the notices that bundle it."""
    severity: Severity | None = None
    score: float | None = None
    """CVSS base score."""
    exploited: bool = False
    due: datetime | None = None
    """Until when CISA wants an exploited one fixed."""
    epss: float | None = None
    """Probability of being exploited within 30 days."""
    type: str
    source: str
    """What advisories name: a source package, or a language's package."""
    installed: str
    """Its version."""
    packages: tuple[str, ...] = ()
    """The binary packages of it that are installed."""
    state: State
    fixed: str | None = None
    """The first version without the fault."""
    reason: str | None = None
    """Of one without a fix: no-dsa, postponed, ignored, end-of-life. Of an unknown one: why."""
    urgency: str | None = None
    """The feed's own word."""
    feed: str
    """Whose word counts."""
    candidate: str | None = None
    """What apt would install of the source, where that has the fix."""
    offered: bool | None = None
    """Whether the image's apt sources offer the fix; None: they are not known, or were never read."""
    inherited_from: str | None = None
    suppressed: Suppression | None = None


class FindingCounts(Struct, frozen=True, kw_only=True):
    """Faults of an image, each once whatever its names; suppressed ones apart."""

    fixable: int = 0
    unfixed: int = 0
    undetermined: int = 0
    suppressed: int = 0
    exploited: int = 0
    severity: Severity | None = None
    """The worst of those that a fix is out for."""


class ImageFindings(Struct, frozen=True, kw_only=True):
    """What is wrong with an image: its findings, worst first."""

    image: str
    digest: str
    scope: str
    """Whose advisories count for its distribution's packages, as ``debian/bookworm``; or empty."""
    counts: FindingCounts
    items: tuple[Finding, ...]
    unknown: tuple[str, ...] = ()
    """What of it is not known, a sentence each: silence is not clean."""
    old_scores: tuple[str, ...] = ()
    """Which of KEV and EPSS are too old to rest on, a sentence each."""
    next: str | None = None
    """Always null: the list is whole."""
