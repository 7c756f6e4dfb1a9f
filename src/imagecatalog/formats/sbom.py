"""Which kind of bill of materials a document is, and its packages."""

from __future__ import annotations

import codecs

import msgspec
from msgspec import Raw, Struct, field

from imagecatalog.domain.builds import Inventory
from imagecatalog.errors import BadDocument
from imagecatalog.formats.cyclonedx import parse_cyclonedx
from imagecatalog.formats.inventory import ABSENT, check_size, decode
from imagecatalog.formats.spdx import parse_spdx
from imagecatalog.formats.spdx3 import parse_spdx3

_READ = "CycloneDX and SPDX are read as JSON; Syft writes them with -o cyclonedx-json."


class _Head(Struct):
    bom_format: Raw = field(name="bomFormat", default=ABSENT)
    spec_version: Raw = field(name="specVersion", default=ABSENT)
    components: Raw = ABSENT
    spdx_version: Raw = field(name="spdxVersion", default=ABSENT)
    graph: Raw = field(name="@graph", default=ABSENT)
    artifacts: Raw = ABSENT


_HEAD = msgspec.json.Decoder(_Head)


def parse_sbom(body: bytes, where: str) -> Inventory:
    """The packages that a bill of materials lists (CycloneDX 1.2 to 1.7, SPDX 2.2, 2.3 and 3.0).

    What of it is not understood is told in ``problem``. Raises ``BadDocument`` for what is no bill
    of materials, and its limits: 64 MiB, 200,000 packages.
    """
    body = body.removeprefix(codecs.BOM_UTF8)
    check_size(body, where)
    if not body.lstrip().startswith(b"{"):
        raise BadDocument(where, _tell_apart(body), hint=_READ)
    head = decode(body, _HEAD, where)
    if head.bom_format or (head.spec_version and head.components):
        return parse_cyclonedx(body, where)
    if head.spdx_version:
        return parse_spdx(body, where)
    if head.graph:
        return parse_spdx3(body, where)
    kind = "Syft's own format" if head.artifacts else "no bill of materials we know"
    raise BadDocument(where, f"it is {kind}", hint=_READ)


def _tell_apart(body: bytes) -> str:
    start = body[:4096].lstrip()
    if start.startswith(b"<"):
        return "it is XML"
    if b"SPDXVersion:" in start:
        return "it is SPDX in its tag-value form"
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "it is UTF-16, not UTF-8"
    return "it is no JSON object"
