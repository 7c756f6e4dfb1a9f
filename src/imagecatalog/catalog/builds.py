"""Takes what builders tell: which image they made, from which others, with which packages."""

from __future__ import annotations

import hashlib
import zlib
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from imagecatalog.catalog.annotations import read_annotations
from imagecatalog.catalog.configured import ConfiguredSetups
from imagecatalog.catalog.inventories import (
    apply_inventories,
    guess_platform,
    meet,
    put_inventory,
    sort_packages,
    tell,
)
from imagecatalog.catalog.names import (
    choose_subject,
    find_subject,
    read_name,
    read_platform,
    resolve_parents,
    settle_parents,
    tell_children,
)
from imagecatalog.domain.builds import Build, Evidence, Inventory, Signature
from imagecatalog.domain.images import ImageConfig, ImageManifest
from imagecatalog.domain.packages import Package
from imagecatalog.domain.refs import (
    Digest,
    Reference,
    decode_hook,
    encode_hook,
)
from imagecatalog.errors import BadName, TooManyEntries, clean_text
from imagecatalog.store import builds, names, packages
from imagecatalog.store.builds import BuildRow
from imagecatalog.store.engine import Connection
from imagecatalog.store.names import WaitingBuild
from imagecatalog.store.packages import PackageList
from imagecatalog.store.shelf import Shelf

__all__ = [
    "ConfiguredSetups",
    "Registered",
    "apply_inventories",
    "note_annotations",
    "put_inventory",
    "register",
    "settle_names",
]

PARENTS_LIMIT = 1000
"""Of one build."""
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
"""Fields that are columns as they are."""

_ENCODER = msgspec.json.Encoder(enc_hook=encode_hook, order="sorted")
_BUILD = msgspec.json.Decoder(Build, dec_hook=decode_hook)


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
    in one transaction the smaller digest has to come first. Raises BadName for a build that names
    no image, and TooManyEntries.
    """
    build, told = _tidy(build)
    body = _ENCODER.encode(build)
    key = hashlib.sha256(evidence.encode() + b"\n" + body + _ENCODER.encode(told)).digest()
    known = builds.find_build(c, key)
    if known is not None:
        return Registered(known.id, False, known.subject, known.pending)
    set_id = None if told is None else packages.put_sets(c, shelf, [PackageList(told)])[0]
    name, digest = _name_of(build)
    subject = digest or find_subject(c, build, name, now)
    parents = resolve_parents(c, build, subject, now)
    row = BuildRow(
        digest=key,
        evidence=evidence,
        subject=subject,
        image=name,
        platform=read_platform(build.platform) or (told and guess_platform(told)) or None,
        told_by=told_by,
        signature=signature,
        received=now,
        body=zlib.compress(body, 1),
        set_id=set_id,
        **{field: getattr(build, field) for field in _SAME},
    )
    if subject is not None:
        _tell_image(c, shelf, row, build, told=told, configured=configured)
    number = builds.put_build(c, row, parents)
    if number is None:
        known = builds.find_build(c, key)
        assert known is not None
        return Registered(known.id, False, known.subject, known.pending)
    if evidence == "registered" and name is not None and subject is not None:
        tell_children(c, name, build.finished or now)
    pending = tuple(one.image for one in parents if one.digest is None and one.image is not None)
    return Registered(number, True, subject, pending)


def _tell_image(
    c: Connection,
    shelf: Shelf,
    row: BuildRow | WaitingBuild,
    build: Build,
    *,
    told: tuple[Package, ...] | None,
    configured: ConfiguredSetups,
) -> None:
    """Write down the image of a build, with the packages that were told of it."""
    assert row.subject is not None
    if told is None or row.set_id is None:
        meet(c, row.subject, platform=row.platform, now=row.received)
        return
    tell(
        c,
        shelf,
        row.subject,
        Inventory(format="build", tool=build.builder, distro=build.distro, packages=told),
        set_id=row.set_id,
        kind="registered",
        told_by=row.told_by or row.evidence,
        platform=row.platform,
        configured=configured,
        now=row.received,
    )


def _tidy(build: Build) -> tuple[Build, tuple[Package, ...] | None]:
    """The build without its packages, and those; texts as every database takes them, times in UTC."""
    if len(build.parents) > PARENTS_LIMIT:
        where = f"build of {build.image or build.digest}"
        raise TooManyEntries(where, f"it has more than {PARENTS_LIMIT} parents")
    told = None if build.packages is None else sort_packages(build.packages)
    build = msgspec.structs.replace(
        build, packages=None, started=_in_utc(build.started), finished=_in_utc(build.finished)
    )
    if b"\\u0000" in _ENCODER.encode(build):
        build = _BUILD.decode(
            msgspec.json.encode(_clean(msgspec.json.decode(_ENCODER.encode(build))))
        )
    return build, told


def _clean(value: Any) -> Any:
    """The same JSON with every text as databases take it."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, list):
        return [_clean(one) for one in value]
    if isinstance(value, dict):
        return {clean_text(key): _clean(one) for key, one in value.items()}
    return value


def _in_utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC)


def _name_of(build: Build) -> tuple[str | None, Digest | None]:
    """The whole name that the image was given, and its digest, where they are told."""
    if build.digest is None:
        if not build.image:
            hint = "give its image, as registry/path:tag, or its digest"
            raise BadName("the build names no image", hint=hint)
        Reference.parse(build.image)
    name, digest = read_name(build.image)
    return name, build.digest or digest


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
    for waiting in names.list_waiting_parents(c, moved):
        settle_parents(c, waiting)
    for build in names.list_waiting_builds(c, moved):
        _settle_subject(c, build, configured)


def _settle_subject(c: Connection, waiting: WaitingBuild, configured: ConfiguredSetups) -> None:
    after = waiting.started or waiting.at
    sightings = names.list_periods(c, [waiting.image], after=after).get(waiting.image, [])
    digest = choose_subject(sightings, waiting.started, waiting.at)
    if digest is None:
        return
    names.settle_subject(c, waiting.id, digest)
    told = None if waiting.set_id is None else packages.list_packages(c, waiting.set_id)
    build = _BUILD.decode(zlib.decompress(waiting.body))
    waiting = msgspec.structs.replace(waiting, subject=digest)
    _tell_image(c, Shelf(), waiting, build, told=told, configured=configured)
