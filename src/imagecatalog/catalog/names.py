"""What the names that builders tell meant: as syncs saw their tags, and as registered builds say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from imagecatalog.catalog.tellings import Telling, read_name
from imagecatalog.domain.refs import DEFAULT_REGISTRY, Digest
from imagecatalog.store import names
from imagecatalog.store.builds import ParentRow
from imagecatalog.store.engine import Connection
from imagecatalog.store.names import NamedParent, Sighting

_SCRATCH = f"{DEFAULT_REGISTRY}/library/scratch:latest"
"""What a Dockerfile writes for no image at all."""


def find_subjects(
    c: Connection, tellings: Sequence[Telling], now: datetime
) -> dict[bytes, Digest | None]:
    """By the key of each build the image it made; None where its name alone is told and not met."""
    found = {one.key: one.digest for one in tellings}
    named = [one for one in tellings if one.digest is None]
    if named:
        after = min(one.build.started or one.moment(now) for one in named)
        wanted = {one.name for one in named if one.name is not None}
        sightings = names.list_periods(c, wanted, after=after)
        for one in named:
            seen = sightings.get(one.name or "", ())
            found[one.key] = choose_subject(seen, one.build.started, one.moment(now))
    return found


def choose_subject(
    sightings: Sequence[Sighting], started: datetime | None, at: datetime
) -> Digest | None:
    """What a build made: the first that its name meant since it began; what was there is not it.

    Without a beginning, what the name meant at the moment told, else first after it.
    """
    if started is None:
        meaning = names.choose_meaning(sightings, at)
        return None if meaning is None else meaning.digest
    since = [one for one in sightings if one.since >= started.replace(microsecond=0)]
    return min(since, key=lambda one: one.since).digest if since else None


def resolve_parents(
    c: Connection,
    tellings: Sequence[Telling],
    subjects: Mapping[bytes, Digest | None],
    now: datetime,
) -> dict[bytes, list[ParentRow]]:
    """By the key of each build its parents, names resolved as far as they are known."""
    told = {one.key: _read_parents(one) for one in tellings}
    waiting = {row.image for rows in told.values() for row in rows if row.digest is None}
    if not waiting:
        return told
    after = min(one.moment(now) for one in tellings)
    sightings = names.list_sightings(c, {one for one in waiting if one}, after=after)
    return {
        one.key: [
            row
            if row.digest is not None
            else _resolve(row, sightings.get(row.image or "", ()), one, subjects[one.key], now)
            for row in told[one.key]
        ]
        for one in tellings
    }


def _read_parents(telling: Telling) -> list[ParentRow]:
    rows = []
    for parent in telling.build.parents:
        name, digest = read_name(parent.image)
        digest = parent.digest or digest
        if digest is not None:
            rows.append(ParentRow(parent.role, digest, name, "given"))
        elif name is not None and name != _SCRATCH:
            rows.append(ParentRow(parent.role, None, name, None))
    return rows


def _resolve(
    row: ParentRow,
    sightings: Sequence[Sighting],
    telling: Telling,
    subject: Digest | None,
    now: datetime,
) -> ParentRow:
    meaning = names.choose_meaning(
        sightings, telling.moment(now), platform=telling.platform, but=subject
    )
    if meaning is None:
        return row
    return ParentRow(row.role, meaning.digest, row.image, meaning.resolved)


def tell_children(c: Connection, told: Mapping[str, datetime]) -> None:
    """Settle what these names meant, since the moment of each, to builds that name them as parents."""
    if not told:
        return
    recent = names.list_recent_parents(c, told.keys())
    settle_parents(c, [one for one in recent if one.digest is None or one.at >= told[one.image]])
    if len(recent) == names.RECENT:
        for waiting in names.list_waiting_parents(c, told.keys()):
            settle_parents(c, waiting)


def settle_parents(c: Connection, parents: Sequence[NamedParent]) -> None:
    """Write what the names of these parents meant, as far as that is known now."""
    if not parents:
        return
    after = min(one.at for one in parents)
    sightings = names.list_sightings(c, {one.image for one in parents}, after=after)
    settled = {}
    for one in parents:
        meaning = names.choose_meaning(
            sightings.get(one.image, ()), one.at, platform=one.platform, but=one.subject
        )
        if meaning is not None and (meaning.digest, meaning.resolved) != (one.digest, one.resolved):
            settled[one.build_id, one.position] = meaning
    names.settle_parents(c, settled)
