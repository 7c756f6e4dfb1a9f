"""What waits to be judged, and what it comes to for the package sets that run.

``has_waiting(c)``, ``mark_all(c)``; ``keep_standings(c)``, ``drop_standings(c)``,
``list_standings(c, pairs)``. How the components of one set are read is in ``held_findings``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

from msgspec import Struct, structs
from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    case,
    delete,
    func,
    literal,
    or_,
    select,
    true,
    tuple_,
    update,
)

from imagecatalog.domain.findings import SEVERITIES, Severity
from imagecatalog.domain.scopes import LANGUAGES, NOWHERE
from imagecatalog.store.dialect import batches, insert, lock_table, upsert
from imagecatalog.store.kinds import count_kinds
from imagecatalog.store.schema import (
    advisory,
    component,
    component_package,
    distro,
    exploited,
    finding,
    manifest,
    package_chunk_member,
    package_set_chunk,
    run,
    run_image,
    scope,
    standing,
    standing_component,
    unjudged,
)
from imagecatalog.store.scopes import put_scopes

Pair = tuple[int, int]
"""The id of a scope and that of a package set."""

_NEGLIGIBLE = SEVERITIES.index("negligible")
_FEW = 100
"""Components of which each is followed to the sets that hold it."""
_SETS = 200
"""In one statement."""


class Standing(Struct, frozen=True):
    """The faults of a package set in a scope, each once whatever its names and packages.

    ``fixable`` are those that a fix is out for, save the negligible ones, which are among the
    ``unfixed``.
    """

    fixable: int
    unfixed: int
    undetermined: int
    severity: Severity | None
    """The worst of the fixable ones."""
    exploited: int
    kinds: tuple[tuple[str, int], ...] = ()
    """How many packages of each type the set has, by type."""


_NOTHING = Standing(0, 0, 0, None, 0)


def mark_all(c: Connection) -> None:
    """Have every component judged anew, and what counts for it be found out anew."""
    names = select(component.c.scope_id, component.c.name).where(true()).distinct()
    again = insert(c, unjudged).from_select(["scope_id", "name"], names)
    c.execute(again.on_conflict_do_nothing())
    c.execute(update(component).where(component.c.pending.is_(False)).values(pending=True))


def lock(c: Connection) -> None:
    """Have what the feeds say, and what was judged of it, not change until the transaction ends."""
    lock_table(c, unjudged)


def has_waiting(c: Connection) -> bool:
    """Whether any component is new, or any feed told something that nobody judged yet."""
    pending = select(component.c.id).where(component.c.pending.is_(True)).limit(1)
    told = select(unjudged.c.scope_id).limit(1)
    return c.scalar(pending) is not None or c.scalar(told) is not None


def count_waiting(c: Connection) -> int:
    """How many components were never judged."""
    query = select(func.count()).select_from(component).where(component.c.pending.is_(True))
    return int(c.execute(query).scalar_one())


def list_new(c: Connection, *, limit: int) -> list[int]:
    """Some components that were never judged, those of one name together."""
    waiting = (
        select(component.c.id)
        .where(component.c.pending.is_(True))
        .order_by(component.c.scope_id, component.c.name)
        .limit(limit)
    )
    return sorted(c.scalars(waiting))


def list_judged(c: Connection, names: Iterable[tuple[int, str]]) -> list[int]:
    """The components of these names in their scopes that were judged before."""
    found: list[int] = []
    for batch in batches(names, 200):
        key = tuple_(component.c.scope_id, component.c.name)
        query = select(component.c.id).where(key.in_(batch), component.c.pending.is_(False))
        found += c.scalars(query)
    return found


def note_judged(c: Connection, components: Sequence[int]) -> None:
    """Take these for judged."""
    for batch in batches(components):
        c.execute(update(component).where(component.c.id.in_(batch)).values(pending=False))


def note_changed(c: Connection, components: Sequence[int]) -> None:
    """Have the sets that run and hold these components be added up anew."""
    if len(components) > _FEW:
        _drop_holders(c, components)
        return
    members = standing_component.c.component_id.in_(components)
    _mark_stale(c, members)
    c.execute(
        delete(standing_component).where(
            members,
            standing_component.c.component_id.not_in(
                select(finding.c.component_id).where(finding.c.component_id.in_(components))
            ),
        )
    )
    held = (
        select(component.c.id, standing.c.scope_id, standing.c.set_id)
        .select_from(component)
        .join(component_package, component_package.c.component_id == component.c.id)
        .join(
            package_chunk_member,
            package_chunk_member.c.package_version_id == component_package.c.package_version_id,
        )
        .join(package_set_chunk, package_set_chunk.c.chunk_id == package_chunk_member.c.chunk_id)
        .join(standing, standing.c.set_id == package_set_chunk.c.set_id)
        .where(
            component.c.id.in_(components),
            or_(
                component.c.scope_id == standing.c.scope_id,
                component.c.scope_id.in_(_list_languages()),
            ),
            _has_finding(),
        )
        .distinct()
    )
    names = [column.name for column in standing_component.c]
    statement = insert(c, standing_component).from_select(names, held)
    c.execute(statement.on_conflict_do_nothing())
    _mark_stale(c, members)


def _mark_stale(c: Connection, members: ColumnElement[bool]) -> None:
    pairs = select(standing_component.c.scope_id, standing_component.c.set_id).where(members)
    key = tuple_(standing.c.scope_id, standing.c.set_id)
    c.execute(update(standing).where(key.in_(pairs)).values(stale=True))


def _has_finding() -> ColumnElement[bool]:
    return select(finding.c.component_id).where(finding.c.component_id == component.c.id).exists()


def _list_languages() -> Select[Any]:
    return select(scope.c.id).where(scope.c.name.in_(LANGUAGES))


def _drop_holders(c: Connection, components: Sequence[int]) -> None:
    """Forget the sets that hold these: where much changes, they are as soon looked at anew."""
    for batch in batches(components):
        chunks = (
            select(package_chunk_member.c.chunk_id)
            .join(
                component_package,
                component_package.c.package_version_id == package_chunk_member.c.package_version_id,
            )
            .where(component_package.c.component_id.in_(batch))
        )
        stale = (
            select(standing.c.set_id)
            .join(package_set_chunk, package_set_chunk.c.set_id == standing.c.set_id)
            .where(package_set_chunk.c.chunk_id.in_(chunks))
        )
        c.execute(delete(standing).where(standing.c.set_id.in_(stale)))


def drop_standings(c: Connection) -> None:
    """Have all sums be added up anew, as what is known to be exploited changed."""
    c.execute(update(standing).values(stale=True))


def keep_standings(c: Connection) -> None:
    """Keep what each set that runs comes to, and drop what runs no more."""
    # Two at once would both write what began to run.
    lock(c)
    running = _list_running(c)
    kept = set(c.execute(select(standing.c.scope_id, standing.c.set_id)).all())
    for batch in batches(sorted(kept - running)):
        key = tuple_(standing.c.scope_id, standing.c.set_id)
        c.execute(delete(standing).where(key.in_(batch)))
    fresh = sorted(running - kept)
    kinds = count_kinds(c, {set_id for _, set_id in fresh})
    begun = [structs.replace(_NOTHING, kinds=kinds.get(set_id, ())) for _, set_id in fresh]
    rows = [_row(pair, one, stale=True) for pair, one in zip(fresh, begun, strict=True)]
    upsert(c, standing, rows)
    _keep_components(c, fresh)
    stale = select(standing.c.scope_id, standing.c.set_id).where(standing.c.stale)
    pairs = sorted((scope_id, set_id) for scope_id, set_id in c.execute(stale))
    sums = _add_up(c, pairs, _standing_components)
    rows = [_row(pair, sums[pair], stale=False) for pair in pairs]
    upsert(c, standing, rows, keep=("kinds",))


def _row(pair: Pair, found: Standing, *, stale: bool) -> dict[str, Any]:
    return {
        "scope_id": pair[0],
        "set_id": pair[1],
        "fixable": found.fixable,
        "unfixed": found.unfixed,
        "undetermined": found.undetermined,
        "severity": SEVERITIES.index(found.severity),
        "exploited": found.exploited,
        "kinds": " ".join(f"{kind} {many}" for kind, many in found.kinds),
        "stale": stale,
    }


def _keep_components(c: Connection, pairs: Iterable[Pair]) -> None:
    """Keep which components with findings these sets hold, so that a fault's place is at hand."""
    names = [column.name for column in standing_component.c]
    for scope_id, sets in _by_scope(pairs).items():
        for batch in batches(sets, _SETS):
            held = _held_components(scope_id, batch).subquery()
            some = (
                select(held.c.component_id, literal(scope_id), held.c.set_id)
                .join(component, component.c.id == held.c.component_id)
                .where(_has_finding())
                .distinct()
            )
            c.execute(insert(c, standing_component).from_select(names, some))


def _by_scope(pairs: Iterable[Pair]) -> dict[int, list[int]]:
    by_scope: dict[int, list[int]] = {}
    for scope_id, set_id in sorted(pairs):
        by_scope.setdefault(scope_id, []).append(set_id)
    return by_scope


def _held_components(scope_id: int, sets: Sequence[int]) -> Select[Any]:
    """The components of these sets, read from their packages."""
    return (
        select(package_set_chunk.c.set_id, component.c.id.label("component_id"))
        .join(package_chunk_member, package_chunk_member.c.chunk_id == package_set_chunk.c.chunk_id)
        .join(
            component_package,
            component_package.c.package_version_id == package_chunk_member.c.package_version_id,
        )
        .join(component, component.c.id == component_package.c.component_id)
        .where(
            package_set_chunk.c.set_id.in_(sets),
            or_(
                component.c.scope_id == scope_id,
                component.c.scope_id.in_(_list_languages()),
            ),
        )
    )


def _standing_components(scope_id: int, sets: Sequence[int]) -> Select[Any]:
    """The components with findings of these sets, as kept."""
    return select(standing_component.c.set_id, standing_component.c.component_id).where(
        standing_component.c.scope_id == scope_id, standing_component.c.set_id.in_(sets)
    )


def list_standings(c: Connection, pairs: Iterable[Pair]) -> dict[Pair, Standing]:
    """What each set comes to in its scope: as kept, else added up now."""
    wanted = set(pairs)
    found: dict[Pair, Standing] = {}
    for batch in batches(sorted({set_id for _, set_id in wanted})):
        for row in c.execute(
            select(standing).where(standing.c.set_id.in_(batch), standing.c.stale.is_(False))
        ):
            found[row.scope_id, row.set_id] = Standing(
                row.fixable,
                row.unfixed,
                row.undetermined,
                SEVERITIES[row.severity],
                row.exploited,
                _read_kinds(row.kinds),
            )
    found = {pair: one for pair, one in found.items() if pair in wanted}
    rest = _add_up(c, wanted - found.keys(), _held_components)
    kinds = count_kinds(c, {set_id for _, set_id in rest})
    for pair, one in rest.items():
        found[pair] = structs.replace(one, kinds=kinds.get(pair[1], ()))
    return found


@lru_cache(1000)
def _read_kinds(text: str) -> tuple[tuple[str, int], ...]:
    words = text.split()
    return tuple(zip(words[::2], map(int, words[1::2]), strict=True))


def _list_running(c: Connection) -> set[Pair]:
    """The scope and set of every image that runs."""
    (nowhere,) = put_scopes(c, [NOWHERE]).values()
    query = (
        select(func.coalesce(distro.c.scope_id, nowhere), manifest.c.set_id)
        .outerjoin(distro, distro.c.id == manifest.c.distro_id)
        .where(
            manifest.c.set_id.is_not(None),
            manifest.c.id.in_(
                select(run_image.c.manifest_id)
                .join(run, run.c.run_image_id == run_image.c.id)
                .where(run.c.until.is_(None), run_image.c.manifest_id.is_not(None))
            ),
        )
        .distinct()
    )
    return {(scope_id, set_id) for scope_id, set_id in c.execute(query)}


def _add_up(
    c: Connection, pairs: Iterable[Pair], read: Callable[[int, Sequence[int]], Select[Any]]
) -> dict[Pair, Standing]:
    found = dict.fromkeys(pairs, _NOTHING)
    for scope_id, sets in _by_scope(found).items():
        for batch in batches(sets, _SETS):
            for row in c.execute(_sums(read(scope_id, batch))):
                set_id, fixable, unfixed, undetermined, severity, known = row
                found[scope_id, set_id] = Standing(
                    fixable, unfixed, undetermined, SEVERITIES[severity], known
                )
    return found


def _sums(components: Select[Any]) -> Select[Any]:
    held = components.subquery()
    is_fixable = and_(finding.c.state == "fix-out", finding.c.severity != _NEGLIGIBLE)
    kind = case((is_fixable, 0), (finding.c.state == "undetermined", 2), else_=1)
    fault = (
        select(
            held.c.set_id,
            finding.c.advisory_id,
            func.min(kind).label("kind"),
            func.max(case((is_fixable, finding.c.severity), else_=0)).label("severity"),
        )
        .join(finding, finding.c.component_id == held.c.component_id)
        .where(finding.c.counted.is_(True))
        .group_by(held.c.set_id, finding.c.advisory_id)
        .subquery()
    )
    known = exploited.join(advisory, advisory.c.id == exploited.c.advisory_id)
    bad = (
        select(func.coalesce(advisory.c.fault_id, advisory.c.id).label("fault"))
        .select_from(known)
        .distinct()
        .subquery()
    )
    return (
        select(
            fault.c.set_id,
            func.sum(case((fault.c.kind == 0, 1), else_=0)),
            func.sum(case((fault.c.kind == 1, 1), else_=0)),
            func.sum(case((fault.c.kind == 2, 1), else_=0)),
            func.max(fault.c.severity),
            func.count(bad.c.fault),
        )
        .outerjoin(bad, bad.c.fault == fault.c.advisory_id)
        .group_by(fault.c.set_id)
    )
