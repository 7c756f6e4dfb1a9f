"""OpenVEX documents (OpenVEX specification 0.2.0, and the older shape of its 0.0.x).

A statement without a time of its own has that of its document.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import Struct, field

from imagecatalog.domain.suppressions import VexDocument, VexStatus
from imagecatalog.errors import BadDocument
from imagecatalog.formats.inventory import decode
from imagecatalog.formats.oci import parse_time
from imagecatalog.formats.vex_products import (
    NAME_LIMIT,
    Product,
    Statements,
    cut,
    name_product,
    place,
    read_names,
)

CONTEXT = "https://openvex.dev/ns"


class _Part(Struct):
    id: str | None = field(name="@id", default=None)
    identifiers: dict[str, str] | None = None

    def purl(self) -> str | None:
        """Its package URL: it is named by it, or by something else and has one."""
        if self.id and self.id.startswith("pkg:"):
            return self.id
        return (self.identifiers or {}).get("purl") or self.id


class _Product(_Part):
    subcomponents: list[_Part | str] | None = None


class _Vulnerability(Struct):
    id: str | None = field(name="@id", default=None)
    name: str | None = None
    aliases: list[str] | None = None


class _Statement(Struct):
    vulnerability: _Vulnerability | str
    status: VexStatus
    products: list[_Product | str] | None = None
    subcomponents: list[_Part | str] | None = None
    """Of all products; of the older shape."""
    justification: str | None = None
    impact_statement: str | None = None
    status_notes: str | None = None
    action_statement: str | None = None
    timestamp: str | None = None


class _Document(Struct):
    author: str
    statements: list[_Statement]
    context: str = field(name="@context", default="")
    id: str | None = field(name="@id", default=None)
    timestamp: str | None = None


_DOCUMENT = msgspec.json.Decoder(_Document)


def parse_openvex(body: bytes, where: str) -> VexDocument:
    """What a document says; raises ``BadDocument`` and its limits for one that is not as it should be."""
    told = decode(body, _DOCUMENT, where)
    if not told.context.startswith(CONTEXT):
        raise BadDocument(where, f"@context: {told.context[:80]!r} is not {CONTEXT}")
    if not told.author.strip():
        raise BadDocument(where, "author: it is empty")
    if not told.statements:
        raise BadDocument(where, "statements: there are none")
    statements = Statements(where)
    for number, one in enumerate(told.statements):
        at = f"{where}: statements[{number}]"
        names = _read_names(one.vulnerability)
        if not names:
            raise BadDocument(at, "vulnerability: it names no advisory")
        if one.status == "not_affected" and not (one.justification or one.impact_statement):
            raise BadDocument(at, "not_affected has neither justification nor impact_statement")
        if not one.products:
            raise BadDocument(at, "products: there are none")
        for product in _list_products(one):
            statements.add(
                names,
                one.status,
                product,
                justification=one.justification,
                statement=one.impact_statement or one.action_statement or one.status_notes,
                issued=parse_time(one.timestamp),
            )
    return VexDocument(
        name=cut(told.id or where, NAME_LIMIT),
        format=f"OpenVEX {told.context.removeprefix(CONTEXT).strip('/v')}".strip(),
        author=cut(told.author.strip(), NAME_LIMIT),
        issued=parse_time(told.timestamp),
        statements=statements.finish(),
    )


def _read_names(told: _Vulnerability | str) -> tuple[str, ...]:
    if isinstance(told, str):
        return read_names([told])
    return read_names([told.name, *(told.aliases or ()), None if told.name else told.id])


def _list_products(told: _Statement) -> Iterator[Product]:
    """Each product, or each part of it that is meant."""
    for item in told.products or ():
        product = _name(item)
        inner = [] if isinstance(item, str) else item.subcomponents or []
        parts = [*inner, *(told.subcomponents or ())]
        if not parts:
            yield product
        for part in parts:
            yield place(_name(part), product)


def _name(item: _Part | str) -> Product:
    return name_product(item if isinstance(item, str) else item.purl())
