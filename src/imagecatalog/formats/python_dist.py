"""The name and version of an installed Python distribution: core metadata of a wheel or an egg."""

from __future__ import annotations

import re

from imagecatalog.domain.contents import PackageDatabase
from imagecatalog.formats.found import Found
from imagecatalog.formats.purl import normalise_pypi

_FIELD = re.compile(rb"(name|version)[ \t]*:[ \t]*(.*)", re.IGNORECASE)


def parse_metadata(data: bytes, where: str) -> PackageDatabase:
    """What ``METADATA`` or ``PKG-INFO`` begins with; the name is normalised as the index does.

    ``data`` may be its beginning alone: the description, which comes last, is not looked at.
    """
    fields: dict[bytes, str] = {}
    for line in data.splitlines():
        if not line.strip():
            break
        if match := _FIELD.fullmatch(line):
            fields.setdefault(match[1].lower(), match[2].decode(errors="replace").strip())
    found = Found(where)
    name = normalise_pypi(fields.get(b"name", ""))
    found.add("pypi", name, fields.get(b"version", ""))
    return found.database()
