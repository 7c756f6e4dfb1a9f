"""How an exposure lies on a terminal: the sentence, the bad versions, the images, what is next."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from imagecatalog.cli.layouts import describe_places, say_next
from imagecatalog.cli.lineage_layouts import say
from imagecatalog.cli.render import Cell, Column, plural, wrap, write_table
from imagecatalog.domain.advisories import AffectedPackage, ExposedImage, Exposure

_SHOWN = 3
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


def show_exposure(found: Exposure) -> None:
    """``affected``: who has the fault, in which versions, and what runs."""
    say(wrap(_headline(found), 2))
    if found.description or found.aliases:
        about = [found.description or "", ", ".join(found.aliases[:8])]
        if len(found.aliases) > 8:
            about[1] += f" and {len(found.aliases) - 8} more"
        say(wrap("; ".join(part for part in about if part), 2))
    if found.packages:
        say()
        write_table(_PACKAGES, [_package_row(one) for one in found.packages])
    if found.images:
        say()
        write_table(_IMAGES, [_image_row(one) for one in found.images])
    _show_doubts(found)
    if found.containers:
        say_next(f"plan --for {shlex.quote(found.id)}")


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
        say("\nand more images that do not run: see --limit")
    if found.unknown:
        say(
            f"\nunknown: {plural(found.unknown, 'image')} that run, and whose packages are not known;"
            " see imagecatalog outdated --status unknown"
        )
    if found.undetermined:
        say(f"\nundetermined by the tracker: {_some(found.undetermined)}")


def _package_row(one: AffectedPackage) -> tuple[str | Cell, ...]:
    fixed = one.fixed or f"no fix{f' ({one.reason})' if one.reason else ''}"
    return (one.package, one.source, one.release or "any", _some(one.versions), fixed)


def _image_row(one: ExposedImage) -> tuple[str | Cell, ...]:
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
