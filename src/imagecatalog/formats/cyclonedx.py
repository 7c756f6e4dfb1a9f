"""CycloneDX bills of materials as JSON, versions 1.2 to 1.7: their packages.

Components lie in one another to any depth (an application and its libraries); all of them count,
each once. Services, vulnerabilities and the graph of dependencies are passed over.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import Raw, Struct, field

from imagecatalog.domain.builds import Inventory
from imagecatalog.domain.packages import Distro
from imagecatalog.domain.refs import Digest
from imagecatalog.errors import BadDocument, TooDeep
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
from imagecatalog.formats.purl import make_distro

VERSIONS = ("1.2", "1.3", "1.4", "1.5", "1.6", "1.7")
_DEPTH = 32
"""Components within components."""
_NO_PACKAGES = frozenset(
    ["container", "cryptographic-asset", "data", "device", "device-driver", "file", "firmware"]
).union(["machine-learning-model", "operating-system", "platform"])
"""Types of components that are no packages, unless they have a package URL."""
_TRIVY = "aquasecurity:trivy:"


class _Property(Struct):
    name: str | None = None
    value: str | None = None


class _Hash(Struct):
    alg: str | None = None
    content: str | None = None


class _Component(Struct):
    type: str | None = None
    name: str | None = None
    version: str | None = None
    purl: str | None = None
    properties: Raw = ABSENT
    hashes: Raw = ABSENT
    components: list[Raw] | None = None


class _Tool(Struct):
    name: str | None = None
    version: str | None = None


class _Tools(Struct):
    components: list[_Tool] | None = None


class _Metadata(Struct):
    component: Raw = ABSENT
    tools: Raw = ABSENT


class _Bom(Struct):
    spec_version: str | None = field(name="specVersion", default=None)
    metadata: _Metadata | None = None
    components: list[Raw] | None = None
    vulnerabilities: Raw = ABSENT


_BOM = msgspec.json.Decoder(_Bom)
_COMPONENT = msgspec.json.Decoder(_Component)
_PROPERTIES = msgspec.json.Decoder(list[_Property])
_HASHES = msgspec.json.Decoder(list[_Hash])
_TOOLS = msgspec.json.Decoder(_Tools | list[_Tool])


def parse_cyclonedx(body: bytes, where: str) -> Inventory:
    """What a bill of materials lists; raises ``BadDocument`` and its limits."""
    bom = decode(body, _BOM, where)
    if bom.spec_version not in VERSIONS:
        raise BadDocument(
            where,
            f"CycloneDX {str(bom.spec_version)[:20]!r} is not read",
            hint=f"Versions {VERSIONS[0]} to {VERSIONS[-1]} are.",
        )
    if bom.components is None and bom.vulnerabilities:
        raise BadDocument(where, "it lists vulnerabilities and no components")
    gathering = Gathering(where)
    distro: Distro | None = None
    for component in _walk(bom.components or [], gathering, where):
        if component.type == "operating-system" and not component.purl:
            distro = distro or _read_distro(component)
        elif component.purl or not _is_no_package(component):
            source = _read_source(component)
            gathering.add(component.purl, component.name, component.version, source)
    metadata = bom.metadata or _Metadata()
    described = gathering.decode(metadata.component, _COMPONENT) if metadata.component else None
    gathering.note_image(read_purl(described.purl) if described else None)
    return gathering.finish(
        f"CycloneDX {bom.spec_version}",
        _read_tool(metadata.tools),
        distro,
        _read_subjects(described),
    )


def _walk(components: list[Raw], gathering: Gathering, where: str) -> Iterator[_Component]:
    """All components, those within others after them."""
    waiting = [(components, 1)]
    while waiting:
        siblings, depth = waiting.pop()
        if depth > _DEPTH:
            raise TooDeep(where, f"components lie more than {_DEPTH} deep in one another")
        for raw in siblings:
            if component := gathering.decode(raw, _COMPONENT):
                yield component
                if component.components:
                    waiting.append((component.components, depth + 1))


def _is_no_package(component: _Component) -> bool:
    return component.type in _NO_PACKAGES or _TRIVY.encode() in bytes(component.properties)


def _read_source(component: _Component) -> str | None:
    """``name version`` of the source package, where Trivy tells of it (PkgID, Src…)."""
    if not component.purl or f"{_TRIVY}SrcName".encode() not in bytes(component.properties):
        return None
    told = _read_properties(component)
    version = "-".join(
        part for part in (told.get(f"{_TRIVY}SrcVersion"), told.get(f"{_TRIVY}SrcRelease")) if part
    )
    epoch = told.get(f"{_TRIVY}SrcEpoch", "0")
    if version and epoch != "0" and ":" not in version:
        version = f"{epoch}:{version}"
    return f"{told.get(f'{_TRIVY}SrcName', '')} {version}".strip() or None


def _read_distro(component: _Component) -> Distro | None:
    if not component.name:
        return None
    codename = _read_properties(component).get("syft:distro:versionCodename")
    return make_distro(component.name, component.version, codename)


def _read_properties(component: _Component) -> dict[str, str]:
    pairs = read(component.properties, _PROPERTIES) or []
    return {pair.name: pair.value for pair in pairs if pair.name and pair.value}


def _read_subjects(component: _Component | None) -> Iterator[Digest]:
    """The images that the described component names: by its purl, version, hash or property."""
    if component is None:
        return
    purl = read_purl(component.purl)
    named = [image_digest(purl) if purl else None]
    if component.type == "container":
        named.append(read_digest(component.version))
        named.append(read_digest(_read_properties(component).get(f"{_TRIVY}RepoDigest")))
        named += [
            read_digest(f"sha256:{item.content}")
            for item in read(component.hashes, _HASHES) or []
            if item.alg == "SHA-256"
        ]
    yield from (digest for digest in named if digest)


def _read_tool(raw: Raw) -> str | None:
    """The first tool; before version 1.5 they were a list, since then it may be an object."""
    tools = read(raw, _TOOLS)
    listed = tools.components if isinstance(tools, _Tools) else tools
    return tool_text(listed[0].name, listed[0].version) if listed else None
