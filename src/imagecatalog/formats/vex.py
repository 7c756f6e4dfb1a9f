"""Which kind of VEX a document is, and what it says. No signature is verified here."""

from __future__ import annotations

import codecs

import msgspec
from msgspec import Raw, Struct, field

from imagecatalog.domain.suppressions import VexDocument
from imagecatalog.errors import BadDocument
from imagecatalog.formats.csaf import parse_csaf
from imagecatalog.formats.cyclonedx_vex import parse_cyclonedx_vex
from imagecatalog.formats.inventory import ABSENT, check_size, decode
from imagecatalog.formats.openvex import parse_openvex

LIMIT = 32 << 20
"""Bytes of a document."""
_READ = "OpenVEX, CSAF 2.0 and 2.1, and CycloneDX 1.4 to 1.7 are read, as JSON."


class _Head(Struct):
    context: Raw = field(name="@context", default=ABSENT)
    statements: Raw = ABSENT
    document: Raw = ABSENT
    bom_format: Raw = field(name="bomFormat", default=ABSENT)


_HEAD = msgspec.json.Decoder(_Head)


def parse_vex(body: bytes, where: str) -> VexDocument:
    """What a document says: OpenVEX, CSAF or CycloneDX.

    Raises ``BadDocument`` for what is none, or none that is sound, and its limits: 32 MiB, 200,000
    statements.
    """
    found = find_vex(body, where)
    if found is None:
        raise BadDocument(where, "it is no VEX document we know", hint=_READ)
    return found


def find_vex(body: bytes, where: str) -> VexDocument | None:
    """The same; None for JSON of another kind, as an index that lies beside documents."""
    body = body.removeprefix(codecs.BOM_UTF8)
    check_size(body, where, LIMIT)
    if not body.lstrip().startswith(b"{"):
        raise BadDocument(where, "it is no JSON object", hint=_READ)
    head = decode(body, _HEAD, where)
    if head.document:
        return parse_csaf(body, where)
    if head.bom_format:
        return parse_cyclonedx_vex(body, where)
    return parse_openvex(body, where) if head.statements else None
