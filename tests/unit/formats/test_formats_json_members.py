"""The members of a huge object, one at a time."""

from __future__ import annotations

import io
import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagecatalog.errors import BadDocument, CatalogError, TooDeep, TooLarge, Truncated
from imagecatalog.formats import json_members
from imagecatalog.formats.json_members import read_members

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(
    st.dictionaries(st.text(max_size=8), VALUES, max_size=6), st.sampled_from([None, 2]), st.data()
)
def test_members_are_those_of_the_object(
    value: dict[str, object], indent: int | None, data: st.DataObject
) -> None:
    body = json.dumps(value, indent=indent).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_members, "_CHUNK", data.draw(st.integers(1, 9)))
        found = {key: json.loads(member) for key, member in read_members(io.BytesIO(body), "x")}
    assert found == value


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    for text in (body, b"{" + body, b'{"a":' + body):
        with suppress(CatalogError):
            list(read_members(io.BytesIO(text), "x"))


def test_the_end_is_not_taken_for_the_document_s() -> None:
    for text in (b'{"a": 1', b'{"a": {"b": 2}', b'{"a": "unended', b"{"):
        with pytest.raises(Truncated):
            list(read_members(io.BytesIO(text), "x"))


def test_what_is_no_object_is_refused() -> None:
    for text in (b"", b"[]", b"null", b'{"a" 1}', b"{1: 2}"):
        with pytest.raises(BadDocument):
            list(read_members(io.BytesIO(text), "x"))


def test_depth_and_size_are_bounded() -> None:
    with pytest.raises(TooDeep):
        list(read_members(io.BytesIO(b'{"a":' + b"[" * 1000), "x"))
    with pytest.raises(TooLarge):
        list(read_members(io.BytesIO(b'{"a": "' + b"x" * (4 << 20) + b'"}'), "x", limit=1 << 20))


def test_a_long_string_takes_no_quadratic_time() -> None:
    body = b'{"a": "' + b"x" * (30 << 20) + b'", "b": 1}'
    assert [key for key, _ in read_members(io.BytesIO(body), "x")] == ["a", "b"]
