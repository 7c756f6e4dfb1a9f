"""What builders call images: names as the catalog compares them, and what they meant.

A name means what its tag pointed to at the moment, as syncs saw it and as registered builds tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from imagecatalog.domain.builds import Build, Parent
from imagecatalog.domain.refs import DEFAULT_REGISTRY, Digest, Platform, Reference
from imagecatalog.errors import BadName
from imagecatalog.store import names
from imagecatalog.store.builds import ParentRow
from imagecatalog.store.engine import Connection
from imagecatalog.store.names import NamedParent, Sighting

_NAME_LIMIT = 512
"""Characters of a name that is no reference; it is kept for people."""
_SCRATCH = f"{DEFAULT_REGISTRY}/library/scratch:latest"
"""What a Dockerfile writes for no image at all."""


def read_name(text: str | None) -> tuple[str | None, Digest | None]:
    """What a name of an image says: ``registry/path:tag`` with nothing left out, and the digest.

    A name that Docker would not take is kept as it is, for people: it never means an image.
    """
    if not text:
        return None, None
    try:
        reference = Reference.parse(text)
    except BadName:
        return text[:_NAME_LIMIT], None
    if reference.digest is not None and reference.tag is None:
        return reference.name, reference.digest
    return f"{reference.name}:{reference.tag or 'latest'}", reference.digest


def read_platform(text: str | None) -> str | None:
    """As every platform of the catalog is written; None for what is none."""
    try:
        return None if text is None else str(Platform.parse(text))
    except BadName:
        return None


def find_subject(c: Connection, build: Build, name: str | None, now: datetime) -> Digest | None:
    """The image of a build that tells its name alone, if the name is met already."""
    assert name is not None
    at = build.finished or build.started or now
    sightings = names.list_periods(c, [name], after=build.started or at).get(name, [])
    return choose_subject(sightings, build.started, at)


def choose_subject(
    sightings: Sequence[Sighting], started: datetime | None, at: datetime
) -> Digest | None:
    """What a build made: the first that its name meant since it began; what was there is not it.

    Without a beginning, what the name meant at the moment told, else first after it.
    """
    if started is None:
        meaning = names.choose_meaning(sightings, at)
        return None if meaning is None else meaning.digest
    since = [one for one in sightings if one.since >= started]
    return min(since, key=lambda one: one.since).digest if since else None


def resolve_parents(
    c: Connection, build: Build, subject: Digest | None, now: datetime
) -> list[ParentRow]:
    """The parents as they go into the catalog, names resolved as far as they are known."""
    told = [(parent, *_parent_name(parent)) for parent in build.parents]
    told = [item for item in told if item[1] != _SCRATCH]
    waiting = {name for _, name, digest in told if name is not None and digest is None}
    at = build.finished or build.started or now
    sightings = names.list_sightings(c, waiting, after=at) if waiting else {}
    platform = read_platform(build.platform)
    rows = []
    for parent, name, digest in told:
        row = ParentRow(parent.role, digest, name, None if digest is None else "given")
        if digest is None and name is not None:
            meaning = names.choose_meaning(
                sightings.get(name, ()), at, platform=platform, but=subject
            )
            if meaning is not None:
                row = ParentRow(parent.role, meaning.digest, name, meaning.resolved)
        rows.append(row)
    return rows


def _parent_name(parent: Parent) -> tuple[str | None, Digest | None]:
    name, digest = read_name(parent.image)
    return name, parent.digest or digest


def tell_children(c: Connection, name: str, since: datetime) -> None:
    """Settle what this name meant to the builds that named it as a parent from then on."""
    recent = names.list_recent_parents(c, name)
    settle_parents(c, [one for one in recent if one.digest is None or one.at >= since])
    if len(recent) == names.RECENT:
        for waiting in names.list_waiting_parents(c, [name]):
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
