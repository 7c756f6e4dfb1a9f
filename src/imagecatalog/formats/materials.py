"""Images as provenance names them among its materials: package URLs and references."""

from __future__ import annotations

from msgspec import Struct

from imagecatalog.domain.refs import Digest, Platform, Reference
from imagecatalog.errors import BadName
from imagecatalog.formats.inventory import image_digest, read_purl
from imagecatalog.formats.purl import IMAGE_TYPES, Purl, package_name

_SCHEMES = ("docker-image://", "docker://", "oci://")
_DIGESTS = ("sha256", "sha512", "sha384")
"""Of the names in a set of digests, those that images have, best first."""


class Material(Struct, frozen=True, kw_only=True):
    """An image that was used; at least one of ``name`` and ``digest`` is there."""

    name: str | None = None
    """``registry/path``."""
    tag: str | None = None
    digest: Digest | None = None
    platform: str | None = None

    @property
    def image(self) -> str | None:
        """The name with its tag, where it has one."""
        return f"{self.name}:{self.tag}" if self.name and self.tag else self.name


def read_digests(told: dict[str, str] | None) -> Digest | None:
    """The digest of an image in a set of digests (in-toto, "DigestSet")."""
    for algorithm in _DIGESTS:
        try:
            return Digest.parse(f"{algorithm}:{(told or {})[algorithm]}")
        except (KeyError, BadName):
            continue
    return None


def read_material(uri: str | None, digests: dict[str, str] | None = None) -> Material | None:
    """The image that a material is; None for sources, files, and what is no whole image."""
    uri, digest = uri or "", read_digests(digests)
    for scheme in _SCHEMES:
        if uri.startswith(scheme):
            return read_reference(uri.removeprefix(scheme), digest)
    if uri.startswith("oci-layout://"):
        found = read_reference(uri.removeprefix("oci-layout://"), digest)
        return Material(digest=found.digest) if found and found.digest else None
    purl = read_purl(uri) if uri.startswith("pkg:") else None
    if purl is None or purl.type not in IMAGE_TYPES or "ref_type" in purl.qualifiers:
        return None
    return _read_purl(purl, digest or image_digest(purl))


def read_reference(text: str, digest: Digest | None = None) -> Material | None:
    """An image by its reference; ``digest`` counts before the one in it."""
    try:
        reference = Reference.parse(text)
    except BadName:
        return Material(digest=digest) if digest else None
    digest = digest or reference.digest
    return Material(name=reference.name, tag=reference.tag, digest=digest)


def _read_purl(purl: Purl, digest: Digest | None) -> Material | None:
    """BuildKit puts the registry before the name; others tell it in ``repository_url``.

    An image of type ``oci`` without it lay in a folder, whose name says nothing elsewhere.
    """
    tag = purl.qualifiers.get("tag") or ("" if ":" in (purl.version or ":") else purl.version)
    found = read_reference(_repository(purl) + (f":{tag}" if tag else ""), digest)
    if purl.type == "oci" and "repository_url" not in purl.qualifiers:
        found = Material(digest=digest) if digest else None
    if found is None:
        return None
    return Material(
        name=found.name,
        tag=found.tag,
        digest=found.digest,
        platform=_read_platform(purl.qualifiers.get("platform")),
    )


def _repository(purl: Purl) -> str:
    name = package_name(purl)
    url = purl.qualifiers.get("repository_url", "").rpartition("://")[2].rstrip("/")
    if not url:
        return name
    return url if purl.type == "oci" and f"/{url}".endswith(f"/{purl.name}") else f"{url}/{name}"


def _read_platform(text: str | None) -> str | None:
    try:
        return str(Platform.parse(text)) if text else None
    except BadName:
        return None
