"""The order of RPM's versions, ``[epoch:]version[-release]``: rpm-version(7).

Each part is runs of letters and of digits, whatever stands between them. A tilde is lower than the
end, a caret just above it, then come words, then numbers.
"""

from __future__ import annotations

import re

from imagecatalog.errors import BadName
from imagecatalog.versions.digits import MAX_LENGTH, number_key

_TILDE, _END, _CARET, _WORD = b"\x01", b"\x02", b"\x03", b"\x08"
_WORD_END = b"\x01"

_EPOCH = re.compile(r"[0-9]{1,10}")
_MAX_EPOCH = 2**32 - 1
_CHARACTERS = re.compile(r"[A-Za-z0-9._+~^]+")
_TOKEN = re.compile(r"([0-9]+)|([A-Za-z]+)|([~^])")


def key(version: str) -> bytes:
    """The key of a version: equal for two that RPM calls equal, as ``1.0`` and ``1_00``.

    No release is lower than any, and no epoch is 0. Raises BadName for what RPM does not build.
    """
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    name, dash, release = rest.rpartition("-")
    if not dash:
        name, release = rest, ""
    if not (
        len(version) <= MAX_LENGTH
        and _EPOCH.fullmatch(epoch)
        and int(epoch) <= _MAX_EPOCH
        and _CHARACTERS.fullmatch(name)
        and (not dash or _CHARACTERS.fullmatch(release))
    ):
        raise BadName(f"{version[:80]!r} is not a version of an RPM package")
    return number_key(epoch) + _part(name) + _part(release)


def _part(text: str) -> bytes:
    return b"".join(map(_token, _TOKEN.finditer(text))) + _END


def _token(match: re.Match[str]) -> bytes:
    if match[1]:
        return number_key(match[1])
    if match[2]:
        return _WORD + match[2].encode() + _WORD_END
    return _TILDE if match[3] == "~" else _CARET
