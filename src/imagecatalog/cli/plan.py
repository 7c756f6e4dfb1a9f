"""The verb that says what to rebuild and redeploy in which order, and watches it happen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from imagecatalog.cli.options import ALL_FORMATS, Invocation, Verb
from imagecatalog.errors import UsageError

if TYPE_CHECKING:
    from imagecatalog.domain.plans import Plan, PlanQuestion

_QUESTION = ("advisory", "package", "image", "security", "idle", "max_parallel")


def _asking(verb: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option(
            "--max-parallel", type=click.IntRange(1), metavar="N", help="At most N in a wave."
        ),
        click.option("--all", "idle", is_flag=True, help="Also images that do not run."),
        click.option("--security", is_flag=True, help="Security updates alone."),
        click.option(
            "--image",
            metavar="REF",
            help="Rebuild this image for its own sake, and what is built on it follows.",
        ),
        click.option("--package", metavar="NAME", help="Only this binary or source package."),
        click.option(
            "--for",
            "advisory",
            metavar="ID",
            help="Only what ends this: CVE-…, DSA-…, or pkg:deb/debian/openssl@<3.0.15.",
        ),
    ):
        verb = option(verb)
    return verb


@click.command(cls=Verb, reads=True, formats=ALL_FORMATS)
@_asking
@click.option("--save", is_flag=True, help="Keep it: its steps close when the packages moved.")
@click.option("--id", "number", type=click.IntRange(1), metavar="N", help="This saved plan.")
@click.option("--list", "listed", is_flag=True, help="The saved plans.")
@click.option(
    "--tree",
    metavar="DIR",
    help="With --format docker-pkg: the folder of the images; . if left out.",
)
@click.option(
    "--docker-pkg-config",
    "tree_config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="With --format docker-pkg: its configuration; config.yaml if left out.",
)
@click.pass_obj
def plan(
    invocation: Invocation,
    /,
    *,
    save: bool,
    number: int | None,
    listed: bool,
    tree: str | None,
    tree_config: Path | None,
    **question: Any,
) -> None:
    """What to rebuild and redeploy, in which order, and what remains.

    The fewest rebuilds that bring the updates to all that runs: at the ancestor that brought a
    package, then what is built on it and leads to something running. With --format docker-pkg it
    is the commands that carry it out, with dot or mermaid text for a graph tool.
    """
    from imagecatalog.cli import plan_layouts
    from imagecatalog.cli.docker_pkg import print_script
    from imagecatalog.domain.plans import PlanQuestion
    from imagecatalog.outlets.docker_pkg import with_commands

    asked = [name for name in _QUESTION if question[name]]
    _refuse_nonsense(asked, save=save, number=number, listed=listed)
    if (tree is not None or tree_config is not None) and invocation.format != "docker-pkg":
        option = "--tree" if tree is not None else "--docker-pkg-config"
        raise UsageError(f"{option} is of use with --format docker-pkg only")
    if listed:
        plan_layouts.write_list(invocation)
        return
    if number is not None:
        with invocation.answering() as answering:
            found = answering.saved_plan(number)
    elif save:
        found = _save(invocation, PlanQuestion(**question))
    else:
        with invocation.answering() as answering:
            found = answering.plan(PlanQuestion(**question))
    if invocation.format == "docker-pkg":
        print_script(found, tree or ".", tree_config)
    else:
        plan_layouts.write_plan(invocation.format, with_commands(found))


def _refuse_nonsense(asked: list[str], *, save: bool, number: int | None, listed: bool) -> None:
    ways = [
        name for name, given in (("--save", save), ("--id", number), ("--list", listed)) if given
    ]
    if len(ways) > 1:
        raise UsageError(f"{' and '.join(ways)} exclude one another")
    if asked and (number is not None or listed):
        raise UsageError(f"{ways[0]} shows what was saved: leave out what is to be planned")


def _save(invocation: Invocation, ask: PlanQuestion) -> Plan:
    from datetime import UTC, datetime

    import msgspec

    from imagecatalog.cli.remote import plan_query
    from imagecatalog.cli.server import Server
    from imagecatalog.domain.plans import Plan
    from imagecatalog.planning.following import save_plan

    address = invocation.flags.get("server")
    if address:
        if invocation.flags.get("database"):
            raise UsageError("--server and --database exclude each other")
        with Server.connect(address, writes=True) as server:
            answer = server.post("/api/v1/plans", b"", plan_query(ask))
        return msgspec.json.decode(answer.body, type=Plan)
    with invocation.catalog() as (settings, catalog), catalog.write() as c:
        return save_plan(c, ask, settings=settings, saved_by=None, now=datetime.now(UTC))


VERBS = (plan,)
