"""The verb ``token``: who may write through a server, and who may read where that is not open."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from imagecatalog.cli.ask import Moment
from imagecatalog.cli.options import Invocation, Verb, Verbs

if TYPE_CHECKING:
    from imagecatalog.domain.access import Scope, Token, TokenItem

SCOPES: tuple[Scope, ...] = ("register", "record", "decide", "read")
"""What a token can let its holder do; named here as well, for help that starts fast."""
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


class Expiry(Moment):
    """A span from now (``90d``), or a moment."""

    name = "expiry"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """The moment in UTC; it lies ahead."""
        now = datetime.now(UTC)
        span = re.fullmatch(r"([0-9]{1,5})([hdw])", str(value))
        moment = (
            now + int(span[1]) * _UNITS[span[2]] if span else super().convert(value, param, ctx)
        )
        if moment <= now:
            self.fail(f"{value} is past; write 90d, 12w, 8h or a date to come", param, ctx)
        return moment


@click.group(cls=Verbs, takes=())
def token() -> None:
    """Tokens: who may write, and who may read where not all may."""


@token.command(cls=Verb)
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(SCOPES),
    multiple=True,
    required=True,
    help="What it lets its holder do; may be repeated.",
)
@click.option(
    "--repositories",
    "globs",
    multiple=True,
    metavar="GLOB",
    help="Which repositories it may speak of, as 'mediawiki/*'; may be repeated. Left out: all.",
)
@click.option("--name", metavar="NAME", help="What lists call it; left out, one is made up.")
@click.option(
    "--expires", type=Expiry(), metavar="SPAN|DATE", help="90d, 12w, 8h or a date. Left out: never."
)
@click.pass_obj
def create(
    invocation: Invocation,
    scopes: tuple[Scope, ...],
    globs: tuple[str, ...],
    name: str | None,
    expires: datetime | None,
) -> None:
    """Make a token and print it, only this once.

    It stands alone on stdout; the catalog keeps its SHA-256.
    """
    from imagecatalog.domain.access import (
        Token,
        check_globs,
        check_name,
        hash_secret,
        make_secret,
    )
    from imagecatalog.store import access

    secret = make_secret()
    digest = hash_secret(secret)
    made = Token(
        name=check_name(name or f"{scopes[0]}-{digest.hex()[:8]}"),
        scopes=tuple(dict.fromkeys(scopes)),
        repositories=check_globs(globs),
        created=datetime.now(UTC),
        expires=expires,
    )
    with invocation.catalog() as (_, catalog), catalog.write() as c:
        access.add_token(c, made, digest)
    click.echo(secret)
    if not invocation.is_quiet:
        ends = "never expires" if expires is None else f"expires on {expires:%Y-%m-%d %H:%M} UTC"
        click.echo(f"{made.name} {ends}; keep it now, it is not shown again", err=True)


@token.command("list", cls=Verb, takes=("format",))
@click.pass_obj
def list_(invocation: Invocation) -> None:
    """All tokens that ever were, with what each may."""
    from imagecatalog.cli import render
    from imagecatalog.domain.access import TokenItem
    from imagecatalog.store import access

    now = datetime.now(UTC)
    with invocation.catalog() as (_, catalog), catalog.read() as c:
        items = [_item(one, now) for one in access.list_tokens(c)]
    match invocation.format:
        case "json":
            render.write_json_array(items)
        case "csv":
            render.write_csv(TokenItem, items)
        case _:
            _show(items)


@token.command(cls=Verb)
@click.argument("name")
@click.pass_obj
def revoke(invocation: Invocation, name: str) -> None:
    """Refuse a token from now on."""
    from imagecatalog.store import access

    with invocation.catalog() as (_, catalog), catalog.write() as c:
        is_new = access.revoke_token(c, name, now=datetime.now(UTC))
    if not invocation.is_quiet:
        click.echo(f"{name} is revoked" if is_new else f"{name} was revoked before", err=True)


def _item(one: Token, now: datetime) -> TokenItem:
    from imagecatalog.domain.access import TokenItem

    return TokenItem(
        name=one.name,
        scopes=one.scopes,
        repositories=one.repositories,
        created=one.created,
        expires=one.expires,
        used=one.used,
        state=one.state(now),
    )


def _show(items: Sequence[TokenItem]) -> None:
    from imagecatalog.cli.render import Column, write_table

    if not items:
        click.echo("no token was made yet: imagecatalog token create --scope register", err=True)
        return
    columns = [
        Column("NAME"),
        Column("SCOPES", least=10),
        Column("REPOSITORIES", least=14),
        Column("CREATED"),
        Column("EXPIRES"),
        Column("USED"),
        Column("STATE"),
    ]
    rows = [
        [
            one.name,
            ", ".join(one.scopes),
            ", ".join(one.repositories) or "all",
            _day(one.created, ""),
            _day(one.expires, "never"),
            _day(one.used, "never"),
            one.state,
        ]
        for one in items
    ]
    write_table(columns, rows)


def _day(moment: datetime | None, never: str) -> str:
    return never if moment is None else f"{moment:%Y-%m-%d}"


VERBS = (token,)
