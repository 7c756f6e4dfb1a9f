"""What findings make of a verdict, where apt has none or would bring no fix."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from msgspec import Struct, structs

from imagecatalog.domain.answers import Update, Verdict
from imagecatalog.domain.scopes import LANGUAGES, NOWHERE, type_of
from imagecatalog.planning.feed_ages import list_old_feeds
from imagecatalog.planning.hidden import Hidden, find_hidden
from imagecatalog.store import findings, fixes, held_findings, updates, waiting
from imagecatalog.store.engine import Connection
from imagecatalog.store.findings import Standing
from imagecatalog.store.fixes import Fix, Place
from imagecatalog.store.judgements import JudgeableImage
from imagecatalog.store.running_faults import RunningImage

_SILENT = frozenset({"current", "superseded"})
_NOT_OFFERED = "fixes are out that its apt sources do not offer"
_NOT_FOR_SECURITY = "fixes are out that no security update of its apt sources brings"


class Weighed(Struct, frozen=True):
    """A verdict by the findings too, the updates that they ask for beside apt's, and their sums."""

    verdict: Verdict
    updates: tuple[Update, ...] = ()
    standing: Standing | None = None
    """Of the findings that count."""
    hidden: Hidden | None = None
    """Those that do not; None: all do."""


def weigh_findings(
    c: Connection,
    rows: Sequence[JudgeableImage],
    verdicts: Mapping[int, Verdict],
    *,
    now: datetime,
) -> dict[int, Weighed]:
    """What the findings make of the verdict of each image whose packages are known.

    An image without apt's verdict is judged by its advisories alone, if feeds tell of all kinds of
    packages in it. One that apt calls current, and that holds a fault with a fix, is not current.
    What is suppressed changes no verdict: its faults count no more, nor do the security updates
    that mend nothing else.
    """
    known = [row for row in rows if row.set_id is not None and row.unknown_code is None]
    if not known:
        return {}
    pairs = {row.id: (row.place_id, row.set_id) for row in known if row.set_id}
    sums = findings.list_standings(c, pairs.values())
    standings = {number: sums[pair] for number, pair in pairs.items()}
    images = [RunningImage(number, *pair, 0) for number, pair in pairs.items()]
    hidden = find_hidden(c, images, standings, now=now)
    standings |= {number: one.standing for number, one in hidden.items()}
    judged = {row.id: verdicts[row.id] for row in known}
    judged |= _discount(c, known, judged, hidden)
    found = _judge_by_apt(c, known, judged, standings, hidden)
    bare = [row for row in known if row.setup_id is None and judged[row.id].status == "unknown"]
    if bare:
        found |= _judge_bare(c, bare, standings, hidden, now=now)
    silent = _find_unjudged(c, known, standings)
    return {
        number: Weighed(
            _mark(found.get(number, (verdict, ()))[0], hidden.get(number), silent.get(number)),
            found.get(number, (verdict, ()))[1],
            standings[number],
            hidden.get(number),
        )
        for number, verdict in judged.items()
    }


_Found = dict[int, tuple[Verdict, tuple[Update, ...]]]


def _mark(verdict: Verdict, hidden: Hidden | None, unjudged: str | None) -> Verdict:
    if hidden is None and unjudged is None:
        return verdict
    suppressed = len(hidden.faults) if hidden else 0
    return structs.replace(verdict, suppressed=suppressed, unjudged=unjudged)


def _discount(
    c: Connection,
    rows: Iterable[JudgeableImage],
    verdicts: Mapping[int, Verdict],
    hidden: Mapping[int, Hidden],
) -> dict[int, Verdict]:
    """Of apt's verdicts those in which security updates mend nothing that counts."""
    pairs = {
        row.id: (row.setup_id, row.set_id)
        for row in rows
        if row.id in hidden and row.setup_id and row.set_id and verdicts[row.id].security
    }
    listed = updates.list_updates(c, pairs.values())
    found = {}
    for number, pair in pairs.items():
        one, verdict = hidden[number], verdicts[number]
        urgent = [item for item in listed[pair] if item.security]
        left = [item for item in urgent if not one.spares(item)]
        if len(left) == len(urgent):
            continue
        is_open = bool(left) or one.standing.fixable > 0
        counting = left if is_open else listed[pair]
        found[number] = structs.replace(
            verdict,
            status="security-update" if is_open else "update",
            reason=verdict.reason or (_NOT_FOR_SECURITY if is_open and not left else None),
            security=len(left),
            waiting_since=min((item.since for item in counting if item.since), default=None),
        )
    return found


def _judge_by_apt(
    c: Connection,
    rows: Iterable[JudgeableImage],
    verdicts: Mapping[int, Verdict],
    standings: Mapping[int, Standing],
    hidden: Mapping[int, Hidden],
) -> _Found:
    """Images of which apt has a word: with what it would not bring."""
    told = [row for row in rows if row.setup_id is not None and standings[row.id].fixable]
    fixed = fixes.list_fixes(c, _places(told), with_debian=False)
    beside = _choose_updates(told, fixed, hidden)
    answer: _Found = {number: (verdict, ()) for number, verdict in verdicts.items()}
    for row in told:
        verdict, more = verdicts[row.id], beside[row.id]
        if verdict.status in _SILENT:
            verdict = Verdict(
                status="security-update",
                reason=None if more else _NOT_OFFERED,
                security=len(more),
                updates=len(more),
            )
        elif more and verdict.status != "unknown":
            verdict = _add(verdict, len(more))
        answer[row.id] = verdict, more
    return answer


def _choose_updates(
    rows: Iterable[JudgeableImage],
    fixed: Mapping[Place, Sequence[Fix]],
    hidden: Mapping[int, Hidden],
) -> dict[int, tuple[Update, ...]]:
    """The updates of each image for the faults that count in it."""
    whole: dict[Place, tuple[Update, ...]] = {}
    found = {}
    for row in rows:
        place = _place(row)
        if row.id in hidden:
            apart = hidden[row.id].findings
            left = (one for one in fixed.get(place, ()) if (one.component, one.fault) not in apart)
            found[row.id] = fixes.make_updates(left)
            continue
        if place not in whole:
            whole[place] = fixes.make_updates(fixed.get(place, ()))
        found[row.id] = whole[place]
    return found


def _find_unjudged(
    c: Connection,
    rows: Iterable[JudgeableImage],
    standings: Mapping[int, Standing],
) -> dict[int, str]:
    """The packages of images that nobody judges: no feed tells of them, and apt knows dpkg's alone."""
    places = {
        row.id: {
            kind: kind if kind in LANGUAGES else row.scope
            for kind, _ in standings[row.id].kinds
            if not (kind == "deb" and row.setup_id is not None)
        }
        for row in rows
    }
    wanted = {place for many in places.values() for place in many.values()} - {NOWHERE}
    told = held_findings.list_spoken(c, wanted)
    found = {}
    for number, many in places.items():
        counts = [
            f"{count:,} {kind} package{'' if count == 1 else 's'}"
            for kind, count in standings[number].kinds
            if kind in many and (many[kind] not in told or type_of(many[kind]) != kind)
        ]
        if counts:
            found[number] = f"{', '.join(counts)}: no feed tells of them"
    return found


def _find_doubts(
    c: Connection, rows: Sequence[JudgeableImage], undetermined: Collection[int]
) -> dict[int, str]:
    """Why of some of these images not all is known, though feeds tell of all its kinds of packages."""
    waits = waiting.list_waiting(c, [row.id for row in rows])
    foreign = waiting.list_partly_foreign(c, {row.set_id for row in rows if row.set_id})
    found = {}
    for row in rows:
        reasons = {
            "its packages were not all held against advisories yet: run imagecatalog refresh": (
                row.id in waits
            ),
            f"its list of packages was not wholly understood: {row.told_problem}": row.told_problem,
            "not all files that tell of its packages could be read": row.has_unread,
            "some of its packages are built by others than its distribution": row.set_id in foreign,
            "of some advisories nobody can say whether it is affected": row.id in undetermined,
        }
        if doubt := next((reason for reason, is_so in reasons.items() if is_so), None):
            found[row.id] = doubt
    return found


def _places(rows: Sequence[JudgeableImage]) -> set[Place]:
    return {_place(row) for row in rows}


def _place(row: JudgeableImage) -> Place:
    assert row.set_id is not None
    return row.scope_id, row.set_id


def _add(verdict: Verdict, more: int) -> Verdict:
    return Verdict(
        status="security-update",
        reason=verdict.reason,
        security=verdict.security + more,
        updates=verdict.updates + more,
        waiting_since=verdict.waiting_since if verdict.security else None,
    )


def _judge_bare(
    c: Connection,
    rows: Sequence[JudgeableImage],
    standings: Mapping[int, Standing],
    hidden: Mapping[int, Hidden],
    *,
    now: datetime,
) -> _Found:
    """Images of which apt knows nothing."""
    doubts = _find_doubts(c, rows, {row.id for row in rows if standings[row.id].undetermined})
    places = {kind for row in rows for kind, _ in standings[row.id].kinds if kind in LANGUAGES}
    places |= {row.scope for row in rows}
    spoken = held_findings.list_spoken(c, places - {NOWHERE})
    old = list_old_feeds(c, sorted(spoken), now=now)
    fixable = [row for row in rows if standings[row.id].fixable]
    fixed = fixes.list_fixes(c, _places(fixable), with_debian=True)
    told = _choose_updates(fixable, fixed, hidden)
    found: _Found = {}
    for row in rows:
        scope = row.scope
        its = {kind: kind if kind in LANGUAGES else scope for kind, _ in standings[row.id].kinds}
        silent = sorted(
            kind for kind, place in its.items() if place not in spoken or type_of(place) != kind
        )
        doubt = next((old[place] for place in sorted(its.values()) if place in old), None)
        doubt = doubt or doubts.get(row.id)
        if silent:
            doubt = (
                f"no feed judges {' or '.join(silent)} packages{f' of {scope}' * bool(scope)} yet"
            )
        more = told.get(row.id, ())
        if more:
            verdict = Verdict(
                status="security-update", reason=doubt, security=len(more), updates=len(more)
            )
            found[row.id] = verdict, more
        elif "deb" in its:
            continue  # apt could tell, were it told of archives
        elif its and doubt is None:
            found[row.id] = Verdict(status="current"), ()
        elif its and len(silent) < len(its):
            found[row.id] = Verdict(status="unknown", reason=doubt), ()
    return found
