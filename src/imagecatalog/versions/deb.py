"""The order of Debian versions (deb-version(7)) as a byte key that ``memcmp`` sorts as dpkg does.

A key is the epoch, the upstream version and the revision one after another. Each part is a run of
non-digits and numbers in turn, so only three kinds of byte must be kept apart: ``~`` is lower than
a number or an end, and these are lower than letters, which are lower than all other characters.
"""

from __future__ import annotations

import re

from imagecatalog.errors import BadName
from imagecatalog.versions.digits import MAX_LENGTH, invalid_key, number_key

_END = b"\x02"
_FIRST_CHARACTER = 0xC0
"""Above all that begins a number."""

_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz+-.:"
_TABLE = bytes.maketrans(
    b"~" + _CHARACTERS.encode(),
    b"\x01" + bytes(range(_FIRST_CHARACTER, _FIRST_CHARACTER + len(_CHARACTERS))),
)
_DIGITS = re.compile(rb"[0-9]+")
_FOREIGN = re.compile(rb"[^A-Za-z0-9.+\-~:]")
_STRANGE = {
    byte: bytes((_TABLE[max((one for one in b"+-.:" if one < byte), default=ord("z"))], 0xFF, byte))
    for byte in range(0x80)
}
"""Of characters that no version may have: behind all that begins with the allowed one before them."""
_EPOCH = re.compile(r"[0-9]+")
_UPSTREAM = re.compile(r"[A-Za-z0-9.+\-~:]+")
_REVISION = re.compile(r"[A-Za-z0-9.+~]+")
_MAX_EPOCH = 2**31 - 1


def key(version: str) -> bytes:
    """The key of a version: equal for two that dpkg calls equal, as ``1.0`` and ``1.00-0``.

    Raises BadName for what deb-version(7) does not allow. Like dpkg it lets the upstream part
    begin with a letter.
    """
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    upstream, dash, revision = rest.rpartition("-")
    if not dash:
        upstream, revision = rest, "0"
    if not (
        len(version) <= MAX_LENGTH
        and _EPOCH.fullmatch(epoch)
        and int(epoch) <= _MAX_EPOCH
        and _UPSTREAM.fullmatch(upstream)
        and _REVISION.fullmatch(revision)
    ):
        raise BadName(f"{version[:80]!r} is not a Debian version")
    return number_key(epoch) + _part(upstream) + _part(revision)


def sort_key(version: str) -> bytes:
    """As ``key``, but an invalid version gets a key too, below those of all valid ones."""
    try:
        return key(version)
    except BadName:
        return invalid_key(version)


def apt_key(version: str) -> bytes:
    """As ``key``, and for what deb-version(7) does not allow what has it sort as apt does.

    apt compares whatever text there is: characters that no version may have by their codes, too.
    """
    try:
        return key(version)
    except BadName:
        epoch, colon, rest = version[:MAX_LENGTH].partition(":")
        if not colon or not epoch:
            epoch, rest = "0", version[:MAX_LENGTH]
        upstream, dash, revision = rest.rpartition("-")
        if not dash:
            upstream, revision = rest, "0"
        first = number_key(epoch) if _EPOCH.fullmatch(epoch) else _any_part(epoch)
        return first + _any_part(upstream) + _any_part(revision)


def compare(left: str, right: str) -> int:
    """-1, 0 or 1 as the left version is earlier than, equal to or later than the right one."""
    first, second = key(left), key(right)
    return (first > second) - (first < second)


def _part(text: str) -> bytes:
    """The key of an upstream version or a revision; where a number could stand, none means 0."""
    if not text[-1].isdigit():
        text += "0"
    return _DIGITS.sub(_number, text.encode("ascii").translate(_TABLE)) + _END


def _any_part(text: str) -> bytes:
    """The same of any text."""
    if not text[-1:].isdigit():
        text += "0"
    told = text.encode("ascii", "replace")
    parts = (
        _STRANGE[byte] if _FOREIGN.match(told, at) else told[at : at + 1].translate(_TABLE)
        for at, byte in enumerate(told)
    )
    return _DIGITS.sub(_number, b"".join(parts)) + _END


def _number(match: re.Match[bytes]) -> bytes:
    return number_key(match[0].decode())
