"""Manifests, indexes and configurations of images: their bytes to values, bounded and checked.

OCI image specification 1.1 (manifest.md, image-index.md, config.md) and Docker's schema 2. Nothing
is fetched, and no member of an index is followed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from threading import Lock
from typing import Any, TypeVar

import msgspec
from msgspec import Struct, field

from imagecatalog.domain.images import (
    Descriptor,
    ImageConfig,
    ImageIndex,
    ImageManifest,
    RawManifest,
)
from imagecatalog.domain.refs import Digest, Platform
from imagecatalog.errors import BadDocument, BadName, TooDeep, TooLarge, TooManyEntries

T = TypeVar("T")

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
SCHEMA1_TYPES = frozenset(
    {
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    }
)
MANIFEST_TYPES = (OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_INDEX)
"""What to accept, always all: a registry says 404 of a manifest whose type was not asked for."""

MANIFEST_LIMIT = 4 * 1024 * 1024
"""Bytes, as the OCI distribution specification bounds them ("Pushing Manifests")."""
CONFIG_LIMIT = 4 * 1024 * 1024
DEPTH_LIMIT = 64
MEMBERS_LIMIT = 1000
"""Images of an index; layers of an image."""

_INDEX_TYPES = frozenset({OCI_INDEX, DOCKER_INDEX})
_CONFIG_TYPES = frozenset({OCI_CONFIG, DOCKER_CONFIG})
_FOREIGN = re.compile(r"\.foreign\.diff\.tar|\.layer\.nondistributable\.")
_IN_TOTO = "application/vnd.in-toto"
_BESIDE = re.compile(
    r"application/vnd\.(?:in-toto|dsse|dev\.(?:cosign|sigstore)\.)|[^;]*(?:spdx|cyclonedx|syft)"
)
"""Media types of what speaks of an image; Cosign and others keep them under an image's own config."""
# Every alternative takes at least one byte and never gives it back: linear on any input.
_JSON_MARK = re.compile(rb'(?s)"(?:[^"\\]++|\\.?)*+(?:"|\Z)|[\[{]|[\]}]')


class ManifestSchema1(BadDocument):
    """A manifest of Docker's schema 1, which no longer says what an image holds."""

    code = "manifest-schema1"

    def __init__(self, where: str) -> None:
        super().__init__(
            where,
            "it is a manifest of Docker's schema 1, which is not read",
            hint="Pull and push it again with a current client, or delete it.",
        )


class _Platform(Struct):
    os: str | None = None
    architecture: str | None = None
    variant: str | None = None
    os_version: str | None = field(name="os.version", default=None)
    os_features: list[str] | None = field(name="os.features", default=None)

    def value(self) -> Platform:
        return Platform(
            os=_clean(self.os) or "unknown",
            architecture=_clean(self.architecture) or "unknown",
            variant=_clean(self.variant),
            os_version=_clean(self.os_version),
            os_features=tuple(map(_clean, self.os_features or ())),
        )


class _Descriptor(Struct):
    media_type: str | None = field(name="mediaType", default=None)
    digest: str | None = None
    size: int | None = None
    platform: _Platform | None = None
    annotations: dict[str, str | None] | None = None
    artifact_type: str | None = field(name="artifactType", default=None)


class _Manifest(Struct):
    schema_version: int | None = field(name="schemaVersion", default=None)
    media_type: str | None = field(name="mediaType", default=None)
    config: _Descriptor | None = None
    layers: list[_Descriptor] | None = None
    manifests: list[_Descriptor] | None = None
    annotations: dict[str, str | None] | None = None
    artifact_type: str | None = field(name="artifactType", default=None)
    subject: msgspec.Raw = msgspec.Raw(b"")


class _Listing(Struct):
    manifests: list[msgspec.Raw] | None = None


class _Run(Struct):
    labels: dict[str, str | None] | None = field(name="Labels", default=None)


class _RootFs(Struct):
    diff_ids: list[str] | None = None


class _Config(_Platform):
    created: str | None = None
    config: _Run | None = None
    rootfs: _RootFs | None = None


def parse_manifest(raw: RawManifest, where: str | None = None) -> ImageManifest | ImageIndex:
    """What the bytes say; a body without ``mediaType`` is what ``raw.media_type`` calls it.

    Raises ``ManifestSchema1``, ``TooLarge``, ``TooDeep``, ``TooManyEntries``, or ``BadDocument`` for
    all else, also for bytes that could be read both as an image and as an index (CVE-2021-41190).
    """
    where = where or f"manifest {raw.digest}"
    given = raw.media_type.partition(";")[0].strip().lower()
    if given in SCHEMA1_TYPES:
        raise ManifestSchema1(where)
    body = decode_json(raw.body, _Manifest, where, limit=MANIFEST_LIMIT)
    if body.schema_version == 1 or body.media_type in SCHEMA1_TYPES:
        raise ManifestSchema1(where)
    media_type = _settle_type(body, given, where)
    annotations = _clean_map(body.annotations)
    if media_type in _INDEX_TYPES:
        members = _descriptors(body.manifests or [], "manifests", where)
        return ImageIndex(media_type, members, annotations)
    if body.config is None:
        raise BadDocument(where, "it names no config")
    return ImageManifest(
        media_type=media_type,
        config=_descriptor(body.config, f"{where}: config"),
        layers=_descriptors(body.layers or [], "layers", where),
        annotations=annotations,
        artifact_type=_clean(body.artifact_type),
        subject=_subject(body.subject, where),
    )


def parse_config(body: bytes, where: str) -> ImageConfig:
    """What an image's configuration says; fields that are missing or null are empty.

    ``created`` is None too where it is no time, or the zero time of year 1. Raises ``BadDocument``
    and its limits.
    """
    config = decode_json(body, _Config, where, limit=CONFIG_LIMIT)
    diff_ids = (config.rootfs.diff_ids if config.rootfs else None) or []
    if len(diff_ids) > MEMBERS_LIMIT:
        raise TooManyEntries(where, f"{len(diff_ids)} layers are more than {MEMBERS_LIMIT}")
    return ImageConfig(
        created=parse_time(config.created),
        platform=config.value(),
        labels=_clean_map(config.config.labels if config.config else None),
        diff_ids=tuple(_digest(text, f"{where}: rootfs") for text in diff_ids),
    )


def parse_listing(body: bytes, where: str) -> tuple[Descriptor, ...]:
    """The members of a list of referrers, an index that anybody may add to.

    At most ``MEMBERS_LIMIT`` are given, and one that is wrong costs only itself. Raises
    ``BadDocument`` where the whole is no list.
    """
    found = []
    for member in decode_json(body, _Listing, where).manifests or ():
        try:
            found.append(_descriptor(decode_json(bytes(member), _Descriptor, where), where))
        except BadDocument:
            continue
        if len(found) == MEMBERS_LIMIT:
            break
    return tuple(found)


def is_attestation(member: Descriptor) -> bool:
    """Whether a member of an index speaks about an image beside it, rather than being one."""
    platform = member.platform
    return (
        (platform is not None and platform.os == platform.architecture == "unknown")
        or member.annotations.get("vnd.docker.reference.type") == "attestation-manifest"
        or member.media_type.startswith(_IN_TOTO)
    )


def is_artifact(manifest: ImageManifest) -> bool:
    """Whether it holds something else than an image: a chart, a signature, a statement."""
    return manifest.config.media_type not in _CONFIG_TYPES or (
        bool(manifest.layers) and all(_BESIDE.match(layer.media_type) for layer in manifest.layers)
    )


def is_foreign(layer: Descriptor) -> bool:
    """Whether the layer may lie elsewhere than in the registry (non-distributable layers)."""
    return bool(_FOREIGN.search(layer.media_type))


_DECODERS: dict[Any, msgspec.json.Decoder[Any]] = {}
_MAKING = Lock()
"""For one thread at a time: msgspec 0.22 crashes where two are the first to use a type."""


def _decoder(kind: type[T]) -> msgspec.json.Decoder[T]:
    with _MAKING:
        if kind not in _DECODERS:
            _DECODERS[kind] = msgspec.json.Decoder(kind)
        return _DECODERS[kind]


def decode_json(body: bytes, kind: type[T], where: str, *, limit: int = MANIFEST_LIMIT) -> T:
    """Foreign JSON as a value of ``kind``; raises ``TooLarge``, ``TooDeep`` or ``BadDocument``."""
    if len(body) > limit:
        raise TooLarge(where, f"{len(body)} bytes are more than the {limit} that we read")
    depth = 0
    for mark in _JSON_MARK.finditer(body):
        first = body[mark.start()]
        depth += (first in b"[{") - (first in b"]}")
        if depth > DEPTH_LIMIT:
            raise TooDeep(where, f"its JSON is nested more than {DEPTH_LIMIT} deep")
    try:
        return _decoder(kind).decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadDocument(where, f"it is not the JSON it should be: {error}") from error


def _settle_type(body: _Manifest, given: str, where: str) -> str:
    looks_image = body.config is not None or body.layers is not None
    looks_index = body.manifests is not None
    if looks_image == looks_index:
        both = "both an image and" if looks_image else "neither an image nor"
        raise BadDocument(where, f"it is {both} an index")
    stated = body.media_type or (given if given in MANIFEST_TYPES else None)
    if stated is None:
        return OCI_INDEX if looks_index else OCI_MANIFEST
    if stated not in MANIFEST_TYPES:
        raise BadDocument(where, f"manifests of type {_clean(stated)!r} are not read")
    if given in MANIFEST_TYPES and given != stated:
        raise BadDocument(where, f"it calls itself {stated} and was sent as {given}")
    if (stated in _INDEX_TYPES) != looks_index:
        raise BadDocument(where, f"it calls itself {stated} and is not one")
    return stated


def _descriptors(members: Sequence[_Descriptor], name: str, where: str) -> tuple[Descriptor, ...]:
    if len(members) > MEMBERS_LIMIT:
        raise TooManyEntries(where, f"{len(members)} {name} are more than {MEMBERS_LIMIT}")
    return tuple(
        _descriptor(member, f"{where}: {name}[{position}]")
        for position, member in enumerate(members)
    )


def _descriptor(member: _Descriptor, where: str) -> Descriptor:
    size = -1 if member.size is None else member.size
    if size < -1 or size > 2**63 - 1:
        raise BadDocument(where, f"{size} is no size")
    return Descriptor(
        media_type=_clean(member.media_type) or "application/octet-stream",
        digest=_digest(member.digest, where),
        size=size,
        platform=member.platform.value() if member.platform else None,
        annotations=_clean_map(member.annotations),
        artifact_type=_clean(member.artifact_type),
    )


def _subject(body: msgspec.Raw, where: str) -> Descriptor | None:
    """What the manifest is attached to; an image is one whatever is wrong with that."""
    try:
        return _descriptor(decode_json(bytes(body), _Descriptor, where), where)
    except BadDocument:
        return None


def _digest(text: str | None, where: str) -> Digest:
    try:
        return Digest.parse(text or "")
    except BadName as error:
        raise BadDocument(where, error.message) from error


def parse_time(text: str | None) -> datetime | None:
    """A time as RFC 3339 writes it, in UTC; None where it is none, or the zero time of year 1."""
    try:
        time = datetime.fromisoformat(text or "")
        time = (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return None if time.year == 1 else time


def _clean(text: str | None) -> str:
    """Replace NUL, which no database keeps, by the replacement character."""
    return (text or "").replace("\0", "\ufffd")


def _clean_map(texts: Mapping[str, str | None] | None) -> dict[str, str]:
    return {_clean(key): _clean(value) for key, value in (texts or {}).items()}
