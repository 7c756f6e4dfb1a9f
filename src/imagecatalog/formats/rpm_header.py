"""One installed package in an RPM database: its header, as librpm writes it (rpm, docs/manual)."""

from __future__ import annotations

import re
import struct

from imagecatalog.errors import BadDocument
from imagecatalog.formats.found import Found

_NAME, _VERSION, _RELEASE, _EPOCH, _ARCH, _SOURCE = 1000, 1001, 1002, 1003, 1022, 1044
_TEXTS = frozenset({_NAME, _VERSION, _RELEASE, _ARCH, _SOURCE})
_INT32, _STRING, _I18N = 4, 6, 9
_ENTRIES = 1 << 16
"""Tags of a header; librpm refuses more."""
_TEXT = 4096
_SOURCE_FILE = re.compile(r"(.+)-([^-]+-[^-]+)\.(?:src|nosrc)\.rpm")
_KEY = "gpg-pubkey"
"""Not a package: where RPM keeps the keys that it trusts."""


def read_header(blob: bytes, where: str, found: Found) -> None:
    """Take the package that a header is of; raises ``BadDocument`` where it is none.

    Its version is ``[epoch:]version-release``, with no epoch of 0, its source as in the name of
    the source's file. A module's label is not kept.
    """
    fields = _read_fields(blob, where)
    name = str(fields.get(_NAME, ""))
    if name == _KEY:
        return
    if not (fields.get(_VERSION) and fields.get(_RELEASE)):
        raise BadDocument(where, f"package {name[:80]!r} has no version or no release")
    version = f"{fields[_VERSION]}-{fields[_RELEASE]}"
    if fields.get(_EPOCH):
        version = f"{fields[_EPOCH]}:{version}"
    source = _SOURCE_FILE.fullmatch(str(fields.get(_SOURCE, "")))
    found.add(
        "rpm",
        name,
        version,
        arch=str(fields.get(_ARCH, "")),
        source=(source[1], source[2]) if source else None,
    )


def _read_fields(blob: bytes, where: str) -> dict[int, str | int]:
    """The wanted tags; of one that is there twice the first, as the rest may be padding."""
    if len(blob) < 8:
        raise BadDocument(where, "a header is cut short")
    count, size = struct.unpack_from(">II", blob)
    start = 8 + 16 * count
    if count > _ENTRIES or start + size > len(blob):
        raise BadDocument(where, "a header says to be longer than it is")
    fields: dict[int, str | int] = {}
    for tag, kind, offset, _ in struct.iter_unpack(">IIII", blob[8:start]):
        if tag in fields or offset >= size:
            continue
        at = start + offset
        if tag in _TEXTS and kind in (_STRING, _I18N):
            text = blob[at : min(at + _TEXT, start + size)].partition(b"\0")[0]
            fields[tag] = text.decode(errors="replace")
        elif tag == _EPOCH and kind == _INT32 and offset + 4 <= size:
            fields[tag] = struct.unpack_from(">I", blob, at)[0]
    return fields
