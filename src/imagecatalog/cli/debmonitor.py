"""The verb ``debmonitor``: tells a DebMonitor of what runs here."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from imagecatalog.cli.options import Invocation, Verb, Verbs
from imagecatalog.errors import UsageError

if TYPE_CHECKING:
    from imagecatalog.jobs.debmonitor import Offer

_PEM = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(cls=Verbs, takes=("format",))
def debmonitor() -> None:
    """DebMonitor: tell one of the images that run."""


@debmonitor.command(cls=Verb, takes=("format",))
@click.option("--server", required=True, metavar="URL", help="Address of the DebMonitor.")
@click.option("--cert", type=_PEM, metavar="FILE", help="Client certificate to show, in PEM.")
@click.option("--key", type=_PEM, metavar="FILE", help="Its key, if it is not in the same file.")
@click.option("--ca", type=_PEM, metavar="FILE", help="Authority that signed the server's own.")
@click.option(
    "--token",
    "shows_token",
    is_flag=True,
    help="Show the token of IMAGE_CATALOG_TOKEN, where a proxy or a catalog wants one.",
)
@click.option("--all", "idle", is_flag=True, help="Also of images that do not run.")
@click.option("--again", is_flag=True, help="Also of what did not change since the last push.")
@click.option("--dry-run", is_flag=True, help="List what would be told and what not; tell nothing.")
@click.pass_obj
def push(
    invocation: Invocation,
    *,
    server: str,
    cert: Path | None,
    key: Path | None,
    ca: Path | None,
    shows_token: bool,
    idle: bool,
    again: bool,
    dry_run: bool,
) -> int:
    """Tell a DebMonitor what is in every image that runs, what to upgrade in it, and where it runs.

    It is told what its own clients tell, without pulling or running an image, and only what changed
    since it was told last. Exit status 1: some images failed, and the others were told.
    """
    from imagecatalog.cli.operate import tell_report
    from imagecatalog.cli.progress import show_progress
    from imagecatalog.cli.server import read_token
    from imagecatalog.jobs.debmonitor import Push
    from imagecatalog.jobs.report import Report
    from imagecatalog.sources.debmonitor import DebMonitor, Destination

    if key and not cert:
        raise UsageError("--key is of a certificate", hint="name it by --cert")
    destination = Destination(
        server=server,
        certificate=str(cert) if cert else None,
        key=str(key) if key else None,
        ca=str(ca) if ca else None,
        token=read_token(os.environ) if shows_token else None,
    )
    if shows_token and not destination.token:
        raise UsageError("--token: IMAGE_CATALOG_TOKEN is not set")
    with (
        invocation.catalog() as (_, catalog),
        DebMonitor.connect(destination) as there,
        show_progress(is_quiet=invocation.is_quiet) as progress,
    ):
        work = Push(
            catalog,
            there,
            idle=idle,
            again=again,
            now=lambda: datetime.now(UTC),
            progress=progress,
        )
        report = Report() if dry_run else work.run()
    if dry_run:
        _show(work.offers(), invocation.format)
    return tell_report(invocation, report)


def _show(offers: Sequence[Offer], form: str) -> None:
    from imagecatalog.cli import render
    from imagecatalog.jobs.debmonitor import Offer

    if form == "json":
        render.write_json_array(offers)
    elif form == "csv":
        render.write_csv(Offer, offers)
    else:
        columns = (
            render.Column("KIND"),
            render.Column("NAME", least=20, is_name=True),
            render.Column("STATE"),
            render.Column("UPGRADES", right=True),
            render.Column("REASON", least=12),
        )
        rows = [
            (
                one.kind,
                one.name,
                one.state,
                "-" if one.upgrades is None else f"{one.upgrades:,}",
                one.reason or "-",
            )
            for one in offers
        ]
        render.write_table(columns, rows)


VERBS = (debmonitor,)
