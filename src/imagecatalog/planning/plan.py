"""The plan: what to rebuild in which order, what moves then, and what remains, in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import groupby

from msgspec import Struct, structs

from imagecatalog.config import Settings
from imagecatalog.domain.plans import (
    Plan,
    PlannedFix,
    PlanQuestion,
    Redeploy,
    Remaining,
    Step,
    Unplannable,
)
from imagecatalog.errors import UsageError
from imagecatalog.matching.lines import LineKey
from imagecatalog.planning.graph import Order, arrange
from imagecatalog.planning.outline import Move, Outline, bring_updates, follow_image
from imagecatalog.planning.sentences import give_reasons, summarise, write_command
from imagecatalog.planning.verdicts import Running
from imagecatalog.store import affected, plans
from imagecatalog.store.affected import Span
from imagecatalog.store.engine import Connection
from imagecatalog.store.plans import Fixable


class Watch(Struct, frozen=True, order=True):
    """When a redeploy counts as done: when none of these packages is older there any more."""

    line: LineKey
    """To whose newest image it goes."""
    fixes: tuple[PlannedFix, ...]


class Draft(Struct, frozen=True):
    """A plan with what its redeploys are watched for, in their order."""

    plan: Plan
    watches: tuple[Watch, ...]


def make_plan(
    c: Connection,
    ask: PlanQuestion,
    *,
    settings: Settings,
    now: datetime,
    running: Running | None = None,
) -> Plan:
    """The fewest rebuilds that bring what is asked for to all that runs, in waves.

    The same catalog gives the same plan. ``running`` is what was read of all that runs. Raises UsageError for a question that contradicts itself,
    BadName for one that cannot be read, and NotFound for an image, a package or an advisory that
    nothing is known of.
    """
    return draft_plan(c, ask, settings=settings, now=now, running=running).plan


def draft_plan(
    c: Connection,
    ask: PlanQuestion,
    *,
    settings: Settings,
    now: datetime,
    running: Running | None = None,
) -> Draft:
    """The same with what saving it needs."""
    if ask.image is not None and (ask.advisory or ask.package or ask.security):
        raise UsageError(
            "an image is rebuilt for its own sake, or for packages: not both",
            hint="leave out --image, or --for, --package and --security",
        )
    if ask.max_parallel is not None and ask.max_parallel < 1:
        raise UsageError("a wave holds at least one rebuild", hint="give --max-parallel 1 or more")
    outline = (follow_image if ask.image is not None else bring_updates)(
        c, ask, settings=settings, now=now, running=running
    )
    survey = outline.survey
    rather = {
        line: survey.bases.get(line, set()) | survey.uses.get(line, set()) for line in outline.after
    }
    order = arrange(outline.after, rather, max_parallel=ask.max_parallel)
    told = _Told(_find_faults(c, outline), _find_builders(c, outline))
    waves = tuple(
        tuple(_describe_step(outline, order, line, told) for line in wave) for wave in order.waves
    )
    moves = _describe_moves(outline, order)
    remaining = _join(outline.remaining)
    plan = Plan(
        waves=waves,
        redeploy=tuple(move for move, _ in moves),
        remaining=remaining,
        unplannable=tuple(
            Unplannable(image=image, reason=reason)
            for image, reason in sorted({(one.image, one.reason) for one in outline.unplannable})
        ),
        summary=summarise(ask, waves, [move for move, _ in moves], remaining),
        asked=write_command(ask),
    )
    return Draft(plan, tuple(watch for _, watch in moves))


class _Told(Struct, frozen=True):
    """What stands beside all steps, read at once."""

    faults: Mapping[int, tuple[str, ...]]
    """By the identity of a fix, since thousands of steps share some hundreds."""
    builders: Mapping[int, tuple[str | None, str | None]]
    """Builder and folder of the source, by the number of an image."""


def _find_builders(c: Connection, outline: Outline) -> dict[int, tuple[str | None, str | None]]:
    heads = outline.survey.lines.heads(outline.after)
    builders = plans.list_builders(c, {head.number for head in heads.values()})
    # the annotations of an index's member tell of no builder, its registered build does
    return {
        number: next((pair for pair in told if pair[0] is not None), told[0])
        for number, told in builders.items()
    }


def _find_faults(c: Connection, outline: Outline) -> dict[int, tuple[str, ...]]:
    """The advisories that end with the packages of all steps."""
    moved = {id(one): one for line in outline.brings for one in outline.fixable(line)}
    spans = {key: _span(one) for key, one in moved.items() if not one.faults}
    found = affected.list_fixed(c, set(spans.values()))
    told = {key: one.faults for key, one in moved.items() if one.faults}
    return told | {key: found[span] for key, span in spans.items() if span in found}


def _span(one: Fixable) -> Span:
    return Span(
        affected.scope_of_origin(one.origin),
        one.package.source,
        one.package.source_version,
        one.source_version or "",
    )


def _describe_step(outline: Outline, order: Order, line: LineKey, told: _Told) -> Step:
    survey = outline.survey
    head = survey.lines.heads([line])[line]
    fixable = outline.fixable(line)
    builder, source_path = told.builders.get(head.number, (None, None))
    return Step(
        rebuild=head.name,
        digest=str(survey.rows[head.number].digest),
        repository=line.repository,
        line=line.line,
        reason=tuple(give_reasons(outline, order, line)),
        parents=tuple(survey.parents.get(line, ())),
        after=tuple(sorted(survey.name(over) for over in order.before[line])),
        fixes=tuple(sorted({name for one in fixable for name in told.faults.get(id(one), ())})),
        packages=tuple(fix for fix, _ in groupby(sorted(one.fix for one in fixable))),
        builder=builder,
        source_path=source_path,
        containers=outline.containers.get(line, 0),
    )


def _describe_moves(outline: Outline, order: Order) -> list[tuple[Redeploy, Watch]]:
    """By the wave they wait for, then by place."""
    wave_of = {line: number for number, wave in enumerate(order.waves, 1) for line in wave}
    found: dict[tuple[str, ...], tuple[Redeploy, Watch]] = {}
    for move in outline.moves:
        watch = Watch(move.line, tuple(one.fix for one in move.fixes))
        for redeploy in _list_redeploys(outline, move, wave_of):
            key = _place_of(redeploy)
            found[key] = _add(found[key], redeploy, watch) if key in found else (redeploy, watch)
    return sorted(found.values(), key=lambda pair: (pair[0].wave, _place_of(pair[0])))


def _add(
    before: tuple[Redeploy, Watch], redeploy: Redeploy, watch: Watch
) -> tuple[Redeploy, Watch]:
    """The same workload again, which runs another image under the same name."""
    both = before[0].containers + redeploy.containers
    fixes = tuple(sorted({*before[1].fixes, *watch.fixes}))
    return structs.replace(redeploy, containers=both), Watch(watch.line, fixes)


def _place_of(redeploy: Redeploy) -> tuple[str, ...]:
    return (
        redeploy.cluster,
        redeploy.namespace,
        redeploy.workload,
        redeploy.origin,
        redeploy.to,
    )


def _list_redeploys(
    outline: Outline, move: Move, wave_of: dict[LineKey, int]
) -> Iterator[Redeploy]:
    to = outline.survey.name(move.line) if move.built else move.line.repository
    for image, place in move.running.places:
        yield Redeploy(
            cluster=place.cluster,
            namespace=place.namespace,
            workload=place.workload,
            origin=image,
            to=to,
            built=move.built,
            wave=0 if move.built else wave_of[move.line],
            containers=place.containers,
        )


def _join(remaining: Iterable[Remaining]) -> tuple[Remaining, ...]:
    """One item for an image and a reason, however many digests run under that name."""
    joined: dict[tuple[str, str], Remaining] = {}
    for one in remaining:
        before = joined.get((one.image, one.reason))
        packages = sorted({*one.packages, *(before.packages if before else ())})
        joined[one.image, one.reason] = Remaining(
            image=one.image,
            reason=one.reason,
            packages=tuple(packages),
            containers=one.containers + (before.containers if before else 0),
        )
    return tuple(joined[key] for key in sorted(joined))
