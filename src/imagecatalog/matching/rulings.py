"""What counts of all that the feeds say of a package: whose word, how bad, and in which versions.

Of one fault several feeds may speak, under several of its names, and notices that bundle faults speak
for each of them. Here they become rulings: for every name of a fault, ranges of versions with the
state that a version in the range is in. No version is looked at yet, so there are as many rulings as
there are advisories, however many images hold the package.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from imagecatalog.domain.findings import State
from imagecatalog.store.rulings import Background, Claim, Ruling

_OWN = ("debian-tracker json", "alpine-secdb")
_LISTS = "debian-tracker"
_URGENCIES = {
    "unimportant": 1,
    "negligible": 1,
    "low": 2,
    "medium": 3,
    "moderate": 3,
    "high": 4,
    "important": 4,
    "critical": 5,
}
"""Ranks of severities by the words of distributions; Debian marks those of others by asterisks."""
_NEVER = frozenset({"ignored", "end-of-life"})
_ORDER: Sequence[State] = ("fix-out", "wont-fix", "no-fix", "undetermined", "not-affected")
"""Of two ranges that a version is in, the state that comes first counts."""

_MOST = 10_000
"""Rulings on a fault's other names in one package; of one with more its best name alone is ruled on."""


def rule(claims: Iterable[Claim], background: Background) -> list[Ruling]:
    """The rulings on one package of one scope."""
    claims = list(claims)
    about: dict[int, list[Claim]] = {}
    names: dict[int, set[int]] = {}
    for one in claims:
        names.setdefault(one.fault, {one.fault}).add(one.advisory)
        about.setdefault(one.fault, []).append(one)
        for covered in background.covers.get(one.fault, ()):
            names.setdefault(covered, {covered})
            about.setdefault(covered, []).append(one)
    counting = {fault: _choose(many) for fault, many in about.items()}
    severities = {fault: _rate(fault, many, background) for fault, many in counting.items()}
    return [
        ruling
        for fault, many in counting.items()
        for ruling in _write(
            # Whoever asks by another name is led to the best one (``store.exposed.find_faults``).
            sorted(names[fault]) if len(names[fault]) * len(many) <= _MOST else (fault,),
            many,
            fault=fault,
            severity=max(
                severities[one]
                for one in (fault, *background.covers.get(fault, ()))
                if one in severities
            ),
            counted=not any(
                # Notices of notices alone count: nothing they bundle would count for them.
                one in counting and one not in background.covers
                for one in background.covers.get(fault, ())
            ),
        )
    ]


def rank_of(feed: str) -> int:
    """How well a feed knows: a distribution's own, then its lists of notices, then all others."""
    if feed.startswith(_OWN):
        return 0
    return 1 if feed.startswith(_LISTS) else 2


def state_of(claim: Claim) -> State:
    """The state of a version that is in the claim's range."""
    if claim.status in {"not-affected", "undetermined"}:
        return "not-affected" if claim.status == "not-affected" else "undetermined"
    if claim.fixed is not None:
        return "fix-out"
    return "wont-fix" if claim.reason in _NEVER else "no-fix"


def _choose(claims: Sequence[Claim]) -> list[Claim]:
    """Those of the feeds that know best."""
    best = min(rank_of(one.feed) for one in claims)
    return [one for one in claims if rank_of(one.feed) == best]


def _rate(fault: int, claims: Iterable[Claim], background: Background) -> int:
    """The rank of its severity: the distribution's own word, else the worst that any feed rates."""
    words = ((one.urgency or "").rstrip("* ").lower() for one in claims)
    return max((_URGENCIES.get(word, 0) for word in words), default=0) or (
        background.severities.get(fault, 0)
    )


def _write(
    names: Iterable[int], claims: Iterable[Claim], *, fault: int, severity: int, counted: bool
) -> Iterable[Ruling]:
    """The rulings of all names of a fault alike; only under its best name does it count."""
    rows = {
        (
            _ORDER.index(state_of(one)),
            one.high_key is None,
            tuple(-byte for byte in one.high_key or b""),
            one.feed,
            one.low_key or b"",
            one.high_inclusive,
            one.fixed or "",
            one.reason or "",
            one.urgency or "",
        ): one
        for one in claims
    }
    ordered = [rows[key] for key in sorted(rows)]
    for name in names:
        for place, one in enumerate(ordered):
            yield Ruling(
                advisory=name,
                place=place,
                low_key=one.low_key,
                high_key=one.high_key,
                high_inclusive=one.high_inclusive,
                state=state_of(one),
                fixed=one.fixed,
                reason=one.reason,
                severity=severity,
                urgency=one.urgency,
                feed=one.feed,
                counted=counted and name == fault,
            )
