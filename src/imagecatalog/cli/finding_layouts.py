"""How findings lie on a terminal: the sentence, what to install, what has no fix, what is unknown."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from imagecatalog.cli.layouts import SEVERITY_COLOURS, say_next
from imagecatalog.cli.lineage_layouts import say
from imagecatalog.cli.render import Cell, Column, wrap, write_table
from imagecatalog.domain.findings import SEVERITIES, Finding, ImageFindings
from imagecatalog.planning.finding_sentences import (
    describe_counts,
    describe_state,
    describe_suppression,
)

_COLUMNS = (
    Column("SEVERITY"),
    Column("PACKAGE", least=10),
    Column("INSTALLED", least=12),
    Column("FIXED IN", least=16),
    Column("ADVISORIES", least=26),
    Column("FROM", least=10, is_name=True),
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
    if shown:
        say()
        write_table(_COLUMNS, [_row(many, every=every) for many in shown])
    if len(rest) > _NO_FIX and not every:
        say(f"and {len(rest) - _NO_FIX:,} more packages without a fix: see --all")
    if suppressed:
        say("\nsuppressed:")
        for one in suppressed:
            say(wrap(f"  {one.advisory} in {one.source}: {describe_suppression(one)}", 4))
    if found.unknown:
        say()
        for doubt in found.unknown:
            say(wrap(f"unknown: {doubt}", 9))
    if fixable:
        say_next(
            f"plan --image {shlex.quote(found.image)}", also=f"affected {fixable[0][0].advisory}"
        )


def _group(findings: Iterable[Finding]) -> list[list[Finding]]:
    """Those of one package with one thing to do, in one row."""
    grouped: dict[tuple[object, ...], list[Finding]] = {}
    for one in findings:
        key = (one.type, one.source, one.installed, one.inherited_from, describe_state(one))
        grouped.setdefault(key, []).append(one)
    return list(grouped.values())


def _row(many: Sequence[Finding], *, every: bool) -> Sequence[str | Cell]:
    one = many[0]
    worst = max((item.severity for item in many), key=SEVERITIES.index)
    exploited = " exploited" if any(item.exploited for item in many) else ""
    names = [item.advisory for item in many]
    return (
        Cell(f"{worst or '-'}{exploited}", SEVERITY_COLOURS.get(worst or "")),
        one.source if one.type in {"deb", "apk", "rpm"} else f"{one.source} ({one.type})",
        one.installed,
        describe_state(one).removeprefix("install ").removeprefix("fixed since "),
        ", ".join(names) if every else _some(names),
        one.inherited_from or ("-" if one.state in {"fixed", "not-affected"} else "own"),
    )


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
