"""What another judge says, in words: the same on a terminal and on a page."""

from __future__ import annotations

from imagecatalog.domain.findings import State
from imagecatalog.domain.second_opinions import Difference, ImageOpinion, Remark

_STATES: dict[State, str] = {
    "fix-out": "fix out",
    "no-fix": "no fix yet",
    "wont-fix": "will not be fixed",
    "undetermined": "undetermined",
    "fixed": "fixed here",
    "not-affected": "not affected",
    "unknown": "unknown",
}
NAMES = {"clair": "Clair"}
"""Judges as people call them."""


def describe_opinion(found: ImageOpinion) -> str:
    """How much it says, and in how much it differs; an unknown one says so first."""
    opinion = found.opinion
    judge = NAMES.get(opinion.source, opinion.source)
    faults = len(opinion.remarks)
    count = "no fault" if not faults else "1 fault" if faults == 1 else f"{faults:,} faults"
    if opinion.reported is None:
        return f"{judge} says nothing"
    differing = len(found.differences)
    beside = "where we say the same" if not differing else f"and differs from us in {differing:,}"
    when = "last named" if opinion.unknown else "names"
    return f"{judge} {when} {count} in {opinion.packages:,} packages, {beside}"


def describe_ours(difference: Difference) -> str:
    """Our word in a difference."""
    if difference.ours is None:
        return "not listed"
    word = _STATES[difference.ours]
    return f"{word}: {difference.fixed}" if difference.fixed else word


def describe_theirs(remark: Remark | None) -> str:
    """The other's word in a difference."""
    if remark is None:
        return "not listed"
    severity = f"{remark.severity}, " if remark.severity else ""
    return f"{severity}fixed in {remark.fixed}" if remark.fixed else f"{severity}no fix"
