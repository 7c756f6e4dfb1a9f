"""How one image lies on a terminal: its verdict, what it is built on, who must act, its updates."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from itertools import takewhile

from imagecatalog.cli.layouts import describe_status, say_next
from imagecatalog.cli.render import (
    Cell,
    Column,
    clean,
    format_ago,
    format_size,
    plural,
    wrap,
    write_table,
)
from imagecatalog.domain.answers import Drift, ImageDetail, ToldUpdates, Update

_PROBLEMS = 5
"""Files that could not be read, as far as they are shown."""


def show_image(image: ImageDetail, now: datetime) -> None:
    """``show``: the verdict, then the facts, then the updates."""
    verdict = image.verdict
    _say(wrap(f"{image.image}: {_verdict_sentence(image)}", 2) + "\n")
    facts = [
        ("digest", image.digest),
        ("index", ", ".join(image.index_digest)),
        ("platform", image.platform),
        ("distro", image.distro),
        ("built on", _describe_base(image)),
        ("newer", image.newer),
        *(("drift", _describe_drift(one, now)) for one in image.drift),
        ("to act", _who_must_act(image)),
        ("created", _moment(image.created, now)),
        ("first seen", _moment(image.first_seen, now)),
        ("gone", _moment(image.gone, now) if image.gone else None),
        ("tags", ", ".join(dict.fromkeys(p.tag for p in image.tags if p.until is None))),
        ("packages", f"{len(image.packages):,}" if image.packages else None),
        ("layers", _layers_sentence(image) if image.layers else None),
        ("unknown" if verdict.status == "unknown" else "incomplete", verdict.reason),
        ("unjudged", verdict.unjudged),
        ("suppressed", plural(verdict.suppressed, "fault") if verdict.suppressed else None),
    ]
    for name, value in facts:
        if value:
            _say(wrap(f"  {name:<11} {value}", 14))
    for layer in image.layers:
        if layer.problem:
            _say(wrap(f"  {'layer':<11} {layer.digest[:19]}: {layer.problem}", 14))
    for problem in image.problems[:_PROBLEMS]:
        _say(wrap(f"  {'not read':<11} {problem.path}: {problem.reason}", 14))
    if len(image.problems) > _PROBLEMS:
        _say(f"  {'':<11} and {len(image.problems) - _PROBLEMS} more: see --format json")
    if image.running:
        _say()
        columns = (
            Column("CLUSTER"),
            Column("NAMESPACE", least=12),
            Column("WORKLOAD", least=12, is_name=True),
            Column("×", right=True),
        )
        write_table(
            columns,
            [(p.cluster, p.namespace, p.workload, f"{p.containers}") for p in image.running],
        )
    if image.updates:
        _say()
        _write_updates(image.updates)
    if image.debmonitor:
        _write_told(image.debmonitor, now)
    _write_beside(image)
    say_next(f"lineage {shlex.quote(image.image)}", also="diff, history, show --inherited")


def _describe_drift(drift: Drift, now: datetime) -> str:
    left = f"left it {format_ago(drift.left, now)}" if drift.left else "means another image"
    since = f"{drift.since:%Y-%m-%d %H:%M} UTC"
    return f"{drift.tag} {left}: since {since} it means {drift.digest[:19]}, and it still runs"


def _describe_base(image: ImageDetail) -> str | None:
    newer = f"; newer: {image.newer_base}" if image.base and image.newer_base else ""
    return f"{image.base}{newer}" if image.base else None


def _who_must_act(image: ImageDetail) -> str | None:
    """Where the updates have to be made, the most of them first."""
    brought = Counter(update.inherited_from for update in image.updates)
    if not brought:
        return None
    if set(brought) == {None}:
        return "rebuild this image: its updates are its own"
    parts = [
        f"{number:,} came with {name}"
        if name
        else f"{number:,} {'is' if number == 1 else 'are'} its own"
        for name, number in brought.most_common()
    ]
    how = "rebuild there first, then here"
    if image.newer:
        how = "a newer image is there (see diff)"
    elif image.newer_base:
        how = "rebuild it on the newer base"
    return f"{how}: {', '.join(parts)}"


def _write_told(told: ToldUpdates, now: datetime) -> None:
    """What DebMonitor's clients told, and where that is not what we tell."""
    how = "which count, for there is no verdict of our own" if told.counts else "as apt here says"
    if told.differences:
        how = f"{plural(len(told.differences), 'package')} otherwise than apt here"
    fact = f"{plural(len(told.updates), 'update')} {format_ago(told.received, now)}, {how}"
    _say("\n" + wrap(f"  {'DebMonitor':<11} {fact}", 14))
    if told.differences:
        columns = (
            Column("PACKAGE", least=12, is_name=True),
            Column("INSTALLED", least=12),
            Column("APT HERE", least=12),
            Column("DEBMONITOR", least=12),
        )
        write_table(
            columns,
            [
                (one.package, one.installed, one.here or "-", one.there or "-")
                for one in told.differences
            ],
        )


def _write_beside(image: ImageDetail) -> None:
    """What the registry keeps beside it, whether it is signed, and what is wrong with it."""
    if not image.attachments:
        return
    _say()
    for item in image.attachments:
        signed = "signed, not verified" if item.signature == "unverified" else item.signature
        of = " of its index" if item.subject != image.digest else ""
        problem = f"; {item.problem}" if item.problem else ""
        fact = f"{item.kind}{of} ({item.media_type}), signature: {signed}{problem}"
        _say(wrap(f"  {'attached':<11} {fact}", 14))


def _verdict_sentence(image: ImageDetail) -> str:
    verdict = image.verdict
    match verdict.status:
        case "security-update":
            updates = plural(verdict.updates, "update")
            return f"▲ {plural(verdict.security, 'security update')}, {updates} in all"
        case "update":
            return f"△ {plural(verdict.updates, 'update')}, none for security"
        case status:
            return describe_status(status).text


def _moment(moment: datetime | None, now: datetime) -> str | None:
    return f"{moment:%Y-%m-%d %H:%M} UTC, {format_ago(moment, now)}" if moment else None


def _layers_sentence(image: ImageDetail) -> str:
    size = sum(max(layer.size, 0) for layer in image.layers)
    return f"{len(image.layers)}, {format_size(size)}"


def _write_updates(updates: Iterable[Update]) -> None:
    columns = (
        Column("PACKAGE", least=16),
        Column("ARCH"),
        Column("INSTALLED", least=18, is_fact=True),
        Column("CANDIDATE", least=18, is_fact=True),
        Column("FROM", least=10),
    )
    rows = [
        (
            update.package,
            update.arch,
            update.installed,
            Cell(update.candidate, "bold", _first_change(update.installed, update.candidate)),
            _describe_origin(update),
        )
        for update in updates
    ]
    write_table(columns, rows)


def _describe_origin(update: Update) -> Cell:
    held = "held; " if update.held else ""
    if update.security:
        return Cell(f"▲ {held}{update.origin}", "red")
    return Cell(f"△ {held}{update.origin}", "yellow")


def _first_change(installed: str, candidate: str) -> int:
    """Where the candidate begins to differ, a number never cut in two."""
    same = takewhile(lambda pair: pair[0] == pair[1], zip(installed, candidate, strict=False))
    shared = "".join(letter for letter, _ in same)
    after = installed[len(shared) : len(shared) + 1] + candidate[len(shared) : len(shared) + 1]
    return len(shared.rstrip("0123456789") if any(map(str.isdigit, after)) else shared)


def _say(text: str = "") -> None:
    sys.stdout.write(clean(text) + "\n")
