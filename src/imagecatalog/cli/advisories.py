"""The verb that lists what is wrong with all that runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from imagecatalog.cli.options import Invocation, Verb

if TYPE_CHECKING:
    from imagecatalog.domain.advisories import RunningFaults

LISTED = 10
"""Exit status of ``--exit-code`` when anything is listed."""
_SEVERITIES = ("critical", "high", "medium", "low", "negligible", "unrated")


@click.command(cls=Verb, reads=True)
@click.option("--cluster", metavar="NAME", help="Only in this cluster.")
@click.option("--namespace", metavar="NAME", help="Only in this namespace.")
@click.option("--severity", type=click.Choice(_SEVERITIES), help="Only of this severity.")
@click.option("--fixable", is_flag=True, help="Only those that a fix is out for.")
@click.option("--exploited", is_flag=True, help="Only those known to be exploited.")
@click.option(
    "--all", "everything", is_flag=True, help="Also those that are suppressed wherever they are."
)
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    default=100,
    metavar="N",
    help="At most N of them; 100.",
)
@click.option("--exit-code", is_flag=True, help="Exit with 10 when anything is listed.")
@click.pass_obj
def advisories(
    invocation: Invocation, /, *, fixable: bool, limit: int, exit_code: bool, **wanted: Any
) -> int:
    """What is wrong with what runs: its faults, worst first.

    Known to be exploited before others, then by severity, those that a fix is out for, by the
    probability of being exploited (EPSS), and by containers.
    """
    from imagecatalog.planning.running_faults import FaultFilter

    question = FaultFilter(state="fix-out" if fixable else None, **wanted)
    with invocation.answering() as answering:
        found = answering.running_faults(question, limit)
    _write(invocation, found)
    return LISTED if exit_code and found.items else 0


def _write(invocation: Invocation, found: RunningFaults) -> None:
    from imagecatalog.cli import fault_layouts, render
    from imagecatalog.domain.advisories import RunningFault

    match invocation.format:
        case "json":
            render.write_json(found)
        case "csv":
            render.write_csv(RunningFault, found.items)
        case _:
            fault_layouts.show_running_faults(found)


VERBS = (advisories,)
