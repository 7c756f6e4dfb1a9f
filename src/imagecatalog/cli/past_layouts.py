"""How what ran when lies on a terminal: what runs, clusters, exposure, time to patch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import click

from imagecatalog.cli.answering import RunningQuestion
from imagecatalog.cli.layouts import (
    SEVERITY_COLOURS,
    describe_status,
    image_title,
    rests_on,
    say_next,
    say_reasons,
    usual_registry,
)
from imagecatalog.cli.lineage_layouts import say
from imagecatalog.cli.render import (
    Cell,
    Column,
    clean,
    format_age,
    format_ago,
    plural,
    wrap,
    write_table,
)
from imagecatalog.domain.answers import Drift, RunningItem
from imagecatalog.domain.pasts import (
    ClusterItem,
    ExposedSpan,
    PastExposure,
    Patching,
    PatchTimes,
    WaitingWorkload,
)

_DRIFTS = 10
"""Tags that moved on and are shown."""


def tell_doubts(clusters: Iterable[ClusterItem]) -> None:
    """On stderr, for whatever form the answer has: where nobody looked."""
    for one in clusters:
        click.echo(f"{clean(one.name)}: {clean(one.note or 'not known')}", err=True)


def show_running(
    items: Sequence[RunningItem],
    ask: RunningQuestion,
    sights: Sequence[ClusterItem],
    now: datetime,
) -> None:
    """``running``: a row for each image of each workload."""
    moment = f" at {ask.at:%Y-%m-%d %H:%M} UTC" if ask.at else rests_on(sights, now)
    doubted = any(not one.known for one in sights)
    if not items:
        if ask.at and (doubted or not sights):
            say(f"What ran{moment} is not known.")
            return
        say(f"Nothing {'ran' if ask.at else 'is known to run'}{moment}.")
        if ask.is_everything and not ask.at:
            say_next("record --clusters NAME:KUBECONFIG")
        return
    images = {item.digest or item.image for item in items}
    clusters = {item.cluster for item in items}
    containers = sum(item.replicas for item in items)
    runs = "ran" if ask.at else "run" if containers != 1 else "runs"
    known = ", as far as is known" if ask.at and doubted else ""
    say(
        f"{plural(containers, 'container')} of {plural(len(images), 'image')} {runs}"
        f" in {plural(len(clusters), 'cluster')}{moment}{known}\n"
    )
    registry = usual_registry(item.image for item in items)
    columns = (
        Column("CLUSTER"),
        Column("NAMESPACE", least=12),
        Column("WORKLOAD", least=12, is_name=True),
        Column(image_title(registry), least=22, is_name=True),
        Column("VERDICT"),
        Column("SINCE", right=True),
        Column("×", right=True),
        *((Column("TEAM", is_spare=True),) if any(item.team for item in items) else ()),
        *((Column("STATE", least=8, is_spare=True),) if _list_troubles(items) else ()),
    )
    groups: dict[tuple[str, ...], list[RunningItem]] = {}
    for item in items:
        key = (item.cluster, item.namespace, item.workload, item.image, item.digest or item.kind)
        groups.setdefault(key, []).append(item)
    has_team = any(item.team for item in items)
    rows = []
    for group in groups.values():
        troubles = ", ".join(_list_troubles(group))
        row = _running_row(group, registry, now)
        rows.append(
            (
                *row,
                *((group[0].team,) if has_team else ()),
                *((Cell(troubles, "yellow"),) if _list_troubles(items) else ()),
            )
        )
    write_table(columns, rows)
    say_reasons(items, "container")
    show_drift([(item.image.removeprefix(registry), item.drift) for item in items], now)


def show_drift(found: Iterable[tuple[str, Drift | None]], now: datetime) -> None:
    """A line for each name whose tag has moved, what moved first ahead."""
    moved = {(name, drift.digest): drift for name, drift in found if drift is not None}
    if not moved:
        return
    say(f"\ndrift: {plural(len(moved), 'tag')} moved on from what runs")
    order = sorted(moved.items(), key=lambda one: (one[1].left or one[1].since, one[0]))
    for (name, _), drift in order[:_DRIFTS]:
        behind = f"{format_age(drift.left, now)} behind" if drift.left else "not what runs"
        say(f"  {name}  {behind}; it means {drift.digest[:19]} since {drift.since:%Y-%m-%d %H:%M}")
    if len(order) > _DRIFTS:
        say(f"  and {len(order) - _DRIFTS:,} more: --format json has all")


def _list_troubles(items: Iterable[RunningItem]) -> list[str]:
    found = (
        item.state_reason or item.state
        for item in items
        if item.state == "waiting" or (item.state == "terminated" and item.kind == "container")
    )
    return list(dict.fromkeys(found))


def _running_row(
    group: Sequence[RunningItem], registry: str, now: datetime
) -> tuple[str | Cell, ...]:
    item = group[0]
    return (
        item.cluster,
        item.namespace,
        item.workload,
        item.image.removeprefix(registry),
        describe_status(item.status),
        format_age(min(one.since for one in group), now),
        f"{sum(one.replicas for one in group):,}",
    )


def show_clusters(items: Sequence[ClusterItem], now: datetime) -> None:
    """``clusters``: how far each is known."""
    if not items:
        say("No cluster is known.")
        say_next("record --clusters NAME:KUBECONFIG")
        return
    late = sum(one.late for one in items)
    if late:
        was = "was" if late == 1 else "were"
        say(f"{late:,} of {plural(len(items), 'cluster')} {was} not seen well for over two hours\n")
    else:
        say(f"{plural(len(items), 'cluster')}, seen well within two hours\n")
    columns = (
        Column("CLUSTER", least=8),
        Column("KIND", is_spare=True),
        Column("STATE"),
        Column("SEEN WELL", right=True),
        Column("TRIED", right=True),
        Column("FIRST SCAN", right=True, is_spare=True),
        Column("CONTAINERS", right=True),
        Column("IMAGES", right=True),
        Column("NEVER MET", right=True),
        Column("ABOUT IT", least=24, is_prose=True),
    )
    write_table(columns, [_cluster_row(one, now) for one in items])
    gone = next((one for one in items if one.configured is False and not one.forgotten), None)
    if gone is not None:
        say(f"\n{gone.name} is not in the configuration any more")
        say_next(f"clusters forget {gone.name}")


def _cluster_row(one: ClusterItem, now: datetime) -> tuple[str | Cell, ...]:
    return (
        one.name,
        one.type,
        _describe_state(one),
        format_ago(one.last_scan, now),
        format_ago(one.last_tried, now) if one.last_tried else "-",
        format_ago(one.first_scan, now) if one.first_scan else "-",
        f"{one.containers:,}",
        f"{one.images:,}",
        f"{one.unknown:,}" if one.unknown else "-",
        one.last_error or one.note or one.detail or "",
    )


def _describe_state(one: ClusterItem) -> Cell:
    if one.forgotten:
        return Cell("forgotten", "dim")
    if one.last_error:
        return Cell("▲ failing", "red")
    return Cell("△ late", "yellow") if one.late else Cell("● well", "green")


def format_span(seconds: float | None) -> str:
    """How long, in one unit: ``3 h``, ``12 d``; ``-`` for None."""
    if seconds is None:
        return "-"
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length * (2 if unit == "d" else 1):
            return f"{int(seconds // length):,} {unit}"
    return f"{int(seconds)} s"


def show_exposure(found: PastExposure) -> None:
    """``exposure``: who ran it, from when to when."""
    fix = "since when a fix is out is not known"
    if found.fix_since:
        by = "first notice" if found.fix_told_by == "notice" else "first seen in an archive"
        fix = f"a fix was out {found.fix_since:%Y-%m-%d} ({by})"
    if not found.items:
        say(wrap(f"{found.id}: nothing that is remembered ran it; {fix}", 2))
    else:
        runs = (
            f"runs in {plural(found.workloads, 'workload')}" if found.workloads else "runs no more"
        )
        before = f"; nothing is known before {found.first:%Y-%m-%d}" if found.first else ""
        say(wrap(f"{found.id}: {runs}; {fix}{before}", 2))
        say()
        columns = (
            Column("CLUSTER"),
            Column("NAMESPACE", least=10),
            Column("WORKLOAD", least=14, is_name=True),
            Column("FROM"),
            Column("TO"),
            Column("×", right=True),
            Column("WITH A FIX", right=True),
            Column("PACKAGES", least=14, is_spare=True),
        )
        write_table(columns, [_span_row(one) for one in found.items])
        if found.more:
            say(f"and {found.more:,} more; see --limit")
    if found.unknown:
        say(
            f"\nunknown: {plural(found.unknown, 'image')} that ran, and whose packages are not known"
        )
    if found.workloads:
        say_next(
            f"affected '{found.id}'" if found.id.startswith("pkg:") else f"affected {found.id}"
        )


def _span_row(one: ExposedSpan) -> tuple[str | Cell, ...]:
    return (
        one.cluster,
        one.namespace,
        one.workload,
        f"{one.since:%Y-%m-%d %H:%M}",
        f"{one.until:%Y-%m-%d %H:%M}" if one.until else Cell("still", "red"),
        f"{one.containers:,}",
        format_span(one.waited),
        ", ".join(one.packages),
    )


_TIMES = (
    Column("PATCHED", right=True),
    Column("REBUILT", right=True),
    Column("90 %", right=True),
    Column("DEPLOYED", right=True),
    Column("90 %", right=True),
    Column("WAITING", right=True),
    Column("BUILT", right=True, is_spare=True),
    Column("MEDIAN", right=True),
)


def show_patching(found: Patching, now: datetime) -> None:
    """``patching``: medians, what nine of ten took, and what waits."""
    total = found.total
    done = f"no fix was deployed since {found.since:%Y-%m-%d}"
    if total.patched:
        done = (
            f"half of all fixes ran within {format_span(total.deployed_median)} of being out,"
            f" nine of ten within {format_span(total.deployed_p90)} (since {found.since:%Y-%m-%d})"
        )
    say(wrap(f"{done[0].upper()}{done[1:]}; {total.waiting:,} still wait", 2))
    if found.by_severity:
        say()
        rows = [
            _times_row(one, one.severity or "unrated", one.severity) for one in found.by_severity
        ]
        write_table((Column("SEVERITY"), *_TIMES), rows)
    if any(one.team for one in found.by_team):
        say()
        rows = [_times_row(one, one.team or "(none named)", None) for one in found.by_team]
        write_table((Column("TEAM", least=8), *_TIMES), rows)
    if found.waiting:
        say("\nwaiting longest, the worst first")
        columns = (
            Column("WORKLOAD", least=20, is_name=True),
            Column("WORST"),
            Column("FAULTS", right=True),
            Column("FIX OUT", right=True),
            Column("IMAGE", least=20, is_name=True),
            Column("NEXT", least=12, is_name=True, is_spare=True),
        )
        write_table(columns, [_waiting_row(one, now) for one in found.waiting])
    if found.unknown:
        say("\nnot counted:")
    for each in found.unknown:
        say(wrap(f"  {each.number:,} × {each.reason}", 6))


def _times_row(one: PatchTimes, name: str, severity: str | None) -> tuple[str | Cell, ...]:
    return (
        Cell(name, SEVERITY_COLOURS.get(severity or "")),
        f"{one.patched:,}",
        format_span(one.rebuilt_median),
        format_span(one.rebuilt_p90),
        format_span(one.deployed_median),
        format_span(one.deployed_p90),
        f"{one.waiting:,}",
        f"{one.rebuilt:,}",
        format_span(one.waiting_median),
    )


def _waiting_row(one: WaitingWorkload, now: datetime) -> tuple[str | Cell, ...]:
    return (
        f"{one.cluster}/{one.namespace}/{one.workload}",
        Cell(one.severity or "unrated", SEVERITY_COLOURS.get(one.severity or "")),
        f"{one.faults:,}",
        format_ago(one.waiting_since, now),
        one.image.partition("/")[2] or one.image,
        f"deploy {one.rebuilt.rpartition(':')[2]}" if one.rebuilt else "rebuild",
    )
