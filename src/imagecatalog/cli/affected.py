"""The verb that follows an advisory: packages, images, what runs."""

from __future__ import annotations

import click

from imagecatalog.cli.options import Invocation, Verb

LISTED = 10
"""Exit status of ``--exit-code`` when some image holds a bad package."""


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
    from imagecatalog.cli import affected_layouts, render
    from imagecatalog.domain.advisories import ExposedImage

    with invocation.answering() as answering:
        found = answering.affected(subject, limit)
    match invocation.format:
        case "json":
            render.write_json(found)
        case "csv":
            render.write_csv(ExposedImage, found.images)
        case _:
            affected_layouts.show_exposure(found)
    return LISTED if exit_code and found.images else 0


VERBS = (affected,)
