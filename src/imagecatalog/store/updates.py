"""What apt would upgrade: for each set-up and package version, and summed up for sets that run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Select,
    and_,
    bindparam,
    column,
    or_,
    select,
    tuple_,
    update,
    values,
)

from imagecatalog.domain.answers import Update
from imagecatalog.domain.findings import SEVERITIES, Severity
from imagecatalog.domain.packages import Package
from imagecatalog.store.affected import Rated, Span, list_fixed, rate_faults, scope_of_origin
from imagecatalog.store.dialect import batches, insert_returning, upsert
from imagecatalog.store.packages import list_chunks, list_held
from imagecatalog.store.schema import (
    apt_setup,
    manifest,
    package_chunk_member,
    package_set_chunk,
    package_update,
    package_version,
    run,
    run_image,
    setup_chunk,
    verdict,
)
from imagecatalog.store.shelf import Shelf

_DECODER = msgspec.msgpack.Decoder(list[int])


Pair = tuple[int, int]
"""A set-up's and a package set's id."""

_MEMBERS = (
    select(package_chunk_member.c.package_version_id)
    .where(package_chunk_member.c.chunk_id.in_(bindparam("chunks", expanding=True)))
    .distinct()
)
_PENDING = update(apt_setup).where(apt_setup.c.id == bindparam("setup")).values(pending=True)


class Judged(Struct, frozen=True):
    """A package version under a set-up, with what was found of it."""

    number: int
    package: Package
    judged: bool
    candidate: str | None
    security: bool
    origin: str | None
    source_version: str | None
    """The candidate's."""
    since: datetime | None
    """When the candidate, or that it is one for security, was first seen; None without one."""


class Sum(Struct, frozen=True):
    """The updates of a package set under a set-up."""

    security: int
    members: tuple[int, ...]
    """Ids of the package versions that have an update."""
    security_since: datetime | None
    """Since when a security update waits, and any."""
    since: datetime | None


class Counts(Struct, frozen=True):
    """How many packages of a set have an update, and a security update among them; since when."""

    security: int
    updates: int
    security_since: datetime | None
    since: datetime | None


class SetupState(Struct, frozen=True):
    """What stands beside every verdict under a set-up."""

    problem: str | None
    checked: datetime | None
    pending: bool


def enrol(c: Connection, shelf: Shelf, pairs: Iterable[Pair]) -> None:
    """Have every package of these sets judged under their set-up; what is there already stays."""
    new: dict[int, set[int]] = {}
    for setup_id, set_id in set(pairs):
        for chunk in list_chunks(c, shelf, set_id):
            if (setup_id, chunk) not in shelf.enrolled:
                shelf.enrolled.add((setup_id, chunk))
                new.setdefault(setup_id, set()).add(chunk)
    # In the order of their keys, so that two processes do not wait for each other.
    for setup_id, chunks in sorted(new.items()):
        rows = [{"setup_id": setup_id, "chunk_id": chunk} for chunk in sorted(chunks)]
        written = insert_returning(c, setup_chunk, rows, setup_chunk.c.chunk_id)
        _enrol_members(c, shelf, setup_id, [row.chunk_id for row in written])


def _enrol_members(c: Connection, shelf: Shelf, setup_id: int, chunks: Sequence[int]) -> None:
    members = {number for chunk in chunks for number in shelf.members.get(chunk, ())}
    for batch in batches([chunk for chunk in chunks if chunk not in shelf.members]):
        members.update(c.scalars(_MEMBERS, {"chunks": batch}))
    new = {(setup_id, number) for number in members} - shelf.enrolled_versions
    shelf.enrolled_versions |= new
    rows = [
        {"setup_id": setup_id, "package_version_id": number, "judged": False, "security": False}
        for _, number in sorted(new)
    ]
    if insert_returning(c, package_update, rows, package_update.c.package_version_id):
        c.execute(_PENDING, {"setup": setup_id})


def enrol_configured(c: Connection, shelf: Shelf) -> None:
    """Enrol the images without apt sources of their own under the set-up that they now have."""
    pairs = c.execute(
        select(manifest.c.setup_id, manifest.c.set_id)
        .where(manifest.c.setup_id.is_not(None), manifest.c.set_id.is_not(None))
        .where(manifest.c.own_setup_id.is_(None))
        .distinct()
    ).all()
    enrol(c, shelf, ((pair.setup_id, pair.set_id) for pair in pairs))


def list_judged(c: Connection, setup_id: int) -> list[Judged]:
    """Every package version under a set-up."""
    columns = [package_version.c[name] for name in Package.__struct_fields__]
    query = (
        select(
            package_version.c.id,
            package_update.c.judged,
            package_update.c.candidate,
            package_update.c.security,
            package_update.c.origin,
            package_update.c.source_version,
            package_update.c.since,
            *columns,
        )
        .join(package_update, package_update.c.package_version_id == package_version.c.id)
        .where(package_update.c.setup_id == setup_id)
    )
    return [
        Judged(number, Package(*package), judged, candidate, security, origin, version, since)
        for number, judged, candidate, security, origin, version, since, *package in c.execute(
            query
        )
    ]


def save_judged(c: Connection, setup_id: int, rows: Iterable[Judged]) -> None:
    """Write what was found; only rows that changed should come."""
    for batch in batches(rows):
        upsert(
            c,
            package_update,
            [
                {
                    "setup_id": setup_id,
                    "package_version_id": row.number,
                    "judged": True,
                    "candidate": row.candidate,
                    "security": row.security,
                    "origin": row.origin,
                    "source_version": row.source_version,
                    "since": row.since,
                }
                for row in batch
            ],
        )


def list_reached(c: Connection, setup_id: int, numbers: Collection[int]) -> dict[int, str]:
    """The source version that apt would bring each of these package versions to; without others."""
    found: dict[int, str] = {}
    for batch in batches(sorted(numbers)):
        query = select(package_update.c.package_version_id, package_update.c.source_version).where(
            package_update.c.setup_id == setup_id,
            package_update.c.package_version_id.in_(batch),
            package_update.c.source_version.is_not(None),
        )
        found |= dict(c.execute(query).all())
    return found


def list_states(c: Connection, setups: Collection[int]) -> dict[int, SetupState]:
    """What stands beside the verdicts under these set-ups."""
    states: dict[int, SetupState] = {}
    for batch in batches(set(setups)):
        query = select(
            apt_setup.c.id, apt_setup.c.problem, apt_setup.c.checked, apt_setup.c.pending
        ).where(apt_setup.c.id.in_(batch))
        states.update((number, SetupState(*values)) for number, *values in c.execute(query))
    return states


def list_running_pairs(c: Connection) -> list[Pair]:
    """The (set-up, set) of every image that runs, once each."""
    return list(
        c.execute(
            select(manifest.c.setup_id, manifest.c.set_id)
            .where(
                manifest.c.setup_id.is_not(None),
                manifest.c.set_id.is_not(None),
                manifest.c.id.in_(
                    select(run_image.c.manifest_id)
                    .join(run, run.c.run_image_id == run_image.c.id)
                    .where(run.c.until.is_(None), run_image.c.manifest_id.is_not(None))
                ),
            )
            .distinct()
        ).all()
    )


def count_updates(c: Connection, pairs: Iterable[Pair]) -> dict[Pair, Counts]:
    """How many updates each set has, added up now."""
    return {
        pair: Counts(found.security, len(found.members), found.security_since, found.since)
        for pair, found in _add_up(c, pairs).items()
    }


def sum_up(
    c: Connection, pairs: Iterable[Pair], known: Mapping[Pair, Sum] | None = None
) -> dict[Pair, Sum]:
    """The packages of each set that have an update: as kept where that is fresh, else found now.

    ``known`` are sums that were read already.
    """
    wanted = set(pairs)
    sums = {pair: known[pair] for pair in wanted & known.keys()} if known else {}
    sums |= _find_sums(c, wanted - sums.keys())
    return sums | _add_up(c, wanted - sums.keys())


def keep_sums(c: Connection) -> None:
    """Keep the sum of every set that runs, and drop those of sets that no longer do."""
    pairs = set(list_running_pairs(c))
    fresh = set(c.execute(_fresh()).all())
    sums = _add_up(c, pairs - fresh)
    generations = dict(c.execute(select(apt_setup.c.id, apt_setup.c.generation)).all())
    upsert(
        c,
        verdict,
        [
            {
                "setup_id": setup_id,
                "set_id": set_id,
                "generation": generations[setup_id],
                "security": found.security,
                "updates": len(found.members),
                "members": msgspec.msgpack.encode(found.members),
                "security_since": found.security_since,
                "since": found.since,
            }
            for (setup_id, set_id), found in sums.items()
        ],
    )
    kept = set(c.execute(select(verdict.c.setup_id, verdict.c.set_id)).all())
    for batch in batches(kept - pairs):
        c.execute(verdict.delete().where(tuple_(verdict.c.setup_id, verdict.c.set_id).in_(batch)))


def _fresh(*columns: ColumnElement[Any]) -> Select[Any]:
    """Verdicts that no later judgement of their set-up made stale."""
    return select(verdict.c.setup_id, verdict.c.set_id, *columns).join(
        apt_setup,
        and_(
            apt_setup.c.id == verdict.c.setup_id,
            apt_setup.c.generation == verdict.c.generation,
        ),
    )


def _find_sums(c: Connection, pairs: Collection[Pair]) -> dict[Pair, Sum]:
    sums = {}
    for batch in batches(pairs):
        columns = (verdict.c.security, verdict.c.members, verdict.c.security_since, verdict.c.since)
        query = _fresh(*columns).where(verdict.c.set_id.in_([set_id for _, set_id in batch]))
        for setup_id, set_id, security, members, *moments in c.execute(query):
            if (setup_id, set_id) in pairs:
                sums[setup_id, set_id] = Sum(security, tuple(_DECODER.decode(members)), *moments)
    return sums


def _add_up(c: Connection, pairs: Iterable[Pair]) -> dict[Pair, Sum]:
    found: dict[Pair, list[tuple[int, bool, datetime | None]]] = {pair: [] for pair in pairs}
    for batch in batches(found):
        columns = column("setup_id", Integer), column("set_id", Integer)
        wanted = values(*columns, name="wanted").data(batch).cte("wanted")
        query = (
            select(
                wanted,
                package_update.c.package_version_id,
                package_update.c.security,
                package_update.c.since,
            )
            .select_from(wanted)
            .join(package_set_chunk, package_set_chunk.c.set_id == wanted.c.set_id)
            .join(
                package_chunk_member,
                package_chunk_member.c.chunk_id == package_set_chunk.c.chunk_id,
            )
            .join(
                package_update,
                and_(
                    package_update.c.package_version_id
                    == package_chunk_member.c.package_version_id,
                    # From the sets to their updates: SQLite would go through all of the set-up's.
                    package_update.c.setup_id
                    == wanted.c.setup_id + 0 * package_chunk_member.c.chunk_id,
                ),
            )
            .where(package_update.c.candidate.is_not(None))
        )
        for setup_id, set_id, number, is_security, since in c.execute(query):
            found[setup_id, set_id].append((number, is_security, since))
    return {
        pair: Sum(
            security=sum(is_security for _, is_security, _ in many),
            members=tuple(number for number, _, _ in many),
            security_since=min((at for _, is_sec, at in many if is_sec and at), default=None),
            since=min((at for *_, at in many if at), default=None),
        )
        for pair, many in found.items()
    }


def list_updates(
    c: Connection, pairs: Iterable[Pair], known: Mapping[Pair, Sum] | None = None
) -> dict[Pair, tuple[Update, ...]]:
    """The updates of each set in full: security first, then by package and architecture.

    ``known`` are sums that were read already.
    """
    sums = sum_up(c, pairs, known)
    by_setup: dict[int, set[int]] = {}
    for (setup_id, _), found in sums.items():
        by_setup.setdefault(setup_id, set()).update(found.members)
    rows = [
        (row.setup_id, row)
        for among in list_conditions(by_setup)
        for row in _read_updates(c, among)
    ]
    # Sorted once for all sets: dictionaries keep the order, and sets share most updates.
    rows.sort(key=lambda pair: (not pair[1].security, pair[1].name, pair[1].arch))
    items = _describe(c, rows)
    held = list_held(c, {set_id for _, set_id in sums})
    answers = {}
    for (setup_id, set_id), found in sums.items():
        members, holds = set(found.members), held.get(set_id)
        listed = (item for number, item in items.get(setup_id, {}).items() if number in members)
        answers[setup_id, set_id] = (
            tuple(_hold(item, holds) for item in listed) if holds else tuple(listed)
        )
    return answers


def _hold(item: Update, held: Collection[str]) -> Update:
    if f"{item.package}:{item.arch}" in held:
        return msgspec.structs.replace(item, held=True)
    return item


def list_conditions(members: Mapping[int, Collection[int]]) -> Iterator[ColumnElement[bool]]:
    """What the updates of these package versions under these set-ups meet, some at a time."""
    flat = ((setup_id, number) for setup_id, many in members.items() for number in many)
    for batch in batches(flat):
        yield or_(
            *(
                and_(
                    package_update.c.setup_id == setup_id,
                    package_update.c.package_version_id.in_([number for _, number in pairs]),
                )
                for setup_id, pairs in groupby(batch, key=lambda pair: pair[0])
            )
        )


def _read_updates(c: Connection, among: ColumnElement[bool]) -> Iterable[Any]:
    return c.execute(
        select(
            package_version,
            package_update.c.setup_id,
            package_update.c.candidate,
            package_update.c.security,
            package_update.c.origin,
            package_update.c.since,
            package_update.c.source_version.label("reaches"),
        )
        .join(package_update, package_update.c.package_version_id == package_version.c.id)
        .where(among)
    )


def _describe(c: Connection, rows: Sequence[tuple[int, Any]]) -> dict[int, dict[int, Update]]:
    """The updates by set-up and package version, in the order of the rows."""
    spans = [
        Span(scope_of_origin(row.origin or ""), row.source, row.source_version, row.reaches or "")
        for _, row in rows
    ]
    fixed = list_fixed(c, spans)
    rated = rate_faults(c, {name for names in fixed.values() for name in names})
    items: dict[int, dict[int, Update]] = {}
    for (setup_id, row), span in zip(rows, spans, strict=True):
        items.setdefault(setup_id, {})[row.id] = Update(
            package=row.name,
            type=row.type,
            arch=row.arch,
            source=row.source,
            installed=row.version,
            candidate=row.candidate,
            security=row.security,
            origin=row.origin or "",
            since=row.since,
            advisories=fixed.get(span, ()),
            severity=_worst(rated[name] for name in fixed.get(span, ())),
            exploited=any(rated[name].is_exploited for name in fixed.get(span, ())),
        )
    return items


def _worst(rated: Iterable[Rated]) -> Severity | None:
    return SEVERITIES[max((one.severity for one in rated), default=0)]
