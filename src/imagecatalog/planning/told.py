"""The updates that DebMonitor's clients told of: they count where apt has no verdict of our own.

Where it has one, theirs stand beside it, and the differences are told.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from msgspec import structs

from imagecatalog.catalog.debmonitor import full_name
from imagecatalog.domain.answers import ToldDifference, ToldUpdates, Update, Verdict
from imagecatalog.domain.debmonitor import ORIGIN
from imagecatalog.domain.packages import Package
from imagecatalog.errors import BadName
from imagecatalog.store import debmonitor
from imagecatalog.store.debmonitor import Report
from imagecatalog.store.engine import Connection


def judge_told(
    c: Connection, unknown: Mapping[int, Verdict]
) -> dict[int, tuple[Verdict, int | None]]:
    """The verdict of those of these unknown images of which was told, and the report that counts."""
    reports = debmonitor.list_reports(c, unknown.keys()) if unknown else {}
    return {number: _weigh(unknown[number], report) for number, report in reports.items()}


def judge_names(
    c: Connection, unknown: Mapping[str, Verdict]
) -> dict[str, tuple[Verdict, int | None]]:
    """The same of images that no sync met, by the names that run."""
    spelt = {name: full for name in unknown if (full := _spell_out(name)) is not None}
    reports = debmonitor.list_named(c, set(spelt.values())) if spelt else {}
    return {
        name: _weigh(unknown[name], reports[full])
        for name, full in spelt.items()
        if full in reports
    }


def _spell_out(name: str) -> str | None:
    try:
        return full_name(name)
    except BadName:
        return None


def _weigh(unknown: Verdict, report: Report) -> tuple[Verdict, int | None]:
    told = f"on {report.received:%Y-%m-%d}"
    if not report.updates:
        reason = f"{unknown.reason}; {ORIGIN} was told of no update {told}"
        return structs.replace(unknown, reason=reason), None
    count = f"{report.updates:,} {'update' if report.updates == 1 else 'updates'}"
    verdict = Verdict(
        status="update",
        reason=f"{ORIGIN} was told of {count} {told}; of our own nothing is known: {unknown.reason}",
        updates=report.updates,
        waiting_since=min(one.since for one in report.packages().upgradable),
    )
    return verdict, report.id


def list_told(c: Connection, reports: Collection[int]) -> dict[int, tuple[Update, ...]]:
    """The updates of each of these reports, by package."""
    found = debmonitor.list_numbered(c, reports) if reports else {}
    return {number: _describe(report, ()) for number, report in found.items()}


def _describe(report: Report, packages: Iterable[Package]) -> tuple[Update, ...]:
    """The updates of a report, the architecture told where the image's packages have it."""
    arches: dict[tuple[str, str], set[str]] = {}
    for one in packages:
        if one.type == "deb":
            arches.setdefault((one.name, one.version), set()).add(one.arch)
    listed = []
    for told in report.packages().upgradable:
        name, _, arch = told.name.partition(":")
        known = arches.get((name, told.version_from), set())
        listed.append(
            Update(
                package=name,
                type="deb",
                arch=arch or (min(known) if len(known) == 1 else ""),
                source=told.source,
                installed=told.version_from,
                candidate=told.version_to,
                security=False,
                origin=ORIGIN,
                since=told.since,
            )
        )
    return tuple(listed)


def describe_told(
    c: Connection,
    number: int,
    *,
    counts: bool,
    ours: Sequence[Update],
    packages: Sequence[Package],
) -> ToldUpdates | None:
    """What was told of an image beside our own updates; None where nothing was."""
    report = debmonitor.list_reports(c, [number]).get(number)
    if report is None:
        return None
    updates = _describe(report, packages)
    return ToldUpdates(
        name=report.name,
        told_by=report.told_by,
        received=report.received,
        os=report.os,
        counts=counts,
        updates=updates,
        differences=() if counts else _compare(ours, updates),
    )


def _compare(ours: Iterable[Update], theirs: Iterable[Update]) -> tuple[ToldDifference, ...]:
    """Where apt by our reading and apt within the image differ; by package.

    Packages on hold are none that apt would upgrade by itself, so nobody tells of them.
    """
    here = {(one.package, one.installed): one.candidate for one in ours if not one.held}
    there = {(one.package, one.installed): one.candidate for one in theirs}
    held = {(one.package, one.installed) for one in ours if one.held}
    return tuple(
        ToldDifference(
            package=package,
            installed=installed,
            here=here.get((package, installed)),
            there=there.get((package, installed)),
        )
        for package, installed in sorted((here.keys() | there.keys()) - held)
        if here.get((package, installed)) != there.get((package, installed))
    )
