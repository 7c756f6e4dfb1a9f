"""Alpine's package database, as apk writes it and as it should not be."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagecatalog.domain.packages import Package
from imagecatalog.formats.apkdb import parse_installed

INSTALLED = b"""C:Q1vdNjvxgB7YTgzdbmWqMS1kfAnpU=
P:libssl3
V:3.3.1-r3
A:x86_64
o:openssl
p:so:libssl.so.3=3
F:lib
R:libssl.so.3
Z:Q1jTDuTMDkZvCAPeTCPFVfGKPrzVY=

P:musl
V:1.2.5-r0
A:x86_64
D:P:no V:no

"""


def test_packages_with_their_origin_as_source():
    database = parse_installed(INSTALLED, "db")
    assert database.problem is None
    assert database.packages == (
        Package("apk", "libssl3", "3.3.1-r3", "x86_64", "openssl", "3.3.1-r3"),
        Package("apk", "musl", "1.2.5-r0", "x86_64", "musl", "1.2.5-r0"),
    )
    assert parse_installed(INSTALLED.rstrip(b"\n").replace(b"\n", b"\r\n"), "db") == database
    assert parse_installed(b"\n\n" + INSTALLED.replace(b"\n\n", b"\n\n\n\n"), "db") == database


@pytest.mark.parametrize(
    ("paragraph", "sentence"),
    [
        (b"P:a\n", "'a' has no version"),
        (b"V:1-r0\n", "has no name"),
        (b"P:a\0b\nV:1-r0\n", "cannot be kept"),
        (b"P:" + b"a" * 1000 + b"\nV:1-r0\n", "cannot be kept"),
        (b"P:a\nV:\xff\xfe\n", "cannot be kept"),
        (b"garbage\n", "has no name"),
    ],
)
def test_a_broken_paragraph_is_told_and_spoils_no_other(paragraph, sentence):
    database = parse_installed(INSTALLED + paragraph, "db")
    assert [one.name for one in database.packages] == ["libssl3", "musl"]
    assert database.problem.startswith("db: ")
    assert sentence in database.problem


@settings(max_examples=100)
@given(st.lists(st.sampled_from([*b"PVAo:\n\0\xff", *b"ab1-r"]), max_size=80).map(bytes))
def test_any_bytes_give_packages_or_a_problem(data):
    database = parse_installed(data, "db")
    assert all(one.name and one.version for one in database.packages)
    assert len(database.packages) <= data.count(b"P:")
