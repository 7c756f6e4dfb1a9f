"""How answers are written: tables for people, JSON and CSV for programs. Knows no question."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import zip_longest
from typing import TextIO

import msgspec
from msgspec import Struct

from imagecatalog.formats.csv_rows import write_heading, write_rows

_COLOURS = {"red": 31, "green": 32, "yellow": 33, "blue": 34, "bold": 1, "dim": 2}
_GAP = "  "
# msgspec refuses subclasses of str, such as a digest.
_encoder = msgspec.json.Encoder(enc_hook=str)


class Column(Struct, frozen=True):
    """A column of a table."""

    title: str
    right: bool = False
    least: int | None = None
    """Where space is short, texts are cut to no less than so many characters; None: never."""
    is_name: bool = False
    """Its texts differ at their ends alone: nothing of their beginning is kept."""
    is_fact: bool = False
    """Cut only when the others are as narrow as they may be."""
    is_prose: bool = False
    """Goes on in further lines instead of being cut."""
    is_spare: bool = False
    """Left out where the lines would be too long all the same, the last of such columns first."""


class Cell(Struct, frozen=True):
    """A text with a colour that says nothing the text does not."""

    text: str
    colour: str | None = None
    begin: int = 0
    """Where in the text the colour begins."""


def clean(text: str) -> str:
    """The text without control characters, which a foreign name could steer a terminal with."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


def measure(text: str) -> int:
    """How many columns of a terminal the text takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def shorten(text: str, width: int, *, whole_end: bool = False) -> str:
    """The text in at most ``width`` columns; an ellipsis stands for what is left out before its end.

    Names differ at their ends, so that most of what is kept is the end, or with ``whole_end`` all.

    >>> shorten("registry.example.org/team/app:1.0", 16)
    're…/team/app:1.0'
    """
    if measure(text) <= width:
        return text
    end = width - 1 - (0 if whole_end else width // 6)
    start = max(width - 1 - end, 0)
    while measure(text[:start]) + 1 + measure(text[-end:] if end else "") > width and start + end:
        start, end = (start - 1, end) if start >= end else (start, end - 1)
    return f"{text[:start]}…{text[-end:] if end else ''}"[:width]


def has_colours(stream: TextIO) -> bool:
    """Whether the stream is a terminal that shows colours, and the user wants them."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def table_width(stream: TextIO) -> int | None:
    """The terminal's width; None where lines may be as long as they like."""
    if stream.isatty() or os.environ.get("COLUMNS", "").isdecimal():
        return max(shutil.get_terminal_size().columns, 40)
    return None


def wrap(text: str, indent: int, stream: TextIO | None = None) -> str:
    """The text in lines no wider than the terminal, all but the first begun with so many spaces."""
    width = table_width(stream or sys.stdout)
    if width is None or len(text) <= width:
        return text
    lines = textwrap.wrap(
        text,
        width,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines)


def paint(text: str, colour: str | None, stream: TextIO) -> str:
    """The text in a colour, where the stream has colours."""
    if colour is None or not text or not has_colours(stream):
        return text
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"


def write_table(
    columns: Sequence[Column],
    rows: Iterable[Sequence[str | Cell]],
    *,
    stream: TextIO | None = None,
    indent: str = "",
) -> None:
    """The rows under their titles, no line wider than the terminal where the columns may shrink."""
    stream = stream or sys.stdout
    cells = [[_as_cell(cell) for cell in row] for row in rows]
    widths = [
        max(measure(column.title), *(measure(row[at].text) for row in cells), 0)
        for at, column in enumerate(columns)
    ]
    total = table_width(stream)
    if total is not None:
        kept = _choose_columns(columns, widths, total - len(indent))
        columns, widths = [columns[at] for at in kept], [widths[at] for at in kept]
        cells = [[row[at] for at in kept] for row in cells]
        _shrink(columns, widths, total - len(indent) - len(_GAP) * (len(columns) - 1))
    titles = [
        Cell(_begin(column.title, width), "dim")
        for column, width in zip(columns, widths, strict=True)
    ]
    for row in [titles, *cells]:
        for line in _break_prose(columns, widths, row):
            parts = [
                _fit(cell, width, column, stream)
                for cell, width, column in zip(line, widths, columns, strict=True)
            ]
            stream.write(indent + _GAP.join(parts).rstrip() + "\n")


def _choose_columns(columns: Sequence[Column], widths: Sequence[int], total: int) -> list[int]:
    """The columns that find room: spare ones go while even the narrowest line is too long."""
    kept = list(range(len(columns)))

    def narrowest() -> int:
        needed = (
            width if column.least is None else min(column.least, width)
            for column, width in ((columns[at], widths[at]) for at in kept)
        )
        return sum(needed) + len(_GAP) * (len(kept) - 1)

    while narrowest() > total:
        spare = [at for at in kept if columns[at].is_spare]
        if not spare:
            break
        kept.remove(spare[-1])
    return kept


def _break_prose(
    columns: Sequence[Column], widths: Sequence[int], row: Sequence[Cell]
) -> Iterator[tuple[Cell, ...]]:
    """A row as the lines that it takes: one, unless a text of prose is wider than its column."""
    broken = [
        _break(cell, width) if column.is_prose else [cell]
        for column, width, cell in zip(columns, widths, row, strict=True)
    ]
    return zip_longest(*broken, fillvalue=Cell(""))


def _break(cell: Cell, width: int) -> list[Cell]:
    lines = textwrap.wrap(cell.text, width, break_long_words=False, break_on_hyphens=False)
    return [Cell(line, cell.colour) for line in lines] or [cell]


def _begin(title: str, width: int) -> str:
    return title if len(title) <= width else f"{title[: width - 1]}…"


def _as_cell(cell: str | Cell) -> Cell:
    cell = Cell(cell) if isinstance(cell, str) else cell
    return Cell(clean(cell.text).replace("\n", " "), cell.colour, cell.begin)


def _shrink(columns: Sequence[Column], widths: list[int], space: int) -> None:
    """Take from the widest of the columns that may still shrink until all fit, facts at last."""
    while sum(widths) > space:
        able = [
            at
            for at, column in enumerate(columns)
            if column.least is not None and widths[at] > column.least
        ]
        if not able:
            return
        widths[max(able, key=lambda at: (not columns[at].is_fact, widths[at]))] -= 1


def _fit(cell: Cell, width: int, column: Column, stream: TextIO) -> str:
    text = shorten(cell.text, width, whole_end=column.is_name)
    space = " " * (width - measure(text))
    # what was cut out lies before the end
    begin = max(len(text) - len(cell.text) + cell.begin, 0)
    painted = text[:begin] + paint(text[begin:], cell.colour, stream)
    return space + painted if column.right else painted + space


def write_json(value: object, stream: TextIO | None = None) -> None:
    """One value, indented."""
    text = msgspec.json.format(_encoder.encode(value), indent=2).decode()
    (stream or sys.stdout).write(text + "\n")


def write_json_array(items: Iterable[Struct], stream: TextIO | None = None) -> int:
    """A plain array, an item a line; how many there were."""
    stream = stream or sys.stdout
    count = 0
    for item in items:
        stream.write("[\n" if not count else ",\n")
        stream.write(_encoder.encode(item).decode())
        count += 1
    stream.write("\n]\n" if count else "[]\n")
    return count


def write_csv(kind: type[Struct], items: Iterable[Struct], stream: TextIO | None = None) -> int:
    """A heading and a line an item (RFC 4180), as the server's CSV has them; how many there were."""
    out, fields = stream or sys.stdout, kind.__struct_fields__
    count = 0
    # the first item before the heading: what cannot be answered shall not begin as an answer
    for count, item in enumerate(items, 1):
        if count == 1:
            write_heading(fields, out)
        write_rows(fields, [item], out)
    if not count:
        write_heading(fields, out)
    return count


def format_age(moment: datetime | None, now: datetime) -> str:
    """How long ago, in one unit: ``3 h``, ``12 d``; empty for None."""
    if moment is None:
        return ""
    age = max(now - moment, timedelta())
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if age.total_seconds() >= length * (2 if unit == "d" else 1):
            return f"{int(age.total_seconds() // length)} {unit}"
    return f"{int(age.total_seconds())} s"


def format_ago(moment: datetime | None, now: datetime) -> str:
    """``3 h ago``; ``never`` for None."""
    return f"{format_age(moment, now)} ago" if moment else "never"


def format_size(size: int) -> str:
    """Bytes in decimal units: ``31.2 MB``; ``?`` where they are not known."""
    if size < 0:
        return "?"
    if size < 1000:
        return f"{size} B"
    if size < 999_950:
        return f"{size / 1e3:.1f} kB"
    return f"{size / 1e6:.1f} MB" if size < 999_950_000 else f"{size / 1e9:.1f} GB"


def plural(number: int, one: str, many: str | None = None) -> str:
    """``1 image``, ``1,204 images``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
