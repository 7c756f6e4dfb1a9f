"""Answers as lines of CSV (RFC 4180): a list within a cell is JSON, an absent value is empty."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

import msgspec
from msgspec import Struct

# Made at import: two threads that are the first to use a type at once crash msgspec 0.22.
_encoder = msgspec.json.Encoder(enc_hook=str)


class _Writable(Protocol):
    def write(self, text: str, /) -> object: ...


def write_rows(fields: Sequence[str], items: Iterable[Struct], stream: _Writable) -> None:
    """A line for each item, its cells in the order of ``fields``."""
    writer = csv.writer(stream)
    for item in items:
        writer.writerow([_cell(getattr(item, field)) for field in fields])


def write_heading(fields: Sequence[str], stream: _Writable) -> None:
    """The line of names."""
    csv.writer(stream).writerow(fields)


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str():
            # A spreadsheet would run a foreign text that begins so as a formula.
            return f"'{value}" if value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case int() | float():
            return str(value)
        case _:
            return _encoder.encode(value).decode()
