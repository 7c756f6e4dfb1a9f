"""Puts what a sync met into the catalog: images, indexes, and what a repository holds now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from imagecatalog.domain.apt import AptSetup
from imagecatalog.domain.contents import ImageContents, LayerReading
from imagecatalog.domain.images import ImageConfig, ImageManifest
from imagecatalog.domain.packages import Distro
from imagecatalog.domain.refs import Digest
from imagecatalog.store import apt, images, layers, packages, updates
from imagecatalog.store.engine import Connection
from imagecatalog.store.shelf import Shelf

ConfiguredSetups = Mapping[tuple[str, str], AptSetup]
"""By (``id version`` of the distribution, architecture of the platform): for images without apt."""


def record_reading(
    c: Connection, shelf: Shelf, manifest: ImageManifest, reading: LayerReading
) -> None:
    """Keep what was read out of a layer of the image, so that no image needs it read again."""
    layers.put_layers(c, shelf, manifest.layers)
    layers.put_reading(c, shelf, reading)


def record_image(
    c: Connection,
    shelf: Shelf,
    digest: Digest,
    *,
    manifest: ImageManifest,
    config: ImageConfig,
    contents: ImageContents,
    configured: ConfiguredSetups,
    reader: int,
    now: datetime,
) -> int:
    """Write an image with what it holds, and have its packages judged; its number."""
    own = None if contents.apt is None else apt.put_setup(c, shelf, contents.apt)
    setup = own
    if own is None and contents.distro is not None:
        fallback = configured.get((_release_key(contents.distro), config.platform.architecture))
        setup = None if fallback is None else apt.put_setup(c, shelf, fallback)
    set_id = None
    if contents.packages is not None:
        set_id = packages.put_set(c, shelf, contents.packages, contents.held)
    number = images.put_image(
        c,
        shelf,
        images.ImageFacts(
            digest=digest,
            media_type=manifest.media_type,
            layers=manifest.layers,
            config_digest=manifest.config.digest,
            platform=str(config.platform),
            created=config.created,
            distro_id=None
            if contents.distro is None
            else images.put_distro(c, shelf, contents.distro),
            own_setup_id=own,
            setup_id=setup,
            set_id=set_id,
            unknown=contents.unknown,
            reader=reader,
        ),
        now=now,
    )
    if setup is not None and set_id is not None:
        updates.enrol(c, shelf, setup, set_id)
    return number


def _release_key(distro: Distro) -> str:
    return f"{distro.id} {distro.version_id or distro.codename or ''}".strip()


def point_configured(c: Connection, configured: ConfiguredSetups) -> int:
    """Judge images without apt sources by the configuration of now; how many images that moved."""
    moved, shelf = 0, Shelf()
    for (release, architecture), setup in configured.items():
        os_id, _, version = release.partition(" ")
        number = apt.put_setup(c, shelf, setup)
        moved += apt.point_setups(c, (os_id, version), number, architecture)
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
    now: datetime,
) -> None:
    """Write what a repository holds now: its tags, and which manifests came and went."""
    number = images.put_repository(c, name)
    images.mark_present(c, number, present)
    images.mark_gone(c, number, gone, now=now)
    images.point_tags(c, number, tags, now=now)
