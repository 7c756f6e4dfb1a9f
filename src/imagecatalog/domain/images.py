"""Images (one manifest), indexes, layers, as the OCI image specification 1.1 has them."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from imagecatalog.domain.refs import Digest, Platform


class Descriptor(Struct, frozen=True):
    """A typed, sized pointer to bytes by digest (OCI image specification, descriptor.md)."""

    media_type: str
    digest: Digest
    size: int
    """Bytes; -1 where the source did not say."""
    platform: Platform | None = None
    annotations: dict[str, str] = {}
    artifact_type: str = ""
    """What it is, where it is no image; empty where nobody says."""


class RawManifest(Struct, frozen=True):
    """A manifest's very bytes; ``digest`` is theirs, verified."""

    digest: Digest
    media_type: str
    body: bytes


class ImageManifest(Struct, frozen=True):
    """One image: its configuration and its layers, the base first."""

    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: dict[str, str] = {}
    artifact_type: str = ""
    subject: Descriptor | None = None
    """What it is attached to, where it says so."""


class ImageIndex(Struct, frozen=True):
    """One name for several images: an OCI index or a Docker manifest list."""

    media_type: str
    manifests: tuple[Descriptor, ...]
    annotations: dict[str, str] = {}


class ImageConfig(Struct, frozen=True):
    """What an image's configuration says of it (config.md); times in UTC."""

    created: datetime | None
    platform: Platform
    labels: dict[str, str] = {}
    diff_ids: tuple[Digest, ...] = ()
