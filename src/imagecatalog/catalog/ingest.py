"""Puts what a sync met into the catalog: images, indexes, and what a repository holds now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from imagecatalog.catalog import builds, lineage
from imagecatalog.catalog.configured import ConfiguredSetups
from imagecatalog.catalog.debmonitor import settle_reports
from imagecatalog.catalog.inventories import apply_inventories
from imagecatalog.domain.contents import ImageContents, LayerReading
from imagecatalog.domain.images import ImageConfig, ImageManifest
from imagecatalog.domain.refs import Digest
from imagecatalog.store import (
    apt,
    components,
    images,
    inventories,
    layers,
    packages,
    repositories,
    updates,
)
from imagecatalog.store.engine import Connection
from imagecatalog.store.shelf import Shelf

__all__ = [
    "ConfiguredSetups",
    "ImageRecord",
    "point_configured",
    "record_images",
    "record_reading",
    "record_repository",
    "settle_index",
]


def record_reading(
    c: Connection, shelf: Shelf, manifest: ImageManifest, reading: LayerReading
) -> None:
    """Keep what was read out of a layer of the image, so that no image needs it read again."""
    layers.put_layers(c, shelf, manifest.layers)
    layers.put_reading(c, shelf, reading)


class ImageRecord(Struct, frozen=True):
    """An image as it was read, with what it holds."""

    digest: Digest
    manifest: ImageManifest
    config: ImageConfig
    contents: ImageContents


def record_images(
    c: Connection,
    shelf: Shelf,
    records: Sequence[ImageRecord],
    *,
    configured: ConfiguredSetups,
    reader: int,
    now: datetime,
) -> list[int]:
    """Write images with what they hold, and have their packages judged; their numbers."""
    # In the order of record_reading, so that two processes do not wait for each other.
    layers.put_layers(c, shelf, [layer for one in records for layer in one.manifest.layers])
    sets = _put_sets(c, shelf, records)
    facts = []
    for record, set_id in zip(records, sets, strict=True):
        contents = record.contents
        own = None if contents.apt is None else apt.put_setup(c, shelf, contents.apt)
        setup = own
        if not _has_debian(contents):
            setup = None
        elif own is None and contents.distro is not None:
            fallback = configured.get((str(contents.distro), record.config.platform.architecture))
            setup = None if fallback is None else apt.put_setup(c, shelf, fallback)
        distro = contents.distro
        facts.append(
            images.ImageFacts(
                digest=record.digest,
                media_type=record.manifest.media_type,
                layers=record.manifest.layers,
                config_digest=record.manifest.config.digest,
                platform=str(record.config.platform),
                created=record.config.created,
                distro_id=None if distro is None else images.put_distro(c, shelf, distro),
                own_setup_id=own,
                setup_id=setup,
                set_id=set_id,
                unknown=contents.unknown,
                problems=contents.problems,
                reader=reader,
                labels=record.manifest.annotations | record.config.labels,
            )
        )
    configs = [record.manifest.config.digest for record in records]
    inventories.lock_images(c, [*(record.digest for record in records), *configs])
    inventories.drop_phantoms(c, configs)
    numbers = images.put_images(c, shelf, facts, now=now)
    for one in records:
        builds.note_annotations(c, shelf, one.digest, one.manifest, one.config, now=now)
    untold = [
        number
        for number, item in zip(numbers, facts, strict=True)
        if item.set_id is None or item.unknown is not None
    ]
    pairs = [(one.setup_id, one.set_id) for one in facts if one.setup_id and one.set_id]
    apply_inventories(c, shelf, untold, configured, enrolled=pairs)
    components.enrol(c, shelf, [(one.distro_id, one.set_id) for one in facts if one.set_id])
    return numbers


def _has_debian(contents: ImageContents) -> bool:
    """Whether apt can judge it, or could if its packages were known: of others apt knows nothing."""
    return not contents.packages or any(one.type == "deb" for one in contents.packages)


def settle_index(
    c: Connection,
    shelf: Shelf,
    index: int,
    members: Sequence[int],
    *,
    configured: ConfiguredSetups,
) -> None:
    """Have what was told of an index, before anybody knew it for one, count for its images."""
    inventories.forget_matches(c, [index])
    apply_inventories(c, shelf, members, configured)


def _put_sets(c: Connection, shelf: Shelf, records: Sequence[ImageRecord]) -> list[int | None]:
    lists = [
        packages.PackageList(record.contents.packages, record.contents.held)
        for record in records
        if record.contents.packages is not None
    ]
    numbers = iter(packages.put_sets(c, shelf, lists))
    return [None if record.contents.packages is None else next(numbers) for record in records]


def point_configured(c: Connection, configured: ConfiguredSetups) -> int:
    """Judge images without apt sources by the configuration of now; how many images that moved."""
    moved, shelf = 0, Shelf()
    for kind in apt.list_borrowers(c):
        setup = configured.get((str(kind.distro), kind.architecture))
        setup_id = None if setup is None else apt.put_setup(c, shelf, setup)
        if setup_id != kind.setup_id:
            moved += apt.point_setup(c, kind, setup_id)
    if moved:
        updates.enrol_configured(c, shelf)
    return moved


def record_repository(
    c: Connection,
    name: str,
    tags: Mapping[str, int],
    present: Sequence[int],
    gone: Sequence[int],
    *,
    before: Mapping[str, int] | None = None,
    configured: ConfiguredSetups | None = None,
    now: datetime,
) -> None:
    """Write what a repository holds now: its tags, and which manifests came and went.

    ``before`` is what its tags pointed to when they began to be looked at: one that was moved since
    stays as it is. Names that builds and DebMonitor's clients told and that waited for its tags are settled.
    """
    number = repositories.put_repository(c, name)
    repositories.mark_present(c, number, present)
    repositories.mark_gone(c, number, gone, now=now)
    repositories.point_tags(c, number, tags, before=before, now=now)
    settle_reports(c, name, configured=configured or {}, now=now)
    builds.settle_names(c, name, configured=configured or {}, now=now)
    lineage.settle(c)
