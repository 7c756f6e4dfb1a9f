"""Paragraphs of ``Name: value`` lines as apt reads them (deb822(5)), in text small enough to hold."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

Stanza = dict[str, str]
"""Field names in lower case; a value's continuation lines follow after line feeds."""


class Numbered(Struct, frozen=True):
    """A stanza and the line, from 1, at which it begins."""

    line: int
    fields: Stanza


def read_stanzas(text: str) -> Iterator[Numbered]:
    """Each stanza of a configuration file in order; lines that begin with ``#`` do not count.

    A line that is neither a field nor a continuation is passed over. Of a field that comes twice
    in a stanza the last counts.
    """
    fields: dict[str, list[str]] = {}
    start, last = 0, ""
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.rstrip("\r")
        if line.startswith("#"):
            continue
        if not line:
            if fields:
                yield _numbered(start, fields)
            fields, last = {}, ""
        elif line[0] in " \t":
            if last:
                fields[last].append(line.strip())
        else:
            name, colon, value = line.partition(":")
            last = name.strip().lower() if colon else ""
            if last:
                start = start if fields else number
                fields[last] = [value.strip()]
    if fields:
        yield _numbered(start, fields)


def _numbered(start: int, fields: dict[str, list[str]]) -> Numbered:
    return Numbered(start, {name: "\n".join(lines) for name, lines in fields.items()})
