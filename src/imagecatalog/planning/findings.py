"""What is wrong with an image: each fault once, by whose word, and whether it counts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from imagecatalog.domain.findings import (
    SEVERITIES,
    STATE_ORDER,
    Finding,
    FindingCounts,
    ImageFindings,
    Suppression,
)
from imagecatalog.domain.scopes import LANGUAGES, NOWHERE, type_of
from imagecatalog.matching.suppress import Held, suppressions_of
from imagecatalog.planning.ancestry import package_origins
from imagecatalog.planning.feed_ages import list_old_feeds, list_old_scores
from imagecatalog.store import held_findings, images, lookups, packages, updates, waiting
from imagecatalog.store.engine import Connection
from imagecatalog.store.held_findings import FaultFacts, HeldFinding
from imagecatalog.store.lookups import ImageRow
from imagecatalog.versions import sort_key

_NAMED = 3
"""Packages that a sentence names."""
_RANK = {state: rank for rank, state in enumerate(STATE_ORDER)}


def image_findings(
    c: Connection, reference: str, *, now: datetime, all_states: bool = False
) -> ImageFindings:
    """What is wrong with an image named by a reference or a digest; an index is its usual image.

    Worst first: what counts before what is suppressed, by state, exploited ones, severity. With
    ``all_states`` also what is fixed in it, and what it is not affected by. Raises NotFound and
    BadName.
    """
    number = lookups.resolve(c, reference)
    number = lookups.choose_members(c, [number]).get(number, number)
    row = lookups.list_images(c, [number])[number]
    name = images.best_names(c, [number]).get(number, str(row.digest))
    scope_id, scope = held_findings.find_scope(c, number)
    if row.set_id is None:
        return ImageFindings(
            image=name,
            digest=str(row.digest),
            scope=scope,
            counts=FindingCounts(),
            items=(),
            unknown=(row.unknown_reason or "its packages were not read yet",),
        )
    held = held_findings.list_held(c, row.set_id, scope_id)
    found = _describe(c, row, held, now)
    settled = _list_settled(c, row.set_id, scope_id) if all_states else ()
    return ImageFindings(
        image=name,
        digest=str(row.digest),
        scope=scope,
        counts=count(found),
        items=(*found, *settled),
        unknown=find_doubts(c, row, scope, scope_id, now=now),
        old_scores=list_old_scores(c, now=now),
    )


def _describe(
    c: Connection, row: ImageRow, held: Sequence[HeldFinding], now: datetime
) -> tuple[Finding, ...]:
    facts = held_findings.list_facts(
        c, held_findings.list_names(c, (one.advisory_id for one in held))
    )
    asked = {one: _ask(row.id, one) for one in held}
    why = suppressions_of(c, set(asked.values()), now=now)
    reached = _list_reached(c, row, {n for one in held for n, *_ in one.packages})
    brought = {
        (one.type, one.package, one.installed): one.inherited_from
        for one in package_origins(c, row.id)
    }
    found = (
        _finding(one, facts[one.advisory_id], why.get(asked[one]), reached, brought) for one in held
    )
    return tuple(sorted(found, key=_order))


def _ask(number: int, one: HeldFinding) -> Held:
    return Held(
        image=number,
        advisory=one.advisory_id,
        scope=one.scope,
        name=one.name,
        version=one.version,
        packages=tuple((name, version) for _, name, version in one.packages),
    )


def _list_reached(
    c: Connection, row: ImageRow, numbers: Collection[int]
) -> Mapping[int, str] | None:
    """The source version that apt would bring each of these packages to; None where nobody knows."""
    if row.setup_id is None:
        return None
    if updates.list_states(c, [row.setup_id])[row.setup_id].checked is None:
        return None
    return updates.list_reached(c, row.setup_id, numbers)


def _finding(
    one: HeldFinding,
    facts: FaultFacts,
    why: Suppression | None,
    reached: Mapping[int, str] | None,
    brought: Mapping[tuple[str, str, str], str | None],
) -> Finding:
    kind = type_of(one.scope)
    candidate = _find_candidate(one, kind, reached or {})
    is_told = reached is not None and kind == "deb" and one.state == "fix-out"
    bases = {brought.get((kind, name, version)) for _, name, version in one.packages}
    return Finding(
        advisory=one.advisory,
        aliases=facts.aliases,
        severity=SEVERITIES[one.severity],
        score=one.score,
        exploited=facts.is_exploited,
        due=facts.due,
        epss=facts.epss,
        type=kind,
        source=one.name,
        installed=one.version,
        packages=tuple(dict.fromkeys(name for _, name, _ in one.packages)),
        state=one.state,
        fixed=one.fixed,
        reason=one.reason,
        urgency=one.urgency,
        feed=one.feed,
        candidate=candidate,
        offered=candidate is not None if is_told else None,
        inherited_from=bases.pop() if len(bases) == 1 else None,
        suppressed=why,
    )


def _find_candidate(one: HeldFinding, kind: str, reached: Mapping[int, str]) -> str | None:
    """What apt would bring all of its packages to, where that has the fix."""
    offered = {reached.get(number) for number, *_ in one.packages}
    if one.fixed is None or None in offered:
        return None
    lowest = min((version for version in offered if version), key=lambda v: sort_key(kind, v))
    return lowest if sort_key(kind, lowest) >= sort_key(kind, one.fixed) else None


def _order(one: Finding) -> tuple[object, ...]:
    return (
        one.suppressed is not None,
        _RANK[one.state],
        not one.exploited,
        -SEVERITIES.index(one.severity),
        -(one.epss or 0),
        one.advisory,
        one.source,
        one.installed,
    )


def count(findings: Iterable[Finding]) -> FindingCounts:
    """How many faults there are, each once whatever packages have it."""
    by_state: dict[str, set[str]] = {state: set() for state in STATE_ORDER}
    suppressed: set[str] = set()
    exploited: set[str] = set()
    worst = 0
    for one in findings:
        if one.suppressed is not None:
            suppressed.add(one.advisory)
            continue
        by_state[one.state].add(one.advisory)
        if one.exploited:
            exploited.add(one.advisory)
        if one.state == "fix-out":
            worst = max(worst, SEVERITIES.index(one.severity))
    unfixed = by_state["no-fix"] | by_state["wont-fix"]
    return FindingCounts(
        fixable=len(by_state["fix-out"]),
        unfixed=len(unfixed - by_state["fix-out"]),
        undetermined=len(by_state["undetermined"]),
        # what is suppressed in one package and counts in another is counted
        suppressed=len(suppressed.difference(*by_state.values())),
        exploited=len(exploited),
        severity=SEVERITIES[worst],
    )


def _list_settled(c: Connection, set_id: int, scope_id: int | None) -> tuple[Finding, ...]:
    return tuple(
        Finding(
            advisory=one.advisory,
            severity=SEVERITIES[one.severity],
            type=type_of(one.scope),
            source=one.name,
            installed=one.version,
            state=one.state,
            fixed=one.fixed,
            feed=one.feed,
        )
        for one in held_findings.list_settled(c, set_id, scope_id)
    )


def find_doubts(
    c: Connection, row: ImageRow, scope: str, scope_id: int | None, *, now: datetime
) -> tuple[str, ...]:
    """What is not known of an image whose packages are, a sentence each."""
    assert row.set_id is not None
    kinds = packages.count_kinds(c, row.set_id)
    places = {kind: kind if kind in LANGUAGES else scope for kind in sorted(kinds)}
    spoken = held_findings.list_spoken(c, set(places.values()) - {NOWHERE})
    doubts = []
    for kind, place in places.items():
        if place not in spoken or type_of(place) != kind:
            many = f"{kinds[kind]:,} {kind} package{'' if kinds[kind] == 1 else 's'}"
            doubts.append(f"{many}: {_unjudged(place, row)}")
    disordered = held_findings.list_disordered(c, row.set_id)
    if disordered:
        doubts.append(_say_disordered(disordered))
    foreign = len(packages.find_third_party(c, row.set_id))
    if foreign:
        doubts.append(
            f"{foreign:,} of its packages are built by others: what {scope or 'its distribution'} says of their"
            " names may not fit them"
        )
    doubts += list_old_feeds(c, sorted(spoken), now=now).values()
    pending = held_findings.count_waiting(c, row.set_id, scope_id)
    if pending:
        doubts.append(f"{pending:,} of its components are not judged yet: imagecatalog refresh")
    elif waiting.list_waiting(c, [row.id]):
        doubts.append("its packages are not judged yet: imagecatalog refresh")
    doubts += [f"{one.path} could not be read: {one.reason}" for one in row.problems]
    if row.unknown_reason:
        doubts.append(row.unknown_reason)
    return tuple(doubts)


def _say_disordered(packages: Sequence[str]) -> str:
    more = f" and {len(packages) - _NAMED} more" if len(packages) > _NAMED else ""
    return (
        f"the version of {', '.join(packages[:_NAMED])}{more} is none that may be: what advisories say"
        " of versions tells nothing of it"
    )


def _unjudged(place: str, row: ImageRow) -> str:
    if place == NOWHERE:
        return f"no feed is known for {row.distro or 'its distribution'}"
    return f"no feed tells of {place} yet"
