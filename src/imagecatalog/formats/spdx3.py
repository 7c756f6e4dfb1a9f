"""SPDX 3.0 documents as JSON-LD, in the compact form that its serialisation asks for: their packages.

The elements of the graph are told apart by their type; whatever is no package is passed over.
"""

from __future__ import annotations

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

_WANTED = frozenset(["CreationInfo", "SpdxDocument", "Tool", "software_Package", "software_Sbom"])
_NO_PACKAGES = frozenset(["archive", "container", "data", "device", "file", "firmware", "model"])
"""Purposes of packages that are none here, unless they have a package URL."""


class _Identifier(Struct):
    kind: str | None = field(name="externalIdentifierType", default=None)
    text: str | None = field(name="identifier", default=None)


class _Hash(Struct):
    algorithm: str | None = None
    value: str | None = field(name="hashValue", default=None)


class _Kind(Struct):
    type: str | None = None


class _Creation(Struct):
    version: str | None = field(name="specVersion", default=None)


class _Tool(Struct):
    name: str | None = None


class _Collection(Struct):
    roots: Raw = field(name="rootElement", default=ABSENT)


class _Package(Struct):
    id: str | None = field(name="spdxId", default=None)
    name: str | None = None
    version: str | None = field(name="software_packageVersion", default=None)
    package_url: str | None = field(name="software_packageUrl", default=None)
    purpose: str | None = field(name="software_primaryPurpose", default=None)
    identifiers: Raw = field(name="externalIdentifier", default=ABSENT)
    hashes: Raw = field(name="verifiedUsing", default=ABSENT)

    @property
    def purl(self) -> str | None:
        """Its package URL, as a field of its own or among its identifiers."""
        if self.package_url:
            return self.package_url
        items = (read(raw, _IDENTIFIER) for raw in _members(self.identifiers))
        return next((item.text for item in items if item and item.kind == "packageUrl"), None)


class _Document(Struct):
    graph: list[Raw] | None = field(name="@graph", default=None)


_DOCUMENT = msgspec.json.Decoder(_Document)
_KIND = msgspec.json.Decoder(_Kind)
_CREATION = msgspec.json.Decoder(_Creation)
_TOOL = msgspec.json.Decoder(_Tool)
_COLLECTION = msgspec.json.Decoder(_Collection)
_PACKAGE = msgspec.json.Decoder(_Package)
_IDENTIFIER = msgspec.json.Decoder(_Identifier)
_HASH = msgspec.json.Decoder(_Hash)
_LIST = msgspec.json.Decoder(list[Raw])
_TEXT = msgspec.json.Decoder(str)


def parse_spdx3(body: bytes, where: str) -> Inventory:
    """What a document lists; raises ``BadDocument`` and its limits."""
    sorted_out: dict[str, list[Raw]] = {}
    for raw in decode(body, _DOCUMENT, where).graph or []:
        if kind := read(raw, _KIND):
            sorted_out.setdefault(kind.type if kind.type in _WANTED else "", []).append(raw)
    creations = [read(raw, _CREATION) for raw in sorted_out.get("CreationInfo", ())]
    version = next((item.version for item in creations if item and item.version), None)
    if version is None or not version.startswith("3.0"):
        raise BadDocument(
            where, f"SPDX version {str(version)[:20]!r} is not read", hint="Of version 3, 3.0 is."
        )
    gathering = Gathering(where)
    roots = _list_roots(sorted_out)
    distro: Distro | None = None
    subjects: list[Digest] = []
    for raw in sorted_out.get("software_Package", ()):
        package = gathering.decode(raw, _PACKAGE)
        if package is None:
            continue
        if _is_image(package) and (package.id in roots or not roots):
            gathering.note_image(read_purl(package.purl))
            subjects += _read_digests(package)
        elif package.purpose == "operatingSystem" and not package.purl:
            distro = distro or make_distro(package.name or "linux", package.version)
        elif package.purl or not (package.purpose in _NO_PACKAGES or package.id in roots):
            gathering.add(package.purl, package.name, package.version)
    return gathering.finish(f"SPDX {version[:20]}", _read_tool(sorted_out), distro, subjects)


def _list_roots(sorted_out: dict[str, list[Raw]]) -> frozenset[str]:
    """What the document, or the bill of materials in it, is about."""
    roots: set[str] = set()
    for raw in (*sorted_out.get("SpdxDocument", ()), *sorted_out.get("software_Sbom", ())):
        if collection := read(raw, _COLLECTION):
            named = (read(member, _TEXT) for member in _members(collection.roots))
            roots.update(root for root in named if root)
    return frozenset(roots)


def _is_image(package: _Package) -> bool:
    purl = read_purl(package.purl)
    return package.purpose == "container" or (purl is not None and purl.type in IMAGE_TYPES)


def _read_digests(package: _Package) -> Iterator[Digest]:
    purl = read_purl(package.purl)
    named = [image_digest(purl) if purl else None, read_digest(package.version)]
    hashes = (read(raw, _HASH) for raw in _members(package.hashes))
    named += [
        read_digest(f"sha256:{item.value}")
        for item in hashes
        if item and item.algorithm == "sha256"
    ]
    yield from (digest for digest in named if digest)


def _read_tool(sorted_out: dict[str, list[Raw]]) -> str | None:
    tools = (read(raw, _TOOL) for raw in sorted_out.get("Tool", ()))
    return next((tool_text(tool.name, None) for tool in tools if tool and tool.name), None)


def _members(raw: Raw) -> list[Raw]:
    """The values of a property, which may be one alone or a list."""
    return (read(raw, _LIST) or []) if bytes(raw).startswith(b"[") else [raw]
