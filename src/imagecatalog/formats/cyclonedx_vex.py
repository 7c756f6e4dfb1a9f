"""VEX in CycloneDX documents, versions 1.4 to 1.7: the analyses of their vulnerabilities.

A vulnerability without an analysis is no statement. What it affects is named by a reference into the
document, or into another one (a BOM-Link, RFC 8141 name of ``urn:cdx``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal
from urllib.parse import unquote

import msgspec
from msgspec import Raw, Struct, field

from imagecatalog.domain.suppressions import VexDocument, VexStatus
from imagecatalog.errors import BadDocument, TooDeep
from imagecatalog.formats.inventory import ABSENT, decode, read_digest
from imagecatalog.formats.oci import parse_time
from imagecatalog.formats.vex_products import (
    NAME_LIMIT,
    Product,
    Statements,
    cut,
    describe,
    name_product,
    place,
    read_names,
)

VERSIONS = ("1.4", "1.5", "1.6", "1.7")
_DEPTH = 32
"""Components within components."""
_STATES: Mapping[str, VexStatus] = {
    "resolved": "fixed",
    "resolved_with_pedigree": "fixed",
    "exploitable": "affected",
    "in_triage": "under_investigation",
    "false_positive": "not_affected",
    "not_affected": "not_affected",
}
_State = Literal[
    "resolved",
    "resolved_with_pedigree",
    "exploitable",
    "in_triage",
    "false_positive",
    "not_affected",
]


class _Component(Struct):
    ref: str | None = field(name="bom-ref", default=None)
    type: str | None = None
    name: str | None = None
    version: str | None = None
    purl: str | None = None
    components: list[_Component] | None = None


class _Named(Struct):
    name: str | None = None


class _Metadata(Struct):
    timestamp: str | None = None
    authors: list[_Named] | None = None
    component: _Component | None = None
    manufacturer: _Named | None = None
    manufacture: _Named | None = None
    supplier: _Named | None = None


class _Analysis(Struct):
    state: _State | None = None
    justification: str | None = None
    response: list[str] | None = None
    detail: str | None = None
    first: str | None = field(name="firstIssued", default=None)
    last: str | None = field(name="lastUpdated", default=None)


class _Version(Struct):
    version: str | None = None
    range: str | None = None
    status: Literal["affected", "unaffected", "unknown"] = "affected"


class _Affected(Struct):
    ref: str
    versions: list[_Version] | None = None


class _Reference(Struct):
    id: str | None = None


class _Vulnerability(Struct):
    id: str | None = None
    references: list[_Reference] | None = None
    analysis: _Analysis | None = None
    affects: list[_Affected] | None = None
    updated: str | None = None
    source: _Named | None = None


class _Bom(Struct):
    spec: str = field(name="specVersion")
    serial: str | None = field(name="serialNumber", default=None)
    metadata: _Metadata | None = None
    components: Raw = ABSENT
    vulnerabilities: list[_Vulnerability] | None = None


_BOM = msgspec.json.Decoder(_Bom)
_COMPONENTS = msgspec.json.Decoder(list[_Component])


def parse_cyclonedx_vex(body: bytes, where: str) -> VexDocument:
    """What the analyses of a document say; raises ``BadDocument`` and its limits."""
    bom = decode(body, _BOM, where)
    if bom.spec not in VERSIONS:
        hint = f"Versions {VERSIONS[0]} to {VERSIONS[-1]} are."
        raise BadDocument(where, f"CycloneDX {bom.spec[:20]!r} is not read", hint=hint)
    told = [
        (number, one) for number, one in enumerate(bom.vulnerabilities or ()) if _is_analysed(one)
    ]
    if not told:
        raise BadDocument(where, "it has no vulnerability with an analysis: it is no VEX")
    metadata = bom.metadata or _Metadata()
    products = _Products(bom, metadata.component, where)
    statements = Statements(where)
    for number, one in told:
        _read(one, products, statements, f"{where}: vulnerabilities[{number}]")
    return VexDocument(
        name=cut(bom.serial or where, NAME_LIMIT),
        format=f"CycloneDX {bom.spec}",
        author=_read_author(metadata),
        issued=parse_time(metadata.timestamp),
        statements=statements.finish(),
    )


def _is_analysed(one: _Vulnerability) -> bool:
    return one.analysis is not None and one.analysis.state is not None


def _read(one: _Vulnerability, products: _Products, statements: Statements, at: str) -> None:
    assert one.analysis is not None
    assert one.analysis.state is not None
    names = read_names([one.id, *(item.id for item in one.references or ())])
    if not names:
        raise BadDocument(at, "id: it names no advisory")
    if not one.affects:
        raise BadDocument(at, "affects: there is nothing")
    status = _STATES[one.analysis.state]
    for affected in one.affects:
        for product, of_version in products.list_versions(affected):
            statements.add(
                names,
                of_version or status,
                product,
                justification=one.analysis.justification,
                statement=one.analysis.detail or ", ".join(one.analysis.response or ()) or None,
                issued=parse_time(one.analysis.last)
                or parse_time(one.analysis.first)
                or parse_time(one.updated),
            )


def _read_author(metadata: _Metadata) -> str:
    named = [
        *(metadata.authors or ()),
        metadata.manufacturer,
        metadata.manufacture,
        metadata.supplier,
    ]
    words = [one.name.strip() for one in named if one is not None and one.name]
    return cut(next(filter(None, words), "an author without a name"), NAME_LIMIT)


class _Products:
    """What the references of a document mean."""

    def __init__(self, bom: _Bom, described: _Component | None, where: str) -> None:
        self._whole = _describe(described) if described else None
        self._by_ref: dict[str, Product] = {}
        listed = decode(bom.components, _COMPONENTS, where) if bom.components else []
        for component in _walk(listed, where):
            if component.ref:
                product = name_product(component.purl, _title(component))
                self._by_ref[component.ref] = (
                    place(product, self._whole) if self._whole else product
                )
        if described and described.ref and self._whole:
            self._by_ref[described.ref] = self._whole

    def list_versions(self, affected: _Affected) -> Iterator[tuple[Product, VexStatus | None]]:
        """The product, or each version of it with what is said of that alone."""
        product = self._find(affected.ref)
        if not affected.versions:
            yield product, None
        for one in affected.versions or ():
            status: VexStatus | None = None
            if one.status == "unaffected":
                status = "not_affected"
            elif one.status == "unknown":
                status = "under_investigation"
            yield _of_version(product, one.version or one.range), status

    def _find(self, ref: str) -> Product:
        if ref in self._by_ref:
            return self._by_ref[ref]
        document, separator, inner = ref.partition("#")
        inner = unquote(inner)
        if ref.startswith("urn:cdx:") and separator:
            product = name_product(inner)
            return product if product.image_digest else place(product, Product(within=document))
        return name_product(ref)


def _of_version(product: Product, version: str | None) -> Product:
    """A product that has a version already is more exact than what is said of its versions."""
    if version is None or product.version or product.tag or product.image_digest:
        return product
    if product.name is None:
        return place(product, Product(within=f"{describe(product)} {version}"))
    fields = {name: getattr(product, name) for name in product.__struct_fields__}
    return Product(**fields | {"version": cut(version, NAME_LIMIT)})


def _describe(component: _Component) -> Product:
    """What the document is of: Syft names an image by its digest as a version."""
    digest = read_digest(component.version) if component.type == "container" else None
    if digest is not None and not component.purl:
        return Product(image_digest=str(digest))
    return name_product(component.purl, _title(component))


def _title(component: _Component) -> str:
    return " ".join(filter(None, (component.name, component.version)))


def _walk(components: list[_Component], where: str) -> Iterator[_Component]:
    waiting = [(components, 1)]
    while waiting:
        siblings, depth = waiting.pop()
        if depth > _DEPTH:
            raise TooDeep(where, f"components lie more than {_DEPTH} deep in one another")
        for component in siblings:
            yield component
            if component.components:
                waiting.append((component.components, depth + 1))
