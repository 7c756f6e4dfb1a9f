"""Which part of a version text is marked as changed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagecatalog.web.ui.versions import split_change


@pytest.mark.parametrize(
    ("installed", "candidate", "shared"),
    [
        ("3.0.14-1~deb12u1", "3.0.15-1~deb12u1", "3.0."),
        ("2.36-9+deb12u9", "2.36-9+deb12u13", "2.36-9+deb12u"),
        ("1:2.39.2-1.1", "1:2.39.5-0+deb12u2", "1:2.39."),
        ("2.5.0-1", "2.5.0-1+deb12u2", "2.5.0-1"),
        ("9", "10", ""),
        ("1.2", "1.2", "1.2"),
        ("", "1", ""),
    ],
)
def test_the_shared_start_ends_between_numbers(installed: str, candidate: str, shared: str) -> None:
    assert split_change(installed, candidate)[0] == shared


versions = st.text(alphabet="0123456789abz.+~-:", max_size=30)


@given(versions, versions)
def test_nothing_is_lost_and_no_number_is_cut(installed: str, candidate: str) -> None:
    shared, old, new = split_change(installed, candidate)
    assert (shared + old, shared + new) == (installed, candidate)
    for rest in (old, new):
        assert not (shared[-1:].isdigit() and rest[:1].isdigit())
    assert not (old and old == new)
