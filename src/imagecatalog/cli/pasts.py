"""The verbs of what ran when: clusters, how long faults were run, how long fixes took."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from imagecatalog.cli.ask import Moment
from imagecatalog.cli.options import Invocation, UsualVerbs, Verb
from imagecatalog.errors import NotFound


@click.group(cls=UsualVerbs, takes=("server", "format"))
def clusters() -> None:
    """Clusters: when each was last seen well, and what runs in it.

    Without COMMAND: list.
    """


@clusters.command("list", cls=Verb, reads=True)
@click.pass_obj
def list_all(invocation: Invocation) -> None:
    """All that were ever scanned or tried, by name.

    One that was not seen well for over two hours is marked: what is said to run there is what its
    last whole scan saw.
    """
    from imagecatalog.cli import past_layouts, render
    from imagecatalog.domain.pasts import ClusterItem

    with invocation.answering() as answering:
        items = list(answering.clusters())
    match invocation.format:
        case "json":
            render.write_json_array(items)
        case "csv":
            render.write_csv(ClusterItem, items)
        case _:
            past_layouts.show_clusters(items, datetime.now(UTC))


@clusters.command(cls=Verb)
@click.argument("name")
@click.pass_obj
def forget(invocation: Invocation, name: str) -> None:
    """End what runs in a cluster that is no more, at the last sight of it.

    What ran there stays known. A later scan brings the cluster back; take it out of the
    configuration first.
    """
    from imagecatalog.cli.render import plural
    from imagecatalog.store import clusters as known

    with invocation.catalog() as (settings, catalog), catalog.write() as c:
        if any(one.name == name for one in settings.clusters):
            raise click.UsageError(f"{name} is in the configuration: take it out there first")
        found = known.forget_cluster(c, name, now=datetime.now(UTC))
    if found is None:
        raise NotFound(f"no cluster {name} is known", hint="imagecatalog clusters lists them")
    ended, seen = found
    last = f", seen last {seen:%Y-%m-%d %H:%M} UTC" if seen else ""
    click.echo(f"cluster {name}: forgotten{last}; {plural(ended, 'container')} ended", err=True)


@click.command(cls=Verb, reads=True)
@click.argument("subject", metavar="ID")
@click.option("--cluster", metavar="NAME", help="Only in this cluster.")
@click.option("--namespace", metavar="NAME", help="Only in this namespace.")
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=500,
    metavar="N",
    help="At most N spans; 500. Those that go on come first.",
)
@click.pass_obj
def exposure(
    invocation: Invocation,
    subject: str,
    *,
    cluster: str | None,
    namespace: str | None,
    limit: int,
) -> None:
    """How long a fault was run, and where: from, to, still.

    ID is CVE-2026-12345, DSA-5865-1, or a range of versions as pkg:deb/debian/openssl@<3.0.15
    (in quotes, for the shell); a package alone is all its versions. What ran before anybody knew of
    the fault counts too. As CSV it is the spans.
    """
    from imagecatalog.cli import past_layouts, render
    from imagecatalog.domain.pasts import ExposedSpan

    with invocation.answering() as answering:
        found = answering.exposure(subject, cluster, namespace, limit)
    match invocation.format:
        case "json":
            render.write_json(found)
        case "csv":
            render.write_csv(ExposedSpan, found.items)
        case _:
            past_layouts.show_exposure(found)


@click.command(cls=Verb, reads=True)
@click.option("--since", type=Moment(), metavar="TIME", help="Patched since then; 90 days.")
@click.option("--cluster", metavar="NAME", help="Only in this cluster.")
@click.option("--team", metavar="NAME", help="Only workloads of this team.")
@click.pass_obj
def patching(
    invocation: Invocation, *, since: datetime | None, cluster: str | None, team: str | None
) -> None:
    """How long from a fix to the rebuilt image to its deployment.

    By severity and by team: half and nine of ten were done within the times given. Each fault
    counts once for each container of each workload; what cannot be known is told apart, with why.
    """
    from imagecatalog.cli import past_layouts, render
    from imagecatalog.domain.pasts import PatchTimes

    with invocation.answering() as answering:
        found = answering.patching(since, cluster, team)
    match invocation.format:
        case "json":
            render.write_json(found)
        case "csv":
            render.write_csv(PatchTimes, (*found.by_severity, *found.by_team))
        case _:
            past_layouts.show_patching(found, datetime.now(UTC))


VERBS = (clusters, exposure, patching)
