"""The order of Python's packages: the version specifiers specification, once PEP 440.

A key is the epoch, the release without its last zeros, and then the pre-, post- and development
release and the local part, each with a byte of its own where it is absent.
"""

from __future__ import annotations

import re

from imagecatalog.errors import BadName
from imagecatalog.versions.digits import MAX_LENGTH, number_key

_VERSION = re.compile(
    r"""\s*v?
    (?:(?P<epoch>[0-9]+)!)?
    (?P<release>[0-9]+(?:\.[0-9]+)*)
    (?:[-_.]?(?P<pre>alpha|a|beta|b|preview|pre|c|rc)[-_.]?(?P<pre_number>[0-9]*))?
    (?P<post>-(?P<post_alone>[0-9]+)|[-_.]?(?:post|rev|r)[-_.]?(?P<post_number>[0-9]*))?
    (?P<dev>[-_.]?dev[-_.]?(?P<dev_number>[0-9]*))?
    (?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?
    \s*""",
    re.VERBOSE | re.ASCII,
)
_SEPARATOR = re.compile("[-_.]")

_END = b"\x01"
_ONLY_DEV = b"\x02"
"""A development release of a final one is below its pre-releases."""
_PRE = {"a": b"\x03", "b": b"\x04", "c": b"\x05", "r": b"\x05", "p": b"\x05"}
"""By the first letter of all their spellings."""
_FINAL = b"\x06"
_NO_POST, _POST = b"\x01", b"\x02"
_DEV, _NO_DEV = b"\x01", b"\x02"
_WORD = b"\x02"
"""Before a segment of the local part that is no number: below all that are."""


def key(version: str) -> bytes:
    """The key of a version: equal for two that the specification calls equal, as ``1.0`` and ``1``.

    Raises BadName for what it does not allow.
    """
    valid = len(version) <= MAX_LENGTH and version.isascii()
    found = _VERSION.fullmatch(version.lower()) if valid else None
    if found is None:
        raise BadName(f"{version[:80]!r} is not a version of a Python package")
    return b"".join(
        (
            number_key(found["epoch"] or "0"),
            *map(number_key, _release(found["release"])),
            _END,
            _pre(found),
            _POST + number_key(found["post_alone"] or found["post_number"] or "0")
            if found["post"]
            else _NO_POST,
            _DEV + number_key(found["dev_number"]) if found["dev"] else _NO_DEV,
            *map(_segment, _SEPARATOR.split(found["local"]) if found["local"] else ()),
            _END,
        )
    )


def _release(text: str) -> list[str]:
    numbers = text.split(".")
    while numbers and not numbers[-1].strip("0"):
        numbers.pop()
    return numbers


def _pre(found: re.Match[str]) -> bytes:
    if found["pre"]:
        return _PRE[found["pre"][0]] + number_key(found["pre_number"])
    return _ONLY_DEV if found["dev"] and not found["post"] else _FINAL


def _segment(text: str) -> bytes:
    return number_key(text) if text.isdigit() else _WORD + text.encode() + _END
