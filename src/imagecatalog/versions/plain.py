"""An order for versions of ecosystems whose own order is not known here yet.

Runs of digits are numbers, all else is compared byte by byte, and what ends first is lower:
``1.9`` < ``1.10`` < ``1.10-rc1`` < ``1.10a``. It ranks nothing that only the ecosystem knows.
"""

from __future__ import annotations

import re

MAX_LENGTH = 400
"""Bytes of a version that count; a real one has fewer than a hundred."""

_NUMBER = re.compile(rb"0*([0-9]+)")


def sort_key(version: str) -> bytes:
    """A key that sorts in this order. Never raises."""
    text = version.encode("utf-8", "replace")[:MAX_LENGTH]
    return _NUMBER.sub(_number, text)


def _number(match: re.Match[bytes]) -> bytes:
    """A byte where digits stand among characters, how many follow, and the digits."""
    digits = match[1]
    return b"0" + len(digits).to_bytes(2, "big") + digits
