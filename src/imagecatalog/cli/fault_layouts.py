"""How the faults of what runs lie on a terminal: the sentence, worst first, what is unknown, what next."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from imagecatalog.cli.layouts import SEVERITY_COLOURS, say_next
from imagecatalog.cli.lineage_layouts import say
from imagecatalog.cli.render import Cell, Column, format_age, plural, wrap, write_table
from imagecatalog.domain.advisories import RunningFault, RunningFaults
from imagecatalog.planning.finding_sentences import describe_fault_state, describe_running_faults

_COLUMNS = (
    Column("ADVISORY"),
    Column("SEVERITY"),
    Column("PACKAGES", least=10),
    Column("FIXED IN", least=14),
    Column("IMAGES", right=True),
    Column("CONTAINERS", right=True),
    Column("EPSS", right=True, is_spare=True),
    Column("WAITING", right=True, is_spare=True),
)


def show_running_faults(found: RunningFaults) -> None:
    """``advisories``: what runs holds, worst first."""
    say(wrap(describe_running_faults(found), 2))
    if found.items:
        say()
        now = datetime.now(UTC)
        write_table(_COLUMNS, [_row(one, now) for one in found.items])
    left = found.total - len(found.items)
    if left:
        say(f"and {left:,} more: see --limit")
    if found.suppressed:
        say(f"\nsuppressed wherever they are: {plural(found.suppressed, 'fault')}; see --all")
    if found.unknown:
        runs = "runs" if found.unknown == 1 else "run"
        say(
            f"\nunknown: {plural(found.unknown, 'image')} that {runs}, whose packages are not known,"
            " or of whose release no feed tells; see imagecatalog outdated --status unknown"
        )
    for old in found.old_scores:
        say(wrap(f"\ntoo old: {old}", 9))
    if found.items:
        say_next(f"affected {found.items[0].advisory}")


def _row(one: RunningFault, now: datetime) -> Sequence[str | Cell]:
    exploited = " exploited" if one.exploited else ""
    hidden = f" ({one.suppressed:,} suppressed)" if one.suppressed else ""
    return (
        one.advisory,
        Cell(f"{one.severity or '-'}{exploited}", SEVERITY_COLOURS.get(one.severity or "")),
        ", ".join(one.packages),
        describe_fault_state(one),
        f"{one.images:,}{hidden}",
        f"{one.containers:,}",
        f"{one.epss:.1%}" if one.epss is not None else "-",
        format_age(one.waiting_since, now) if one.waiting_since else "-",
    )
