"""The verbs that ask where an image comes from, what changed, and what happened to it."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from imagecatalog.cli.options import GRAPH_FORMATS, Invocation, Verb


@click.command(cls=Verb, reads=True, formats=GRAPH_FORMATS)
@click.argument("reference", metavar="REF")
@click.option("--all", "whole", is_flag=True, help="Draw every image, also many of one repository.")
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=500,
    metavar="N",
    help="At most N descendants; 500.",
)
@click.pass_obj
def lineage(invocation: Invocation, reference: str, *, whole: bool, limit: int) -> None:
    """What an image is built on, and what is built on it.

    REF is a name (registry.example.org/app:1.0), a digest, or a digest's first letters.
    What is stale and what runs is marked. With --format dot or mermaid it is text for a graph
    tool: imagecatalog lineage REF --format dot | dot -Tsvg > lineage.svg
    """
    from imagecatalog.cli import lineage_layouts, render
    from imagecatalog.outlets import graphs

    with invocation.answering() as answering:
        found = answering.lineage(reference, limit)
    match invocation.format:
        case "json":
            render.write_json(found)
        case "csv":
            render.write_csv(lineage_layouts.RelativeRow, lineage_layouts.list_relatives(found))
        case "dot":
            click.echo(graphs.lineage_dot(found), nl=False)
        case "mermaid":
            click.echo(graphs.lineage_mermaid(found), nl=False)
        case _:
            lineage_layouts.show_lineage(found, whole=whole)


@click.command(cls=Verb, reads=True)
@click.argument("first", metavar="A")
@click.argument("second", metavar="[B]", required=False)
@click.pass_obj
def diff(invocation: Invocation, first: str, second: str | None) -> None:
    """What changed from one image to another: packages, layers, labels.

    Without B it is the newest image of A's line: what an update of A would bring.
    As CSV it is the packages that changed.
    """
    from imagecatalog.cli import change_layouts, render

    with invocation.answering() as answering:
        found = answering.diff(first, second)
    match invocation.format:
        case "json":
            render.write_json(found)
        case "csv":
            render.write_csv(change_layouts.ChangeRow, change_layouts.list_changes(found))
        case _:
            change_layouts.show_diff(found)


@click.command(cls=Verb, reads=True)
@click.argument("reference", metavar="REF")
@click.option("--limit", type=click.IntRange(1), default=100, metavar="N", help="The last N; 100.")
@click.pass_obj
def history(invocation: Invocation, reference: str, limit: int) -> None:
    """Tags, builds and runs of an image or a repository, the last first.

    REF is an image as for show, or a repository: registry.example.org/app without a tag.
    """
    from imagecatalog.cli import change_layouts, render
    from imagecatalog.domain.lineage import HistoryItem

    with invocation.answering() as answering:
        items = list(answering.history(reference, limit))
    match invocation.format:
        case "json":
            render.write_json_array(items)
        case "csv":
            render.write_csv(HistoryItem, items)
        case _:
            change_layouts.show_history(items, reference, datetime.now(UTC))


VERBS = (lineage, diff, history)
