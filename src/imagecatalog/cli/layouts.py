"""How each answer lies on a terminal: a line that is the answer, a table, what is unknown, what next."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

import click

from imagecatalog.cli.answering import OutdatedQuestion
from imagecatalog.cli.diagnose import Finding
from imagecatalog.cli.render import (
    Cell,
    Column,
    clean,
    format_age,
    format_ago,
    paint,
    plural,
    wrap,
    write_table,
)
from imagecatalog.domain.answers import (
    Health,
    Holder,
    ImageSummary,
    OutdatedImage,
    Overview,
    Place,
    RepositorySummary,
    RunningItem,
    SearchHit,
    Status,
)
from imagecatalog.errors import hide_secrets

_VERDICTS: dict[Status, tuple[str, str, str]] = {
    "security-update": ("▲", "security", "red"),
    "end-of-life": ("■", "end of life", "red"),
    "update": ("△", "update", "yellow"),
    "superseded": ("◇", "superseded", "yellow"),
    "unknown": ("?", "unknown", "blue"),
    "current": ("●", "current", "green"),
}
SEVERITY_COLOURS = {"critical": "red", "high": "red", "medium": "yellow"}
"""Of severities, beside their word."""
_REASONS = 5


def describe_status(status: Status) -> Cell:
    """A verdict by shape, word and colour."""
    shape, word, colour = _VERDICTS[status]
    return Cell(f"{shape} {word}", colour)


def show_outdated(
    items: Sequence[OutdatedImage],
    ask: OutdatedQuestion,
    overview: Overview | None,
    health: Iterable[Health],
    now: datetime,
) -> None:
    """``outdated``; the overview is there when the whole of what runs was asked about."""
    if overview and not overview.running and not items:
        _say("Nothing is known to run yet.")
        say_next("record --clusters NAME:KUBECONFIG")
        return
    waited = ""
    if overview and overview.waiting_since:
        waited = f"; the oldest fix has waited {format_age(overview.waiting_since, now)}"
    _say(wrap(_outdated_headline(items, overview) + waited + rests_on(health, now), 2))
    if not items:
        _say_unjudged(items, overview)
        return
    _say()
    registry = usual_registry(item.image for item in items)
    is_rated = any(item.severity or item.exploited for item in items)
    columns = (
        Column("VERDICT"),
        Column(image_title(registry), least=26, is_name=True, is_fact=True),
        Column("SECURITY", right=True),
        Column("UPDATES", right=True, is_spare=True),
        *((Column("WORST"),) if is_rated else ()),
        Column("WAITING", right=True),
        Column("FROM", least=16, is_spare=True),
        Column("RUNS IN", least=10),
    )
    rows = [_outdated_row(item, registry, now, is_rated=is_rated) for item in items]
    write_table(columns, rows)
    if any(item.exploited for item in items):
        _say("● a fault that is known to be exploited")
    say_reasons(items, "image")
    _say_unjudged(items, overview)
    unknown = overview.by_status.get("unknown", 0) if overview and ask.security else 0
    if unknown:
        _say(f"\nunknown: {plural(unknown, 'image')}; see imagecatalog outdated --status unknown")
    _say_what_follows(items, is_spaced=not unknown)


def _say_unjudged(items: Sequence[OutdatedImage], overview: Overview | None) -> None:
    """How many images hold packages of which no feed tells: silence is not a verdict."""
    listed = sum(item.unjudged is not None for item in items)
    number, what = (overview.unjudged, "running image") if overview else (listed, "image")
    if number:
        held = "holds" if number == 1 else "hold"
        _say(f"\nunjudged: {plural(number, what)} {held} packages of which no feed tells")


def _say_what_follows(items: Sequence[OutdatedImage], *, is_spaced: bool) -> None:
    """The plan where images that run wait for security updates; else a look at the worst image."""
    if any(item.status == "security-update" and item.running for item in items):
        say_next("plan --security", spaced=is_spaced)
    elif items[0].status != "unknown":
        say_next(f"show {_handle(items[0])}", spaced=is_spaced)


def _handle(item: OutdatedImage) -> str:
    """What names an image beyond doubt, in few letters: a tag may mean another by now."""
    return item.digest.partition(":")[2][:12] if item.digest else item.image


def usual_registry(names: Iterable[str]) -> str:
    """The registry of most of these names with its slash, which a table need not repeat."""
    registries = Counter(name.partition("/")[0] + "/" for name in names if "/" in name)
    return registries.most_common(1)[0][0] if registries else ""


def image_title(registry: str) -> str:
    """Of the column of images: what all of their names begin with."""
    return f"IMAGE ({registry}…)" if registry else "IMAGE"


def _outdated_headline(items: Sequence[OutdatedImage], overview: Overview | None) -> str:
    if overview:
        urgent, running = overview.by_status.get("security-update", 0), overview.running
        needs = "needs" if urgent == 1 else "need"
        return f"{urgent:,} of {plural(running, 'running image')} {needs} a security update"
    if not items:
        return "Nothing of what was asked for needs an update"
    urgent = sum(item.status == "security-update" for item in items)
    needs = "needs" if urgent == 1 else "need"
    return f"{urgent:,} of the {plural(len(items), 'image')} listed {needs} a security update"


def _outdated_row(
    item: OutdatedImage, registry: str, now: datetime, *, is_rated: bool
) -> tuple[str | Cell, ...]:
    security = sum(update.security for update in item.updates)
    is_judged = item.status != "unknown" or bool(item.updates)
    return (
        describe_status(item.status),
        item.image.removeprefix(registry),
        Cell(f"{security}", "red" if security else None) if is_judged else "-",
        f"{len(item.updates)}" if is_judged else "-",
        *((_describe_worst(item),) if is_rated else ()),
        format_age(item.waiting_since, now) if item.waiting_since else "-",
        item.base.rpartition("/")[2] if item.base else "-",
        describe_places(item.running),
    )


def _describe_worst(item: OutdatedImage) -> Cell:
    """The severity of the worst fault with a fix; a dot where one is exploited."""
    word = f"{item.severity or '-'}{' ●' if item.exploited else ''}"
    return Cell(word, SEVERITY_COLOURS.get(item.severity or ""))


def describe_places(places: Iterable[Place]) -> str:
    """``codfw, eqiad ×8``: clusters by name and how many containers; ``-`` for nowhere."""
    containers = Counter[str]()
    for place in places:
        containers[place.cluster] += place.containers
    if not containers:
        return "-"
    return f"{', '.join(sorted(containers))} ×{containers.total()}"


def say_reasons(items: Sequence[OutdatedImage | RunningItem], what: str) -> None:
    """Why verdicts are unknown or incomplete, the commonest reason first."""
    for word in ("unknown", "superseded", "incomplete"):
        reasons = Counter(
            item.reason for item in items if item.reason and _doubt_of(item.status) == word
        )
        if not reasons:
            continue
        _say(f"\n{word}: {plural(reasons.total(), what)}")
        for reason, number in reasons.most_common(_REASONS):
            _say(wrap(f"  {number:,} × {reason}", 6))
        if len(reasons) > _REASONS:
            _say(f"  and {plural(len(reasons) - _REASONS, 'other reason')}; see --format json")


def _doubt_of(status: Status) -> str:
    """What a reason speaks of: a verdict that it makes, or else one that it leaves incomplete."""
    return status if status in {"unknown", "superseded"} else "incomplete"


def rests_on(health: Iterable[Health], now: datetime) -> str:
    """How old the oldest facts behind an answer are, and of what there are none."""
    health = list(health)
    parts = []
    for kind, word in (("cluster", "scanned"), ("feed", "feeds")):
        moments = [one.last_good for one in health if one.kind == kind]
        good = [moment for moment in moments if moment]
        if moments:
            never = [one.name for one in health if one.kind == kind and not one.last_good]
            more = f" and {len(never) - 3} more" if len(never) > 3 else ""
            parts.append(f"{word} {format_ago(min(good, default=None), now)}")
            if good and never:
                parts.append(f"never {', '.join(never[:3])}{more}")
    return f" ({', '.join(parts)})" if parts else ""


def show_repositories(items: Sequence[RepositorySummary], now: datetime) -> None:
    """``images`` without a name: the repositories."""
    if not items:
        _say("No repository is known.")
        say_next("sync https://registry.example.org")
        return
    images, running = sum(i.images for i in items), sum(i.running for i in items)
    _say(
        f"{plural(len(items), 'repository', 'repositories')} with {plural(images, 'image')},"
        f" {running:,} of them running\n"
    )
    columns = (
        Column("REPOSITORY", least=12, is_name=True),
        Column("TAGS", right=True),
        Column("IMAGES", right=True),
        Column("RUNNING", right=True),
        Column("NEWEST TAG", least=12),
        Column("SEEN", right=True),
    )
    rows = [
        (
            item.repository,
            f"{item.tags:,}",
            f"{item.images:,}",
            f"{item.running:,}",
            item.newest_tag or "-",
            format_ago(item.newest_seen, now) if item.newest_seen else "-",
        )
        for item in items
    ]
    write_table(columns, rows)
    say_next(f"images {items[0].repository}")


def show_images(
    items: Sequence[ImageSummary], where: str, repository: str | None, now: datetime
) -> None:
    """``images NAME`` and ``images --label``: the newest first; tags are whole without a repository."""
    running = sum(bool(item.running) for item in items)
    of = "of" if repository else "with"
    _say(f"{plural(len(items), 'image')} {of} {where}, {running:,} of them running\n")
    columns = (
        Column("TAGS", least=12),
        Column("DIGEST"),
        Column("PLATFORM"),
        Column("DISTRO"),
        Column("VERDICT"),
        Column("SECURITY", right=True),
        Column("UPDATES", right=True),
        Column("CREATED", right=True),
        Column("RUNNING", right=True),
    )
    write_table(columns, [_image_row(item, now) for item in items])
    if items:
        say_next(f"show {items[0].digest}")


def _image_row(item: ImageSummary, now: datetime) -> tuple[str | Cell, ...]:
    verdict = item.verdict
    is_judged = verdict.status != "unknown" or verdict.updates > 0
    return (
        ", ".join(item.tags) or ("gone" if item.gone else "untagged"),
        item.digest[:19],
        item.platform or "-",
        item.distro or "-",
        describe_status(verdict.status),
        f"{verdict.security}" if is_judged else "-",
        f"{verdict.updates}" if is_judged else "-",
        format_ago(item.created, now) if item.created else "-",
        f"{item.running:,}" if item.running else "-",
    )


def show_holders(items: Sequence[Holder], package: str, below: str | None) -> None:
    """``images --package``."""
    older = f" older than {below}" if below else ""
    if not items:
        _say(f"No image holds {package}{older}.")
        return
    running = sum(bool(item.running) for item in items)
    _say(f"{plural(len(items), 'image')} with {package}{older}, {running:,} of them running\n")
    columns = (
        Column("IMAGE", least=22, is_name=True),
        Column("DIGEST"),
        Column("VERSION", least=12),
        Column("RUNNING", right=True),
    )
    rows = [
        (
            i.image,
            i.digest[:19],
            # of a source package's name its binary packages are listed
            i.version if i.package == package else f"{i.package} {i.version}",
            f"{i.running:,}" if i.running else "-",
        )
        for i in items
    ]
    write_table(columns, rows)


def show_hits(items: Sequence[SearchHit], text: str) -> None:
    """``search``."""
    if not items:
        _say(f"Nothing has {text!r} in its name.")
        return
    columns = (Column("KIND"), Column("NAME", least=12), Column("", least=12))
    write_table(columns, [(item.kind, item.name, item.detail) for item in items])


def show_findings(findings: Sequence[Finding]) -> None:
    """``doctor``: each thing that was looked at, then what to do."""
    for finding in findings:
        sign = Cell("● well", "green") if finding.is_well else Cell("▲ not well", "red")
        state = paint(f"{sign.text:<10}", sign.colour, sys.stdout)
        sys.stdout.write(f"{state}  {clean(finding.subject)}: {clean(finding.message)}\n")
        if finding.hint:
            _say(f"{'':<12}hint: {finding.hint}")


def _say(text: str = "") -> None:
    sys.stdout.write(clean(text) + "\n")


def say_next(command: str, *, spaced: bool = True, also: str = "") -> None:
    """What to do next: a remark, so on stderr. ``also`` are other verbs that take the same."""
    sys.stdout.flush()
    context = click.get_current_context(silent=True)
    if context is None or not getattr(context.obj, "is_quiet", False):
        click.echo(("\n" if spaced else "") + f"next: {clean(_command(command))}", err=True)
        if also:
            click.echo(f"also: {also}", err=True)


def _command(verb: str) -> str:
    """A verb as this user has to write it: with the same catalog, if options named that."""
    context = click.get_current_context(silent=True)
    flags = getattr(context.obj, "flags", {}) if context else {}
    options = [
        f"--{name} {shlex.quote(hide_secrets(str(flags[name])))} "
        for name in ("config", "database", "server")
        if flags.get(name)
    ]
    return f"imagecatalog {''.join(options)}{verb}"
