"""The verb that follows an advisory: packages, images, what runs."""

from __future__ import annotations

from collections.abc import Sequence

import click

from imagecatalog.cli.options import Invocation, Verb
from imagecatalog.cli.render import Cell, Column, plural, write_table
from imagecatalog.domain.advisories import AffectedPackage, ExposedImage, Exposure

LISTED = 10
"""Exit status of ``--exit-code`` when some image holds a bad package."""
_SHOWN = 3


@click.command(cls=Verb, reads=True)
@click.argument("subject", metavar="ID")
@click.option(
    "--limit",
    type=click.IntRange(0, 1000),
    default=100,
    metavar="N",
    help="At most N images that do not run; 100. Those that run are listed all.",
)
@click.option("--exit-code", is_flag=True, help="Exit with 10 when any image is affected.")
@click.pass_obj
def affected(invocation: Invocation, subject: str, *, limit: int, exit_code: bool) -> int:
    """Who has this fault: packages, images, what runs.

    ID is CVE-2026-12345, DSA-5865-1, or a range of versions as pkg:deb/debian/openssl@<3.0.15
    (in quotes, for the shell). Images that run come first. As CSV it is the images.
    """
    from imagecatalog.cli import render

    with invocation.answering() as answering:
        found = answering.affected(subject, limit)
    match invocation.format:
        case "json":
            render.write_json(found)
        case "csv":
            render.write_csv(ExposedImage, found.images)
        case _:
            _show(found)
    return LISTED if exit_code and found.images else 0


def _show(found: Exposure) -> None:
    click.echo(_headline(found))
    if found.description or found.aliases:
        about = [found.description or "", ", ".join(found.aliases[:8])]
        if len(found.aliases) > 8:
            about[1] += f" and {len(found.aliases) - 8} more"
        click.echo("; ".join(part for part in about if part))
    if found.packages:
        click.echo()
        write_table(_PACKAGES, [_package_row(one) for one in found.packages])
    if found.images:
        click.echo()
        write_table(_IMAGES, [_image_row(one) for one in found.images])
    _show_doubts(found)
    if found.containers:
        click.echo(f"\nnext: imagecatalog plan --for {_quote(found.id)}")


_PACKAGES = (
    Column("PACKAGE"),
    Column("SOURCE"),
    Column("RELEASE"),
    Column("BAD VERSIONS", least=20),
    Column("FIXED IN"),
)
_IMAGES = (
    Column("IMAGE", least=30, is_name=True),
    Column("PACKAGES", least=16),
    Column("CONTAINERS", right=True),
    Column("RUNS IN", least=16),
)


def _headline(found: Exposure) -> str:
    running = sum(bool(one.running) for one in found.images)
    if not found.images:
        return f"No image is known to be affected by {found.id}"
    fixes = {one.fixed for one in found.packages}
    fix = "a fix is out" if None not in fixes else "no fix is out for all of it"
    if fixes == {None}:
        fix = "no fix is out"
    if not running:
        return f"{found.id} affects nothing that runs; {fix}"
    where = f"{plural(running, 'running image')} in {plural(found.containers, 'container')}"
    return f"{found.id} affects {where}; {fix}"


def _show_doubts(found: Exposure) -> None:
    if found.more_images:
        click.echo("\nand more images that do not run: see --limit")
    if found.unknown:
        click.echo(
            f"\nunknown: {plural(found.unknown, 'image')} that run, and whose packages are not known;"
            " see imagecatalog outdated --status unknown"
        )
    if found.undetermined:
        click.echo(f"\nundetermined by the tracker: {_some(found.undetermined)}")


def _package_row(one: AffectedPackage) -> tuple[str | Cell, ...]:
    fixed = one.fixed or f"no fix{f' ({one.reason})' if one.reason else ''}"
    return (one.package, one.source, one.release or "any", _some(one.versions), fixed)


def _image_row(one: ExposedImage) -> tuple[str | Cell, ...]:
    from imagecatalog.cli.layouts import describe_places

    containers = sum(place.containers for place in one.running)
    return (
        one.image,
        _some(one.packages),
        f"{containers:,}" if containers else "-",
        describe_places(one.running),
    )


def _some(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return ", ".join(texts[:_SHOWN]) + more


def _quote(text: str) -> str:
    return text if text.replace("-", "").isalnum() else f"'{text}'"


VERBS = (affected,)
