"""Release files."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagecatalog.domain.apt import ReleaseFacts
from imagecatalog.errors import BadDocument, TooLarge
from imagecatalog.formats import apt_release
from imagecatalog.formats.apt_release import IndexFile, parse_release

A, B = "a" * 64, "B" * 64
TEXT = f"""\
Origin: Acme
Label: Acme-Security
Suite: stable-security
Codename: bookworm-security
Version: 12
Date: Sat, 21 Nov 2026 00:53:02 UTC
Valid-Until: Sat, 28 Nov 2026 02:53:02 +0200
NotAutomatic: yes
ButAutomaticUpgrades: yes
Acquire-By-Hash: yes
No-Support-for-Architecture-all: Packages
Architectures: all amd64
Components: updates/main contrib
MD5Sum:
 d41d8cd98f00b204e9800998ecf8427e 0 main/binary-amd64/Packages
SHA256:
 {A}        0 ./main/binary-amd64/Packages
 {B}       32 main/binary-amd64/Packages.xz
 {A}       32 main/Contents-amd64
SHA512:
 {A}{A}       32 main/binary-amd64/Packages.gz
"""


def test_all_that_it_says() -> None:
    release = parse_release(TEXT.encode(), "here")
    assert release.facts == ReleaseFacts(
        origin="Acme",
        label="Acme-Security",
        suite="stable-security",
        codename="bookworm-security",
        version="12",
        not_automatic=True,
        but_automatic_upgrades=True,
    )
    assert release.facts.is_security
    assert release.date == datetime(2026, 11, 21, 0, 53, 2, tzinfo=UTC)
    assert release.valid_until == datetime(
        2026, 11, 28, 2, 53, 2, tzinfo=timezone(timedelta(hours=2))
    )
    assert release.valid_until.tzinfo is UTC
    assert release.acquire_by_hash
    assert release.no_support_for_all
    assert release.architectures == ("all", "amd64")
    assert release.components == ("updates/main", "contrib")
    assert release.files == {
        "main/binary-amd64/Packages": IndexFile("sha256", A, 0),
        "main/binary-amd64/Packages.xz": IndexFile("sha256", B.lower(), 32),
    }


def test_sha512_alone_is_enough_and_md5_is_not() -> None:
    lines = TEXT.replace("SHA256:", "X-Old:")
    assert parse_release(lines.encode(), "here").files == {
        "main/binary-amd64/Packages.gz": IndexFile("sha512", A + A, 32)
    }
    assert parse_release(TEXT.partition("SHA256")[0].encode(), "here").files == {}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>404</html>",
        "Package: x\n",
        "Suite: x\nDate: tomorrow\n",
        "Suite: x\nSHA256:\n abc 1 Packages\n",
        f"Suite: x\nSHA256:\n {A} -1 Packages\n",
        f"Suite: x\nSHA256:\n {A} Packages\n",
    ],
)
def test_what_is_no_release_file_is_refused(text: str) -> None:
    with pytest.raises(BadDocument, match="here"):
        parse_release(text.encode(), "here")


def test_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apt_release, "MAX_SIZE", 10)
    with pytest.raises(TooLarge):
        parse_release(TEXT.encode(), "here")


@given(st.binary(max_size=300))
def test_nothing_but_a_bad_document_is_raised(data: bytes) -> None:
    with contextlib.suppress(BadDocument):
        parse_release(b"Suite: x\nDate:" + data + b"\nSHA256:\n" + data, "here")
