"""What findings make of a verdict, where apt has none or would bring no fix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from imagecatalog.domain.answers import Update, Verdict
from imagecatalog.domain.scopes import LANGUAGES, NOWHERE, type_of
from imagecatalog.planning.feed_ages import list_old_feeds
from imagecatalog.store import findings, fixes, held_findings, judgements, scopes
from imagecatalog.store.engine import Connection
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
) -> dict[int, Weighed]:
    """The images whose verdict the findings change, or that need more than apt would bring.

    An image without apt's verdict is judged by its advisories alone, if feeds tell of all kinds of
    packages in it. One that apt calls current, and that holds a fault with a fix, is not current.
    """
    known = [row for row in rows if row.set_id is not None and row.unknown_code is None]
    standings = findings.list_standings(
        c, {(row.scope_id, row.set_id) for row in known if row.scope_id and row.set_id}
    )
    fixable = {
        row.id
        for row in known
        if (standing := standings.get((row.scope_id or 0, row.set_id or 0))) and standing.fixable
    }
    bare = [row for row in known if row.setup_id is None and verdicts[row.id].status == "unknown"]
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
    return found | _judge_bare(c, bare, fixable, now)


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
    c: Connection, rows: Sequence[JudgeableImage], fixable: set[int], now: datetime
) -> dict[int, Weighed]:
    """Images of which apt knows nothing."""
    if not rows:
        return {}
    kinds = judgements.list_kinds(
        c, {row.set_id for row in rows if row.set_id is not None}, with_debian=True
    )
    names = scopes.name_scopes(c)
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
