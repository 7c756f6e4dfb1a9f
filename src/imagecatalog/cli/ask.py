"""The verbs that ask: a database at hand, or with ``--server`` a server."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click

from imagecatalog.cli.options import Invocation, Verb
from imagecatalog.errors import NotFound, UsageError

if TYPE_CHECKING:
    from imagecatalog.cli.answering import Answering

T = TypeVar("T")
INCOMPLETE = 1
"""Exit status where a part of what was asked is not known."""
LISTED = 10
"""Exit status of ``--exit-code`` when something is listed."""


class Moment(click.ParamType[datetime]):
    """A time as RFC 3339, or a date; without a zone it is UTC."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """The moment in UTC."""
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(value)
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no time; write 2026-11-20 or 2026-11-20T14:00Z", param, ctx)


def _places(verb: Callable[..., T]) -> Callable[..., T]:
    for option in (
        click.option("--limit", type=click.IntRange(1), metavar="N", help="At most N of them."),
        click.option("--image", metavar="TEXT", help="Only images with this in their name."),
        click.option("--namespace", metavar="NAME", help="Only in this namespace."),
        click.option("--cluster", metavar="NAME", help="Only in this cluster."),
    ):
        verb = option(verb)
    return verb


@click.command(cls=Verb, reads=True)
@click.option(
    "--all", "all_images", is_flag=True, help="Also images that do not run, and current ones."
)
@click.option("--security", is_flag=True, help="Only those with a security update.")
@click.option("--status", metavar="VERDICT", help="Only those with this verdict.")
@click.option(
    "--severity",
    type=click.Choice(("critical", "high", "medium", "low")),
    help="Only those whose worst fault with a fix is so bad.",
)
@click.option("--exploited", is_flag=True, help="Only those with a fault known to be exploited.")
@_places
@click.option("--exit-code", is_flag=True, help="Exit with 10 when anything is listed.")
@click.pass_obj
def outdated(
    invocation: Invocation, /, *, exit_code: bool, status: str | None, **filters: Any
) -> int:
    """Running images in need of an update, worst first."""
    from imagecatalog.cli import layouts
    from imagecatalog.cli.answering import OutdatedQuestion
    from imagecatalog.domain.answers import OutdatedImage, Status

    if status is not None and status not in get_args(Status):
        raise click.BadParameter(f"one of {', '.join(get_args(Status))}", param_hint="--status")
    ask = OutdatedQuestion(status=status, **filters)

    def show(items: Sequence[OutdatedImage]) -> None:
        overview = answering.overview() if ask.is_everything else None
        layouts.show_outdated(items, ask, overview, list(answering.health()), _now())

    with invocation.answering() as answering:
        _check_cluster(answering, ask.cluster)
        count = _answer(invocation, OutdatedImage, answering.outdated(ask), show)
    return LISTED if exit_code and count else 0


@click.command(cls=Verb, reads=True)
@click.option("--at", type=Moment(), metavar="TIME", help="What ran then, not now.")
@click.option("--team", metavar="NAME", help="Only workloads of this team.")
@_places
@click.pass_obj
def running(invocation: Invocation, /, **filters: Any) -> int:
    """What runs where, now or at a moment past.

    Where nobody looked at that moment, stderr says so, and the exit status is 1: that nothing is
    listed of a cluster does not say that nothing ran there.
    """
    from imagecatalog.cli import past_layouts
    from imagecatalog.cli.answering import RunningQuestion
    from imagecatalog.domain.answers import RunningItem

    ask = RunningQuestion(**filters)

    def show(items: Sequence[RunningItem]) -> None:
        past_layouts.show_running(items, ask, sights, _now())

    with invocation.answering() as answering:
        sights = [one for one in answering.clusters(ask.at) if ask.cluster in {None, one.name}]
        if not sights:
            _check_cluster(answering, ask.cluster)
        _answer(invocation, RunningItem, answering.running(ask), show)
    doubts = [one for one in sights if not one.known]
    past_layouts.tell_doubts(doubts)
    return INCOMPLETE if ask.at and doubts else 0


@click.command(cls=Verb, reads=True)
@click.argument("reference", metavar="REF")
@click.option(
    "--inherited", is_flag=True, help="Which ancestor brought each package, and who has to act."
)
@click.option("--advisories", is_flag=True, help="What is wrong with it: advisories, worst first.")
@click.option(
    "--opinions", is_flag=True, help="What Clair says of it, and where it differs from us."
)
@click.option(
    "--all",
    "all_states",
    is_flag=True,
    help="With --advisories: also what is fixed in it, and what it is not affected by.",
)
@click.pass_obj
def show(
    invocation: Invocation,
    reference: str,
    *,
    inherited: bool,
    advisories: bool,
    opinions: bool,
    all_states: bool,
) -> None:
    """One image: its verdict, what is in it, where it runs.

    REF is a name (registry.example.org/app:1.0), a digest, or a digest's first letters.
    As CSV it is the image's packages, each with its candidate; with --advisories its findings, with
    --opinions where Clair and we differ.
    """
    from imagecatalog.cli import change_layouts, image_layouts, render
    from imagecatalog.domain.answers import PackageItem

    if inherited + advisories + opinions > 1:
        raise UsageError("--inherited, --advisories and --opinions exclude one another")
    if all_states and not advisories:
        raise UsageError("--all is of use with --advisories only")
    if advisories:
        _show_findings(invocation, reference, all_states=all_states)
        return
    if opinions:
        _show_opinions(invocation, reference)
        return
    with invocation.answering() as answering:
        image = answering.image(reference)
    match invocation.format:
        case "json":
            render.write_json(image)
        case "csv":
            render.write_csv(PackageItem, image.packages)
        case _ if inherited:
            change_layouts.show_inherited(image)
        case _:
            image_layouts.show_image(image, _now())


@click.command(cls=Verb, reads=True)
@click.argument("repository", required=False)
@click.option("--search", metavar="TEXT", help="Only repositories with this in their name.")
@click.option("--package", metavar="NAME", help="The images that hold this binary package.")
@click.option("--below", metavar="VERSION", help="With --package: only versions older than this.")
@click.option(
    "--label",
    metavar="KEY[=VALUE]",
    help="Only images with this label of their configuration or annotation of their manifest.",
)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="At most N of them.")
@click.pass_obj
def images(
    invocation: Invocation,
    *,
    repository: str | None,
    search: str | None,
    package: str | None,
    below: str | None,
    label: str | None,
    limit: int | None,
) -> None:
    """Repositories, or images by repository, label or package."""
    from imagecatalog.cli import layouts
    from imagecatalog.domain.answers import Holder, ImageSummary, RepositorySummary

    if sum(value is not None for value in (repository, search, package)) > 1:
        raise UsageError("REPOSITORY, --search and --package exclude one another")
    if label is not None and (search is not None or package is not None):
        raise UsageError("--label goes with REPOSITORY, or alone")
    if label == "":
        raise click.BadParameter("KEY or KEY=VALUE", param_hint="--label")
    if below is not None and package is None:
        raise UsageError("--below is of use with --package only")
    with invocation.answering() as answering:
        if package is not None:
            holders = answering.holders(package, below, limit)
            lay_out = lambda items: layouts.show_holders(items, package, below)  # noqa: E731
            _answer(invocation, Holder, holders, lay_out)
        elif repository is not None or label is not None:
            found = answering.images(repository, label, limit)
            where = " with ".join(filter(None, [repository, label]))
            lay_out = lambda items: layouts.show_images(items, where, repository, _now())  # noqa: E731
            _answer(invocation, ImageSummary, found, lay_out)
        else:
            known = answering.repositories(search, limit)
            lay_out = lambda items: layouts.show_repositories(items, _now())  # noqa: E731
            _answer(invocation, RepositorySummary, known, lay_out)


@click.command(cls=Verb, reads=True)
@click.argument("text")
@click.option(
    "--limit", type=click.IntRange(1, 100), default=20, metavar="N", help="At most N; 20."
)
@click.pass_obj
def search(invocation: Invocation, text: str, limit: int) -> None:
    """Images, packages, workloads, namespaces by their names."""
    from imagecatalog.cli import layouts
    from imagecatalog.domain.answers import SearchHit

    with invocation.answering() as answering:
        hits = answering.search(text, limit)
        _answer(invocation, SearchHit, hits, lambda items: layouts.show_hits(items, text))


VERBS = (outdated, running, show, images, search)


def _show_findings(invocation: Invocation, reference: str, *, all_states: bool) -> None:
    from imagecatalog.cli import finding_layouts, render
    from imagecatalog.domain.findings import Finding

    with invocation.answering() as answering:
        found = answering.findings(reference, all_states=all_states)
    match invocation.format:
        case "json":
            render.write_json(found)
        case "csv":
            render.write_csv(Finding, found.items)
        case _:
            finding_layouts.show_findings(found, every=all_states)


def _show_opinions(invocation: Invocation, reference: str) -> None:
    from imagecatalog.cli import opinion_layouts, render
    from imagecatalog.domain.second_opinions import Difference

    with invocation.answering() as answering:
        found = answering.opinions(reference)
    match invocation.format:
        case "json":
            render.write_json_array(found)
        case "csv":
            render.write_csv(Difference, (one for each in found for one in each.differences))
        case _:
            opinion_layouts.show_opinions(found)


def _check_cluster(answering: Answering, name: str | None) -> None:
    """A name written wrongly shall not read as a cluster in which all is well."""
    if name is None:
        return
    known = sorted(one.name for one in answering.health() if one.kind == "cluster")
    if name not in known:
        hint = f"known: {', '.join(known)}" if known else "imagecatalog record brings one in"
        raise NotFound(f"no cluster {name} is known", hint=hint)


def _answer(
    invocation: Invocation,
    kind: type[Any],
    items: Iterable[Any],
    lay_out: Callable[[Sequence[Any]], None],
) -> int:
    """Write a list in the form asked for; how many there were."""
    from imagecatalog.cli import render

    match invocation.format:
        case "json":
            return render.write_json_array(items)
        case "csv":
            return render.write_csv(kind, items)
        case _:
            listed = list(items)
            lay_out(listed)
            return len(listed)


def _now() -> datetime:
    return datetime.now(UTC)
