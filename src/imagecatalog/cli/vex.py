"""The verb ``vex``: what documents say of faults, and one that was uploaded withdrawn."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from imagecatalog.cli.options import Invocation, UsualVerbs, Verb
from imagecatalog.errors import SourceUnavailable, UsageError

if TYPE_CHECKING:
    from imagecatalog.cli.render import Cell
    from imagecatalog.domain.suppressions import VexDocumentItem, VexItem


@click.group(cls=UsualVerbs, takes=("server", "format"))
def vex() -> None:
    """What VEX documents say: of which fault, in what, by whose word.

    Without COMMAND: list.
    """


@vex.command("list", cls=Verb, reads=True)
@click.argument("advisory", required=False)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="At most N of them.")
@click.pass_obj
def list_all(invocation: Invocation, *, advisory: str | None, limit: int | None) -> None:
    """The statements, by fault; those of withdrawn documents too.

    With ADVISORY of this fault alone, by any of its names. Documents come by refresh vex, or are
    uploaded to a server; no signature is verified.
    """
    from imagecatalog.cli import render
    from imagecatalog.domain.suppressions import VexItem

    with invocation.answering() as answering:
        items = answering.statements(advisory, limit)
        match invocation.format:
            case "json":
                render.write_json_array(items)
            case "csv":
                render.write_csv(VexItem, items)
            case _:
                _show_statements(list(items))


@vex.command(cls=Verb, reads=True)
@click.pass_obj
def documents(invocation: Invocation) -> None:
    """The documents, those that were uploaded first; the withdrawn ones too."""
    from imagecatalog.cli import render
    from imagecatalog.domain.suppressions import VexDocumentItem

    with invocation.answering() as answering:
        items = list(answering.vex_documents())
    match invocation.format:
        case "json":
            render.write_json_array(items)
        case "csv":
            render.write_csv(VexDocumentItem, items)
        case _:
            _show_documents(items)


@vex.command(cls=Verb, takes=("server",))
@click.argument("document", metavar="ID|DOCUMENT")
@click.option("--by", metavar="NAME", help="Who decided it; your user name if left out.")
@click.pass_obj
def withdraw(invocation: Invocation, *, document: str, by: str | None) -> None:
    """Take back a document that was uploaded: it suppresses nothing any more.

    It stays listed, with who withdrew it and when. Uploaded again it counts again. With --server the
    token in IMAGE_CATALOG_TOKEN needs the scope decide.
    """
    from imagecatalog.cli.render import clean

    if invocation.flags.get("server"):
        if by:
            raise UsageError(
                "--by and --server exclude each other: a server knows whose token it is"
            )
        item = _withdraw_there(invocation, document)
    else:
        from imagecatalog.store import vex_documents

        with invocation.catalog() as (_, catalog), catalog.write() as c:
            item, _ = vex_documents.withdraw_document(
                c, document, by=by or getpass.getuser(), now=datetime.now(UTC)
            )
    if not invocation.is_quiet:
        when = f", by {item.withdrawn_by} on {item.withdrawn:%Y-%m-%d}" if item.withdrawn else ""
        click.echo(clean(f"document {item.id}, {item.document}: withdrawn{when}"), err=True)


def _withdraw_there(invocation: Invocation, document: str) -> VexDocumentItem:
    import msgspec

    from imagecatalog.cli.remote import RemoteCatalog
    from imagecatalog.cli.server import Server
    from imagecatalog.domain.suppressions import VexDocumentItem
    from imagecatalog.errors import NotFound

    if invocation.flags.get("database"):
        raise UsageError("--server and --database exclude each other")
    with Server.connect(invocation.flags["server"], writes=True) as server:
        number = document
        if not document.isdigit():
            known = RemoteCatalog(server).vex_documents()
            found = [str(one.id) for one in known if one.document == document]
            if not found:
                raise NotFound(
                    f"there is no VEX document {document[:200]!r}",
                    hint="see: imagecatalog vex documents",
                )
            number = found[0]
        answer = server.delete(f"/api/v1/vex/documents/{number}")
    try:
        return msgspec.json.decode(answer.body, type=VexDocumentItem)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise SourceUnavailable(
            f"{server.name} answered what is no VEX document",
            hint="is that the address of an imagecatalog server?",
        ) from None


def _show_documents(items: Sequence[VexDocumentItem]) -> None:
    from imagecatalog.cli.render import Column, plural, write_table

    click.echo(plural(len(items), "document"))
    if not items:
        click.echo("next: imagecatalog refresh vex, with [feeds] vex or --from-file vex=PATH")
        return
    click.echo()
    columns = [
        Column("ID", right=True),
        Column("DOCUMENT", least=16),
        Column("AUTHOR", least=8),
        Column("STATEMENTS", right=True),
        Column("FROM"),
        Column("RECEIVED"),
        Column("STATE", least=9),
    ]
    rows: list[list[str | Cell]] = [
        [
            str(one.id),
            one.document,
            one.author,
            f"{one.statements:,}",
            "upload" if one.feed == "upload" else "[feeds] vex",
            f"{one.received:%Y-%m-%d}",
            _say_state(one),
        ]
        for one in items
    ]
    write_table(columns, rows)


def _say_state(one: VexDocumentItem) -> str | Cell:
    from imagecatalog.cli.render import Cell

    if one.withdrawn is None:
        return "in force"
    return Cell(f"withdrawn by {one.withdrawn_by} on {one.withdrawn:%Y-%m-%d}", "yellow")


def _show_statements(items: Sequence[VexItem]) -> None:
    from imagecatalog.cli.render import Column, plural, write_table

    applied = sum(item.applied for item in items)
    click.echo(f"{plural(len(items), 'statement')}, {applied:,} of them may suppress a finding")
    if not items:
        click.echo("next: imagecatalog refresh vex, with [feeds] vex or --from-file vex=PATH")
        return
    click.echo()
    columns = [
        Column("ADVISORY"),
        Column("SAYS"),
        Column("APPLIED"),
        Column("PRODUCT", least=16),
        Column("AUTHOR", least=8),
        Column("SINCE"),
        Column("WHY", least=16, is_prose=True),
    ]
    rows = [
        [
            item.advisory,
            item.status,
            "withdrawn" if item.withdrawn else "yes" if item.applied else "no",
            item.product,
            item.author,
            f"{item.issued:%Y-%m-%d}" if item.issued else "",
            ": ".join(filter(None, (item.justification, item.statement))),
        ]
        for item in items
    ]
    write_table(columns, rows)


VERBS = (vex,)
