"""How plans lie on a terminal: the sentence, the waves, who moves, what remains, what is next."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

import click
from msgspec import Struct

from imagecatalog.cli import render
from imagecatalog.cli.layouts import say_next
from imagecatalog.cli.options import Invocation
from imagecatalog.cli.render import (
    Cell,
    Column,
    clean,
    format_ago,
    plural,
    wrap,
    write_table,
)
from imagecatalog.domain.plans import (
    Plan,
    PlannedFix,
    PlanSummary,
    Redeploy,
    Remaining,
    Step,
    StepState,
)
from imagecatalog.outlets import graphs

_STATES: dict[StepState, tuple[str, str, str]] = {
    "waiting": ("○", "waiting", "dim"),
    "built": ("◐", "built", "yellow"),
    "proven": ("●", "proven", "green"),
    "kept-old-package": ("▲", "kept the old package", "red"),
    "deployed": ("●", "deployed", "green"),
}
"""A state by shape, word and colour."""
_REASONS = 5
_WORKLOADS = 30


class StepRow(Struct, frozen=True):
    """A step as a line of CSV."""

    wave: int
    rebuild: str
    digest: str
    after: tuple[str, ...]
    parents: tuple[str, ...]
    reason: tuple[str, ...]
    fixes: tuple[str, ...]
    packages: tuple[PlannedFix, ...]
    containers: int
    docker_pkg: str | None
    state: str
    detail: str | None


def list_steps(plan: Plan) -> Iterator[StepRow]:
    """The steps in their order, each with its wave, counted from 1."""
    for number, wave in enumerate(plan.waves, 1):
        for step in wave:
            yield StepRow(
                wave=number,
                rebuild=step.rebuild,
                digest=step.digest,
                after=step.after,
                parents=step.parents,
                reason=step.reason,
                fixes=step.fixes,
                packages=step.packages,
                containers=step.containers,
                docker_pkg=step.docker_pkg,
                state=step.state,
                detail=step.detail,
            )


def write_plan(form: str, plan: Plan) -> None:
    """A plan in the form asked for."""
    match form:
        case "json":
            render.write_json(plan)
        case "csv":
            render.write_csv(StepRow, list_steps(plan))
        case "dot":
            click.echo(graphs.plan_dot(plan), nl=False)
        case "mermaid":
            click.echo(graphs.plan_mermaid(plan), nl=False)
        case _:
            show_plan(plan, datetime.now(UTC))


def write_list(invocation: Invocation) -> None:
    """The saved plans in the form asked for."""
    with invocation.answering() as answering:
        match invocation.format:
            case "json":
                render.write_json_array(answering.saved_plans())
            case "csv":
                render.write_csv(PlanSummary, answering.saved_plans())
            case _:
                show_plans(list(answering.saved_plans()), datetime.now(UTC))


def show_plan(plan: Plan, now: datetime) -> None:
    """``plan``: a preview, or a saved one with what became of it."""
    _say(wrap(plan.summary, 2))
    if plan.id is not None:
        _say(_describe_state(plan, now))
    registry = _usual_registry(plan)
    for number, wave in enumerate(plan.waves, 1):
        _say(f"\nwave {number}: {plural(len(wave), 'rebuild')}")
        _show_wave(plan, wave, registry)
    _show_redeploys(plan.redeploy, registry, is_saved=plan.id is not None)
    _show_remaining(plan.remaining, registry)
    if plan.unplannable:
        _say(f"\nno step can be given for {plural(len(plan.unplannable), 'image')}")
        for stuck in plan.unplannable[:_REASONS]:
            _say(wrap(f"  {stuck.image.removeprefix(registry)}: {stuck.reason}", 6))
    _show_next(plan)


def _describe_state(plan: Plan, now: datetime) -> str:
    looked = f"looked at {format_ago(plan.followed, now)}" if plan.followed else "not looked at yet"
    if plan.closed:
        looked = f"closed {format_ago(plan.closed, now)}"
    return f"plan {plan.id}, {plan.state}: saved {format_ago(plan.created, now)}, {looked}"


def _usual_registry(plan: Plan) -> str:
    """The registry of most names with its slash, which need not be repeated."""
    names = [step.rebuild for wave in plan.waves for step in wave]
    names += [one.origin for one in plan.redeploy] + [one.image for one in plan.remaining]
    registries = Counter(name.partition("/")[0] + "/" for name in names if "/" in name)
    return registries.most_common(1)[0][0] if registries else ""


def _show_wave(plan: Plan, wave: Sequence[Step], registry: str) -> None:
    columns = (
        *((Column("STATE"),) if plan.id is not None else ()),
        Column(f"REBUILD ({registry}…)" if registry else "REBUILD", least=20, is_name=True),
        Column("FOR", least=28, is_prose=True),
        Column("RUNS IN", right=True),
    )
    rows = []
    for step in wave:
        state = (_describe_step(step),) if plan.id is not None else ()
        reasons = (
            "; ".join(step.reason).replace(registry, "") if registry else "; ".join(step.reason)
        )
        runs = f"×{step.containers}" if step.containers else "-"
        rows.append((*state, step.rebuild.removeprefix(registry), reasons, runs))
    write_table(columns, rows, indent="  ")
    for step in wave:
        if step.detail and step.state in ("kept-old-package", "built"):
            _say(wrap(f"  {step.rebuild.removeprefix(registry)}: {step.detail}", 6))


def _describe_step(step: Step) -> Cell:
    shape, word, colour = _STATES[step.state]
    return Cell(f"{shape} {word}", colour)


def _show_redeploys(redeploys: Sequence[Redeploy], registry: str, *, is_saved: bool) -> None:
    if not redeploys:
        return
    workloads = {(one.cluster, one.namespace, one.workload) for one in redeploys}
    _say(f"\nthen redeploy {plural(len(workloads), 'workload')}")
    columns = (
        *((Column("STATE"),) if is_saved else ()),
        Column("WHEN"),
        Column("CLUSTER"),
        Column("NAMESPACE", least=10),
        Column("WORKLOAD", least=12, is_name=True),
        Column("FROM", least=15, is_name=True),
        Column("TO", least=12, is_name=True),
    )
    rows = []
    for one in redeploys[:_WORKLOADS]:
        state = (Cell(*(("● done", "green") if one.done else ("○ waiting", "dim"))),)
        rows.append(
            (
                *(state if is_saved else ()),
                f"after wave {one.wave}" if one.wave else "now",
                one.cluster,
                one.namespace,
                one.workload,
                one.origin.removeprefix(registry),
                _describe_target(one, registry),
            )
        )
    write_table(columns, rows, indent="  ")
    if len(redeploys) > _WORKLOADS:
        _say(f"  and {plural(len(redeploys) - _WORKLOADS, 'other')}; see --format json")


def _describe_target(one: Redeploy, registry: str) -> str:
    """Where it moves to; the tag alone says it within one repository."""
    if not one.built:
        return "its next image"
    repository, colon, tag = one.to.rpartition(":")
    if colon and tag and one.origin.startswith(f"{repository}:"):
        return tag
    return one.to.removeprefix(registry)


def _show_remaining(remaining: Sequence[Remaining], registry: str) -> None:
    if not remaining:
        return
    _say(f"\nwhat remains: {plural(len({one.image for one in remaining}), 'running image')}")
    by_reason: dict[str, list[Remaining]] = {}
    for one in remaining:
        by_reason.setdefault(one.reason, []).append(one)
    ordered = sorted(by_reason.items(), key=lambda pair: (-len(pair[1]), pair[0]))
    for reason, many in ordered[:_REASONS]:
        names = ", ".join(_name(one, registry) for one in many[:3])
        more = f" and {len(many) - 3} more" if len(many) > 3 else ""
        _say(wrap(f"  {len(many):,} × {reason}: {names}{more}", 6))
    if len(ordered) > _REASONS:
        _say(f"  and {plural(len(ordered) - _REASONS, 'other reason')}; see --format json")


def _name(one: Remaining, registry: str) -> str:
    packages = f" ({', '.join(one.packages[:3])}{', …' if len(one.packages) > 3 else ''})"
    return one.image.removeprefix(registry) + (packages if one.packages else "")


def _show_next(plan: Plan) -> None:
    if plan.id is not None:
        kept = [s for wave in plan.waves for s in wave if s.state == "kept-old-package"]
        if kept:
            _say(f"\nto do: rebuild {kept[0].rebuild} without its cache")
        elif plan.state == "open":
            _say("\nIt closes by itself as sync and record see what has moved.")
    elif plan.waves or plan.redeploy:
        say_next(f"{plan.asked.removeprefix('imagecatalog ')} --save")


def show_plans(items: Sequence[PlanSummary], now: datetime) -> None:
    """``plan --list``."""
    if not items:
        _say("No plan was saved yet.")
        say_next("plan --save")
        return
    open_ones = sum(one.state == "open" for one in items)
    _say(f"{plural(len(items), 'saved plan')}, {open_ones} of them open\n")
    columns = (
        Column("ID", right=True),
        Column("STATE"),
        Column("DONE", right=True),
        Column("ASKED", least=20),
        Column("SAVED", right=True),
        Column("CLOSED", right=True),
    )
    write_table(columns, _list_rows(items, now))
    if open_ones:
        first = next(one for one in items if one.state == "open")
        say_next(f"plan --id {first.id}")


def _list_rows(items: Iterable[PlanSummary], now: datetime) -> Iterator[tuple[str, ...]]:
    for one in items:
        yield (
            f"{one.id}",
            one.state,
            f"{one.done} of {one.steps}",
            one.asked.removeprefix("imagecatalog "),
            format_ago(one.created, now),
            format_ago(one.closed, now) if one.closed else "-",
        )


def _say(text: str) -> None:
    sys.stdout.write(clean(text) + "\n")
