"""The verb ``export``: what the catalog knows, in the formats of others."""

from __future__ import annotations

import click

from imagecatalog.cli.options import READERS_TAKE, Invocation, Verb, Verbs

SBOM_FORMATS = ("cyclonedx", "spdx")


@click.group(cls=Verbs, takes=("server",))
def export() -> None:
    """What the catalog knows, in formats that other tools read."""


@export.command(cls=Verb, takes=READERS_TAKE, formats=SBOM_FORMATS)
@click.argument("reference", metavar="REF")
@click.pass_obj
def sbom(invocation: Invocation, reference: str) -> None:
    """The bill of materials of an image.

    It is CycloneDX 1.6, or SPDX 2.3 with --format spdx, both as JSON.
    REF is a name (registry.example.org/app:1.0), a digest, or a digest's first letters.
    Of a multi-platform image it is that of linux/amd64, or of its first platform.
    """
    from imagecatalog.outlets.sbom import write_sbom

    with invocation.answering() as answering:
        detail = answering.image(reference)
    document = write_sbom(detail, "spdx" if invocation.format == "spdx" else "cyclonedx")
    click.echo(document, nl=False)


VERBS = (export,)
