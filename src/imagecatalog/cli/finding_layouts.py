"""How findings lie on a terminal: the sentence, what to install, what has no fix, what is unknown."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from imagecatalog.cli.layouts import say_next
from imagecatalog.cli.lineage_layouts import say
from imagecatalog.cli.render import Cell, Column, wrap, write_table
from imagecatalog.domain.findings import Finding, ImageFindings
from imagecatalog.planning.finding_sentences import (
    describe_counts,
    describe_state,
    describe_suppression,
)

_COLOURS = {"critical": "red", "high": "red", "medium": "yellow"}
_COLUMNS = (
    Column("ADVISORY", is_name=True),
    Column("SEVERITY"),
    Column("SOURCE", least=10, is_name=True),
    Column("INSTALLED", least=12),
    Column("WHAT TO DO", least=16),
    Column("FROM", least=10, is_name=True),
)
_NO_FIX = 20
"""Rows without a fix, unless all are asked for."""


def show_findings(found: ImageFindings, *, every: bool) -> None:
    """``show --advisories``: what a fix is out for first; with ``every`` all rows."""
    say(wrap(f"{found.image}: {describe_counts(found.counts)}", 2))
    fixable = [one for one in found.items if one.state == "fix-out" and not one.suppressed]
    rest = [one for one in found.items if one.state != "fix-out" and not one.suppressed]
    suppressed = [one for one in found.items if one.suppressed]
    shown = [*fixable, *(rest if every else rest[:_NO_FIX])]
    if shown:
        say()
        write_table(_COLUMNS, [_row(one) for one in shown])
    if len(rest) > _NO_FIX and not every:
        say(f"and {len(rest) - _NO_FIX:,} more without a fix: see --all")
    if suppressed:
        say("\nsuppressed:")
        for one in suppressed:
            say(wrap(f"  {one.advisory} in {one.source}: {describe_suppression(one)}", 4))
    if found.unknown:
        say()
        for doubt in found.unknown:
            say(wrap(f"unknown: {doubt}", 9))
    if fixable:
        say_next(f"plan --image {shlex.quote(found.image)}", also=f"affected {fixable[0].advisory}")


def _row(one: Finding) -> Sequence[str | Cell]:
    severity = f"{one.severity or '-'}{' ●' if one.exploited else ''}"
    installed = (
        one.source
        if one.packages in {(), (one.source,)}
        else f"{one.source} ({_some(one.packages)})"
    )
    return (
        one.advisory,
        Cell(severity, _COLOURS.get(one.severity or "")),
        installed,
        one.installed,
        describe_state(one),
        one.inherited_from or "own",
    )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")
