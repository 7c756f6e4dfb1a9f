"""FIRST's EPSS scores of one day: CSV below a line that names the model and the day.

Unpacked or gzip, with commas or semicolons. Scores of two days are of two models and are not to be
compared, so the day belongs to them: where no line names it, the file's name must.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import BinaryIO

from msgspec import Struct

from imagecatalog.domain.exploits import Score
from imagecatalog.errors import BadDocument, TooLarge, TooManyEntries
from imagecatalog.formats.feed_faults import Faults
from imagecatalog.formats.unpack import Bounds, Unpacked

BOUNDS = Bounds(unpacked=256 << 20, ratio=100, ratio_after=16 << 20)
ROWS_LIMIT = 5_000_000
_LINE_LIMIT = 4096
_CHUNK = 1 << 20
_COMMENT = re.compile(r"#.*?\bscore_date:(\d{4}-\d{2}-\d{2}).*")
_MODEL = re.compile(r"\bmodel_version:([A-Za-z0-9._-]{1,40})")
_IN_NAME = re.compile(r"(?<!\d)(\d{4}-\d{2}-\d{2})(?!\d)")
_NUMBER = r"((?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE]-?[0-9]{1,3})?)"
_ROW = re.compile(rf"(CVE-[0-9]{{4}}-[0-9]{{4,19}})[,;]{_NUMBER}[,;]{_NUMBER}")
_HEADER = "cve,epss,percentile"


class Scores(Struct, frozen=True):
    """The scores of one day; ``rows`` is read once."""

    day: datetime
    model: str | None
    rows: Iterator[Score]


def open_epss(packed: BinaryIO, where: str, faults: Faults) -> Scores:
    """The scores of a file; a row that is none is among the ``faults``.

    Raises BadDocument where no day is named; ``rows`` raises Truncated, TooLarge, TooManyEntries and
    the like while it is read.
    """
    lines = _lines(packed, where)
    first = next(lines, "")
    named = _COMMENT.fullmatch(first) or _IN_NAME.search(where.rpartition("/")[2])
    if named is None:
        raise BadDocument(
            where,
            "it does not say of which day its scores are",
            hint="keep FIRST's first line, or name the file after the day: epss-2026-08-16.csv.gz",
        )
    try:
        day = date.fromisoformat(named[1])
    except ValueError as error:
        raise BadDocument(where, f"{named[1]!r} is no day") from error
    model = _MODEL.search(first)
    at = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return Scores(at, model[1] if model else None, _rows(first, lines, where, faults))


def _rows(first: str, lines: Iterator[str], where: str, faults: Faults) -> Iterator[Score]:
    count = 0
    for line in _after_heading(first, lines):
        found = _ROW.fullmatch(line)
        if found is None or not (0 <= float(found[2]) <= 1 and 0 <= float(found[3]) <= 1):
            faults.note(line[:20], "it is no score")
            continue
        count += 1
        if count > ROWS_LIMIT:
            raise TooManyEntries(where, f"more than {ROWS_LIMIT} scores")
        faults.good()
        yield Score(found[1], float(found[2]), float(found[3]))


def _after_heading(first: str, lines: Iterator[str]) -> Iterator[str]:
    if not first.startswith("#"):
        yield first
    for line in lines:
        if line and line != _HEADER:
            yield line


def _lines(packed: BinaryIO, where: str) -> Iterator[str]:
    """The lines without their ends; never more than one chunk of them in memory."""
    unpacked = Unpacked(packed, where, BOUNDS)
    rest = b""
    while chunk := unpacked.read(_CHUNK):
        *whole, rest = (rest + chunk).split(b"\n")
        if len(rest) > _LINE_LIMIT:
            raise TooLarge(where, f"one of its lines is longer than {_LINE_LIMIT} bytes")
        for line in whole:
            yield line.decode("ascii", "replace").rstrip("\r")
    if rest:
        yield rest.decode("ascii", "replace")
