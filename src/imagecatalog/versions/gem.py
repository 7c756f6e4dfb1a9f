"""The order of Ruby's gems: ``Gem::Version``.

A version is numbers and words; a word is lower than a number, and behind the end stand zeros
without end. So ``1.a`` < ``1`` = ``1.0`` < ``1.0.0.1``, and a run of zeros is told by what ends it.
"""

from __future__ import annotations

import re

from imagecatalog.errors import BadName
from imagecatalog.versions.digits import MAX_LENGTH, number_key

_WORD_END = b"\x01"
_WORD = b"\x02"
_ZEROS_AND_WORD = b"\x03"
_END = b"\x04"
_ZEROS_AND_NUMBER = b"\x05"
_DOWN = bytes(range(255, -1, -1))
"""Turns an order around."""

_VERSION = re.compile(
    r"\s*(?:[0-9]+(?:\.[0-9A-Za-z]+)*(?:-[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?)?\s*", re.ASCII
)
_SEGMENT = re.compile("[0-9]+|[A-Za-z]+")


def key(version: str) -> bytes:
    """The key of a version: equal for two that RubyGems calls equal, as ``1.0.a`` and ``1.a``.

    Raises BadName for what RubyGems does not allow; it takes an empty text for 0.
    """
    text = version[: MAX_LENGTH + 1].replace("-", ".pre.")
    if len(text) > MAX_LENGTH or not _VERSION.fullmatch(version):
        raise BadName(f"{version[:80]!r} is not a version of a Ruby gem")
    parts = []
    zeros = 0
    is_first_word = True
    for segment in _SEGMENT.findall(text):
        if segment.isdigit() and not segment.strip("0"):
            zeros += 1
            continue
        if segment.isdigit():
            parts.append(_before_number(zeros) + number_key(segment))
        else:
            # Zeros before the first word do not count.
            parts.append(_before_word(0 if is_first_word else zeros) + segment.encode() + _WORD_END)
            is_first_word = False
        zeros = 0
    return b"".join(parts) + _END


def _before_word(zeros: int) -> bytes:
    return _ZEROS_AND_WORD + number_key(str(zeros)) if zeros else _WORD


def _before_number(zeros: int) -> bytes:
    """More zeros make it lower, as they put it off."""
    return _ZEROS_AND_NUMBER + number_key(str(zeros)).translate(_DOWN) if zeros else b""
