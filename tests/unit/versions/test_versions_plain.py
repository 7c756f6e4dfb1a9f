"""The order of versions that no ecosystem has told us."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from imagecatalog.versions import sort_key


def test_numbers_are_numbers_and_what_ends_first_is_lower() -> None:
    ordered = ["", "1", "1.2", "1.9", "1.10", "1.10-rc1", "1.10.1", "1.10a", "1.100", "2", "v1"]
    keys = [sort_key("swift", text) for text in ordered]
    assert all(lower < higher for lower, higher in pairwise(keys))


def test_leading_zeros_do_not_count() -> None:
    assert sort_key("swift", "1.007") == sort_key("swift", "1.7")
    assert sort_key("swift", "1.00") == sort_key("swift", "1.0")


@given(st.integers(0, 10**400), st.integers(0, 10**400))
def test_numbers_of_any_length_sort_as_numbers(left: int, right: int) -> None:
    first, second = sort_key("swift", f"1.{left}"), sort_key("swift", f"1.{right}")
    if max(left, right) < 10**390:
        assert (first < second) == (left < right)
    assert len(first) < 2000


@given(st.text(max_size=2000))
def test_every_text_has_a_short_key(text: str) -> None:
    assert len(sort_key("swift", text)) < 2600
