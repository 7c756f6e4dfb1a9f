"""Lists of pods as ``kubectl get pods -A -o json`` dumps them, of any length, one pod in memory at a time."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO

import msgspec

from imagecatalog.domain.runs import RunningContainer
from imagecatalog.errors import BadDocument, TooDeep, TooLarge, TooManyEntries, Truncated
from imagecatalog.formats.pods import PodReader

MAX_ITEM = 16 << 20
"""Characters of one pod of a dump; an API server keeps none over 3 MiB."""
MAX_PODS = 2_000_000
_CHUNK = 1 << 18
_DUMP_HINT = "make it with: kubectl get pods -A -o json"


def read_dump(
    stream: BinaryIO, where: str, team_keys: Sequence[str] = ()
) -> Iterator[RunningContainer]:
    """The containers of a dump, with the team that labels or annotations of each pod name.

    Raises ``BadDocument`` naming ``where``, perhaps after containers were yielded: those are then
    not the whole and must not be recorded.
    """
    reader = PodReader(team_keys)
    for number, item in enumerate(_Dump(stream, where).items(), 1):
        if number > MAX_PODS:
            raise TooManyEntries(where, f"more than {MAX_PODS} pods")
        try:
            kind, pod = reader.read_item(item, {})
        except (msgspec.ValidationError, ValueError) as problem:
            raise BadDocument(where, f"pod {number}: {problem}", hint=_DUMP_HINT) from None
        if kind != "Pod":
            raise BadDocument(where, f"holds a {kind[:80]} among the pods", hint=_DUMP_HINT)
        yield from pod.containers


class _Dump:
    """A JSON object of the shape of a list, read from a stream item by item."""

    def __init__(self, stream: BinaryIO, where: str) -> None:
        self._where = where
        self._chunks = self._decode(stream)
        self._buffer = ""
        self._decoder = json.JSONDecoder()

    def items(self) -> Iterator[Any]:
        """The items; that the list is whole is known once they are through."""
        if self._peek() != "{":
            raise BadDocument(self._where, "is not a JSON object", hint=_DUMP_HINT)
        found = False
        head: dict[str, Any] = {}
        for _ in self._members("{", "}"):
            key = self._value()
            self._expect(":")
            if key == "items" and self._peek() == "[":
                found = True
                yield from (self._value() for _ in self._members("[", "]"))
            elif key in ("kind", "metadata"):
                head[key] = self._value()
            else:
                self._value()
        self._check(head, found=found)

    def _check(self, head: dict[str, Any], *, found: bool) -> None:
        kind, metadata = head.get("kind"), head.get("metadata")
        if kind not in ("List", "PodList") or not found:
            name = kind if isinstance(kind, str) else "document"
            why = f"is a {name[:80]}, not a list of pods"
            raise BadDocument(self._where, why, hint=_DUMP_HINT)
        if isinstance(metadata, dict) and metadata.get("continue"):
            raise Truncated(self._where, "is one page of a longer list of pods", hint=_DUMP_HINT)

    def _members(self, opening: str, closing: str) -> Iterator[None]:
        self._expect(opening)
        if self._peek() == closing:
            self._expect(closing)
            return
        while True:
            yield
            if self._peek() == closing:
                self._expect(closing)
                return
            self._expect(",")

    def _peek(self) -> str:
        while True:
            self._buffer = self._buffer.lstrip(" \t\r\n")
            if self._buffer:
                return self._buffer[0]
            self._fill()

    def _expect(self, character: str) -> None:
        if (found := self._peek()) != character:
            why = f"is not JSON: {found!r} where {character!r} should be"
            raise BadDocument(self._where, why, hint=_DUMP_HINT)
        self._buffer = self._buffer[1:]

    def _value(self) -> Any:
        self._peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._buffer)
            except RecursionError:
                raise TooDeep(self._where, "is nested too deeply") from None
            except ValueError as problem:
                self._refuse_bad_json(problem)
            else:
                # a number that ends where the buffer does may go on
                if end < len(self._buffer) or isinstance(value, dict | list | str):
                    self._buffer = self._buffer[end:]
                    return value
            if len(self._buffer) > MAX_ITEM:
                raise TooLarge(self._where, f"holds a value of more than {MAX_ITEM} characters")
            self._fill(len(self._buffer))

    def _refuse_bad_json(self, problem: ValueError) -> None:
        # an error well before the end of what was read does not go away with more of it
        at = getattr(problem, "pos", 0)
        if "Unterminated string" not in str(problem) and at < len(self._buffer) - 16:
            raise BadDocument(self._where, f"is not JSON: {problem}", hint=_DUMP_HINT) from None

    def _fill(self, least: int = 1) -> None:
        """At least so many characters more, so that a value read in n steps is read in log n."""
        parts, size = [self._buffer], 0
        while size < least:
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            parts.append(chunk)
            size += len(chunk)
        if not size:
            raise Truncated(self._where, "ends before the list of pods does", hint=_DUMP_HINT)
        self._buffer = "".join(parts)

    def _decode(self, stream: BinaryIO) -> Iterator[str]:
        blocks: Iterable[bytes] = iter(lambda: stream.read(_CHUNK), b"")
        try:
            yield from codecs.iterdecode(blocks, "utf-8-sig")
        except UnicodeDecodeError:
            raise BadDocument(self._where, "is not UTF-8 text", hint=_DUMP_HINT) from None
        except OSError as problem:
            raise BadDocument(self._where, f"cannot be read: {problem.strerror}") from None
