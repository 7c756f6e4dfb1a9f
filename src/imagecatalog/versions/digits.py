"""Runs of digits as bytes that sort as the numbers do, and what all orders have in common."""

from __future__ import annotations

MAX_LENGTH = 1024
"""Characters of a version; a real one has fewer than a hundred. A longer one is invalid."""

MAX_KEY = 2100
"""No key has more bytes: with a name of 400 it fits into one entry of PostgreSQL's b-trees."""

INVALID = b"\x00"
"""The first byte of the key of an invalid version, and of no other in an order of its own."""

_SMALL = [bytes((0x10 + value,)) for value in range(128)]
"""Numbers below 128 are one byte."""
_FIRST_LONG = 0x90
"""Above them: how many bytes follow, then the bytes, big-endian."""
_HUGE = b"\xb0"
"""Above those, from 19 digits on: how many digits follow, then the digits."""


def number_key(digits: str) -> bytes:
    """The key of a number of any length: its first byte is 0x10 to 0xb0. Leading zeros do not count.

    ``digits`` are ASCII.
    """
    digits = digits.lstrip("0")
    if len(digits) > 18:
        return _HUGE + len(digits).to_bytes(2, "big") + digits.encode()
    value = int(digits or "0")
    if value < 128:
        return _SMALL[value]
    body = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return bytes((_FIRST_LONG + len(body),)) + body


def invalid_key(version: str) -> bytes:
    """The key of a version that its ecosystem does not allow: by its text, below all valid ones."""
    return INVALID + version[:MAX_LENGTH].encode("utf-8", "replace")[:MAX_LENGTH]
