"""How differences, histories and what was inherited lie on a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from msgspec import Struct, structs

from imagecatalog.cli.lineage_layouts import say, usual_registry
from imagecatalog.cli.render import Cell, Column, format_ago, plural, wrap, write_table
from imagecatalog.domain.answers import ImageDetail
from imagecatalog.domain.lineage import Diff, HistoryItem, PackageChange

_OWN = "its own"
"""Of packages that no ancestor brought."""


class ChangeRow(Struct, frozen=True):
    """A package that changed, as a line of CSV."""

    change: str
    package: str
    type: str
    arch: str
    source: str
    a: str | None
    b: str | None


def list_changes(diff: Diff) -> Iterator[ChangeRow]:
    """The packages that changed as lines of CSV: added, removed, upgraded, downgraded."""
    for change, many in structs.asdict(diff.packages).items():
        for one in many:
            yield ChangeRow(change, *structs.astuple(one))


def show_inherited(image: ImageDetail) -> None:
    """``show --inherited``: who brought how much, who has to act, then every package."""
    if not image.packages:
        reason = image.verdict.reason or "they are not known"
        say(wrap(f"{image.image}: no packages to tell of: {reason}", 2))
        return
    brought = Counter(item.inherited_from or _OWN for item in image.packages)
    waiting = Counter(item.inherited_from or _OWN for item in image.updates)
    urgent = Counter(item.inherited_from or _OWN for item in image.updates if item.security)
    inherited = len(image.packages) - brought[_OWN]
    packages = plural(len(image.packages), "package")
    act = _who_must_act(waiting)
    say(wrap(f"{image.image}: {inherited:,} of its {packages} came with its ancestors{act}", 2))
    say()
    registry = usual_registry(item.inherited_from or "" for item in image.packages)
    title = f"BROUGHT BY ({registry}…)" if registry else "BROUGHT BY"
    columns = (
        Column(title, least=22, is_name=True),
        Column("PACKAGES", right=True),
        Column("UPDATES", right=True),
        Column("SECURITY", right=True),
    )
    rows = [
        (
            name.removeprefix(registry),
            f"{number:,}",
            f"{waiting[name]:,}",
            Cell(f"{urgent[name]:,}", "red" if urgent[name] else None),
        )
        for name, number in brought.most_common()
    ]
    write_table(columns, rows)
    say()
    _write_brought(image, title, registry)


def _write_brought(image: ImageDetail, title: str, registry: str) -> None:
    columns = (
        Column("PACKAGE", least=16),
        Column("ARCH"),
        Column("INSTALLED", least=18, is_fact=True),
        Column("CANDIDATE", least=10, is_fact=True),
        Column(title, least=22, is_name=True),
    )
    rows = [
        (
            item.package,
            item.arch,
            item.installed,
            Cell(item.candidate or "-", "red" if item.security else None),
            (item.inherited_from or _OWN).removeprefix(registry),
        )
        for item in image.packages
    ]
    write_table(columns, rows)


def _who_must_act(waiting: Mapping[str, int]) -> str:
    """Where the updates have to be made first."""
    if not waiting:
        return ""
    first, number = max(waiting.items(), key=lambda pair: pair[1])
    where = "the image itself" if first == _OWN else first
    return f"; {number:,} of {plural(sum(waiting.values()), 'update')} to be made in {where}"


def show_diff(diff: Diff) -> None:
    """``diff``: what became of the packages, then layers and configuration."""
    counts = {name: len(many) for name, many in structs.asdict(diff.packages).items()}
    told = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
    say(wrap(f"{diff.a} → {diff.b}: {told or 'the same packages'}", 2))
    if diff.reason:
        say(wrap(f"  unknown: {diff.reason}", 4))
    if told:
        say()
        columns = (
            Column("CHANGE"),
            Column("PACKAGE", least=16),
            Column("ARCH"),
            Column("FROM", least=18, is_fact=True),
            Column("TO", least=18, is_fact=True),
        )
        write_table(columns, list(_change_rows(diff)))
    if diff.config:
        say()
        write_table(
            (Column("CONFIGURATION", least=12), Column("FROM", least=18), Column("TO", least=18)),
            [(name, _value(old), _value(new)) for name, (old, new) in diff.config.items()],
        )
    layers = diff.layers
    say(
        f"\n{plural(layers.common, 'layer')} in common, then {len(layers.a):,} of the first"
        f" and {len(layers.b):,} of the second"
    )


def _value(text: str | None) -> str:
    if text is None:
        return "-"
    return text[:19] if text.startswith("sha256:") else text


def _change_rows(diff: Diff) -> Iterator[tuple[str | Cell, ...]]:
    signs = {"upgraded": ("↑", None), "downgraded": ("↓", "yellow"), "added": ("+", "green")}
    for name in ("upgraded", "downgraded", "added", "removed"):
        sign, colour = signs.get(name, ("-", "red"))
        many: Sequence[PackageChange] = getattr(diff.packages, name)
        for one in many:
            yield (
                Cell(f"{sign} {name}", colour),
                one.package,
                one.arch,
                one.a or "-",
                one.b or "-",
            )


def show_history(items: Sequence[HistoryItem], reference: str, now: datetime) -> None:
    """``history``: what happened, the last first."""
    if not items:
        say(f"Nothing is known to have happened to {reference}.")
        return
    counts = Counter(item.event for item in items)
    told = ", ".join(
        plural(counts[event], event) for event in ("tag", "build", "run") if counts[event]
    )
    say(wrap(f"{reference}: {told}, the last {format_ago(items[0].at, now)}", 2))
    say()
    names = {item.image for item in items}
    registry = usual_registry(names)
    title = f"IMAGE ({registry}…)" if registry else "IMAGE"
    columns = [
        Column("SINCE"),
        Column("UNTIL"),
        Column("WHAT"),
        *([Column(title, least=17, is_name=True)] if len(names) > 1 else ()),
        Column("", least=24, is_prose=True),
    ]
    write_table(columns, [_history_row(item, registry, len(names) > 1) for item in items])


def _history_row(item: HistoryItem, registry: str, is_named: bool) -> tuple[str | Cell, ...]:
    # The day says enough of what lasted longer than one.
    is_short = item.until is not None and item.until.date() == item.at.date()
    until = f"{item.until:{'%H:%M' if is_short else '%Y-%m-%d'}}" if item.until else ""
    return (
        f"{item.at:%Y-%m-%d %H:%M}",
        until or ("" if item.event == "build" else Cell("now", "green")),
        item.event,
        *([item.image.removeprefix(registry)] if is_named else ()),
        item.detail.replace(registry, "") if registry else item.detail,
    )
