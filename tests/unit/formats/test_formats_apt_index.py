"""Packages files: what is in them, in every form, and the bounds."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import subprocess
import sys
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagecatalog.domain.packages import Package
from imagecatalog.errors import BadDocument, TooCompressed, TooLarge, TooManyEntries, Truncated
from imagecatalog.formats import apt_index
from imagecatalog.formats.apt_index import SUFFIXES, open_index, parse_packages

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

TEXT = b"""\
Package: libssl3
Source: openssl
Version: 3.0.15-1~deb12u1
Architecture: amd64
Description: one
 Version: not this
 Source: nor this

Package: foo
Source: bar (1:2.0-1)
Architecture: all
Version: 1:2.0-1+b3


Package: without-version
Architecture: all

Package: last
Version:1
Architecture: i386
"""
PACKAGES = [
    Package("deb", "libssl3", "3.0.15-1~deb12u1", "amd64", "openssl", "3.0.15-1~deb12u1"),
    Package("deb", "foo", "1:2.0-1+b3", "all", "bar", "1:2.0-1"),
    Package("deb", "last", "1", "i386", "last", "1"),
]
FORMS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".xz": lzma.compress,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".zst": zstd.compress,
}


def read(data: bytes, suffix: str = "") -> list[Package]:
    return list(parse_packages(open_index(io.BytesIO(data), f"Packages{suffix}"), "here"))


def test_every_form_that_we_say_we_read() -> None:
    assert set(FORMS) == set(SUFFIXES)
    for suffix, compress in FORMS.items():
        assert read(compress(TEXT), suffix) == PACKAGES
        assert read(compress(b""), suffix) == []


@given(st.integers(1, 300))
def test_however_the_bytes_come(size: int) -> None:
    class Trickle(io.BytesIO):
        def read(self, wanted: int | None = -1) -> bytes:
            return super().read(size)

    assert list(parse_packages(Trickle(TEXT), "here")) == PACKAGES


@pytest.mark.parametrize("suffix", [".xz", ".gz", ".bz2", ".zst"])
def test_a_cut_or_spoilt_file_is_an_error_of_ours(suffix: str) -> None:
    whole = FORMS[suffix](TEXT)
    with pytest.raises(Truncated):
        read(whole[:-9], suffix)
    with pytest.raises(BadDocument):
        read(b"rubbish" + whole, suffix)
    for position in range(0, len(whole), 7):
        spoilt = whole[:position] + bytes((whole[position] ^ 0x55,)) + whole[position + 1 :]
        try:
            read(spoilt, suffix)
        except BadDocument:
            continue


@pytest.mark.parametrize("suffix", [".xz", ".gz", ".bz2", ".zst"])
def test_a_bomb_is_not_unpacked(suffix: str) -> None:
    bomb = FORMS[suffix](TEXT + bytes(20 * 1024**2))
    assert len(bomb) < 128 * 1024
    with pytest.raises((TooCompressed, TooLarge)):
        read(bomb, suffix)
    newlines = FORMS[suffix](b"\n" * (20 * 1024**2))
    with pytest.raises(TooCompressed):
        read(newlines, suffix)


def test_an_xz_header_cannot_ask_for_gigabytes() -> None:
    greedy = lzma.compress(TEXT, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 256 * 1024**2}])
    with pytest.raises(BadDocument):
        read(greedy, ".xz")


def test_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TooLarge):
        read(TEXT + b"X: " + b"y" * (2 * 1024**2))
    monkeypatch.setattr(apt_index, "MAX_PACKAGES", 2)
    with pytest.raises(TooManyEntries):
        read(TEXT)


@pytest.mark.parametrize("text", [b"<html>\n", b"Version: 1\n", b"Package: a\nVersion: \0\n"])
def test_what_is_no_packages_file_is_refused(text: bytes) -> None:
    with pytest.raises(BadDocument, match="here"):
        read(text)


@pytest.mark.real
def test_the_archive_reads_as_apt_reads_it() -> None:
    """Names, versions and sources of every package as apt's own cache has them."""
    target = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(FILENAME)", "Created-By: Packages"],
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert target, "apt has no package indices: run apt-get update"
    ours = set()
    for name in target:
        with subprocess.Popen(
            ["/usr/lib/apt/apt-helper", "cat-file", name], stdout=subprocess.PIPE
        ) as cat:
            assert cat.stdout
            ours |= {(p.name, p.version) for p in parse_packages(cat.stdout, name)}
    said = subprocess.run(
        ["apt-cache", "madison", *sorted({name for name, _ in ours})[::40]],
        capture_output=True, text=True, check=True,
    ).stdout.split("\n")  # fmt: skip
    theirs = {
        (words[0], words[1])
        for line in said
        if line.rstrip().endswith(" Packages")
        and (words := [word.strip() for word in line.split("|")])
    }
    assert len(theirs) > 1000
    assert theirs <= ours
    names = {name for name, _ in theirs}
    assert {pair for pair in ours if pair[0] in names} == theirs
