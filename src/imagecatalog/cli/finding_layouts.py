"""How findings lie on a terminal: the sentence, what to install, what has no fix, what is unknown."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from imagecatalog.cli.layouts import SEVERITY_COLOURS, say_next
from imagecatalog.cli.lineage_layouts import say
from imagecatalog.cli.render import Cell, Column, wrap, write_table
from imagecatalog.domain.findings import SEVERITIES, Finding, ImageFindings
from imagecatalog.planning.finding_sentences import (
    STATE_WORDS,
    describe_counts,
    describe_state,
    describe_suppression,
    explain_reason,
    name_state,
)

_COLUMNS = (
    Column("SEVERITY"),
    Column("PACKAGE", least=10),
    Column("INSTALLED", least=12),
    Column("FIXED IN", least=16),
    Column("ADVISORIES", least=26),
    Column("FROM", least=10, is_name=True),
)
_ALL_COLUMNS = (
    *_COLUMNS[:3],
    Column("STATE", least=10),
    _COLUMNS[3],
    Column("ADVISORIES", least=26, is_prose=True),
    _COLUMNS[5],
)
_NO_FIX = 12
"""Rows without a fix, unless all are asked for."""
_NAMED = 1


def show_findings(found: ImageFindings, *, every: bool) -> None:
    """``show --advisories``: what a fix is out for first; with ``every`` all rows."""
    say(wrap(f"{found.image}: {describe_counts(found.counts, is_whole=not found.unknown)}", 2))
    fixable = _group(one for one in found.items if one.state == "fix-out" and not one.suppressed)
    rest = _group(one for one in found.items if one.state != "fix-out" and not one.suppressed)
    suppressed = [one for one in found.items if one.suppressed]
    shown = [*fixable, *(rest if every else rest[:_NO_FIX])]
    if every:
        shown += _group(suppressed)
    if shown:
        say()
        columns = _ALL_COLUMNS if every else _COLUMNS
        write_table(columns, [_row(many, found.scope, every=every) for many in shown])
    if len(rest) > _NO_FIX and not every:
        say(f"and {len(rest) - _NO_FIX:,} more packages without a fix: see --all")
    if suppressed:
        say("\nsuppressed:")
        for one in suppressed:
            say(wrap(f"  {one.advisory} in {one.source}: {describe_suppression(one)}", 4))
    if found.unknown or found.old_scores:
        say()
        for doubt in found.unknown:
            say(wrap(f"unknown: {doubt}", 9))
        for old in found.old_scores:
            say(wrap(f"too old: {old}", 9))
    if fixable:
        say_next(
            f"plan --image {shlex.quote(found.image)}", also=f"affected {fixable[0][0].advisory}"
        )


def _group(findings: Iterable[Finding]) -> list[list[Finding]]:
    """Those of one package with one thing to do, in one row."""
    grouped: dict[tuple[object, ...], list[Finding]] = {}
    for one in findings:
        why = (describe_state(one), one.suppressed)
        key = (one.type, one.source, one.installed, one.inherited_from, *why)
        grouped.setdefault(key, []).append(one)
    return list(grouped.values())


def _row(many: Sequence[Finding], scope: str, *, every: bool) -> Sequence[str | Cell]:
    one = many[0]
    worst = max((item.severity for item in many), key=SEVERITIES.index)
    exploited = " exploited" if any(item.exploited for item in many) else ""
    names = [item.advisory for item in many]
    return (
        Cell(f"{worst or '-'}{exploited}", SEVERITY_COLOURS.get(worst or "")),
        one.source if one.type in {"deb", "apk", "rpm"} else f"{one.source} ({one.type})",
        one.installed,
        *((name_state(one, scope), _say_fix(one)) if every else (_say_least(one, scope),)),
        ", ".join(names) if every else _some(names),
        one.inherited_from or ("-" if one.state in {"fixed", "not-affected"} else "own"),
    )


def _say_least(one: Finding, scope: str) -> str:
    """The version that mends it, or why there is none."""
    return describe_state(one, scope).removeprefix("install ").removeprefix("fixed since ")


def _say_fix(one: Finding) -> str:
    """The version that mends it, or mended it; else why there is none, where somebody says so."""
    if one.state == "fix-out":
        return describe_state(one).removeprefix("install ")
    if one.state == "undetermined" and not one.reason:
        return STATE_WORDS["undetermined"]
    return one.fixed or (explain_reason(one.reason) if one.reason else "-")


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
