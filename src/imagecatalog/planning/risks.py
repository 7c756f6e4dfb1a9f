"""What findings make of a verdict, where apt has none or would bring no fix."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from imagecatalog.domain.answers import Update, Verdict
from imagecatalog.domain.scopes import LANGUAGES, NOWHERE, type_of
from imagecatalog.planning.feed_ages import list_old_feeds
from imagecatalog.store import findings, fixes, held_findings, judgements, scopes, waiting
from imagecatalog.store.engine import Connection
from imagecatalog.store.findings import Standing
from imagecatalog.store.fixes import Place
from imagecatalog.store.judgements import JudgeableImage

_SILENT = frozenset({"current", "superseded"})


class Weighed(Struct, frozen=True):
    """A verdict by the findings, and the updates that they ask for beside apt's."""

    verdict: Verdict
    updates: tuple[Update, ...] = ()


def weigh_findings(
    c: Connection,
    rows: Sequence[JudgeableImage],
    verdicts: Mapping[int, Verdict],
    *,
    now: datetime,
) -> tuple[dict[int, Weighed], dict[int, Standing]]:
    """The images whose verdict the findings change, or that need more than apt would bring.

    And what the findings of each image whose packages are known come to.

    An image without apt's verdict is judged by its advisories alone, if feeds tell of all kinds of
    packages in it. One that apt calls current, and that holds a fault with a fix, is not current.
    """
    known = [row for row in rows if row.set_id is not None and row.unknown_code is None]
    bare = [row for row in known if row.setup_id is None and verdicts[row.id].status == "unknown"]
    # What an image of no distribution holds is kept as of nowhere; no scope has the number 0.
    wanted = bare or any(row.scope_id is None for row in known)
    names = scopes.name_scopes(c) if wanted else {}
    nowhere = next((number for number, name in names.items() if name == NOWHERE), 0)
    pairs = {row.id: (row.scope_id or nowhere, row.set_id) for row in known if row.set_id}
    standings = findings.list_standings(c, pairs.values())
    found_in = {number: standings[pair] for number, pair in pairs.items()}
    fixable = {number for number, standing in found_in.items() if standing.fixable}
    undetermined = {number for number, standing in found_in.items() if standing.undetermined}
    told = [row for row in known if row.setup_id is not None and row.id in fixable]
    beside = fixes.list_fixes(c, _places(told), with_debian=False)
    found = {}
    for row in told:
        verdict, more = verdicts[row.id], beside.get(_place(row), ())
        if verdict.status in _SILENT:
            verdict = Verdict(
                status="security-update",
                reason=None if more else "fixes are out that its apt sources do not offer",
                security=len(more),
                updates=len(more),
            )
        elif more and verdict.status != "unknown":
            verdict = _add(verdict, len(more))
        if more or verdict is not verdicts[row.id]:
            found[row.id] = Weighed(verdict, more)
    if not bare:
        return found, found_in
    doubts = _find_doubts(c, bare, undetermined)
    found |= _judge_bare(c, bare, fixable, doubts, names=names, now=now)
    return found, found_in


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
    fixable: set[int],
    doubts: Mapping[int, str],
    *,
    names: Mapping[int, str],
    now: datetime,
) -> dict[int, Weighed]:
    """Images of which apt knows nothing."""
    kinds = judgements.list_kinds(
        c, {row.set_id for row in rows if row.set_id is not None}, with_debian=True
    )
    places = {kind for many in kinds.values() for kind in many if kind in LANGUAGES}
    places |= {names[row.scope_id] for row in rows if row.scope_id}
    spoken = held_findings.list_spoken(c, places - {NOWHERE})
    old = list_old_feeds(c, sorted(spoken), now=now)
    told = fixes.list_fixes(
        c, _places([row for row in rows if row.id in fixable]), with_debian=True
    )
    found = {}
    for row in rows:
        scope = names.get(row.scope_id or 0, NOWHERE)
        its = {
            kind: kind if kind in LANGUAGES else scope for kind in kinds.get(row.set_id or 0, ())
        }
        silent = sorted(
            kind for kind, place in its.items() if place not in spoken or type_of(place) != kind
        )
        doubt = next((old[place] for place in sorted(its.values()) if place in old), None)
        doubt = doubt or doubts.get(row.id)
        if silent:
            doubt = (
                f"no feed judges {' or '.join(silent)} packages{f' of {scope}' * bool(scope)} yet"
            )
        more = told.get(_place(row), ())
        if more:
            verdict = Verdict(
                status="security-update", reason=doubt, security=len(more), updates=len(more)
            )
            found[row.id] = Weighed(verdict, more)
        elif "deb" in its:
            continue  # apt could tell, were it told of archives
        elif its and doubt is None:
            found[row.id] = Weighed(Verdict(status="current"))
        elif its and len(silent) < len(its):
            found[row.id] = Weighed(Verdict(status="unknown", reason=doubt))
    return found
