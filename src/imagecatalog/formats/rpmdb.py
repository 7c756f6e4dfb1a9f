"""What an RPM database says is installed: SQLite, SUSE's ndb, and Berkeley DB's hash files.

All three hold one header for each package; librpm is not needed, and the files are not changed.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator

from imagecatalog.domain.contents import PackageDatabase
from imagecatalog.errors import BadDocument
from imagecatalog.formats.found import Found
from imagecatalog.formats.rpm_header import read_header, with_epochs

_SQLITE = b"SQLite format 3\0"
_NDB = b"RpmP"
_BDB = 0x00061561
_PLAIN = (
    "SELECT COUNT(*) FROM sqlite_master AS it JOIN pragma_table_xinfo('Packages') AS of_it"
    " WHERE it.name = 'Packages' AND it.type = 'table' AND it.rootpage > 0"
    " AND of_it.name = 'blob' AND of_it.hidden = 0"
)
"""Whether the table is one, not a view or a virtual one, and its column not computed."""
_COUNTER = b"\1\0\0\0\0"
"""The key, as it stands in a page of Berkeley DB, of the number of packages: no header."""
_HEADER = 64 << 20
"""Bytes of one header; the largest real ones have some megabytes."""
_STEPS = 20_000
_STEP = 1_000
"""SQLite is stopped after 20,000 times 1,000 instructions; a package takes some ten."""


def parse_rpmdb(data: bytes, where: str) -> PackageDatabase:
    """The packages of a database file, whichever of the three it is, told by its first bytes.

    Never raises for what the bytes say: what could not be read is told in ``problem``.
    """
    found = Found(where)
    try:
        for blob in _headers(data, where):
            try:
                read_header(blob, where, found)
            except BadDocument as error:
                found.fail(error)
    except BadDocument as error:
        found.fail(error)
    return with_epochs(found.database())


def _headers(data: bytes, where: str) -> Iterator[bytes]:
    if data.startswith(_SQLITE):
        return _read_sqlite(data, where)
    if data.startswith(_NDB):
        return _read_ndb(data, where)
    for order in "<>":
        if len(data) >= 72 and struct.unpack_from(f"{order}I", data, 12)[0] == _BDB:
            return _read_bdb(data, order, where)
    raise BadDocument(where, "is no RPM database of a kind that is read")


def _read_sqlite(data: bytes, where: str) -> Iterator[bytes]:
    """Each header; the bytes are opened in memory, as a plain table, for a bounded while."""
    # SQLite takes pages that are missing for empty ones.
    size, pages = struct.unpack_from(">H10xI", data.ljust(100, b"\0"), 16)
    if pages * (65536 if size == 1 else size) > len(data) or len(data) < 512:
        raise BadDocument(where, f"is cut short: it should have {pages} pages")
    # A database in WAL mode needs files beside it; what was in those is told by the caller.
    plain = data[:18] + b"\1\1" + data[20:]
    steps = iter(range(_STEPS))
    connection = sqlite3.connect(":memory:")
    try:
        connection.set_progress_handler(lambda: next(steps, -1) < 0, _STEP)
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, max(_HEADER, len(data)))
        connection.deserialize(plain)
        connection.execute("PRAGMA trusted_schema=OFF")
        if connection.execute(_PLAIN).fetchone() != (1,):
            raise BadDocument(where, "has no plain table Packages")
        for (blob,) in connection.execute("SELECT blob FROM Packages"):
            if isinstance(blob, bytes):
                yield blob
    except (sqlite3.Error, OverflowError, MemoryError) as error:
        raise BadDocument(where, f"is corrupt: {error}") from error
    finally:
        connection.close()


def _read_ndb(data: bytes, where: str) -> Iterator[bytes]:
    """Each header: the file begins with pages of slots, each pointing to a package's blocks."""
    if len(data) < 32:
        raise BadDocument(where, "is cut short")
    (pages,) = struct.unpack_from("<I", data, 12)
    end = pages * 4096
    if not 0 < end <= len(data):
        raise BadDocument(where, "says to be longer than it is")
    budget = len(data)
    for magic, index, block, _ in struct.iter_unpack("<4sIII", data[32:end]):
        if magic != b"Slot":
            raise BadDocument(where, "is corrupt: a slot is none")
        if not index:
            continue
        at = block * 16
        if at + 16 > len(data):
            raise BadDocument(where, "points behind its end")
        mark, owner, _, size = struct.unpack_from("<4sIII", data, at)
        budget -= size
        if mark != b"BlbS" or owner != index or at + 16 + size > len(data) or budget < 0:
            raise BadDocument(where, f"is corrupt at package {index}")
        yield data[at + 16 : at + 16 + size]


def _read_bdb(data: bytes, order: str, where: str) -> Iterator[bytes]:
    """Each header of a hash file: the values of its hash pages, most of them in overflow pages.

    Pages are looked at one after another, so none is forgotten; only the counter of packages
    is no header.
    """
    (page_size,) = struct.unpack_from(f"{order}I", data, 20)
    if not (512 <= page_size <= 65536 and page_size & (page_size - 1) == 0):
        raise BadDocument(where, f"has pages of {page_size} bytes")
    if data[24]:
        raise BadDocument(where, "is encrypted")
    (last,) = struct.unpack_from(f"{order}I", data, 32)
    if (last + 1) * page_size > len(data):
        raise BadDocument(where, f"is cut short: its last page is {last}")
    budget = len(data)
    for start in range(page_size, len(data) - page_size + 1, page_size):
        page = data[start : start + page_size]
        for value, end in _find_values(page, order, where):
            if page[value] == 1:
                yield page[value + 1 : end]
            elif page[value] == 3 and value + 12 <= page_size:  # in overflow pages
                first, size = struct.unpack_from(f"{order}II", page, value + 4)
                budget -= size
                if size > _HEADER or budget < 0:
                    raise BadDocument(where, "says to be longer than it is")
                yield _read_overflow(data, order, page_size, (first, size), where)


def _find_values(page: bytes, order: str, where: str) -> Iterator[tuple[int, int]]:
    """Where the values of a page begin and end, if it is a hash page; its keys lie between them."""
    if page[25] not in (2, 13):  # unsorted and sorted
        return
    (count,) = struct.unpack_from(f"{order}H", page, 20)
    if 26 + 2 * count > len(page):
        raise BadDocument(where, "is corrupt: a page has too many entries")
    places = struct.unpack_from(f"{order}{count}H", page, 26)
    for key, value in zip(places[::2], places[1::2], strict=False):
        if not 26 <= value < key < len(page):
            raise BadDocument(where, "is corrupt: an entry lies outside of its page")
        if page[key : key + 5] != _COUNTER:
            yield value, key


def _read_overflow(
    data: bytes, order: str, page_size: int, place: tuple[int, int], where: str
) -> bytes:
    number, size = place
    body = bytearray()
    while number and len(body) < size:
        start = number * page_size
        page = data[start : start + page_size]
        if len(page) < page_size or page[25] != 7:
            raise BadDocument(where, "is corrupt: a package's pages are missing")
        (number,) = struct.unpack_from(f"{order}I", page, 16)
        (used,) = struct.unpack_from(f"{order}H", page, 22)
        if not used:
            raise BadDocument(where, "is corrupt: an empty page")
        body += page[26 : 26 + used]
    if len(body) < size:
        raise BadDocument(where, "is corrupt: a package is cut short")
    return bytes(body[:size])
