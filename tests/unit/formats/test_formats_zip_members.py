"""Zip archives read member by member, whatever they claim."""

from __future__ import annotations

import contextlib
import io
import struct
import warnings
import zipfile
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagecatalog.errors import BadDocument, TooCompressed, TooManyEntries, Truncated
from imagecatalog.formats import zip_members
from imagecatalog.formats.zip_members import read_zip


def pack(members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, body in members.items():
            archive.writestr(name, body)
    return stream.getvalue()


def read(data: bytes) -> list[tuple[str, bytes, str | None]]:
    return [(one.name, one.body, one.problem) for one in read_zip(io.BytesIO(data), "x.zip")]


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_members_come_as_they_were_packed(method: int) -> None:
    members = {"a.json": b"{}", "b/ä.json": bytes(range(256)) * 5000, "empty": b""}
    assert read(pack(members, method)) == [(k, v, None) for k, v in members.items()]
    assert read(pack({})) == []
    assert [name for name, _, _ in read(pack({"folder/": b"", "a": b"1"}))] == ["a"]


def test_an_archive_written_as_a_stream_with_wide_numbers_is_read() -> None:
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("a", "w", force_zip64=True) as member,
    ):
        member.write(b"text")
    assert read(stream.getvalue()) == [("a", b"text", None)]


def test_a_directory_of_wide_numbers_is_found() -> None:
    data = pack({"a": b"1", "b": b"2"})
    end = data.rfind(b"PK\5\6")
    count, length, place = struct.unpack_from("<HII", data, end + 10)
    record = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, length, place)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, end, 1)
    tail = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    wide = data[:end] + record + locator + tail
    assert read(wide) == read(data)
    assert len(read(wide)) == 2


@pytest.mark.parametrize("name", ["../a.json", "/a.json", "x/../../a", "c:\\a", "..\\a"])
def test_a_name_that_leads_out_is_not_read(name: str) -> None:
    found = read(pack({name: b"{}", "good": b"1"}))
    assert found[0][1:] == (b"", "its name leads out of the archive")
    assert found[1] == ("good", b"1", None)


def test_what_is_wrong_with_one_member_is_told_of_that_one() -> None:
    data = bytearray(pack({"a": b"first", "b": b"second"}, zipfile.ZIP_STORED))
    data[data.index(b"first")] ^= 1
    assert read(bytes(data)) == [
        ("a", b"", "its bytes are not those that were packed"),
        ("b", b"second", None),
    ]
    encrypted = bytearray(pack({"a": b"first"}))
    encrypted[encrypted.index(b"PK\1\2") + 8] |= 1
    assert read(bytes(encrypted))[0][2] == "it is encrypted"
    bzip = pack({"a": b"x" * 100}, zipfile.ZIP_BZIP2)
    assert "method" in (read(bzip)[0][2] or "")
    moved = bytearray(pack({"a": b"first"}))
    at = moved.index(b"PK\1\2")
    moved[at + 42 : at + 46] = b"\xff\xff\xff\x7f"
    assert "not where" in (read(bytes(moved))[0][2] or "")


def test_a_member_that_is_too_large_is_not_unpacked() -> None:
    found = list(read_zip(io.BytesIO(pack({"a": b"0" * 1001, "b": b"1"})), "x", limit=1000))
    assert [(one.name, one.problem is None) for one in found] == [("a", False), ("b", True)]
    lying = bytearray(pack({"a": b"0" * 100_000}))
    at = lying.index(b"PK\1\2")
    lying[at + 24 : at + 28] = struct.pack("<I", 10)
    ((name, body, problem),) = read(bytes(lying))
    assert (name, body) == ("a", b"")
    assert problem == "its bytes are not those that were packed"


def test_a_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zip_members, "_RATIO_AFTER", 1 << 20)
    bomb = pack({str(number): b"\0" * (1 << 20) for number in range(8)})
    with pytest.raises(TooCompressed):
        read(bomb)
    monkeypatch.setattr(zip_members, "ENTRIES_LIMIT", 7)
    with pytest.raises(TooManyEntries):
        read(bomb)


def test_members_that_overlap_are_bounded_by_what_they_unpack_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(zip_members, "_RATIO_AFTER", 1 << 20)
    data = pack({"a": bytes(1 << 18) + b"1"})
    at, end = data.index(b"PK\1\2"), data.rfind(b"PK\5\6")
    entries = 1000
    tail = bytearray(data[end:])
    tail[8:12] = struct.pack("<2H", entries, entries)
    tail[12:16] = struct.pack("<I", (end - at) * entries)
    with pytest.raises(TooCompressed):
        read(data[:at] + data[at:end] * entries + bytes(tail))


def test_every_beginning_of_an_archive_is_refused() -> None:
    data = pack({"a": b"first", "b": b"second"})
    for size in range(len(data)):
        with pytest.raises(BadDocument):
            read(data[:size])
    with pytest.raises(Truncated):
        read(b"")


@settings(max_examples=200)
@given(st.data())
def test_any_bytes_are_read_or_refused(data: st.DataObject) -> None:
    whole = bytearray(pack({"a": b"first" * 50, "b": b"second"}))
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at] = data.draw(st.integers(0, 255))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with contextlib.suppress(BadDocument):
            assert sum(len(body) for _, body, _ in read(bytes(whole))) <= 1000
