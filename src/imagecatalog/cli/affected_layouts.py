"""How an exposure lies on a terminal: the sentence, the bad versions, the images, what is next."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from imagecatalog.cli.layouts import describe_places, say_next
from imagecatalog.cli.lineage_layouts import say
from imagecatalog.cli.render import Cell, Column, plural, wrap, write_table
from imagecatalog.domain.advisories import AffectedPackage, ExposedImage, Exposure
from imagecatalog.planning.finding_sentences import explain_reason, explain_suppression

_SHOWN = 3
_HIDDEN = 5
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
    if rated := _describe_rating(found):
        say(wrap(rated, 2))
    if found.description or found.aliases:
        about = [found.description or "", ", ".join(found.aliases[:8])]
        if len(found.aliases) > 8:
            about[1] += f" and {len(found.aliases) - 8} more"
        say(wrap("; ".join(part for part in about if part), 2))
    if found.packages:
        say()
        # Of a range that somebody asks about nobody says where it is fixed.
        shown = _PACKAGES[:-1] if found.id.startswith("pkg:") else _PACKAGES
        write_table(shown, [_package_row(one)[: len(shown)] for one in found.packages])
    if found.images:
        say()
        write_table(_IMAGES, [_image_row(one) for one in found.images])
    hidden = [one for one in found.images if one.suppressed]
    for one in hidden[:_HIDDEN]:
        assert one.suppressed is not None
        say(wrap(f"suppressed in {one.image}: {explain_suppression(one.suppressed)}", 2))
    if len(hidden) > _HIDDEN:
        say(f"and suppressed in {len(hidden) - _HIDDEN:,} more: see --format json")
    if elsewhere := _describe_elsewhere(found):
        say(wrap(elsewhere, 2))
    _show_doubts(found)
    if found.containers:
        say_next(f"plan --for {shlex.quote(found.id)}")


def _headline(found: Exposure) -> str:
    if found.id.startswith("pkg:"):
        return _describe_holders(found)
    counting = [one for one in found.images if one.suppressed is None]
    running = sum(bool(one.running) for one in counting)
    containers = sum(place.containers for one in counting for place in one.running)
    if not found.images:
        return f"No image is known to be affected by {found.id}"
    if not counting:
        return f"{found.id} is suppressed in every image that holds it"
    fixes = {one.fixed for one in found.packages}
    fix = "a fix is out" if None not in fixes else "no fix is out for all of it"
    if fixes == {None}:
        fix = "no fix is out"
    if not running:
        return f"{found.id} affects nothing that runs; {fix}"
    where = f"{plural(running, 'running image')} in {plural(containers, 'container')}"
    return f"{found.id} affects {where}; {fix}"


def _describe_holders(found: Exposure) -> str:
    """Who holds a range of versions, of which nobody says that there is a fix."""
    running = sum(bool(one.running) for one in found.images)
    if not found.images:
        return f"No image is known to hold {found.id}"
    if not running:
        return f"Nothing that runs holds {found.id}"
    holds = "holds" if running == 1 else "hold"
    where = f"{plural(running, 'running image')} in {plural(found.containers, 'container')}"
    return f"{where} {holds} {found.id}"


def _describe_rating(found: Exposure) -> str:
    """How bad it is, as far as anybody says so."""
    parts = [found.severity] if found.severity else []
    if found.exploited:
        due = f", to be fixed by {found.due:%Y-%m-%d}" if found.due else ""
        parts.append(f"known to be exploited{due}")
    if found.epss is not None:
        parts.append(f"{found.epss:.1%} likely to be exploited within 30 days")
    return "; ".join(parts)


def _describe_elsewhere(found: Exposure) -> str:
    """Where it is fixed beside the releases that images hold it in."""
    held = {(one.source, one.release) for one in found.packages}
    fixes = dict.fromkeys(
        f"{one.source} {one.fixed} in {one.scope}"
        for one in found.statements
        if one.fixed and (one.source, one.scope.partition("/")[2] or None) not in held
    )
    return f"fixed elsewhere: {_some(list(fixes))}" if fixes else ""


def _show_doubts(found: Exposure) -> None:
    if found.more_images:
        say("\nand more images that do not run: see --limit")
    if found.unknown:
        runs = "runs" if found.unknown == 1 else "run"
        say(
            f"\nunknown: {plural(found.unknown, 'image')} that {runs}, whose packages are not known,"
            " or of whose release no feed tells; see imagecatalog outdated --status unknown"
        )
    if found.undetermined:
        say(f"\nundetermined by the tracker: {_some(found.undetermined)}")
    for old in found.old_scores:
        say(wrap(f"\ntoo old: {old}", 9))


def _package_row(one: AffectedPackage) -> tuple[str | Cell, ...]:
    fixed = one.fixed or f"no fix{f' ({explain_reason(one.reason)})' if one.reason else ''}"
    return (one.package, one.source, one.release or "any", _some(one.versions), fixed)


def _image_row(one: ExposedImage) -> tuple[str | Cell, ...]:
    containers = sum(place.containers for place in one.running)
    return (
        f"{one.image} (suppressed)" if one.suppressed else one.image,
        _some(one.packages),
        f"{containers:,}" if containers else "-",
        describe_places(one.running),
    )


def _some(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return ", ".join(texts[:_SHOWN]) + more
