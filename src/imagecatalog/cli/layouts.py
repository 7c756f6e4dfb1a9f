"""How each answer lies on a terminal: a line that is the answer, a table, what is unknown, what next."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import takewhile

import click

from imagecatalog.cli.answering import OutdatedQuestion, RunningQuestion
from imagecatalog.cli.diagnose import Finding
from imagecatalog.cli.render import (
    Cell,
    Column,
    clean,
    format_age,
    format_ago,
    format_size,
    paint,
    plural,
    wrap,
    write_table,
)
from imagecatalog.domain.answers import (
    Health,
    Holder,
    ImageDetail,
    ImageSummary,
    OutdatedImage,
    Overview,
    Place,
    RepositorySummary,
    RunningItem,
    SearchHit,
    Status,
    Update,
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
    _say(_outdated_headline(items, overview) + waited + _rests_on(health, now))
    if not items:
        return
    _say()
    registry = _usual_registry(item.image for item in items)
    columns = (
        Column("VERDICT"),
        Column(_image_title(registry), least=30, is_name=True),
        Column("SECURITY", right=True),
        Column("UPDATES", right=True),
        Column("WAITING", right=True),
        Column("FROM", least=16),
        Column("RUNS IN", least=12),
    )
    write_table(columns, [_outdated_row(item, registry, now) for item in items])
    _say_reasons(items, "image")
    unknown = overview.by_status.get("unknown", 0) if overview and ask.security else 0
    if unknown:
        _say(f"\nunknown: {plural(unknown, 'image')}; see imagecatalog outdated --status unknown")
    if items[0].status != "unknown":
        say_next(f"show {_handle(items[0])}", spaced=not unknown)


def _handle(item: OutdatedImage) -> str:
    """What names an image beyond doubt, in few letters: a tag may mean another by now."""
    return item.digest.partition(":")[2][:12] if item.digest else item.image


def _usual_registry(names: Iterable[str]) -> str:
    """The registry of most of these names with its slash, which a table need not repeat."""
    registries = Counter(name.partition("/")[0] + "/" for name in names if "/" in name)
    return registries.most_common(1)[0][0] if registries else ""


def _image_title(registry: str) -> str:
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


def _outdated_row(item: OutdatedImage, registry: str, now: datetime) -> tuple[str | Cell, ...]:
    security = sum(update.security for update in item.updates)
    is_judged = item.status != "unknown" or bool(item.updates)
    return (
        describe_status(item.status),
        item.image.removeprefix(registry),
        Cell(f"{security}", "red" if security else None) if is_judged else "-",
        f"{len(item.updates)}" if is_judged else "-",
        format_age(item.waiting_since, now) if item.waiting_since else "-",
        item.base.rpartition("/")[2] if item.base else "-",
        describe_places(item.running),
    )


def describe_places(places: Iterable[Place]) -> str:
    """``codfw, eqiad ×8``: clusters by name and how many containers; ``-`` for nowhere."""
    containers = Counter[str]()
    for place in places:
        containers[place.cluster] += place.containers
    if not containers:
        return "-"
    return f"{', '.join(sorted(containers))} ×{containers.total()}"


def _say_reasons(items: Sequence[OutdatedImage | RunningItem], what: str) -> None:
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


def _rests_on(health: Iterable[Health], now: datetime) -> str:
    """How old the oldest facts behind an answer are."""
    parts = []
    for kind, word in (("cluster", "scanned"), ("feed", "feeds")):
        moments = [one.last_good for one in health if one.kind == kind]
        good = [moment for moment in moments if moment]
        if moments:
            oldest = min(good) if len(good) == len(moments) else None
            parts.append(f"{word} {format_ago(oldest, now)}")
    return f" ({', '.join(parts)})" if parts else ""


def show_running(
    items: Sequence[RunningItem], ask: RunningQuestion, health: Iterable[Health], now: datetime
) -> None:
    """``running``: a row for each image of each workload."""
    images = {item.digest or item.image for item in items}
    clusters = {item.cluster for item in items}
    runs = "ran" if ask.at else "run" if len(items) != 1 else "runs"
    moment = f" at {ask.at:%Y-%m-%d %H:%M} UTC" if ask.at else _rests_on_clusters(health, now)
    if not items:
        _say(f"Nothing {'ran' if ask.at else 'is known to run'}{moment}.")
        if ask.is_everything and not ask.at:
            say_next("record --clusters NAME:KUBECONFIG")
        return
    _say(
        f"{plural(len(items), 'container')} of {plural(len(images), 'image')} {runs}"
        f" in {plural(len(clusters), 'cluster')}{moment}\n"
    )
    registry = _usual_registry(item.image for item in items)
    columns = (
        Column("CLUSTER"),
        Column("NAMESPACE", least=12),
        Column("WORKLOAD", least=12, is_name=True),
        Column(_image_title(registry), least=22, is_name=True),
        Column("VERDICT"),
        Column("SINCE", right=True),
        Column("×", right=True),
    )
    groups: dict[tuple[str, ...], list[RunningItem]] = {}
    for item in items:
        key = (item.cluster, item.namespace, item.workload, item.image, item.digest or item.kind)
        groups.setdefault(key, []).append(item)
    write_table(columns, [_running_row(group, registry, now) for group in groups.values()])
    _say_reasons(items, "container")


def _rests_on_clusters(health: Iterable[Health], now: datetime) -> str:
    return _rests_on([one for one in health if one.kind == "cluster"], now)


def _running_row(
    group: Sequence[RunningItem], registry: str, now: datetime
) -> tuple[str | Cell, ...]:
    item = group[0]
    return (
        item.cluster,
        item.namespace,
        item.workload,
        item.image.removeprefix(registry),
        describe_status(item.status),
        format_age(min(one.since for one in group), now),
        f"{len(group)}",
    )


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


def show_image(image: ImageDetail, now: datetime) -> None:
    """``show``: the verdict, then the facts, then the updates."""
    verdict = image.verdict
    _say(f"{image.image}: {_verdict_sentence(image)}\n")
    facts = [
        ("digest", image.digest),
        ("index", ", ".join(image.index_digest)),
        ("platform", image.platform),
        ("distro", image.distro),
        ("created", _moment(image.created, now)),
        ("first seen", _moment(image.first_seen, now)),
        ("gone", _moment(image.gone, now) if image.gone else None),
        ("tags", ", ".join(dict.fromkeys(p.tag for p in image.tags if p.until is None))),
        ("packages", f"{len(image.packages):,}" if image.packages else None),
        ("layers", _layers_sentence(image) if image.layers else None),
        ("unknown" if verdict.status == "unknown" else "incomplete", verdict.reason),
    ]
    for name, value in facts:
        if value:
            _say(wrap(f"  {name:<11} {value}", 14))
    for layer in image.layers:
        if layer.problem:
            _say(wrap(f"  {'layer':<11} {layer.digest[:19]}: {layer.problem}", 14))
    if image.running:
        _say()
        columns = (
            Column("CLUSTER"),
            Column("NAMESPACE", least=12),
            Column("WORKLOAD", least=12, is_name=True),
            Column("×", right=True),
        )
        write_table(
            columns,
            [(p.cluster, p.namespace, p.workload, f"{p.containers}") for p in image.running],
        )
    if image.updates:
        _say()
        _write_updates(image.updates)
    _write_beside(image)


def _write_beside(image: ImageDetail) -> None:
    """What the registry keeps beside it, whether it is signed, and what is wrong with it."""
    if not image.attachments:
        return
    _say()
    for item in image.attachments:
        signed = "signed, not verified" if item.signature == "unverified" else item.signature
        of = " of its index" if item.subject != image.digest else ""
        problem = f"; {item.problem}" if item.problem else ""
        fact = f"{item.kind}{of} ({item.media_type}), signature: {signed}{problem}"
        _say(wrap(f"  {'attached':<11} {fact}", 14))


def _verdict_sentence(image: ImageDetail) -> str:
    verdict = image.verdict
    match verdict.status:
        case "security-update":
            updates = plural(verdict.updates, "update")
            return f"▲ {plural(verdict.security, 'security update')}, {updates} in all"
        case "update":
            return f"△ {plural(verdict.updates, 'update')}, none for security"
        case status:
            return describe_status(status).text


def _moment(moment: datetime | None, now: datetime) -> str | None:
    return f"{moment:%Y-%m-%d %H:%M} UTC, {format_ago(moment, now)}" if moment else None


def _layers_sentence(image: ImageDetail) -> str:
    size = sum(max(layer.size, 0) for layer in image.layers)
    return f"{len(image.layers)}, {format_size(size)}"


def _write_updates(updates: Iterable[Update]) -> None:
    columns = (
        Column("PACKAGE", least=16),
        Column("ARCH"),
        Column("INSTALLED", least=18, is_fact=True),
        Column("CANDIDATE", least=18, is_fact=True),
        Column("FROM", least=10),
    )
    rows = [
        (
            update.package,
            update.arch,
            update.installed,
            Cell(update.candidate, "bold", _first_change(update.installed, update.candidate)),
            _describe_origin(update),
        )
        for update in updates
    ]
    write_table(columns, rows)


def _describe_origin(update: Update) -> Cell:
    held = "held; " if update.held else ""
    if update.security:
        return Cell(f"▲ {held}{update.origin}", "red")
    return Cell(f"△ {held}{update.origin}", "yellow")


def _first_change(installed: str, candidate: str) -> int:
    """Where the candidate begins to differ, a number never cut in two."""
    same = takewhile(lambda pair: pair[0] == pair[1], zip(installed, candidate, strict=False))
    shared = "".join(letter for letter, _ in same)
    after = installed[len(shared) : len(shared) + 1] + candidate[len(shared) : len(shared) + 1]
    return len(shared.rstrip("0123456789") if any(map(str.isdigit, after)) else shared)


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
        (i.image, i.digest[:19], i.version, f"{i.running:,}" if i.running else "-") for i in items
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


def say_next(command: str, *, spaced: bool = True) -> None:
    """What to do next: a remark, so on stderr."""
    sys.stdout.flush()
    context = click.get_current_context(silent=True)
    if context is None or not getattr(context.obj, "is_quiet", False):
        click.echo(("\n" if spaced else "") + f"next: {clean(_command(command))}", err=True)


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
