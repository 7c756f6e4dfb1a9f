"""RPM databases of each kind, written byte by byte as librpm lays them out."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Sequence

NAME, VERSION, RELEASE, EPOCH, ARCH, SOURCE = 1000, 1001, 1002, 1003, 1022, 1044


VENDOR, FOLDER_OF, FILES, FOLDERS = 1011, 1116, 1117, 1118
Value = str | int | list[str] | list[int]


def header(
    name: str,
    version: str,
    release: str,
    *,
    files: Sequence[tuple[str, str]] = (),
    **more: str | int,
) -> bytes:
    """The header of a package; ``more``: epoch, arch, vendor, module, source (the source's file).

    ``files`` are folders, each with a slash at its end, and names.
    """
    tags = {"epoch": EPOCH, "arch": ARCH, "source": SOURCE, "vendor": VENDOR, "module": 5096}
    fields: list[tuple[int, Value]] = [(NAME, name), (VERSION, version), (RELEASE, release)]
    fields += [(tags[key], value) for key, value in more.items()]
    if files:
        fields += [
            (FOLDER_OF, [*range(len(files))]),
            (FILES, [file for _, file in files]),
            (FOLDERS, [folder for folder, _ in files]),
        ]
    entries, data = b"", b""
    for tag, value in fields:
        if isinstance(value, list):
            if isinstance(value[0], int):
                data += bytes(-len(data) % 4)
            entries += struct.pack(
                ">IIII", tag, 4 if isinstance(value[0], int) else 8, len(data), len(value)
            )
            for one in value:
                data += struct.pack(">I", one) if isinstance(one, int) else one.encode() + b"\0"
        elif isinstance(value, int):
            data += bytes(-len(data) % 4)
            entries += struct.pack(">IIII", tag, 4, len(data), 1)
            data += struct.pack(">I", value)
        else:
            entries += struct.pack(">IIII", tag, 6, len(data), 1)
            data += value.encode() + b"\0"
    return struct.pack(">II", len(fields), len(data)) + entries + data


def sqlite(*headers: bytes) -> bytes:
    """``rpmdb.sqlite``: a row for each package."""
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE 'Packages' (hnum INTEGER PRIMARY KEY, blob BLOB NOT NULL)")
    connection.executemany("INSERT INTO Packages (blob) VALUES (?)", [(one,) for one in headers])
    connection.commit()
    data = connection.serialize()
    connection.close()
    return data


def ndb(*headers: bytes) -> bytes:
    """``Packages.db``: one page of slots, then the packages in blocks of 16 bytes."""
    slots = struct.pack("<4sIIIIII4x", b"RpmP", 0, 1, 1, len(headers) + 1, 0, 0)
    blobs = b""
    for index, one in enumerate(headers, 1):
        start = (4096 + len(blobs)) // 16
        blob = struct.pack("<4sIII", b"BlbS", index, 1, len(one)) + one
        blob += bytes(-(len(blob) + 12) % 16) + struct.pack("<4xI4s", len(one), b"BlbE")
        slots += struct.pack("<4sIII", b"Slot", index, start, len(blob) // 16)
        blobs += blob
    return slots + (4096 - len(slots)) // 16 * b"Slot".ljust(16, b"\0") + blobs


def bdb(*headers: bytes, order: str = "<", page_size: int = 512) -> bytes:
    """``Packages``: a hash page of keys, each with a value in overflow pages, or within if short."""
    items = [(bytes(4), b"\x01" + struct.pack(f"{order}I", len(headers)))]
    pages: list[bytes] = []
    for index, one in enumerate(headers, 1):
        key = struct.pack(f"{order}I", index)
        if len(one) < 100:
            items.append((key, b"\x01" + one))
            continue
        items.append((key, struct.pack(f"{order}B3xII", 3, 2 + len(pages), len(one))))
        cut = [one[at : at + page_size - 26] for at in range(0, len(one), page_size - 26)]
        for place, part in enumerate(cut, 1):
            number = 2 + len(pages)
            following = number + 1 if place < len(cut) else 0
            top = struct.pack(f"{order}8xIIIHHBB", number, 0, following, 1, len(part), 0, 7)
            pages.append((top + part).ljust(page_size, b"\0"))
    places, body, end = [], b"", page_size
    for key, value in items:
        for item in (b"\x01" + key, value):
            end -= len(item)
            places.append(end)
            body = item + body
    index = struct.pack(f"{order}{len(places)}H", *places)
    top = struct.pack(f"{order}8xIIIHHBB", 1, 0, 0, len(places), end, 0, 13)
    hash_page = (top + index).ljust(end, b"\0") + body
    meta = struct.pack(f"{order}8xIIIIBBBB", 0, 0x00061561, 9, page_size, 0, 8, 0, 0)
    meta += struct.pack(f"{order}II", 0, 1 + len(pages))
    return meta.ljust(page_size, b"\0") + hash_page + b"".join(pages)
