"""The name and version of an installed Ruby gem, read from its specification and never run."""

from __future__ import annotations

import re

from imagecatalog.domain.contents import PackageDatabase
from imagecatalog.formats.found import Found

_STUB = re.compile(rb"# stub: (\S+) (\S+) (\S+) ")
_ASSIGNED = {
    field: re.compile(
        rb"^\s*\w+\.%s\s*=\s*(?:Gem::Version\.new\(?\s*)?['\"]([^'\"\n]*)['\"]" % field,
        re.MULTILINE,
    )
    for field in (b"name", b"version")
}


def parse_gemspec(data: bytes, where: str) -> PackageDatabase:
    """What RubyGems wrote of the gem: its stub line, else the assignments of texts.

    A version that is computed, as sources of gems have it, is a problem.
    """
    found = Found(where)
    if stub := _STUB.search(data[:4096]):
        name, version = stub[1], stub[2]
    else:
        told = {field: pattern.search(data) for field, pattern in _ASSIGNED.items()}
        name, version = (match[1] if match else b"" for match in told.values())
    found.add("gem", name.decode(errors="replace"), version.decode(errors="replace"))
    return found.database()
