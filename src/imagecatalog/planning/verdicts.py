"""The verdict of an image: from what is known of it, of its updates and of the archives' age."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from msgspec import Struct, structs

from imagecatalog.domain.answers import Place, Update, Verdict
from imagecatalog.planning.hidden import Hidden
from imagecatalog.planning.risks import weigh_findings
from imagecatalog.planning.told import judge_told
from imagecatalog.store import apt, judgements, lookups, packages, runs, updates
from imagecatalog.store.engine import Connection
from imagecatalog.store.findings import Standing
from imagecatalog.store.images import INDEX
from imagecatalog.store.judgements import JudgeableImage
from imagecatalog.store.lookups import ImageRow
from imagecatalog.store.runs import AliveImage
from imagecatalog.store.updates import Counts, Pair, SetupState, Sum

STALE_AFTER = timedelta(days=1)
"""Archives that were last well longer ago make "current" unknown."""
_SILENT = "the packages that were told of it are none that its apt archives could know"


class JudgedImage(Struct, frozen=True):
    """The verdict of an image; ``pair`` leads to its updates, if its packages could be judged."""

    verdict: Verdict
    pair: Pair | None
    newer: str | None = None
    """The newest tag of its line, if it runs and is not that."""
    newer_base: str | None = None
    """The same of its base's line."""
    report: int | None = None
    """What DebMonitor's clients told of it, where that counts."""
    fixes: tuple[Update, ...] = ()
    """What advisories ask for beside what apt would bring."""
    standing: Standing | None = None
    """What its findings that count come to; None where its packages are not known."""
    hidden: Hidden | None = None
    """Those of its findings that do not count; None: all do."""


class Running(Struct):
    """What runs now, and the verdict of each image of it: for whoever has several questions."""

    alive: Sequence[AliveImage]
    judged: Mapping[int, JudgedImage]
    unmet: Mapping[int, JudgedImage] | None = None
    """Those of what no sync met, by the number of the runtime's name; None: not asked for yet."""
    rows: Mapping[int, ImageRow] | None = None
    places: Mapping[int, Sequence[Place]] | None = None
    """Where each of the runtimes' names runs; None: not asked for yet."""
    sums: Mapping[Pair, Sum] | None = None
    """What apt would bring up to date in it; None: not asked for yet."""

    def read_rows(self, c: Connection) -> Mapping[int, ImageRow]:
        """The images that run, by number."""
        if self.rows is None:
            numbers = {item.manifest_id for item in self.alive if item.manifest_id is not None}
            self.rows = lookups.list_images(c, numbers)
        return self.rows

    def read_places(self, c: Connection) -> Mapping[int, Sequence[Place]]:
        """Where what runs does, by the number of the runtime's name."""
        if self.places is None:
            self.places = runs.list_places(c, [item.run_image_id for item in self.alive])
        return self.places

    def read_sums(self, c: Connection) -> Mapping[Pair, Sum]:
        """The packages with an update of each set that runs."""
        if self.sums is None:
            self.sums = updates.sum_up(c, {one.pair for one in self.judged.values() if one.pair})
        return self.sums


def read_running(c: Connection, *, now: datetime) -> Running:
    """All that runs now."""
    return Running(runs.list_alive(c), judge_running(c, now=now))


def judge_images(
    c: Connection, numbers: Collection[int], *, now: datetime
) -> dict[int, JudgedImage]:
    """The verdict of each of these images."""
    return _judge(c, judgements.list_judgeable(c, numbers), now)


def judge_running(c: Connection, *, now: datetime) -> dict[int, JudgedImage]:
    """The verdict of every image that runs now."""
    return _judge(c, judgements.list_judgeable_running(c), now)


def _judge(c: Connection, rows: list[JudgeableImage], now: datetime) -> dict[int, JudgedImage]:
    pairs = {row.id: pair for row in rows if (pair := _pair(row)) is not None}
    counts = {
        pairs[row.id]: Counts(row.security, row.updates, row.security_since, row.since)
        for row in rows
        if row.id in pairs and row.security is not None and row.updates is not None
    }
    counts |= updates.count_updates(c, set(pairs.values()) - counts.keys())
    states = {
        row.setup_id: SetupState(row.setup_problem, row.setup_checked, bool(row.setup_pending))
        for row in rows
        if row.setup_id is not None
    }
    silent = _find_silent(c, rows, pairs, counts)
    kinds = judgements.list_kinds(c, {row.set_id for row in rows if row.set_id and _is_bare(row)})
    judged = {}
    for row in rows:
        pair = pairs.get(row.id)
        verdict = (
            _unjudged(row, kinds) if pair is None else _weigh(counts[pair], states[pair[0]], now)
        )
        if verdict.status == "current" and row.id in silent:
            verdict = Verdict(status="unknown", reason=_SILENT)
        if verdict.status == "current" and row.told_problem:
            reason = f"its list of packages was not wholly understood: {row.told_problem}"
            verdict = Verdict(status="unknown", reason=reason)
        judged[row.id] = JudgedImage(verdict, pair, row.newer, row.newer_base)
    verdicts = {number: one.verdict for number, one in judged.items()}
    for number, weighed in weigh_findings(c, rows, verdicts, now=now).items():
        judged[number] = structs.replace(
            judged[number],
            verdict=weighed.verdict,
            fixes=weighed.updates,
            standing=weighed.standing,
            hidden=weighed.hidden,
        )
    for row in rows:
        verdict = judged[row.id].verdict
        if verdict.status == "current" and (row.newer or row.newer_base):
            verdict = structs.replace(verdict, status="superseded", reason=_superseded(row))
            judged[row.id] = structs.replace(judged[row.id], verdict=verdict)
    unknown = {
        number: one.verdict for number, one in judged.items() if one.verdict.status == "unknown"
    }
    for number, (verdict, report) in judge_told(c, unknown).items():
        judged[number] = structs.replace(judged[number], verdict=verdict, report=report)
    return judged


def _find_silent(
    c: Connection,
    rows: list[JudgeableImage],
    pairs: Mapping[int, Pair],
    counts: Mapping[Pair, Counts],
) -> set[int]:
    """The images of which somebody told packages, but none that apt could have an update of."""
    told = {
        row.id: pairs[row.id]
        for row in rows
        if row.is_told and row.id in pairs and not counts[pairs[row.id]].updates
    }
    judgeable: set[Pair] = set()
    for setup in apt.list_setups(c, {setup_id for setup_id, _ in told.values()}) if told else ():
        sets = {set_id for setup_id, set_id in told.values() if setup_id == setup.id}
        known = packages.find_judgeable(c, sets, setup.setup.architectures)
        judgeable.update((setup.id, set_id) for set_id in known)
    return {number for number, pair in told.items() if pair not in judgeable}


def _pair(row: JudgeableImage) -> Pair | None:
    if row.setup_id is None or row.set_id is None or row.unknown_code is not None:
        return None
    return row.setup_id, row.set_id


def _is_bare(row: JudgeableImage) -> bool:
    """Whether its packages are known, and nothing judges them."""
    return row.setup_id is None and row.unknown_code is None


def _unjudged(row: JudgeableImage, kinds: Mapping[int, tuple[str, ...]]) -> Verdict:
    if row.kind == INDEX:
        reason = "an index without an image in it"
    elif row.unknown_reason is not None:
        reason = row.unknown_reason
    elif row.set_id is not None and row.set_id in kinds:
        reason = f"no feed judges {' or '.join(kinds[row.set_id])} packages yet"
    else:
        inside = row.distro or "its distribution"
        reason = f"it carries no apt sources, and [apt.sources] has none for {inside}"
    return Verdict(status="unknown", reason=reason)


def _weigh(found: Counts, state: SetupState, now: datetime) -> Verdict:
    doubt = _doubt(state, now)
    if found.updates:
        # Without all archives, a security update may hide behind what is missing.
        return Verdict(
            status="security-update" if found.security else "update",
            reason=doubt,
            security=found.security,
            updates=found.updates,
            waiting_since=found.security_since if found.security else found.since,
        )
    if doubt is not None:
        return Verdict(status="unknown", reason=doubt)
    return Verdict(status="current")


def _superseded(row: JudgeableImage) -> str:
    if row.newer:
        return f"{row.newer} is newer"
    return f"its base has a newer version: {row.newer_base}"


def _doubt(state: SetupState, now: datetime) -> str | None:
    if state.problem is not None:
        return state.problem
    if state.pending:
        return "its packages wait to be judged: run imagecatalog refresh"
    if state.checked is None:
        return "its archives were never fetched: run imagecatalog refresh"
    if now - state.checked > STALE_AFTER:
        days = (now - state.checked).days
        return (
            f"its archives were last checked {days} {'day' if days == 1 else 'days'} ago: "
            "run imagecatalog refresh"
        )
    return None
