"""What names of images meant at some moment, and names that wait to be settled.

A tag means what it pointed to; a registered build tells the same before any sync has looked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Select, bindparam, func, or_, select, tuple_, update

from imagecatalog.domain.builds import Evidence
from imagecatalog.domain.refs import Digest
from imagecatalog.store.dialect import batches
from imagecatalog.store.edges import note_changes
from imagecatalog.store.schema import (
    Moment,
    build,
    build_parent,
    manifest,
    repository,
    tag,
    tag_period,
)

RECENT = 1000
"""Parents told by one name that are looked at again when a build tells what the name meant."""
_BUILDS = 1000
"""Of those that bear one name the last so many are asked what it meant."""

_PERIODS = (
    select(
        repository.c.name.label("path"),
        tag.c.name,
        manifest.c.digest,
        tag_period.c.since,
        tag_period.c.until,
    )
    .join(tag, tag.c.repository_id == repository.c.id)
    .join(tag_period, tag_period.c.tag_id == tag.c.id)
    .join(manifest, manifest.c.id == tag_period.c.manifest_id)
    .where(
        repository.c.name.in_(bindparam("paths", expanding=True)),
        tag.c.name.in_(bindparam("tags", expanding=True)),
        or_(tag_period.c.until.is_(None), tag_period.c.until > bindparam("after")),
    )
    .order_by(tag_period.c.since)
)
_ENDS = (
    select(
        repository.c.name.label("path"),
        tag.c.name,
        func.max(tag_period.c.until, type_=Moment).label("until"),
    )
    .join(tag, tag.c.repository_id == repository.c.id)
    .join(tag_period, tag_period.c.tag_id == tag.c.id)
    .where(
        repository.c.name.in_(bindparam("paths", expanding=True)),
        tag.c.name.in_(bindparam("tags", expanding=True)),
        tag_period.c.until <= bindparam("after"),
    )
    .group_by(repository.c.name, tag.c.name)
)
_GIVEN = (
    select(build.c.image, build.c.subject, build.c.platform, build.c.finished, build.c.received)
    .where(
        build.c.image.in_(bindparam("names", expanding=True)),
        build.c.subject.is_not(None),
        build.c.evidence == "registered",
    )
    .order_by(build.c.id.desc())
    .limit(_BUILDS)
)


class Sighting(Struct):
    """A name meant this from a moment until another, or until now."""

    digest: Digest
    since: datetime
    until: datetime | None
    platform: str | None = None
    """Of the build that told it; None: of whatever platform."""


class Meaning(Struct, frozen=True):
    """What a name meant: ``then``, or since the first sight of it ``later``."""

    digest: Digest
    resolved: str


def list_sightings(
    c: Connection, names: Collection[str], *, after: datetime
) -> dict[str, list[Sighting]]:
    """What each whole name (``registry/path:tag``) meant at any time after a moment."""
    found = list_periods(c, names, after=after)
    given = c.execute(_GIVEN, {"names": sorted(names)}).all()
    ended = _list_ends(c, {row.image for row in given}, after) if given else {}
    for row in given:
        _add_given(found.setdefault(row.image, []), row, ended.get(row.image))
    return found


def list_periods(
    c: Connection, names: Collection[str], *, after: datetime
) -> dict[str, list[Sighting]]:
    """The same by tags alone."""
    found: dict[str, list[Sighting]] = {}
    for row in c.execute(_PERIODS, _values(names, after)):
        name = f"{row.path}:{row.name}"
        if name in names:
            found.setdefault(name, []).append(Sighting(row.digest, row.since, row.until))
    return found


def _list_ends(c: Connection, names: Collection[str], before: datetime) -> dict[str, datetime]:
    """When each tag last ceased to mean what it meant, until that moment."""
    rows = c.execute(_ENDS, _values(names, before))
    return {f"{row.path}:{row.name}": row.until for row in rows}


def _values(names: Collection[str], after: datetime) -> dict[str, Any]:
    split = [name.rpartition(":") for name in names]
    return {
        "paths": sorted({path for path, _, _ in split}),
        "tags": sorted({word for _, _, word in split}),
        "after": after,
    }


def _add_given(known: list[Sighting], row: Any, ended: datetime | None) -> None:
    """A build tells since when a name meant an image; the registry, until when."""
    since = row.finished or row.received
    for sighting in known:
        if sighting.digest == row.subject and (sighting.until is None or sighting.until > since):
            sighting.since = min(sighting.since, since)
            return
    if ended is None or since > ended:
        known.append(Sighting(row.subject, since, None, row.platform))


def choose_meaning(
    sightings: Collection[Sighting],
    at: datetime,
    *,
    platform: str | None = None,
    but: Digest | None = None,
) -> Meaning | None:
    """What was meant at a moment, else what was first seen after it.

    ``but`` is left out: no image is its own parent by a name that it shares with its parent.
    """
    fit = [
        sighting
        for sighting in sightings
        if sighting.digest != but
        and not (platform and sighting.platform and sighting.platform != platform)
    ]
    then = [one for one in fit if one.since <= at and (one.until is None or at < one.until)]
    if then:
        return Meaning(max(then, key=lambda one: one.since).digest, "then")
    later = [one for one in fit if one.since > at]
    if later:
        return Meaning(min(later, key=lambda one: one.since).digest, "later")
    return None


class NamedParent(Struct, frozen=True):
    """A parent told by name, with what its build says of when and where."""

    build_id: int
    position: int
    image: str
    digest: Digest | None
    resolved: str | None
    at: datetime
    platform: str | None
    subject: Digest | None


class WaitingBuild(Struct, frozen=True):
    """A build of which only the image's name is known."""

    id: int
    image: str
    started: datetime | None
    at: datetime
    platform: str | None
    set_id: int | None
    evidence: Evidence
    told_by: str | None
    received: datetime
    body: bytes
    subject: Digest | None = None


_NAMED: Select[Any] = (
    select(
        build_parent.c.build_id,
        build_parent.c.position,
        build_parent.c.image,
        build_parent.c.digest,
        build_parent.c.resolved,
        func.coalesce(build.c.finished, build.c.started, build.c.received, type_=Moment),
        build.c.platform,
        build.c.subject,
    )
    .join(build, build.c.id == build_parent.c.build_id)
    .limit(RECENT)
)
_RECENT = _NAMED.where(
    build_parent.c.image.in_(bindparam("names", expanding=True)),
    or_(build_parent.c.resolved.is_(None), build_parent.c.resolved != "given"),
).order_by(build_parent.c.build_id.desc())
_WAITING = _NAMED.where(
    build_parent.c.digest.is_(None),
    build_parent.c.image.in_(bindparam("names", expanding=True)),
    tuple_(build_parent.c.build_id, build_parent.c.position)
    > tuple_(bindparam("build"), bindparam("position")),
).order_by(build_parent.c.build_id, build_parent.c.position)


def list_recent_parents(c: Connection, names: Collection[str]) -> list[NamedParent]:
    """The last parents told by these names alone, settled or not; the newest build's first."""
    return [NamedParent(*row) for row in c.execute(_RECENT, {"names": sorted(names)})]


def list_waiting_parents(c: Connection, names: Collection[str]) -> Iterator[list[NamedParent]]:
    """The parents that wait for one of these names, some at a time, in the order of their keys."""
    for batch in batches(sorted(names)):
        build_id, position = -1, -1
        while True:
            values = {"names": batch, "build": build_id, "position": position}
            rows = [NamedParent(*row) for row in c.execute(_WAITING, values)]
            if rows:
                yield rows
            if len(rows) < RECENT:
                break
            build_id, position = rows[-1].build_id, rows[-1].position


_SETTLE_PARENT = (
    update(build_parent)
    .where(build_parent.c.build_id == bindparam("b"), build_parent.c.position == bindparam("p"))
    .values(digest=bindparam("d"), resolved=bindparam("r"))
)


def settle_parents(c: Connection, settled: Mapping[tuple[int, int], Meaning]) -> None:
    """Write which image the names of these parents (build, position) meant."""
    rows = [
        {"b": key[0], "p": key[1], "d": meaning.digest, "r": meaning.resolved}
        for key, meaning in sorted(settled.items())
    ]
    if rows:
        c.execute(_SETTLE_PARENT, rows)
        for batch in batches({build_id for build_id, _ in settled}):
            subjects = select(build.c.subject).where(
                build.c.id.in_(batch), build.c.subject.is_not(None)
            )
            note_changes(c, sorted(c.scalars(subjects)), spreads=False)


def is_any_waiting(c: Connection) -> bool:
    """Whether any name of a parent or of an image built waits to be settled."""
    parents = select(build_parent.c.build_id).where(
        build_parent.c.digest.is_(None), build_parent.c.image.is_not(None)
    )
    subjects = select(build.c.id).where(build.c.subject.is_(None))
    return any(c.scalar(query.limit(1)) is not None for query in (parents, subjects))


def list_waiting_builds(c: Connection, names: Collection[str]) -> list[WaitingBuild]:
    """The builds that wait for one of these names, which their images bear."""
    found = []
    for batch in batches(sorted(names)):
        query = (
            select(build)
            .where(build.c.subject.is_(None), build.c.image.in_(batch))
            .order_by(build.c.id)
        )
        found += [
            WaitingBuild(
                row.id,
                row.image,
                row.started,
                row.finished or row.started or row.received,
                row.platform,
                row.set_id,
                row.evidence,
                row.told_by,
                row.received,
                row.body,
            )
            for row in c.execute(query)
        ]
    return found


def settle_subject(c: Connection, number: int, digest: Digest) -> None:
    """Write which image a build made."""
    c.execute(update(build).where(build.c.id == number).values(subject=digest))
    note_changes(c, [digest], spreads=False)


def list_moved_tags(c: Connection, path: str, *, since: datetime) -> list[str]:
    """The whole names of a repository's tags that point elsewhere, or anywhere, since then."""
    query = (
        select(tag.c.name)
        .join(repository, repository.c.id == tag.c.repository_id)
        .join(tag_period, tag_period.c.tag_id == tag.c.id)
        .where(repository.c.name == path, tag_period.c.since >= since)
        .distinct()
    )
    return [f"{path}:{name}" for name in c.scalars(query)]
