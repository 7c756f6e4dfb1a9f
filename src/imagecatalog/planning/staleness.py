"""What runs and what of it needs an update, worst first."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from imagecatalog.catalog import lineage
from imagecatalog.catalog.unmet import find_askable
from imagecatalog.domain.answers import (
    STATUS_ORDER,
    OutdatedImage,
    Overview,
    Update,
    Verdict,
)
from imagecatalog.domain.findings import SEVERITIES
from imagecatalog.domain.refs import parse_image_id
from imagecatalog.planning.ancestry import inherit
from imagecatalog.planning.drift import find_drifts
from imagecatalog.planning.severities import Worst, rate, rate_updates
from imagecatalog.planning.told import judge_names, list_told
from imagecatalog.planning.verdicts import JudgedImage, Running, judge_images, read_running
from imagecatalog.store import counts, images, lookups, runs, sync_requests, updates
from imagecatalog.store.engine import Connection
from imagecatalog.store.page import Page, make_cursor, read_cursor
from imagecatalog.store.runs import AliveImage, RunFilter

_RANK = {status: rank for rank, status in enumerate(STATUS_ORDER)}
_WORST = 10
_CONFIG_ALONE = (
    "the runtime reports nothing but the digest of its configuration, by which no registry can be"
    " asked: it is known once a sync meets it by a tag"
)

_Key = tuple[int, bool, int, int, int, int, str, int]
"""Rank of the status; of security updates not exploited, and severity (negative); then how many
(negative) security updates, updates, containers; name, number.

For an image that was never met the number is that of the runtime's name for it, negative."""


class _Candidate(Struct, frozen=True):
    name: str
    number: int
    """The image's, or 0 for one that was never met."""
    judged: JudgedImage
    run_images: tuple[int, ...]
    containers: int
    alive: tuple[AliveImage, ...] = ()

    @property
    def worst(self) -> Worst:
        """How bad it is."""
        return rate(self.judged.standing)

    @property
    def verdict(self) -> Verdict:
        return self.judged.verdict

    @property
    def key(self) -> _Key:
        verdict = self.verdict
        worst = self.worst if verdict.status == "security-update" else Worst()
        return (
            _RANK[verdict.status],
            not worst.exploited,
            -SEVERITIES.index(worst.severity),
            -verdict.security,
            -verdict.updates,
            -self.containers,
            self.name,
            self.number or -self.run_images[0],
        )


def overview(
    c: Connection, *, now: datetime, running: Running | None = None, worst: int = _WORST
) -> Overview:
    """The front page: what runs, by verdict, and the worst. ``running`` is what was read of it."""
    candidates = _running_candidates(c, RunFilter(), now, running)
    by_status: dict[str, int] = dict.fromkeys(STATUS_ORDER, 0)
    for item in candidates:
        by_status[item.verdict.status] += 1
    held = counts.read_counts(c)
    listed = [item for item in candidates if item.verdict.status != "current"][:worst]
    return Overview(
        running=len(candidates),
        containers=sum(item.containers for item in candidates),
        by_status=by_status,
        repositories=held["repositories"],
        images=held["images"],
        waiting_since=min(
            (
                item.verdict.waiting_since
                for item in candidates
                if item.verdict.security and item.verdict.waiting_since
            ),
            default=None,
        ),
        worst=_describe(c, listed, RunFilter(), with_updates=False),
        by_severity={
            severity: sum(item.worst.severity == severity for item in candidates)
            for severity in reversed(SEVERITIES)
            if severity is not None
        },
        exploited=sum(item.worst.exploited for item in candidates),
        unjudged=sum(item.verdict.unjudged is not None for item in candidates),
    )


def outdated(
    c: Connection,
    *,
    now: datetime,
    all_images: bool = False,
    security: bool = False,
    status: str | None = None,
    severity: str | None = None,
    exploited: bool = False,
    cluster: str | None = None,
    namespace: str | None = None,
    image: str | None = None,
    limit: int | None = None,
    after: str | None = None,
    running: Running | None = None,
) -> Page[OutdatedImage]:
    """Images that need an update or of which that is unknown, worst first.

    Of those that run; with ``all_images`` of every image that a registry has, current ones too.
    ``security`` keeps those with a security update, ``status`` those with that verdict,
    ``severity`` those whose worst fault with a fix is so bad, ``image`` those whose name contains
    it. ``running`` is what was read of all that runs.
    """
    wanted = RunFilter(cluster=cluster, namespace=namespace)
    candidates = _running_candidates(c, wanted, now, running)
    if all_images:
        candidates = _with_the_rest(c, candidates, now)
    found = [
        item
        for item in candidates
        if (all_images or status == "current" or item.verdict.status != "current")
        and (not security or item.verdict.status == "security-update")
        and (status is None or item.verdict.status == status)
        and (severity is None or item.worst.severity == severity)
        and (not exploited or item.worst.exploited)
        and (image is None or image in item.name)
    ]
    place = read_cursor(after, tuple[int, bool, int, int, int, int, str, int])
    if place is not None:
        found = [item for item in found if item.key > place]
    shown = found if limit is None else found[:limit]
    items = _describe(c, shown, wanted, with_updates=True, running=running)
    return Page(items, make_cursor(*shown[-1].key) if len(shown) < len(found) else None)


def _running_candidates(
    c: Connection, wanted: RunFilter, now: datetime, running: Running | None
) -> list[_Candidate]:
    """Every distinct image that runs, worst first."""
    running = running or read_running(c, now=now)
    alive = running.alive if wanted == RunFilter() else runs.list_alive(c, wanted)
    judged = running.judged
    grouped: dict[tuple[int | None, str, str], list[AliveImage]] = {}
    for item in alive:
        key = (
            (item.manifest_id, "", "")
            if item.manifest_id is not None
            else (None, item.image, item.image_id)
        )
        grouped.setdefault(key, []).append(item)
    if running.unmet is None:
        running.unmet = judge_never_met(
            c, [item for item in running.alive if item.manifest_id is None]
        )
    candidates = [
        _Candidate(
            name=_usual_name(items),
            number=number or 0,
            judged=running.unmet[items[0].run_image_id] if number is None else judged[number],
            run_images=tuple(item.run_image_id for item in items),
            containers=sum(item.containers for item in items),
            alive=tuple(items),
        )
        for (number, _, _), items in grouped.items()
    ]
    return sorted(candidates, key=lambda item: item.key)


def _usual_name(items: Sequence[AliveImage]) -> str:
    """The name by which most containers run an image."""
    if len(items) == 1:
        return items[0].image
    return max(items, key=lambda item: (item.containers, item.image)).image


def never_met(item: AliveImage, problems: Mapping[tuple[str, str], str] | None = None) -> Verdict:
    """The verdict of an image that runs and that no registry of ours has shown.

    ``problems`` tells why those could not be fetched that a sync asked its registry for.
    """
    asked = find_askable(item.image, item.image_id)
    problem = next((problems[one] for one in asked if problems and one in problems), None)
    if problem is not None:
        reason = f"it could not be fetched: {problem}"
    elif item.image_id and not asked:
        reason = _CONFIG_ALONE
    elif item.image_id:
        reason = "the catalog never met this image: sync the registry that has it"
    else:
        reason = "the runtime reports no image yet, and its tag is not in the catalog"
    return Verdict(status="unknown", reason=reason)


def judge_never_met(c: Connection, items: Collection[AliveImage]) -> dict[int, JudgedImage]:
    """By the number of the runtime's name: unknown, or as DebMonitor's clients told of the name."""
    problems = sync_requests.list_problems(c) if items else {}
    unknown = {item.run_image_id: never_met(item, problems) for item in items}
    told = judge_names(c, {item.image: unknown[item.run_image_id] for item in items})
    judged = {number: JudgedImage(verdict, None) for number, verdict in unknown.items()}
    for item in items:
        if item.image in told:
            verdict, report = told[item.image]
            judged[item.run_image_id] = JudgedImage(verdict, None, report=report)
    return judged


def reported_digest(item: AliveImage) -> str | None:
    """The manifest or index that the runtime names, of an image that the catalog never met."""
    reported = parse_image_id(item.image_id)
    return None if reported.digest is None or reported.is_config else str(reported.digest)


def _with_the_rest(c: Connection, running: Sequence[_Candidate], now: datetime) -> list[_Candidate]:
    """The same with every image that does not run."""
    rest = set(lookups.list_image_ids(c)) - {item.number for item in running}
    judged = judge_images(c, rest, now=now)
    names = images.best_names(c, rest)
    idle = [
        _Candidate(names.get(number, f"image {number}"), number, item, (), 0)
        for number, item in judged.items()
    ]
    return sorted([*running, *idle], key=lambda item: item.key)


def _list_pending(
    c: Connection, shown: Iterable[_Candidate], running: Running | None
) -> dict[int, tuple[Update, ...]]:
    """The updates of each image that was met, rated."""
    met = [item for item in shown if item.number]
    pairs = {item.judged.pair for item in met if item.judged.pair}
    by_pair = updates.list_updates(c, pairs, running.sums if running else None)
    return {
        item.number: rate_updates(
            c,
            (*by_pair.get(item.judged.pair or (0, 0), ()), *item.judged.fixes),
            item.judged.hidden,
        )
        for item in met
    }


def _describe(
    c: Connection,
    candidates: Iterable[_Candidate],
    wanted: RunFilter,
    *,
    with_updates: bool,
    running: Running | None = None,
) -> tuple[OutdatedImage, ...]:
    shown = list(candidates)
    if not shown:
        return ()
    if running is not None and wanted == RunFilter() and all(item.run_images for item in shown):
        places, rows = running.read_places(c), running.read_rows(c)
    else:
        names_of = [number for item in shown for number in item.run_images]
        places = runs.list_places(c, names_of, wanted)
        rows = lookups.list_images(c, {item.number for item in shown})
    reports = {item.judged.report for item in shown if item.judged.report} if with_updates else ()
    told = list_told(c, reports)
    pending = _list_pending(c, shown, running) if with_updates else {}
    paths = lineage.list_base_paths(c, {item.number for item in shown if item.number})
    names = images.best_names(c, {base for path in paths.values() for base in path})
    listed = inherit(c, pending, paths, names)
    bases = {number: path[0] for number, path in paths.items() if path}
    drifts = find_drifts(c, [one for item in shown for one in item.alive]) if with_updates else {}
    described = []
    for item in shown:
        row = rows.get(item.number)
        there = (place for one in item.run_images for place in places.get(one, ()))
        described.append(
            OutdatedImage(
                image=item.name,
                digest=str(row.digest) if row else None,
                platform=row.platform if row else None,
                distro=row.distro if row else None,
                status=item.verdict.status,
                reason=item.verdict.reason,
                running=runs.join_places(there),
                updates=told.get(item.judged.report or 0) or listed.get(item.number, ()),
                newer=item.judged.newer,
                base=names.get(bases.get(item.number, 0)),
                newer_base=item.judged.newer_base,
                waiting_since=item.verdict.waiting_since,
                severity=item.worst.severity,
                exploited=item.worst.exploited,
                drift=tuple(drifts[one] for one in item.run_images if one in drifts),
                suppressed=item.verdict.suppressed,
                unjudged=item.verdict.unjudged,
            )
        )
    return tuple(described)
