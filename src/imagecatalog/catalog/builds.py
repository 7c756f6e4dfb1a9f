"""Takes what builders tell: which image they made, from which others, with which packages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from msgspec import Struct

from imagecatalog.catalog.annotations import read_annotations
from imagecatalog.catalog.configured import ConfiguredSetups
from imagecatalog.catalog.inventories import (
    Listing,
    apply_inventories,
    clean_distro,
    put_inventory,
    tell,
)
from imagecatalog.catalog.names import (
    choose_subject,
    find_subjects,
    resolve_parents,
    settle_parents,
    tell_children,
)
from imagecatalog.catalog.tellings import Telling, prepare, read_body
from imagecatalog.domain.builds import Build, Evidence, Signature
from imagecatalog.domain.images import ImageConfig, ImageManifest
from imagecatalog.domain.refs import Digest
from imagecatalog.store import builds, names, packages
from imagecatalog.store.builds import BuildRow
from imagecatalog.store.engine import Connection
from imagecatalog.store.names import WaitingBuild
from imagecatalog.store.packages import PackageList
from imagecatalog.store.shelf import Shelf

__all__ = [
    "ConfiguredSetups",
    "Registered",
    "Telling",
    "apply_inventories",
    "note_annotations",
    "prepare",
    "put_inventory",
    "register",
    "register_all",
    "settle_names",
]

_SAME = (
    "builder",
    "builder_version",
    "started",
    "finished",
    "source_repository",
    "source_revision",
    "source_path",
    "link",
    "reason",
)
"""Fields of a build that are columns as they are."""


class Registered(Struct, frozen=True):
    """What became of a build that was told."""

    id: int
    created: bool
    """False: the very same was told before."""
    digest: Digest | None
    """The image it made; None: its name waits for a sync that meets it."""
    pending: tuple[str, ...]
    """The names of parents that wait likewise."""


def register(
    c: Connection,
    shelf: Shelf,
    build: Build,
    *,
    evidence: Evidence = "registered",
    told_by: str | None,
    signature: Signature | None = None,
    configured: ConfiguredSetups,
    now: datetime,
) -> Registered:
    """Keep a build; the same evidence and body again changes nothing, another is another build.

    Names of parents are resolved to what they meant when the build ended (else began, else now).
    Images never met are written down, and what is not known of a name yet waits. Of several builds
    in one transaction the smaller digest has to come first, or ``register_all`` takes them at once.
    Raises BadName for a build that names no image, and TooManyEntries.
    """
    telling = prepare(build, evidence=evidence, told_by=told_by, signature=signature)
    return register_all(c, shelf, [telling], configured=configured, now=now)[0]


def register_all(
    c: Connection,
    shelf: Shelf,
    tellings: Sequence[Telling],
    *,
    configured: ConfiguredSetups,
    now: datetime,
) -> list[Registered]:
    """Register builds in one go, which takes hardly more statements than one of them would."""
    known = builds.find_builds(c, {one.key for one in tellings})
    new = {one.key: one for one in tellings if one.key not in known}
    created = _register_new(c, shelf, list(new.values()), configured, now) if new else {}
    known |= builds.find_builds(c, new.keys() - created.keys())  # another process was faster
    answers = []
    for one in tellings:
        answer = created.get(one.key)
        if answer is None:
            there = known[one.key]
            answer = Registered(there.id, False, there.subject, there.pending)
        answers.append(answer)
        # Told twice at once, the first is new.
        created[one.key] = msgspec.structs.replace(answer, created=False)
    return answers


def _register_new(
    c: Connection,
    shelf: Shelf,
    tellings: Sequence[Telling],
    configured: ConfiguredSetups,
    now: datetime,
) -> dict[bytes, Registered]:
    listed = {one.key: PackageList(one.packages) for one in tellings if one.packages is not None}
    numbers = packages.put_sets(c, shelf, list(listed.values()))
    sets = dict(zip(listed, numbers, strict=True))
    subjects = find_subjects(c, tellings, now)
    parents = resolve_parents(c, tellings, subjects, now)
    rows = [_row(one, subjects[one.key], sets.get(one.key), now) for one in tellings]
    tell(
        c,
        shelf,
        [_listing(row, one) for row, one in zip(rows, tellings, strict=True) if _is_listed(row)],
        others={row.subject: row.platform for row in rows if row.subject is not None},
        configured=configured,
        now=now,
    )
    written = builds.put_builds(c, rows, parents)
    tell_children(
        c,
        {
            row.image: row.finished or row.started or now
            for row in rows
            if row.digest in written and row.image and row.subject and row.evidence == "registered"
        },
    )
    return {
        key: Registered(
            number,
            True,
            subjects[key],
            tuple(row.image for row in parents[key] if row.digest is None and row.image),
        )
        for key, number in written.items()
    }


def _row(telling: Telling, subject: Digest | None, set_id: int | None, now: datetime) -> BuildRow:
    return BuildRow(
        digest=telling.key,
        evidence=telling.evidence,
        subject=subject,
        image=telling.name,
        platform=telling.platform,
        told_by=telling.told_by,
        signature=telling.signature,
        received=now,
        body=telling.body,
        set_id=set_id,
        **{field: getattr(telling.build, field) for field in _SAME},
    )


def _is_listed(row: BuildRow | WaitingBuild) -> bool:
    return row.subject is not None and row.set_id is not None


def _listing(row: BuildRow | WaitingBuild, telling: Telling) -> Listing:
    """The packages that a build tells, as one list of its image among others."""
    assert row.subject is not None
    assert row.set_id is not None
    return Listing(
        subject=row.subject,
        kind="registered",
        told_by=row.told_by or row.evidence,
        format="build",
        tool=telling.build.builder,
        distro=clean_distro(telling.build.distro),
        platform=row.platform,
        set_id=row.set_id,
        digest=telling.list_key,
    )


def note_annotations(
    c: Connection,
    shelf: Shelf,
    digest: Digest,
    manifest: ImageManifest,
    config: ImageConfig,
    *,
    now: datetime,
) -> None:
    """Keep what an image that was just read says of its own making, in the place of what it said."""
    found = read_annotations(digest, manifest, config)
    if found is None:
        return
    build, where = found
    told = register(c, shelf, build, evidence="annotation", told_by=where, configured={}, now=now)
    if told.created:
        builds.drop_builds(c, digest, "annotation", but=told.id)


def settle_names(
    c: Connection, repository: str, *, configured: ConfiguredSetups, now: datetime
) -> None:
    """Settle the names that waited for a tag of this repository that a sync met just now."""
    if not names.is_any_waiting(c):
        return
    moved = names.list_moved_tags(c, repository, since=now)
    # Images before parents, as who registers has them: so that neither waits for the other.
    _settle_subjects(c, names.list_waiting_builds(c, moved), configured, now)
    for waiting in names.list_waiting_parents(c, moved):
        settle_parents(c, waiting)


def _settle_subjects(
    c: Connection, builds: Sequence[WaitingBuild], configured: ConfiguredSetups, now: datetime
) -> None:
    listings = []
    for waiting in builds:
        after = waiting.started or waiting.at
        sightings = names.list_periods(c, [waiting.image], after=after).get(waiting.image, [])
        digest = choose_subject(sightings, waiting.started, waiting.at)
        if digest is None:
            continue
        names.settle_subject(c, waiting.id, digest)
        settled = msgspec.structs.replace(waiting, subject=digest)
        if settled.set_id is not None:
            told = packages.list_packages(c, settled.set_id)
            build = msgspec.structs.replace(read_body(settled.body), packages=told)
            telling = prepare(build, evidence=settled.evidence, told_by=settled.told_by)
            listings.append(_listing(settled, telling))
    if listings:
        tell(c, Shelf(), listings, configured=configured, now=now)
