"""What the database of Alpine's package manager says is installed (apk-tools, ``installed``)."""

from __future__ import annotations

import io

from imagecatalog.domain.contents import PackageDatabase
from imagecatalog.formats.found import Found
from imagecatalog.formats.language_files import may_tell

_FIELDS = frozenset({b"P:", b"V:", b"A:", b"o:"})
"""Name, version, architecture and origin; their letters' case counts."""


_PATH = 4096
"""Bytes of a line that names a folder or file."""


def parse_installed(data: bytes, where: str) -> PackageDatabase:
    """The packages of the file, each with its origin as source, which has the same version.

    Never raises for what the bytes say: a broken paragraph is told of in ``problem``.
    """
    found = Found(where)
    fields: dict[bytes, str] = {}
    seen = False
    folder = ""
    for line in io.BytesIO(data):
        text = line.rstrip(b"\r\n")
        if not text:
            _add(found, fields, seen=seen)
            fields, seen, folder = {}, False, ""
            continue
        seen = True
        if text[:2] == b"F:":
            folder = text[2:_PATH].decode(errors="replace")
        elif text[:2] == b"R:":
            path = f"{folder}/{text[2:_PATH].decode(errors='replace')}".lstrip("/")
            if may_tell(path):
                found.own(path)
        if text[:2] in _FIELDS:
            fields[text[:2]] = text[2:].decode(errors="replace").strip()
    _add(found, fields, seen=seen)
    return found.database()


def _add(found: Found, fields: dict[bytes, str], *, seen: bool) -> None:
    if not seen:
        return
    name, version = fields.get(b"P:", ""), fields.get(b"V:", "")
    origin = fields.get(b"o:") or name
    found.add("apk", name, version, arch=fields.get(b"A:", ""), source=(origin, version))
