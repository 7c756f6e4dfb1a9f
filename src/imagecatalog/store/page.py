"""A part of a long list, and the cursor to the next."""

from __future__ import annotations

import base64
import binascii
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from imagecatalog.errors import BadName

T = TypeVar("T")


class Page(Struct, Generic[T], frozen=True):
    """Items in the list's order; ``next`` is the cursor of the rest, None at the end."""

    items: tuple[T, ...]
    next: str | None = None


def make_cursor(*key: Any) -> str:
    """An opaque text that holds the last item's place in the order."""
    packed = base64.urlsafe_b64encode(msgspec.msgpack.encode(key))
    return packed.rstrip(b"=").decode()


def read_cursor(cursor: str | None, kind: type[T]) -> T | None:
    """The place that ``make_cursor`` was given; BadName for a text that is not of its making."""
    if cursor is None:
        return None
    try:
        packed = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        return msgspec.msgpack.decode(packed, type=kind)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise BadName(
            "this cursor is not one of ours", hint="use the value of 'next' as it was given"
        ) from None
