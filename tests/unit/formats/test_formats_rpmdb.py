"""RPM databases of all three kinds, and what hostile ones may not do."""

import gzip
import sqlite3
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagecatalog.domain.packages import Package
from imagecatalog.formats.rpmdb import parse_rpmdb
from rpm_files import bdb, header, ndb, sqlite

BASH = header("bash", "5.2", "3.el9", arch="x86_64", source="bash-5.2-3.el9.src.rpm")
LIBS = header(
    "openssl-libs", "3.0.7", "2.el9", epoch=1, arch="x86_64", source="openssl-3.0.7-2.el9.src.rpm"
)
LONG = header("a" * 300, "1", "1", epoch=0, arch="noarch", source="(none)")
KEY = header("gpg-pubkey", "abc", "def")
KINDS = [
    sqlite,
    ndb,
    bdb,
    lambda *all: bdb(*all, order=">"),
    lambda *all: bdb(*all, page_size=4096),
]


@pytest.mark.parametrize("write", KINDS)
def test_packages_of_each_kind_of_database(write):
    database = parse_rpmdb(write(BASH, KEY, LIBS, LONG), "db")
    assert database.problem is None
    assert database.packages == (
        Package("rpm", "a" * 300, "1-1", "noarch", "a" * 300, "1-1"),
        Package("rpm", "bash", "5.2-3.el9", "x86_64", "bash", "5.2-3.el9"),
        Package("rpm", "openssl-libs", "1:3.0.7-2.el9", "x86_64", "openssl", "1:3.0.7-2.el9"),
    )


def test_a_package_of_a_module_says_so_by_its_source():
    label = "nodejs:18:9040020240807131341:rhel9"
    file = "nodejs-18.20.4-1.module_el9.4.0+119+6b11d4a9.src.rpm"
    version = "18.20.4", "1.module_el9.4.0+119+6b11d4a9"
    node = header("nodejs", *version, epoch=1, arch="x86_64", source=file, module=label)
    plain = header("bash", "5", "1", arch="x86_64", source="bash-5-1.src.rpm", module="")
    (bash, nodejs) = parse_rpmdb(sqlite(node, plain), "db").packages
    assert (bash.source, bash.source_version) == ("bash", "5-1")
    assert nodejs.source == "nodejs:18/nodejs"
    assert nodejs.source_version == nodejs.version == f"1:{version[0]}-{version[1]}"


def test_sources_have_the_epoch_of_a_package_of_their_version():
    file = "perl-5.26.3-4.el8.src.rpm"
    perl = header("perl", "5.26.3", "4.el8", epoch=4, arch="x86_64", source=file)
    carp = header("perl-Carp", "1.42", "396.el8", epoch=0, arch="noarch", source=file)
    other = header("other", "1.42", "396.el8", epoch=2, arch="noarch", source="x-1-1.src.rpm")
    packages = parse_rpmdb(sqlite(perl, carp, other), "db").packages
    assert {one.name: one.source_version for one in packages} == {
        "perl": "4:5.26.3-4.el8",
        "perl-Carp": "4:5.26.3-4.el8",
        "other": "1-1",
    }


@pytest.mark.parametrize("write", KINDS)
def test_an_empty_database_is_whole(write):
    database = parse_rpmdb(write(), "db")
    assert (database.packages, database.problem) == ((), None)


@pytest.mark.parametrize("write", KINDS)
@pytest.mark.parametrize(
    "broken",
    [b"", b"\0" * 8, struct.pack(">II", 2**31, 8), struct.pack(">II", 0, 2**32 - 1), BASH[:60]],
)
def test_a_broken_header_leaves_the_others_and_is_told(write, broken):
    database = parse_rpmdb(write(LIBS, broken, BASH), "db")
    if broken:  # of no bytes at all, Berkeley DB and ndb know nothing
        assert [one.name for one in database.packages] == ["bash", "openssl-libs"]
        assert database.problem


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE VIEW Packages AS WITH RECURSIVE r(blob) AS (SELECT 1 UNION ALL SELECT 1 FROM r) SELECT * FROM r",
        "CREATE TABLE Packages (n, blob AS (replace(hex(zeroblob(n)), '0', 'abcd')))",
        "CREATE VIRTUAL TABLE Packages USING fts5(blob)",
        "CREATE TABLE Packages (n)",
        "CREATE TABLE packages_of_another_kind (blob)",
    ],
)
def test_a_hostile_table_is_no_table(statement):
    connection = sqlite3.connect(":memory:")
    connection.execute(statement)
    connection.commit()
    assert "no plain table Packages" in parse_rpmdb(connection.serialize(), "db").problem
    connection.close()


def test_a_circle_of_pages_ends():
    data = bytearray(bdb(LONG * 5))
    struct.pack_into("<I", data, 2 * 512 + 16, 2)  # the first page is followed by itself
    database = parse_rpmdb(bytes(data), "db")
    assert database.problem is not None or database.packages


FILES = header("six", "1", "1", vendor="SUSE LLC", files=[("/usr/lib/x.egg-info/", "PKG-INFO")] * 9)
RECORDED = Path(__file__).parents[2] / "data/rpm/Packages.gz"
_SEEDS = [
    *(write(BASH, LIBS, LONG, FILES) for write in KINDS),
    gzip.decompress(RECORDED.read_bytes()),
]
_PLACES = st.integers(0, len(_SEEDS) - 1)


@settings(max_examples=200)
@given(
    _PLACES,
    st.lists(st.tuples(st.integers(0, 1 << 17), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_bytes_changed_anywhere_give_packages_or_a_problem(place, edits):
    data = bytearray(_SEEDS[place])
    for at, value in edits:
        data[at % len(data)] = value
    database = parse_rpmdb(bytes(data), "db")
    assert database.problem is None or database.problem.startswith("db: ")


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_any_bytes_give_packages_or_a_problem(data):
    database = parse_rpmdb(data, "db")
    assert database.problem.startswith("db: ")


@settings(max_examples=200)
@given(_PLACES, st.integers(0, 1 << 17))
def test_a_database_cut_short_never_looks_whole(place, end):
    whole = _SEEDS[place]
    database = parse_rpmdb(whole[: end % len(whole)], "db")
    assert database.problem or database.packages == parse_rpmdb(whole, "db").packages


def test_a_database_that_berkeley_db_wrote():
    database = parse_rpmdb(_SEEDS[-1], "db")
    assert database.problem is None
    assert [(one.name, one.version) for one in database.packages] == [
        ("tiny", "2:1.5~rc1-3"),
        ("tiny-libs", "1.5~rc1-3"),
    ]
    assert "usr/lib/python3.9/site-packages/six-1.16.egg-info/PKG-INFO" in database.files
