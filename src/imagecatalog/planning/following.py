"""Saved plans: kept as they were made, and followed until the packages have really moved.

What became of a plan is read off the catalog alone: after the same sync and scan it is the same,
however often it was looked at before. Only a plan that is closed is looked at no more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache

import msgspec
from msgspec import Struct, structs

from imagecatalog.catalog.lineage import list_bases
from imagecatalog.config import LineRule, Settings
from imagecatalog.domain.packages import Package
from imagecatalog.domain.plans import (
    Plan,
    PlannedFix,
    PlanQuestion,
    PlanSummary,
    Redeploy,
    Step,
    StepState,
)
from imagecatalog.domain.refs import Reference
from imagecatalog.errors import BadName, NotFound
from imagecatalog.matching.lines import Head, LineKey, Lines
from imagecatalog.planning.plan import Watch, draft_plan
from imagecatalog.planning.sentences import write_command
from imagecatalog.store import images, lookups, plans
from imagecatalog.store.engine import Connection
from imagecatalog.store.lookups import ImageRow
from imagecatalog.store.page import Page, make_cursor, read_cursor
from imagecatalog.store.plans import PlanRow, WorkloadImage
from imagecatalog.versions import sort_key

DONE: tuple[StepState, ...] = ("proven", "deployed")


class _Saved(Struct, frozen=True):
    """A plan in the database; equal watches are written once."""

    plan: Plan
    watches: tuple[Watch, ...]
    watch_of: tuple[int, ...]
    """Of each redeploy."""


class _StepProgress(Struct, frozen=True):
    state: StepState = "waiting"
    detail: str | None = None


class _Progress(Struct, frozen=True):
    steps: tuple[_StepProgress, ...]
    """In the order of the waves."""
    redeployed: tuple[int, ...] = ()
    """Which redeploys are done."""


_ENCODER = msgspec.json.Encoder()
_SAVED = msgspec.json.Decoder(_Saved)
_PROGRESS = msgspec.json.Decoder(_Progress)
_QUESTION = msgspec.json.Decoder(PlanQuestion)


def save_plan(
    c: Connection, ask: PlanQuestion, *, settings: Settings, saved_by: str | None, now: datetime
) -> Plan:
    """Make a plan and keep it to be followed; one in which there is nothing to do is closed at once.

    Raises what ``make_plan`` raises.
    """
    draft = draft_plan(c, ask, settings=settings, now=now)
    watches = tuple(sorted(set(draft.watches)))
    place = {watch: position for position, watch in enumerate(watches)}
    saved = _Saved(draft.plan, watches, tuple(place[watch] for watch in draft.watches))
    progress = _Progress(tuple(_StepProgress() for _ in _steps(draft.plan)))
    number = plans.put_plan(
        c,
        question=_write(ask),
        body=_write(saved),
        progress=_write(progress),
        saved_by=saved_by,
        now=now,
    )
    if not progress.steps and not draft.plan.redeploy:
        plans.note_progress(c, number, _write(progress), now=now, is_done=True)
    return get_plan(c, number)


def _write(value: Struct) -> str:
    return _ENCODER.encode(value).decode()


def _steps(plan: Plan) -> list[Step]:
    return [step for wave in plan.waves for step in wave]


def get_plan(c: Connection, number: int) -> Plan:
    """A saved plan with what became of it; raises NotFound."""
    row = plans.find_plan(c, number)
    if row is None:
        raise NotFound(f"there is no plan {number}", hint="imagecatalog plan --list shows them")
    plan, progress = _SAVED.decode(row.body).plan, _PROGRESS.decode(row.progress)
    states = iter(progress.steps)
    redeployed = set(progress.redeployed)
    return structs.replace(
        plan,
        waves=tuple(
            tuple(
                structs.replace(step, state=one.state, detail=one.detail)
                for step, one in zip(wave, states, strict=False)
            )
            for wave in plan.waves
        ),
        redeploy=tuple(
            structs.replace(one, done=position in redeployed)
            for position, one in enumerate(plan.redeploy)
        ),
        id=row.id,
        state="closed" if row.closed else "open",
        created=row.created,
        followed=row.followed,
        closed=row.closed,
    )


def list_plans(
    c: Connection, *, limit: int | None = None, after: str | None = None
) -> Page[PlanSummary]:
    """Saved plans, the last saved first."""
    place = read_cursor(after, tuple[int])
    rows = plans.list_plans(
        c, after=place[0] if place else None, limit=None if limit is None else limit + 1
    )
    more = limit is not None and len(rows) > limit
    rows = rows[:limit]
    return Page(tuple(map(_sum_up, rows)), make_cursor(rows[-1].id) if more else None)


def _sum_up(row: PlanRow) -> PlanSummary:
    steps = _PROGRESS.decode(row.progress).steps
    return PlanSummary(
        id=row.id,
        asked=write_command(_QUESTION.decode(row.question)),
        state="closed" if row.closed else "open",
        created=row.created,
        followed=row.followed,
        closed=row.closed,
        steps=len(steps),
        done=sum(step.state in DONE for step in steps),
    )


def follow_plans(c: Connection, rules: Sequence[LineRule] = (), *, now: datetime) -> int:
    """See what became of every open plan; how many of them are closed now.

    A step is *built* once its line has a newer image, and *proven* once that is read and each of
    its packages is gone or as new as was planned; one that is older *kept the old package*. It is
    *deployed* when nothing that was to move to it runs an older one. A plan closes when all its
    steps are proven or deployed, and all its redeploys done.
    """
    rows = plans.list_plans(c, open_only=True)
    if not rows:
        return 0
    lines = Lines(c, rules)
    workloads: dict[tuple[str, str, str], list[WorkloadImage]] = {}
    for one in plans.list_workload_images(c):
        workloads.setdefault((one.cluster, one.namespace, one.workload), []).append(one)
    closed = 0
    for row in rows:
        following = _Following(c, row, lines, workloads)
        progress = following.look()
        done = following.is_done(progress)
        plans.note_progress(c, row.id, _write(progress), now=now, is_done=done)
        closed += done
    return closed


class _Following:
    """One plan, looked at once."""

    def __init__(
        self,
        c: Connection,
        row: PlanRow,
        lines: Lines,
        workloads: Mapping[tuple[str, str, str], Sequence[WorkloadImage]],
    ) -> None:
        self._c = c
        self._saved = _SAVED.decode(row.body)
        self._steps = _steps(self._saved.plan)
        self._since = row.created
        self._workloads = workloads
        self._lines = lines
        self._heads = lines.heads(LineKey(one.repository, one.line) for one in self._steps)
        self._rows: dict[int, ImageRow] = {}
        self._packages: dict[int, list[Package]] = {}

    def look(self) -> _Progress:
        """What became of it."""
        running = self._list_running()
        numbers = {one for head in self._heads.values() for one in _images(head)}
        numbers |= {one.number for many in running.values() for one in many if one.number}
        self._rows = lookups.list_images(self._c, numbers)
        self._packages = self._read_packages()
        redeployed = [
            position
            for position, seen in running.items()
            if self._is_redeployed(self._watch(position), seen)
        ]
        left = {
            self._watch(position).line
            for position in set(range(len(self._saved.watch_of))).difference(redeployed)
        }
        moved = {self._watch(position).line for position in redeployed} - left
        steps = []
        for step, one in zip(self._steps, self._judge_steps(), strict=True):
            if one.state == "proven" and LineKey(step.repository, step.line) in moved:
                one = structs.replace(one, state="deployed")  # noqa: PLW2901
            steps.append(one)
        return _Progress(tuple(steps), tuple(redeployed))

    def is_done(self, progress: _Progress) -> bool:
        """Whether nothing of it is left to do."""
        return all(one.state in DONE for one in progress.steps) and (
            len(progress.redeployed) == len(self._saved.watch_of)
        )

    def _watch(self, position: int) -> Watch:
        return self._saved.watches[self._saved.watch_of[position]]

    def _list_running(self) -> dict[int, list[WorkloadImage]]:
        """What runs now where a redeploy was due: of the same repository, by the redeploy."""
        return {
            position: [
                one
                for one in self._workloads.get(_place_of(redeploy), ())
                if _repository(one.image) == _repository(redeploy.origin)
            ]
            for position, redeploy in enumerate(self._saved.plan.redeploy)
        }

    def _read_packages(self) -> dict[int, list[Package]]:
        """Of each set that matters, the packages that the plan is about."""
        fixes = [fix for step in self._steps for fix in step.packages]
        fixes += [fix for watch in self._saved.watches for fix in watch.fixes]
        known = plans.list_versions(self._c, {fix.package for fix in fixes})
        sets = {row.set_id for row in self._rows.values() if row.set_id is not None}
        held = plans.list_holding(self._c, sets, known.keys())
        return {set_id: sorted(known[one] for one in numbers) for set_id, numbers in held.items()}

    def _is_read(self, number: int | None) -> bool:
        row = self._rows.get(number or 0)
        return row is not None and row.set_id is not None and row.unknown_code is None

    def _is_redeployed(self, watch: Watch, seen: Iterable[WorkloadImage]) -> bool:
        for one in seen:
            if not self._is_read(one.number):
                return False
            row = self._rows[one.number or 0]
            if watch.fixes:
                if self._find_kept(watch.fixes, [row]):
                    return False
            elif row.first_seen < self._since:
                return False
        return True

    def _judge_steps(self) -> list[_StepProgress]:
        arrived: dict[int, tuple[Head, list[int]]] = {}
        for position, step in enumerate(self._steps):
            head = self._heads.get(LineKey(step.repository, step.line))
            if head is not None and self._is_newer(step, head):
                arrived[position] = head, _images(head)
        on_old = self._find_built_on_old(
            [
                one
                for position, (_, many) in arrived.items()
                if self._steps[position].after
                for one in many
            ]
        )
        return [
            self._judge(step, *arrived[position], on_old)
            if position in arrived
            else _StepProgress()
            for position, step in enumerate(self._steps)
        ]

    def _is_newer(self, step: Step, head: Head) -> bool:
        row = self._rows[head.number]
        if str(row.digest) == step.digest:
            # The very same image under a new name: a rebuild of which every layer was cached.
            return head.name != step.rebuild
        return row.first_seen >= self._since

    def _judge(
        self, step: Step, head: Head, numbers: Collection[int], on_old: Mapping[int, str]
    ) -> _StepProgress:
        rows = [self._rows[one] for one in numbers]
        unread = [row for row in rows if not self._is_read(row.id)]
        if unread:
            why = unread[0].unknown_reason or "they were not read yet"
            return _StepProgress("built", f"the packages of {head.name} are not known: {why}")
        kept = self._find_kept(step.packages, rows)
        if kept:
            package, fix = kept[0]
            more = f", and {len(kept) - 1} more" if len(kept) > 1 else ""
            return _StepProgress(
                "kept-old-package",
                f"{head.name} still has {package.name} {package.version}, not {fix.candidate}{more}:"
                " a cached layer?",
            )
        if not step.packages:
            if str(self._rows[head.number].digest) == step.digest:
                return _StepProgress("kept-old-package", f"{head.name} is {step.rebuild} anew")
            for one in numbers:
                if one in on_old:
                    why = f"{head.name} is still built on {on_old[one]}"
                    return _StepProgress("kept-old-package", why)
        return _StepProgress("proven", head.name)

    def _find_kept(
        self, fixes: Iterable[PlannedFix], rows: Iterable[ImageRow]
    ) -> list[tuple[Package, PlannedFix]]:
        """Which packages are still older than planned."""
        wanted: dict[tuple[str, str, str], list[PlannedFix]] = {}
        for fix in fixes:
            wanted.setdefault((fix.type, fix.package, fix.arch), []).append(fix)
        kept = {}
        for row in rows:
            for package in self._packages.get(row.set_id or 0, ()):
                several = wanted.get((package.type, package.name, package.arch))
                if several and _is_older(package, fix := _choose(package, several)):
                    kept[package] = fix
        return sorted(kept.items())

    def _find_built_on_old(self, numbers: Collection[int]) -> dict[int, str]:
        """Of rebuilt images the bases that were there before the plan, where it renews their line."""
        bases = list_bases(self._c, numbers)
        rows = lookups.list_images(self._c, set(bases.values()))
        old = {base for base in bases.values() if rows[base].first_seen < self._since}
        lines = self._lines.of(old)
        renewed = {LineKey(step.repository, step.line) for step in self._steps}
        named = images.best_names(self._c, old)
        return {
            number: named.get(base, str(rows[base].digest))
            for number, base in bases.items()
            if lines.get(base) in renewed
        }


_key = lru_cache(50_000)(sort_key)


def _is_older(package: Package, fix: PlannedFix) -> bool:
    return _key(fix.type, package.version) < _key(fix.type, fix.candidate)


def _choose(package: Package, fixes: Sequence[PlannedFix]) -> PlannedFix:
    """Of several versions of one package that lie side by side, the fix of that one's line."""
    if len(fixes) == 1:
        return fixes[0]
    key = _key(package.type, package.version)
    ordered = sorted(fixes, key=lambda fix: _key(fix.type, fix.installed))
    below = [fix for fix in ordered if _key(fix.type, fix.installed) <= key]
    return below[-1] if below else ordered[0]


def _images(head: Head) -> list[int]:
    """What a rebuild brought: an index's images, without what is none, as an attestation."""
    members = [
        one for platform, one in head.members.items() if platform and "unknown" not in platform
    ]
    return sorted(set(members)) or [head.number]


def _place_of(redeploy: Redeploy) -> tuple[str, str, str]:
    return redeploy.cluster, redeploy.namespace, redeploy.workload


def _repository(image: str) -> str:
    try:
        return Reference.parse(image).name
    except BadName:
        return image
