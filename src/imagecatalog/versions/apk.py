"""The order of Alpine's versions: ``1.2.3b_rc4_p5~1f2e3d-r6`` (apk-package(5), apk-tools 3).

Where one version goes on and the other ends or goes on differently, a suffix that comes before a
release is lowest, then the end, ``-r``, the hash, a suffix's number, another suffix, a letter, and
a further number is highest.
"""

from __future__ import annotations

import re

from imagecatalog.errors import BadName
from imagecatalog.versions.digits import MAX_LENGTH, number_key

_SUFFIXES = ("alpha", "beta", "pre", "rc", "", "cvs", "svn", "git", "hg", "p")
_RELEASE = _SUFFIXES.index("")

_BEFORE, _END, _REVISION, _HASH, _SUFFIX_NUMBER, _AFTER, _LETTER, _FRACTION = (
    bytes((number,)) for number in range(1, 9)
)
_TEXT_END = b"\x00"

_NAMES = "|".join(filter(None, _SUFFIXES))
_VERSION = re.compile(
    r"(?P<first>[0-9]+)(?P<more>(?:\.[0-9]+)*)(?P<letter>[a-z])?"
    rf"(?P<suffixes>(?:_(?:{_NAMES})[0-9]*)*)"
    r"(?:~(?P<hash>[0-9a-f]+))?(?:-r(?P<revision>[0-9]+))?"
)
_SUFFIX = re.compile(r"_([a-z]+)([0-9]*)")


def key(version: str) -> bytes:
    """The key of a version; raises BadName for what apk does not allow.

    ``-r01`` and ``-r1`` are equal; of the numbers behind the first, ``.01`` is below ``.1``.
    """
    found = _VERSION.fullmatch(version) if len(version) <= MAX_LENGTH else None
    if found is None:
        raise BadName(f"{version[:80]!r} is not a version of an Alpine package")
    parts = [number_key(found["first"])]
    parts += map(_number, found["more"].split(".")[1:])
    if found["letter"]:
        parts.append(_LETTER + found["letter"].encode())
    parts += map(_suffix, _SUFFIX.finditer(found["suffixes"]))
    if found["hash"]:
        parts.append(_HASH + found["hash"].encode() + _TEXT_END)
    if found["revision"]:
        parts.append(_REVISION + number_key(found["revision"]))
    return b"".join(parts) + _END


def _number(digits: str) -> bytes:
    """A number behind the first: one with a zero before it is text, below all others."""
    if digits.startswith("0"):
        return _FRACTION + digits.encode() + _TEXT_END
    return number_key(digits)


def _suffix(match: re.Match[str]) -> bytes:
    rank = _SUFFIXES.index(match[1])
    kind = _BEFORE if rank < _RELEASE else _AFTER
    number = _SUFFIX_NUMBER + number_key(match[2]) if match[2] else b""
    return kind + bytes((rank + 1,)) + number
