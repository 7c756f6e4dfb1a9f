"""What waits to be judged, and what it comes to for the package sets that run.

``has_waiting(c)``, ``mark_all(c)``; ``keep_standings(c)``, ``drop_standings(c)``,
``list_standings(c, pairs)``. How the components of one set are read is in ``held_findings``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import (
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


def drop_stale(c: Connection, components: Sequence[int]) -> None:
    """Forget what the sets that hold these components come to."""
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
    """Forget all sums, as what is known to be exploited changed."""
    c.execute(delete(standing))


def keep_standings(c: Connection) -> None:
    """Keep what each set that runs comes to where that is not known, and drop what runs no more."""
    running = _list_running(c)
    kept = set(c.execute(select(standing.c.scope_id, standing.c.set_id)).all())
    for batch in batches(sorted(kept - running)):
        key = tuple_(standing.c.scope_id, standing.c.set_id)
        c.execute(delete(standing).where(key.in_(batch)))
    fresh = running - kept
    rows = [
        {
            "scope_id": pair[0],
            "set_id": pair[1],
            "fixable": found.fixable,
            "unfixed": found.unfixed,
            "undetermined": found.undetermined,
            "severity": SEVERITIES.index(found.severity),
            "exploited": found.exploited,
        }
        for pair, found in sorted(_add_up(c, fresh).items())
    ]
    upsert(c, standing, rows)
    _keep_components(c, fresh)


def _keep_components(c: Connection, pairs: Collection[Pair]) -> None:
    """Keep which components with findings these sets hold, so that a fault's place is at hand."""
    by_scope: dict[int, list[int]] = {}
    for scope_id, set_id in sorted(pairs):
        by_scope.setdefault(scope_id, []).append(set_id)
    languages = sorted(put_scopes(c, LANGUAGES).values()) if pairs else []
    names = [column.name for column in standing_component.c]
    for scope_id, sets in by_scope.items():
        for batch in batches(sets, 200):
            held = (
                select(component.c.id, literal(scope_id), package_set_chunk.c.set_id)
                .select_from(package_set_chunk)
                .join(
                    package_chunk_member,
                    package_chunk_member.c.chunk_id == package_set_chunk.c.chunk_id,
                )
                .join(
                    component_package,
                    component_package.c.package_version_id
                    == package_chunk_member.c.package_version_id,
                )
                .join(component, component.c.id == component_package.c.component_id)
                .where(
                    package_set_chunk.c.set_id.in_(batch),
                    component.c.scope_id.in_([scope_id, *languages]),
                    component.c.id.in_(select(finding.c.component_id)),
                )
                .distinct()
            )
            c.execute(insert(c, standing_component).from_select(names, held))


def list_standings(c: Connection, pairs: Iterable[Pair]) -> dict[Pair, Standing]:
    """What each set comes to in its scope: as kept, else added up now."""
    wanted = set(pairs)
    found: dict[Pair, Standing] = {}
    for batch in batches(sorted({set_id for _, set_id in wanted})):
        for row in c.execute(select(standing).where(standing.c.set_id.in_(batch))):
            found[row.scope_id, row.set_id] = Standing(
                row.fixable,
                row.unfixed,
                row.undetermined,
                SEVERITIES[row.severity],
                row.exploited,
            )
    found = {pair: one for pair, one in found.items() if pair in wanted}
    return found | _add_up(c, wanted - found.keys())


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


def _add_up(c: Connection, pairs: Collection[Pair]) -> dict[Pair, Standing]:
    by_scope: dict[int, list[int]] = {}
    for scope_id, set_id in sorted(pairs):
        by_scope.setdefault(scope_id, []).append(set_id)
    nothing = Standing(0, 0, 0, None, 0)
    found = dict.fromkeys(pairs, nothing)
    for scope_id, sets in by_scope.items():
        for batch in batches(sets, 200):
            for row in c.execute(_sums(scope_id, batch)):
                set_id, fixable, unfixed, undetermined, severity, known = row
                found[scope_id, set_id] = Standing(
                    fixable, unfixed, undetermined, SEVERITIES[severity], known
                )
    return found


def _sums(scope_id: int, sets: Sequence[int]) -> Select[Any]:
    languages = select(scope.c.id).where(scope.c.name.in_(LANGUAGES))
    is_fixable = and_(finding.c.state == "fix-out", finding.c.severity != _NEGLIGIBLE)
    kind = case((is_fixable, 0), (finding.c.state == "undetermined", 2), else_=1)
    fault = (
        select(
            package_set_chunk.c.set_id,
            finding.c.advisory_id,
            func.min(kind).label("kind"),
            func.max(case((is_fixable, finding.c.severity), else_=0)).label("severity"),
        )
        .join(package_chunk_member, package_chunk_member.c.chunk_id == package_set_chunk.c.chunk_id)
        .join(
            component_package,
            component_package.c.package_version_id == package_chunk_member.c.package_version_id,
        )
        .join(component, component.c.id == component_package.c.component_id)
        .join(finding, finding.c.component_id == component.c.id)
        .where(
            package_set_chunk.c.set_id.in_(sets),
            or_(component.c.scope_id == scope_id, component.c.scope_id.in_(languages)),
            finding.c.counted.is_(True),
        )
        .group_by(package_set_chunk.c.set_id, finding.c.advisory_id)
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
