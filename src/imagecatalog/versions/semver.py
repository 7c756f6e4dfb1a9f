"""The order of Semantic Versioning 2.0.0 (section 11): npm's and Cargo's.

A key is the three numbers and then what a release has highest of all, or the identifiers of a
pre-release. Build metadata does not count (section 10), so ``1.0.0+a`` and ``1.0.0+b`` are equal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from imagecatalog.errors import BadName
from imagecatalog.versions.digits import MAX_LENGTH, number_key

_END = b"\x01"
"""Of an identifier and of a pre-release: fewer identifiers, and shorter ones, are lower."""
_WORD = b"\xc0"
"""Before an identifier that is no number: above all numbers."""
_RELEASE = b"\xff"

_NUMBER = r"(0|[1-9][0-9]*)"
_IDENTIFIER = r"(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
PRE_RELEASE = re.compile(rf"{_IDENTIFIER}(?:\.{_IDENTIFIER})*")
"""What may follow the first hyphen."""
_VERSION = re.compile(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)


def key(version: str) -> bytes:
    """The key of a version; raises BadName for one that the specification does not allow.

    A ``v`` before it is read past, as npm does.
    """
    found = _VERSION.fullmatch(version.removeprefix("v")) if len(version) <= MAX_LENGTH else None
    if found is None or not (found[4] is None or PRE_RELEASE.fullmatch(found[4])):
        raise BadName(f"{version[:80]!r} is not a semantic version")
    return precedence((found[1], found[2], found[3]), found[4])


def precedence(numbers: Iterable[str], pre_release: str | None) -> bytes:
    """The key of a version in parts: always as many numbers, and labels that dots join."""
    start = b"".join(map(number_key, numbers))
    if pre_release is None:
        return start + _RELEASE
    return start + b"".join(map(_identifier, pre_release.split("."))) + _END


def _identifier(text: str) -> bytes:
    return number_key(text) if text.isdigit() else _WORD + text.encode() + _END
