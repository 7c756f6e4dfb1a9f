"""Holds components against advisories, within the database.

One statement looks at some components: it gathers what the feeds claim of their names, lets for each
fault those feeds count that know best, holds the byte keys of the versions against the ranges, and
keeps the worst of what hits. docs/explanation/how-findings-are-judged.md tells the rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Connection,
    Select,
    and_,
    bindparam,
    case,
    delete,
    exists,
    false,
    func,
    or_,
    select,
    true,
    tuple_,
    union,
    union_all,
)

from imagecatalog.store.dialect import insert
from imagecatalog.store.schema import advisory, advisory_cover, affected, component, finding

_OWN, _LISTS, _OTHERS = range(3)
"""Ranks of feeds: a distribution's own, its lists of notices, and those of others."""

_URGENCIES = {
    "unimportant": 1,
    "negligible": 1,
    "low": 2,
    "medium": 3,
    "moderate": 3,
    "high": 4,
    "important": 4,
    "critical": 5,
}
"""Severities of the words of distributions; Debian marks those of others by asterisks."""

_COLUMNS = (
    "component_id",
    "advisory_id",
    "state",
    "fixed",
    "reason",
    "severity",
    "urgency",
    "feed",
    "counted",
)


def judge_components(c: Connection, numbers: Sequence[int]) -> bool:
    """Have the findings of these components be what the feeds say now; whether any changed."""
    ids = {"ids": list(numbers)}
    there = c.scalar(
        select(finding.c.component_id).where(finding.c.component_id.in_(numbers)).limit(1)
    )
    gone = c.execute(_DELETE, ids).rowcount if there is not None else 0
    found = insert(c, finding).from_select(_COLUMNS, _FINDINGS)
    new = {name: found.excluded[name] for name in _COLUMNS[2:]}
    differs = or_(*(finding.c[name].is_distinct_from(value) for name, value in new.items()))
    written = c.execute(
        found.on_conflict_do_update(index_elements=_COLUMNS[:2], set_=new, where=differs),
        ids,
    ).rowcount
    return gone + written > 0


def _fault_of(table: Any) -> ColumnElement[int]:
    """The number of the group of an advisory's names."""
    return func.coalesce(table.c.fault_id, table.c.id)


def _wanted() -> CTE:
    """The components; an invalid version is in no place of the order."""
    return (
        select(
            component.c.id,
            component.c.scope_id,
            component.c.name,
            component.c.key,
            (func.substr(component.c.key, 1, 1) == b"\x00").label("invalid"),
        )
        .where(component.c.id.in_(bindparam("ids", expanding=True)))
        .cte("wanted")
    )


_SPAN = ("status", "low_key", "high_key", "high_inclusive", "fixed", "urgency", "reason", "feed")


def _claims(wanted: CTE) -> tuple[CTE, CTE]:
    """What is told of the names: of faults themselves, and with that what notices say of theirs."""
    names = select(wanted.c.scope_id, wanted.c.name).distinct().cte("names")
    told = (
        select(
            names.c.scope_id,
            names.c.name,
            affected.c.id,
            affected.c.advisory_id,
            _fault_of(advisory).label("fault"),
            _rank(affected.c.feed).label("rank"),
            *(affected.c[name] for name in _SPAN),
        )
        .join(
            affected, and_(affected.c.scope_id == names.c.scope_id, affected.c.name == names.c.name)
        )
        .join(advisory, advisory.c.id == affected.c.advisory_id)
        .cte("told")
    )
    return told, _covering(told)


def _rank(feed: ColumnElement[str]) -> ColumnElement[int]:
    return case(
        (feed == "debian-tracker json", _OWN),
        (feed.like("alpine-secdb%"), _OWN),
        (feed.like("debian-tracker%"), _LISTS),
        else_=_OTHERS,
    )


def _covering(told: CTE) -> CTE:
    """Which faults the notices among what is told bundle."""
    notice, covered = advisory.alias("notice"), advisory.alias("covered")
    return (
        select(_fault_of(notice).label("notice"), _fault_of(covered).label("covered"))
        .join(advisory_cover, advisory_cover.c.advisory_id == notice.c.id)
        .join(covered, covered.c.id == advisory_cover.c.covered_id)
        .where(
            notice.c.id.in_(select(told.c.advisory_id)),
            _fault_of(notice) != _fault_of(covered),
        )
        .distinct()
        .cte("covering")
    )


def _counting(told: CTE, covering: CTE) -> CTE:
    """The claims of the feeds that know best, with the worst urgency among those of a fault."""
    plain = ("scope_id", "name", "id", "rank", *_SPAN)
    copied = select(*(told.c[name] for name in plain), covering.c.covered.label("fault")).join(
        covering, covering.c.notice == told.c.fault
    )
    claim = union_all(select(*(told.c[name] for name in plain), told.c.fault), copied).subquery()
    where = (claim.c.scope_id, claim.c.name, claim.c.fault)
    best = select(
        *claim.c, func.min(claim.c.rank).over(partition_by=where).label("best")
    ).subquery()
    where = (best.c.scope_id, best.c.name, best.c.fault)
    return (
        select(
            *(best.c[name] for name in (*plain, "fault")),
            func.max(_urgency(best.c.urgency)).over(partition_by=where).label("urgent"),
        )
        .where(best.c.rank == best.c.best)
        .cte("counting")
    )


def _urgency(word: ColumnElement[str]) -> ColumnElement[int]:
    plain = func.lower(func.rtrim(word, "* "))
    return case(*((plain == name, rank) for name, rank in _URGENCIES.items()), else_=0)


def _graded(counting: CTE, covering: CTE) -> CTE:
    """How bad each fault is; a notice is as bad as the worst of what it bundles."""
    own = (
        select(
            counting.c.scope_id,
            counting.c.name,
            counting.c.fault,
            case(
                (counting.c.urgent > 0, counting.c.urgent),
                else_=func.coalesce(advisory.c.severity, 0),
            ).label("severity"),
        )
        .join(advisory, advisory.c.id == counting.c.fault)
        .distinct()
        .cte("own")
    )
    covered = (
        select(
            own.c.scope_id, own.c.name, covering.c.notice, func.max(own.c.severity).label("worst")
        )
        .join(covering, covering.c.covered == own.c.fault)
        .group_by(own.c.scope_id, own.c.name, covering.c.notice)
        .cte("bundled")
    )
    other, other_cover = advisory.alias("again"), advisory_cover.alias("again_cover")
    is_notice = exists().where(
        or_(other.c.id == covering.c.covered, other.c.fault_id == covering.c.covered),
        other_cover.c.advisory_id == other.c.id,
    )
    bundles = exists().where(covering.c.notice == own.c.fault, ~is_notice)
    worst = func.coalesce(covered.c.worst, 0)
    return (
        select(
            own.c.scope_id,
            own.c.name,
            own.c.fault,
            case((worst > own.c.severity, worst), else_=own.c.severity).label("severity"),
            bundles.label("bundles"),
        )
        .outerjoin(
            covered,
            and_(
                covered.c.scope_id == own.c.scope_id,
                covered.c.name == own.c.name,
                covered.c.notice == own.c.fault,
            ),
        )
        .cte("graded")
    )


def _hits(wanted: CTE, counting: CTE) -> CTE:
    """Which components have which fault, with the row that says the worst of it."""
    claim = counting.c
    limited = or_(claim.low_key.is_not(None), claim.high_key.is_not(None))
    inside = and_(
        or_(claim.low_key.is_(None), claim.low_key <= wanted.c.key),
        or_(
            claim.high_key.is_(None),
            wanted.c.key < claim.high_key,
            and_(claim.high_inclusive, wanted.c.key == claim.high_key),
        ),
    )
    nowhere = and_(wanted.c.invalid, limited)
    state = case(
        (or_(nowhere, claim.status == "undetermined"), "undetermined"),
        (claim.fixed.is_not(None), "fix-out"),
        (claim.reason.in_(("ignored", "end-of-life")), "wont-fix"),
        else_="no-fix",
    )
    order = case((state == "fix-out", 0), (state == "wont-fix", 1), (state == "no-fix", 2), else_=3)
    place = func.row_number().over(
        partition_by=(wanted.c.id, claim.fault),
        order_by=(
            order,
            case((claim.high_key.is_(None), 1), else_=0),
            claim.high_key.desc(),
            claim.feed,
            claim.id,
        ),
    )
    hit = (
        select(
            wanted.c.id.label("component_id"),
            claim.scope_id,
            claim.name,
            claim.fault,
            state.label("state"),
            case((nowhere, None), else_=claim.fixed).label("fixed"),
            case((nowhere, "invalid-version"), else_=claim.reason).label("reason"),
            claim.urgency,
            claim.feed,
            place.label("place"),
        )
        .join(counting, and_(claim.scope_id == wanted.c.scope_id, claim.name == wanted.c.name))
        .where(claim.status != "not-affected", or_(wanted.c.invalid, inside))
        .subquery()
    )
    return select(hit).where(hit.c.place == 1).cte("hits")


def _findings() -> Select[Any]:
    wanted = _wanted()
    told, covering = _claims(wanted)
    counting = _counting(told, covering)
    graded = _graded(counting, covering)
    hits = _hits(wanted, counting)
    written = union(
        select(graded.c.scope_id, graded.c.name, graded.c.fault, graded.c.fault.label("number")),
        select(told.c.scope_id, told.c.name, told.c.fault, told.c.advisory_id),
    ).cte("written")
    return (
        select(
            hits.c.component_id,
            written.c.number,
            hits.c.state,
            hits.c.fixed,
            hits.c.reason,
            graded.c.severity,
            hits.c.urgency,
            hits.c.feed,
            case((written.c.number != graded.c.fault, false()), else_=~graded.c.bundles),
        )
        .select_from(hits)
        .join(
            graded,
            and_(
                graded.c.scope_id == hits.c.scope_id,
                graded.c.name == hits.c.name,
                graded.c.fault == hits.c.fault,
            ),
        )
        .join(
            written,
            and_(
                written.c.scope_id == hits.c.scope_id,
                written.c.name == hits.c.name,
                written.c.fault == hits.c.fault,
            ),
        )
        .where(true())
    )


_FINDINGS = _findings()
_FOUND = _FINDINGS.subquery("found")
_KEPT = (
    select(finding.c.component_id, finding.c.advisory_id)
    .where(finding.c.component_id.in_(bindparam("ids", expanding=True)))
    .except_(select(_FOUND.c[0], _FOUND.c[1]))
)
_DELETE = delete(finding).where(tuple_(finding.c.component_id, finding.c.advisory_id).in_(_KEPT))
