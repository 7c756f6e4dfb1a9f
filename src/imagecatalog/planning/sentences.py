"""The sentences of a plan: its summary, its question as a command, why each line is rebuilt."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from imagecatalog.domain.plans import PlanQuestion, Redeploy, Remaining, Step
from imagecatalog.domain.scopes import LANGUAGES
from imagecatalog.matching.lines import LineKey
from imagecatalog.planning.graph import Order, Want
from imagecatalog.planning.outline import Outline

_NAMED = 5
"""Packages in a sentence."""


def write_command(ask: PlanQuestion) -> str:
    """The question as a command line."""
    words = ["imagecatalog", "plan"]
    for option, value in (
        ("--for", ask.advisory),
        ("--package", ask.package),
        ("--image", ask.image),
        ("--max-parallel", ask.max_parallel),
    ):
        words += [] if value is None else [option, str(value)]
    words += ["--security"] if ask.security else []
    words += ["--all"] if ask.idle else []
    return shlex.join(words)


def summarise(
    ask: PlanQuestion,
    waves: Sequence[Sequence[Step]],
    moves: Sequence[Redeploy],
    remaining: Sequence[Remaining],
) -> str:
    """One sentence: how many rebuilds do what for how many workloads, and how much remains."""
    steps = [step for wave in waves for step in wave]
    later = {_place_of(one) for one in moves if one.wave}
    now = {_place_of(one) for one in moves} - later
    stay = len({one.image for one in remaining})
    rest = (
        f"; {_plural(stay, 'running image')} {'remains' if stay == 1 else 'remain'}."
        if stay
        else "."
    )
    if not steps:
        if not now:
            what = "Nothing can be rebuilt" if stay else "Nothing needs a rebuild"
            return f"{what} for {ask.image or 'what was asked'}{rest}"
        verb = "moves" if len(now) == 1 else "move"
        return f"Nothing needs a rebuild: {_plural(len(now), 'workload')} {verb} to what is there{rest}"
    packages = {fix.package for step in steps for fix in step.packages}
    faults = {name for step in steps for name in step.fixes}
    many = _plural(len(faults), "fault") if faults else _plural(len(packages), "package")
    does = f"{'fixes' if len(steps) == 1 else 'fix'} {many}"
    if ask.image is not None:
        does = f"{'renews' if len(steps) == 1 else 'renew'} {ask.image} and what is built on it"
    more = (
        f"; {len(now):,} more {'moves' if len(now) == 1 else 'move'} to what is there"
        if now
        else ""
    )
    return (
        f"{_plural(len(steps), 'rebuild')} in {_plural(len(waves), 'wave')} {does}"
        f" in {_plural(len(later), 'workload')}{more}{rest}"
    )


def _place_of(one: Redeploy) -> tuple[str, str, str]:
    return one.cluster, one.namespace, one.workload


def give_reasons(outline: Outline, order: Order, line: LineKey) -> Iterator[str]:
    """Why a line is rebuilt: what it brings itself and what it takes from where, or whom it follows."""
    survey = outline.survey
    own: list[Want] = []
    handed: dict[str, list[Want]] = {}
    for want in outline.brings.get(line, ()):
        here = survey.newest[want.spot]
        if want.package not in here.inherited or here.base is None:
            own.append(want)
        else:
            is_first = outline.rebuilds is not None and want in outline.rebuilds.over
            when = "once that is rebuilt" if is_first else "which has it by now"
            handed.setdefault(f"{survey.name(here.base.line)}, {when}", []).append(want)
    yield from _say_own(outline, own)
    for base, wants in sorted(handed.items()):
        yield f"takes from {base}: {_list_packages(wants)}"
    if line == outline.root:
        yield "was asked for"
    elif outline.root is not None:
        for relation, lines in (("built on", survey.bases), ("built with", survey.uses)):
            for over in sorted(lines.get(line, set()) & outline.after.keys() - {line}):
                yield f"is {relation} {survey.name(over)}"
    for over in sorted(order.loose.get(line, ())):
        yield f"is built with {survey.name(over)} too, as that is now: it waits for this one"


def _say_own(outline: Outline, own: Sequence[Want]) -> Iterator[str]:
    """What a rebuild brings by itself, and what its sources must ask for first."""
    brought = [want for want in own if not _is_pinned(outline, want)]
    pinned = [want for want in own if _is_pinned(outline, want)]
    if brought:
        yield f"brings itself: {_list_packages(brought)}"
    if pinned:
        yield (
            f"needs {_list_versions(outline, pinned)} in its own sources: a rebuild alone may not"
            " bring what they pin"
        )


def _is_pinned(outline: Outline, want: Want) -> bool:
    """Whether a package comes as the image's sources have it, and not from a distribution."""
    return outline.survey.waiting[want.spot][want.package].package.type in LANGUAGES


def _list_versions(outline: Outline, wants: Sequence[Want]) -> str:
    fixes = [outline.survey.waiting[want.spot][want.package].fix for want in wants]
    return _join(list(dict.fromkeys(f"{fix.package} {fix.candidate}" for fix in fixes)))


def _list_packages(wants: Sequence[Want]) -> str:
    return _join(list(dict.fromkeys(want.package.rpartition(":")[0] for want in wants)))


def _join(found: Sequence[str]) -> str:
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return ", ".join(found[:_NAMED]) + more


def _plural(number: int, one: str) -> str:
    return f"{number:,} {one if number == 1 else one + 's'}"
