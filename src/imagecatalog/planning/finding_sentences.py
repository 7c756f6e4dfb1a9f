"""Findings in words, the same on pages and terminals."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from imagecatalog.domain.advisories import AffectedPackage, RunningFault, RunningFaults
from imagecatalog.domain.findings import Finding, FindingCounts, Suppression

if TYPE_CHECKING:
    from imagecatalog.planning.fault_story import FaultStory

STATE_WORDS = {
    "no-fix": "no fix yet",
    "wont-fix": "will not be fixed",
    "undetermined": "nobody has determined it",
    "fixed": "fixed",
    "not-affected": "not affected",
    "unknown": "unknown",
}
"""Of states without a fix that is out."""
_SHORT_WORDS = {
    "fix-out": "fix out",
    "no-fix": "no fix yet",
    "undetermined": "unknown",
    "unknown": "unknown",
    "fixed": "fixed here",
    "not-affected": "not affected",
}
_REASONS = {
    "no-dsa": "minor: no notice of its own",
    "postponed": "put off until another fix is due",
    "point-release": "comes with the next point release",
    "ignored": "ignored",
    "end-of-life": "out of support",
    "fix-not-named": "later versions are free of it, but no feed names the first of them",
    "invalid-version": "a version that is none cannot be compared",
    "invalid-range": "the feed names a version that is none",
    "commits-only": "the feed names commits and no versions",
    "no-versions": "the feed names no versions",
}
"""Of each reason for a state what it means."""


def explain_reason(reason: str) -> str:
    """Why no fix is out, or why nothing is known; a word of a later release as it is."""
    return _REASONS.get(reason, reason)


def name_state(one: Finding, scope: str = "") -> str:
    """The state in a few words; ``scope`` is that of the image's distribution, if it is known."""
    if one.suppressed is not None:
        return "suppressed"
    if one.state == "wont-fix":
        return refuse_fix(scope)
    return _SHORT_WORDS[one.state]


def refuse_fix(scope: str) -> str:
    """That a distribution will not fix it, by the distribution's name where that is known."""
    os_id = scope.partition("/")[0]
    return f"{os_id.capitalize()} will not fix it" if os_id else STATE_WORDS["wont-fix"]


def describe_counts(counts: FindingCounts, *, is_whole: bool = True) -> str:
    """The counts as a sentence, without its end; ``is_whole`` where all of the image is judged."""
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
    if not parts:
        return "no fault is known" if is_whole else "no fault is known, but not all of it is judged"
    return "; ".join(parts) if is_whole else f"{'; '.join(parts)}; not all of it is judged"


def describe_state(one: Finding, scope: str = "") -> str:
    """What to do about a finding, or why nothing can be done; ``scope`` as of ``name_state``."""
    if one.state == "fix-out":
        missing = "; its apt sources do not offer it" if one.offered is False else ""
        return f"install {one.fixed}{missing}"
    words = refuse_fix(scope) if one.state == "wont-fix" else STATE_WORDS[one.state]
    if one.state == "fixed" and one.fixed:
        return f"{words} since {one.fixed}"
    return f"{words} ({explain_reason(one.reason)})" if one.reason else words


def describe_suppression(one: Finding) -> str:
    """By whom, by what, until when and why; of a finding that is suppressed."""
    assert one.suppressed is not None
    return explain_suppression(one.suppressed)


def explain_suppression(why: Suppression) -> str:
    """The same of what suppresses it."""
    until = f", until {why.until:%Y-%m-%d}" if why.until else ""
    said = why.why or "no reason given"
    return f"{why.status.replace('_', ' ')} by {why.who} ({why.by}){until}: {said}"


def describe_running_faults(found: RunningFaults) -> str:
    """What runs and is not all right, as a sentence without its end."""
    if not found.running:
        return "Nothing is known to run whose packages are known"
    if not found.fixable:
        first = "What runs holds no fault that a fix is known to be out for"
    else:
        faults = "1 fault" if found.fixable == 1 else f"{found.fixable:,} faults"
        first = f"What runs holds {faults} that a fix is out for"
        if found.exploited:
            first += f", {found.exploited:,} of them exploited"
        images = "1 image" if found.images == 1 else f"{found.images:,} images"
        first += f"; {images} of {found.running:,}"
    rest = [
        f"{number:,} {words}"
        for number, words in (
            (found.unfixed, "without a fix or negligible"),
            (found.undetermined, "undetermined"),
        )
        if number
    ]
    return "; ".join([first, *rest])


def describe_fault_state(one: RunningFault) -> str:
    """The fixed versions, or why there is none; of a fault that counts nowhere that it is so."""
    if one.suppressed and not one.images:
        return "suppressed"
    if one.state != "fix-out":
        return STATE_WORDS[one.state]
    return ", ".join(dict.fromkeys(fix.fixed for fix in one.fixed)) or "a fix is out"


def describe_fixes(packages: Iterable[AffectedPackage], *, most: int = 3) -> str:
    """Whether a fix is out, which and where; without an end."""
    fixes = list(
        dict.fromkeys((one.fixed, one.release) for one in packages if one.fixed is not None)
    )
    missing = list(dict.fromkeys(one.release for one in packages if one.fixed is None))
    if not fixes:
        return "no fix is out"
    named = [f"{fixed} in {release}" if release else fixed for fixed, release in fixes[:most]]
    if len(fixes) > most:
        named.append(f"and {len(fixes) - most} more")
    words = f"a fix is out: {', '.join(named)}"
    if missing:
        where = ", ".join(release for release in missing[:most] if release)
        words += f"; none is out for {where or 'all of it'}"
    return words


def describe_exposure(story: FaultStory) -> str:
    """Where a fault runs, and whether a fix is out; without an end.

    Of a range of versions that somebody asks about nobody says that there is a fix.
    """
    if story.exposure.id.startswith("pkg:"):
        return _describe_range(story)
    fix = describe_fixes(story.exposure.packages)
    if story.containers:
        return f"{_say_where(story)}; {fix}"
    if not story.exposure.images:
        return "No image is known to be affected"
    if any(one.running for one in story.suppressed):
        return f"It counts in nothing that runs: it is suppressed there; {fix}"
    return f"Nothing that runs is known to be affected; {fix}"


def _describe_range(story: FaultStory) -> str:
    if story.containers:
        return _say_where(story)
    if story.exposure.images:
        return "Nothing that runs is known to hold such a version"
    return "No image is known to hold such a version"


def _say_where(story: FaultStory) -> str:
    return (
        f"Runs in {_plural(story.containers, 'container')}"
        f" of {_plural(story.workloads, 'workload')}"
        f" in {_plural(story.clusters, 'cluster')}"
    )


def _plural(number: int, one: str) -> str:
    return f"{number:,} {one if number == 1 else one + 's'}"
