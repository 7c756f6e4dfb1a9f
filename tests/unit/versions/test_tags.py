"""Which tags follow one another, and in which order."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagecatalog.versions.tags import read_tag, read_tag_by

IN_ORDER = [
    ["20260927", "20261025", "20261101-1"],
    ["bookworm-20260927", "bookworm-20261025"],
    ["0.0.3", "0.0.3-20261018", "0.0.3-20261101", "0.0.3-1-20261101", "0.0.4", "0.0.10"],
    ["2026-09-30-101010-production", "2026-11-20-090000-production"],
    ["1.2.0-rc1", "1.2.0-rc.2", "1.2.0", "1.2.1"],
    ["v1.9.0", "1.10.0", "v1.11.0"],
    ["3.9-slim", "3.10-slim"],
    ["1.27-alpine3.9", "1.27-alpine3.19", "1.28-alpine3.2"],
    ["8u212", "8u1001"],
    ["1.2.3-s1", "1.2.3-s2", "1.2.4"],
    ["9.0.4-20260107.e9ce92c", "9.0.4-20260209.1f3a9bc", "9.0.5-20260101.abcdef0"],
    ["1.2-5-g1f3a9bc", "1.2-11-ge9ce92c", "1.3-1-gabcdef1"],
    ["2.4-3", "2.4.62-1-20260222", "2.4.62-2", "2.4.62-2-20260301", "2.4.62-10", "2.4.63-1"],
    ["0.1.0", "0.1.0-20250720-s1", "0.1.0-20260816", "0.1.0-1"],
]


@pytest.mark.parametrize("tags", IN_ORDER, ids=lambda tags: tags[0])
def test_tags_of_one_line_are_in_order(tags: list[str]) -> None:
    read = [read_tag(tag) for tag in tags]
    assert len({one and one.line for one in read}) == 1
    keys = [one.key for one in read if one]
    assert keys == sorted(keys)
    assert len(set(keys)) == len(tags)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("3.11-slim", "3.12"),
        ("bookworm-20261001", "trixie-20261001"),
        ("1.2.3", "20261001"),
        ("1.0-fpm", "1.0-apache"),
    ],
)
def test_tags_of_different_lines_do_not_follow_one_another(one: str, other: str) -> None:
    first, second = read_tag(one), read_tag(other)
    assert first
    assert second
    assert first.line != second.line


@pytest.mark.parametrize(
    "tag",
    [
        "latest",
        "stable",
        "bookworm",
        "1f3a9bc",
        "9e107d9d372bb6826bd81d3542a419d6e107d9d3",
        "1" * 40,
    ],
)
def test_names_and_commits_are_no_versions(tag: str) -> None:
    assert read_tag(tag) is None


def test_a_date_is_no_commit() -> None:
    assert read_tag("20261001") is not None
    assert read_tag("20261001123000") is not None


def test_a_prerelease_is_told() -> None:
    first, second = read_tag("2.0-beta1"), read_tag("2.0")
    assert first
    assert second
    assert (first.is_prerelease, second.is_prerelease) == (True, False)


def test_a_rule_says_what_grows() -> None:
    rule = re.compile(r"(?P<version>3\.11\.[0-9]+)-slim-.*")
    older, newer = read_tag_by(rule, "3.11.9-slim-trixie"), read_tag_by(rule, "3.11.10-slim-trixie")
    assert older
    assert newer
    assert older.line == newer.line == "*-slim-trixie"
    assert older.key < newer.key
    assert read_tag_by(rule, "3.12.1-slim-trixie") is None


@given(st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", fullmatch=True))
def test_every_tag_can_be_read(tag: str) -> None:
    found = read_tag(tag)
    assert found is None or (found.line and found.key)
