"""The verb ``feeds``: how well each is and what it told; and one forgotten with all of that."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

import click

from imagecatalog.cli.options import Invocation, UsualVerbs, Verb
from imagecatalog.errors import UsageError

if TYPE_CHECKING:
    from imagecatalog.domain.feeds import FeedItem, ForgottenFeed


@click.group(cls=UsualVerbs, takes=("server", "format"))
def feeds() -> None:
    """Feeds: how well each is, what it told, until when that counts.

    Without COMMAND: list.
    """


@feeds.command("list", cls=Verb, reads=True)
@click.pass_obj
def list_all(invocation: Invocation) -> None:
    """All that were ever read, by name, also those that are switched off.

    A feed of several files stands before these. What a feed told counts until it was not read well
    for too long; then what rests on it is unknown. What is switched off stays until it is forgotten.
    """
    from imagecatalog.cli import render
    from imagecatalog.domain.feeds import FeedItem

    with invocation.answering() as answering:
        items = list(answering.feeds())
    match invocation.format:
        case "json":
            render.write_json_array(items)
        case "csv":
            render.write_csv(FeedItem, items)
        case _:
            _show(items, datetime.now(UTC))


@feeds.command(cls=Verb, takes=("server",))
@click.argument("name")
@click.pass_obj
def forget(invocation: Invocation, name: str) -> None:
    """Retract all that a feed told, and judge anew what that changes.

    NAME is that of a feed, as osv, or of one file of it as feeds lists them, as 'osv PyPI'. One that
    [feeds] does not switch off is told anew by the next refresh. With --server the token in
    IMAGE_CATALOG_TOKEN needs the scope decide.
    """
    if invocation.flags.get("server"):
        _remark(invocation, _forget_there(invocation, name), None)
        return
    from imagecatalog.cli.progress import show_progress
    from imagecatalog.jobs.forgetting import forget_feed

    with (
        invocation.catalog() as (settings, catalog),
        show_progress(is_quiet=invocation.is_quiet) as progress,
    ):
        gone, judged = forget_feed(catalog, settings, name, progress=progress)
    _remark(invocation, gone, judged)


def _forget_there(invocation: Invocation, name: str) -> ForgottenFeed:
    import msgspec

    from imagecatalog.cli.server import Server
    from imagecatalog.domain.feeds import ForgottenFeed
    from imagecatalog.errors import SourceUnavailable

    if invocation.flags.get("database"):
        raise UsageError("--server and --database exclude each other")
    with Server.connect(invocation.flags["server"], writes=True) as server:
        answer = server.delete(f"/api/v1/feeds/{quote(name)}")
    try:
        return msgspec.json.decode(answer.body, type=ForgottenFeed)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise SourceUnavailable(
            f"{server.name} answered what is no feed",
            hint="is that the address of an imagecatalog server?",
        ) from None


def _remark(invocation: Invocation, gone: ForgottenFeed, judged: int | None) -> None:
    """Say what was forgotten; ``judged`` is None where a server judges it by itself."""
    from imagecatalog.cli.render import clean, plural

    if invocation.is_quiet:
        return
    parts = [one for one in gone.feeds if one != gone.name]
    files = f" in {plural(len(parts), 'file')}" if parts else ""
    after = "what that changes is judged anew soon"
    if judged is not None:
        after = f"{plural(judged, 'package')} and names judged anew"
    click.echo(
        clean(f"forgot {gone.name}: {plural(gone.records, 'record')}{files}; {after}"), err=True
    )
    if not gone.is_off:
        feed = gone.name.partition(" ")[0]
        click.echo(
            clean(
                f"the next refresh tells it anew where it is configured: [feeds] {feed} = false"
                " switches it off"
            ),
            err=True,
        )


def _show(items: Sequence[FeedItem], now: datetime) -> None:
    from imagecatalog.cli.layouts import SEVERITY_COLOURS
    from imagecatalog.cli.render import Cell, Column, clean, format_ago, wrap, write_table
    from imagecatalog.planning.feed_list import describe_feeds

    click.echo(wrap(clean(describe_feeds(items)), 2))
    if not items:
        click.echo("next: imagecatalog refresh", err=True)
        return
    click.echo()
    columns = [
        Column("FEED", least=20),
        Column("STATE"),
        Column("RECORDS", right=True),
        Column("READ WELL", right=True),
        Column("COUNTS UNTIL"),
        Column("FROM", least=16, is_spare=True),
    ]
    bad = SEVERITY_COLOURS["high"]
    rows: list[list[str | Cell]] = [
        [
            one.name,
            Cell(one.state, bad if one.state in {"failing", "never", "old"} else None),
            "-" if one.records is None else f"{one.records:,}",
            format_ago(one.last_good, now),
            _say_until(one),
            one.where or "-",
        ]
        for one in items
    ]
    write_table(columns, rows)
    for one in items:
        if one.last_error:
            tried = format_ago(one.last_tried, now)
            click.echo(wrap(clean(f"\n{one.name}, tried {tried}: {one.last_error}"), 2))


def _say_until(one: FeedItem) -> str:
    if one.counts_until is None:
        return "-"
    return f"{one.counts_until:%Y-%m-%d %H:%M}{' (past)' if one.too_old else ''}"


VERBS = (feeds,)
