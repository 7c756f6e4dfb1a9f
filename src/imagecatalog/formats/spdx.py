"""SPDX documents as JSON, versions 2.2 and 2.3: their packages. Files and snippets are passed over."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec
from msgspec import Raw, Struct, field

from imagecatalog.domain.builds import Inventory
from imagecatalog.domain.packages import Distro
from imagecatalog.domain.refs import Digest
from imagecatalog.errors import BadDocument
from imagecatalog.formats.inventory import (
    ABSENT,
    Gathering,
    decode,
    image_digest,
    read,
    read_digest,
    read_purl,
    tool_text,
)
from imagecatalog.formats.purl import IMAGE_TYPES, make_distro

VERSIONS = ("SPDX-2.2", "SPDX-2.3")
_NO_PACKAGES = frozenset(["ARCHIVE", "CONTAINER", "DEVICE", "FILE", "FIRMWARE", "OPERATING-SYSTEM"])
"""Purposes of packages that are none here, unless they have a package URL."""
_TRIVY_GROUPS = ("SPDXRef-Application-", "SPDXRef-ContainerImage-", "SPDXRef-Filesystem-")
_LAYER = re.compile(r"(?:sha256:)?[0-9a-f]{64}")
"""The name that bom and Tern give to a layer."""
_TRIVY_SYSTEM = "SPDXRef-OperatingSystem-"
_TRIVY_SOURCE = "built package from: "
_SYFT_ROOT = "SPDXRef-DocumentRoot-"


class _ExternalRef(Struct):
    kind: str | None = field(name="referenceType", default=None)
    locator: str | None = field(name="referenceLocator", default=None)


class _Checksum(Struct):
    algorithm: str | None = None
    value: str | None = field(name="checksumValue", default=None)


class _Package(Struct):
    id: str | None = field(name="SPDXID", default=None)
    name: str | None = None
    version: str | None = field(name="versionInfo", default=None)
    purpose: str | None = field(name="primaryPackagePurpose", default=None)
    source_info: str | None = field(name="sourceInfo", default=None)
    refs: list[_ExternalRef] | None = field(name="externalRefs", default=None)
    checksums: list[_Checksum] | None = None

    @property
    def purl(self) -> str | None:
        """The first package URL among its references."""
        found = (ref.locator for ref in self.refs or () if (ref.kind or "").endswith("purl"))
        return next(found, None)


class _Relationship(Struct):
    kind: str | None = field(name="relationshipType", default=None)
    element: str | None = field(name="spdxElementId", default=None)
    related: str | None = field(name="relatedSpdxElement", default=None)


class _Creation(Struct):
    creators: Raw = ABSENT


class _Document(Struct):
    version: str | None = field(name="spdxVersion", default=None)
    creation: _Creation | None = field(name="creationInfo", default=None)
    describes: list[str] | None = field(name="documentDescribes", default=None)
    packages: list[Raw] | None = None
    relationships: list[Raw] | None = None


_DOCUMENT = msgspec.json.Decoder(_Document)
_PACKAGE = msgspec.json.Decoder(_Package)
_RELATIONSHIP = msgspec.json.Decoder(_Relationship)
_CREATORS = msgspec.json.Decoder(list[str])


def parse_spdx(body: bytes, where: str) -> Inventory:
    """What a document lists; raises ``BadDocument`` and its limits."""
    document = decode(body, _DOCUMENT, where)
    if document.version not in VERSIONS:
        raise BadDocument(
            where,
            f"SPDX version {str(document.version)[:20]!r} is not read",
            hint=f"{' and '.join(VERSIONS)} are, and 3.0.",
        )
    gathering = Gathering(where)
    described = _list_described(document)
    distro: Distro | None = None
    subjects: list[Digest] = []
    for raw in document.packages or []:
        package = gathering.decode(raw, _PACKAGE)
        if package is None:
            continue
        if _is_image(package) and (package.id in described or not described):
            gathering.note_image(read_purl(package.purl))
            subjects += _read_digests(package)
        elif _is_system(package):
            distro = distro or make_distro(package.name or "linux", package.version)
        elif package.purl or not _is_group(package, described):
            source = _read_source(package)
            gathering.add(package.purl, package.name, package.version, source)
    return gathering.finish(
        document.version.replace("-", " "), _read_tool(document.creation), distro, subjects
    )


def _list_described(document: _Document) -> frozenset[str]:
    """What the document is about: a list of its own, or relationships with it."""
    described = set(document.describes or ())
    for raw in document.relationships or ():
        if b"DESCRIBE" not in bytes(raw):
            continue
        told = read(raw, _RELATIONSHIP) or _Relationship()
        if told.kind == "DESCRIBES" and told.related:
            described.add(told.related)
        elif told.kind == "DESCRIBED_BY" and told.element:
            described.add(told.element)
    return frozenset(described)


def _is_image(package: _Package) -> bool:
    purl = read_purl(package.purl)
    return package.purpose == "CONTAINER" or (purl is not None and purl.type in IMAGE_TYPES)


def _is_system(package: _Package) -> bool:
    return not package.purl and (
        package.purpose == "OPERATING-SYSTEM" or (package.id or "").startswith(_TRIVY_SYSTEM)
    )


def _is_group(package: _Package, described: frozenset[str]) -> bool:
    """Whether it holds packages rather than being one: an image, its layers, a lock file."""
    return (
        package.purpose in _NO_PACKAGES
        or package.id in described
        or (package.id or "").startswith((*_TRIVY_GROUPS, _SYFT_ROOT))
        or bool(_LAYER.fullmatch(package.name or ""))
    )


def _read_source(package: _Package) -> str | None:
    """``name version`` of the source package, where Trivy tells of it."""
    told = package.source_info or ""
    if not told.startswith(_TRIVY_SOURCE):
        return None
    return told.removeprefix(_TRIVY_SOURCE).strip() or None


def _read_digests(package: _Package) -> Iterator[Digest]:
    purl = read_purl(package.purl)
    named = [image_digest(purl) if purl else None, read_digest(package.version)]
    named += [
        read_digest(f"sha256:{item.value}")
        for item in package.checksums or ()
        if item.algorithm == "SHA256"
    ]
    yield from (digest for digest in named if digest)


def _read_tool(creation: _Creation | None) -> str | None:
    """The first ``Tool: name-version``; creators that are no texts are passed over."""
    for creator in (read(creation.creators, _CREATORS) if creation else None) or []:
        if creator.startswith("Tool:"):
            name, _, version = creator.removeprefix("Tool:").strip().rpartition("-")
            if name and version[:1].isdigit():
                return tool_text(name, version)
            return tool_text(creator.removeprefix("Tool:").strip(), None)
    return None
