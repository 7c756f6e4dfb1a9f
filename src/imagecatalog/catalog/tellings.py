"""Builds made ready to be registered: whatever can be done about them without a database."""

from __future__ import annotations

import hashlib
import zlib
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from imagecatalog.catalog.inventories import guess_platform, sort_packages
from imagecatalog.domain.builds import Build, Evidence, Signature
from imagecatalog.domain.packages import Package
from imagecatalog.domain.refs import Digest, Platform, Reference, decode_hook, encode_hook
from imagecatalog.errors import BadName, TooManyEntries, clean_text

PARENTS_LIMIT = 1000
"""Of one build."""
_NAME_LIMIT = 512
"""Characters of a name that is no reference; it is kept for people."""

_ENCODER = msgspec.json.Encoder(enc_hook=encode_hook, order="sorted")
_BUILD = msgspec.json.Decoder(Build, dec_hook=decode_hook)


class Telling(Struct, frozen=True, kw_only=True):
    """A build ready to be registered."""

    build: Build
    """Without its packages; texts as every database takes them, times in UTC."""
    packages: tuple[Package, ...] | None
    """Once each, in order; None: its teller does not say."""
    evidence: Evidence
    told_by: str | None
    signature: Signature | None
    key: bytes
    """Of evidence and body: two builds never share it."""
    list_key: bytes
    """Of the list of packages and what was told about it."""
    body: bytes
    name: str | None
    """Of the image, with its registry and tag."""
    digest: Digest | None
    platform: str | None

    def moment(self, now: datetime) -> datetime:
        """When the names that it tells meant what they meant to it."""
        return self.build.finished or self.build.started or now


def prepare(
    build: Build,
    *,
    evidence: Evidence = "registered",
    told_by: str | None,
    signature: Signature | None = None,
) -> Telling:
    """Make a build ready; raises BadName for one that names no image, and TooManyEntries."""
    packages, told = (None, b"null") if build.packages is None else sort_packages(build.packages)
    build = _tidy(build)
    name, digest = _name_of(build)
    body = _ENCODER.encode(build)
    about = _ENCODER.encode((build.builder, build.distro, build.platform))
    return Telling(
        build=build,
        packages=packages,
        evidence=evidence,
        told_by=told_by and clean_text(told_by),
        signature=signature,
        key=hashlib.sha256(b"\n".join((evidence.encode(), body, told))).digest(),
        list_key=hashlib.sha256(b"\n".join((about, told))).digest(),
        body=zlib.compress(body, 1),
        name=name,
        digest=digest,
        platform=read_platform(build.platform) or guess_platform(packages or ()),
    )


def read_body(body: bytes) -> Build:
    """The build, without its packages, whose body is kept so."""
    return _BUILD.decode(zlib.decompress(body))


def _tidy(build: Build) -> Build:
    if len(build.parents) > PARENTS_LIMIT:
        where = f"build of {build.image or build.digest}"
        raise TooManyEntries(where, f"it has more than {PARENTS_LIMIT} parents")
    build = msgspec.structs.replace(
        build, packages=None, started=_in_utc(build.started), finished=_in_utc(build.finished)
    )
    body = _ENCODER.encode(build)
    if b"\\u0000" in body:
        build = _BUILD.decode(msgspec.json.encode(_clean(msgspec.json.decode(body))))
    return build


def _in_utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC)


def _clean(value: Any) -> Any:
    """The same JSON with every text as databases take it."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, list):
        return [_clean(one) for one in value]
    if isinstance(value, dict):
        return {clean_text(key): _clean(one) for key, one in value.items()}
    return value


def _name_of(build: Build) -> tuple[str | None, Digest | None]:
    """The whole name that the image was given, and its digest, where they are told."""
    if build.digest is None:
        if not build.image:
            hint = "give its image, as registry/path:tag, or its digest"
            raise BadName("the build names no image", hint=hint)
        Reference.parse(build.image)
    name, digest = read_name(build.image)
    return name, build.digest or digest


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
