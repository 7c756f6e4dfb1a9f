"""Findings in words, the same on pages and terminals."""

from __future__ import annotations

from imagecatalog.domain.findings import Finding, FindingCounts

_STATES = {
    "no-fix": "no fix yet",
    "wont-fix": "will not be fixed",
    "undetermined": "nobody has determined it",
    "fixed": "fixed",
    "not-affected": "not affected",
    "unknown": "unknown",
}


def describe_counts(counts: FindingCounts) -> str:
    """The counts as a sentence, without its end."""
    parts = []
    if counts.fixable:
        worst = f", the worst {counts.severity}" if counts.severity else ""
        faults = "1 fault" if counts.fixable == 1 else f"{counts.fixable:,} faults"
        parts.append(f"{faults} with a fix out{worst}")
    for number, words in (
        (counts.exploited, "known to be exploited"),
        (counts.unfixed, "without a fix"),
        (counts.undetermined, "undetermined"),
        (counts.suppressed, "suppressed"),
    ):
        if number:
            parts.append(f"{number:,} {words}")
    return "; ".join(parts) or "no fault is known in what the feeds judge"


def describe_state(one: Finding) -> str:
    """What to do about a finding, or why nothing can be done."""
    if one.state == "fix-out":
        # Of dpkg's packages alone apt's word is known.
        missing = one.type == "deb" and one.candidate is None
        return f"install {one.fixed}{'; its apt sources do not offer it' if missing else ''}"
    words = _STATES[one.state]
    if one.state == "fixed" and one.fixed:
        return f"{words} since {one.fixed}"
    return f"{words} ({one.reason})" if one.reason else words


def describe_suppression(one: Finding) -> str:
    """By whom, by what, until when and why; of a finding that is suppressed."""
    why = one.suppressed
    assert why is not None
    until = f", until {why.until:%Y-%m-%d}" if why.until else ""
    said = why.why or "no reason given"
    return f"{why.status.replace('_', ' ')} by {why.who} ({why.by}){until}: {said}"
