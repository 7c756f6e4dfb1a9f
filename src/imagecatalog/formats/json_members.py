"""The members of one huge JSON object, one at a time: only one of them is ever in memory.

RFC 8259. Where a member begins and ends is found by its brackets and strings; what is between them
is the reader's to decode.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from imagecatalog.errors import BadDocument, TooDeep, TooLarge, Truncated

MEMBER_LIMIT = 64 << 20
"""Bytes of one member."""
DEPTH_LIMIT = 64
_CHUNK = 1 << 20

# What leads to a mark is taken and never given back: linear on any input.
_LEAD = rb'(?:[^"\[\]{}%s]++|"(?:[^"\\]++|\\.)*+")*+([\[\]{}%s])'
_BRACKET = re.compile(_LEAD % (b"", b""), re.DOTALL)
_MARK = re.compile(_LEAD % (b",", b","), re.DOTALL)
_KEY = re.compile(rb'\s*+("(?:[^"\\]++|\\.)*+")\s*+:', re.DOTALL)
_decode_key = msgspec.json.Decoder(str).decode


def read_members(
    stream: BinaryIO, where: str, *, limit: int = MEMBER_LIMIT
) -> Iterator[tuple[str, bytes]]:
    """Each key with the bytes of its value, in their order.

    Raises ``BadDocument`` for what is no object, ``Truncated`` where it ends too early, ``TooLarge``
    for a member over ``limit`` bytes, and ``TooDeep``.
    """
    reader = _Reader(stream, where, limit)
    if reader.next_mark(_MARK) != b"{":
        raise BadDocument(where, "it is not a JSON object")
    if reader.cut():
        raise BadDocument(where, "it is not a JSON object")
    depth = 0
    while True:
        mark = reader.next_mark(_BRACKET if depth else _MARK)
        if mark in _OPENING:
            depth += 1
            if depth > DEPTH_LIMIT:
                raise TooDeep(where, f"its JSON is nested more than {DEPTH_LIMIT} deep")
        elif mark in _CLOSING and depth:
            depth -= 1
        elif not depth and mark in _ENDING:
            member = reader.cut()
            if member.strip() or mark == b",":
                yield _split(member, where)
            if mark != b",":
                return


_OPENING, _CLOSING, _ENDING = (b"{", b"["), (b"}", b"]"), (b"}", b"]", b",")


class _Reader:
    """Finds brackets and commas that are in no string, and cuts off what lies before the last."""

    def __init__(self, stream: BinaryIO, where: str, limit: int) -> None:
        self._stream, self._where, self._limit = stream, where, limit
        self._buffer = stream.read(_CHUNK).lstrip()
        if not self._buffer:
            raise BadDocument(
                where,
                "it is empty",
                hint="what was known of it is kept; fetch it again, or look what became of it",
            )
        self._from = self._start = self._end = 0

    def next_mark(self, pattern: re.Pattern[bytes]) -> bytes:
        while (found := pattern.match(self._buffer, self._end)) is None:
            self._read_on()
        self._start, self._end = found.span(1)
        return found[1]

    def cut(self) -> bytes:
        before = self._buffer[self._from : self._start]
        self._from = self._end
        return before

    def _read_on(self) -> None:
        """Have as much again: what is long is then not looked through time and again."""
        kept = self._buffer[self._from :]
        room = self._limit + 2 * _CHUNK + 1 - len(kept)
        more = self._stream.read(max(_CHUNK, min(len(kept), room)))
        if not more:
            raise Truncated(self._where, "it ends within a member")
        self._end -= self._from
        self._from = 0
        self._buffer = kept + more
        if len(self._buffer) > self._limit + 2 * _CHUNK:
            raise TooLarge(self._where, f"one of its members is larger than {self._limit} bytes")


def _split(member: bytes, where: str) -> tuple[str, bytes]:
    key = _KEY.match(member)
    if key is None:
        raise BadDocument(where, f"{member[:40]!r} is no member of an object")
    try:
        return _decode_key(key[1]), member[key.end() :]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadDocument(where, f"a key cannot be read: {error}") from error
