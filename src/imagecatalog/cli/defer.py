"""The verbs about faults that somebody decided to live with: ``defer`` and ``deferrals``."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from imagecatalog.cli.ask import Moment
from imagecatalog.cli.options import Invocation, Verb
from imagecatalog.errors import SourceUnavailable, UsageError

if TYPE_CHECKING:
    from imagecatalog.domain.suppressions import DeferralItem, DeferralWish


@click.command(cls=Verb, takes=("server",))
@click.argument("advisory", required=False)
@click.option("--until", type=Moment(), metavar="DATE", help="From then on it counts again.")
@click.option("--why", metavar="TEXT", help="The reason, for who meets it later.")
@click.option("--package", metavar="NAME", help="Only in this binary or source package.")
@click.option("--image", metavar="GLOB", help="Only in these images, as 'team/app:*'.")
@click.option("--by", metavar="NAME", help="Who decided it; your user name if left out.")
@click.option(
    "--withdraw", type=click.IntRange(1), metavar="ID", help="Take this deferral back instead."
)
@click.pass_obj
def defer(
    invocation: Invocation,
    *,
    advisory: str | None,
    until: datetime | None,
    why: str | None,
    package: str | None,
    image: str | None,
    by: str | None,
    withdraw: int | None,
) -> None:
    """Live with a fault until a date: it does not count till then.

    ADVISORY is CVE-2026-1234 or another name of the fault, or of a notice that covers it. Needs
    --until and --why. What is put off stays listed, with who, why and until when. With --server the
    token in IMAGE_CATALOG_TOKEN needs the scope decide.
    """
    from imagecatalog.domain.suppressions import DeferralWish

    if withdraw is not None:
        if advisory or until or why or package or image:
            raise UsageError("--withdraw goes alone, but for --by")
        _remark(invocation, _withdraw(invocation, withdraw, by))
        return
    if not advisory or until is None or not why:
        missing = next(
            name
            for name, value in (("ADVISORY", advisory), ("--until", until), ("--why", why))
            if not value
        )
        raise UsageError(
            f"defer needs {missing}",
            hint="imagecatalog defer CVE-2026-1234 --until 2027-01-31 --why 'not reachable'",
        )
    wish = DeferralWish(
        advisory=advisory, until=until, why=why.strip(), package=package, image=image
    )
    _remark(invocation, _put_off(invocation, wish, by))


@click.command(cls=Verb, reads=True)
@click.argument("advisory", required=False)
@click.option("--all", "all_states", is_flag=True, help="Also those that ended long ago.")
@click.pass_obj
def deferrals(invocation: Invocation, *, advisory: str | None, all_states: bool) -> None:
    """Faults that somebody decided to live with: who, why, until when.

    Those in force by when they end, then those that ended within a month. With ADVISORY those of
    this fault alone, by any of its names.
    """
    from imagecatalog.cli import render
    from imagecatalog.domain.suppressions import DeferralItem

    with invocation.answering() as answering:
        items = list(answering.deferrals(advisory, all_states=all_states))
    match invocation.format:
        case "json":
            render.write_json_array(items)
        case "csv":
            render.write_csv(DeferralItem, items)
        case _:
            _show_deferrals(items)


def _put_off(invocation: Invocation, wish: DeferralWish, by: str | None) -> DeferralItem:
    address = invocation.flags.get("server")
    if address:
        import msgspec

        body = msgspec.json.encode({**msgspec.structs.asdict(wish), "by": by})
        return _tell_server(invocation, body, "/api/v1/deferrals")
    from imagecatalog.catalog.deferrals import put_off

    with invocation.catalog() as (settings, catalog), catalog.write() as c:
        made = put_off(
            c,
            wish,
            by=by or getpass.getuser(),
            most_days=settings.deferrals.max_days,
            now=datetime.now(UTC),
        )
    return made.deferral


def _withdraw(invocation: Invocation, number: int, by: str | None) -> DeferralItem:
    if invocation.flags.get("server"):
        if by:
            raise UsageError(
                "--by and --server exclude each other: a server knows whose token it is"
            )
        return _tell_server(invocation, None, f"/api/v1/deferrals/{number}")
    from imagecatalog.store import deferrals as kept

    with invocation.catalog() as (_, catalog), catalog.write() as c:
        item, _ = kept.withdraw_deferral(
            c, number, by=by or getpass.getuser(), now=datetime.now(UTC)
        )
    return item


def _tell_server(invocation: Invocation, body: bytes | None, path: str) -> DeferralItem:
    import msgspec

    from imagecatalog.cli.server import Server
    from imagecatalog.domain.suppressions import DeferralItem

    if invocation.flags.get("database"):
        raise UsageError("--server and --database exclude each other")
    with Server.connect(invocation.flags["server"], writes=True) as server:
        answer = server.delete(path) if body is None else server.post(path, body, {})
    try:
        return msgspec.json.decode(answer.body, type=DeferralItem)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise SourceUnavailable(
            f"{server.name} answered what is no deferral",
            hint="is that the address of an imagecatalog server?",
        ) from None


def _remark(invocation: Invocation, item: DeferralItem) -> None:
    from imagecatalog.cli.render import clean

    if invocation.is_quiet:
        return
    state = f"until {item.until:%Y-%m-%d %H:%M} UTC" if item.state == "active" else item.state
    where = "".join(
        f" in {what}" for what in (item.package, item.image and f"images {item.image}") if what
    )
    click.echo(clean(f"deferral {item.id}: {item.advisory}{where}, {state}"), err=True)
    if item.note:
        click.echo(clean(f"warning: {item.note}"), err=True)


def _show_deferrals(items: Sequence[DeferralItem]) -> None:
    from imagecatalog.cli.render import Cell, Column, plural, write_table

    active = sum(item.state == "active" for item in items)
    click.echo(f"{plural(active, 'deferral')} in force")
    if not items:
        click.echo("next: imagecatalog defer CVE-… --until DATE --why TEXT")
        return
    click.echo()
    columns = [
        Column("ID", right=True),
        Column("ADVISORY"),
        Column("UNTIL"),
        Column("PACKAGE", least=8),
        Column("IMAGES", least=8),
        Column("BY", least=6),
        Column("WHY", least=16, is_prose=True),
    ]
    rows = [
        [
            str(item.id),
            item.advisory,
            f"{item.until:%Y-%m-%d}" if item.state == "active" else Cell(item.state, "yellow"),
            item.package or "any",
            item.image or "any",
            item.by,
            item.why,
        ]
        for item in items
    ]
    write_table(columns, rows)


VERBS = (defer, deferrals)
