"""The order of NuGet's packages: Semantic Versioning with up to four numbers, in any case of letters.

Missing numbers are 0, as are zeros before a number, and metadata does not count: ``1.0`` =
``1.00.0.0+a``.
"""

from __future__ import annotations

import re

from imagecatalog.errors import BadName
from imagecatalog.versions.digits import MAX_LENGTH
from imagecatalog.versions.semver import precedence

_LABELS = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_VERSION = re.compile(rf"([0-9]+(?:\.[0-9]+){{0,3}})(?:-({_LABELS}))?(?:\+{_LABELS})?")


def key(version: str) -> bytes:
    """The key of a version; raises BadName for one that NuGet does not allow."""
    found = _VERSION.fullmatch(version) if len(version) <= MAX_LENGTH else None
    if found is None:
        raise BadName(f"{version[:80]!r} is not a version of a NuGet package")
    numbers = found[1].split(".")
    missing = ["0"] * (4 - len(numbers))
    return precedence(numbers + missing, found[2] and found[2].lower())
