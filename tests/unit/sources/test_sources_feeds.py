"""Where feeds lie: the files that a setting names, and their bytes if they changed."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from imagecatalog.errors import ConfigError, Missing, SourceUnavailable, TooLarge, TooManyEntries
from imagecatalog.sources import feeds
from imagecatalog.sources.feeds import list_osv, list_records, list_secdb, open_feed
from imagecatalog.sources.http import Http

SCOPES = (
    "pypi",
    "debian/bookworm",
    "rocky/9",
    "rocky/8",
    "fedora/40",
    "alpine/3.18",
    "alpine/edge",
)


def told(setting: str | None, *without: str) -> list[tuple[str, str, str | None]]:
    return [(one.name, one.address, one.ecosystem) for one in list_osv(setting, SCOPES, without)]


def test_a_site_has_a_folder_for_each_ecosystem() -> None:
    base = "https://mirror.example.org/osv/"
    assert told(base) == [
        (name, f"{base}{path}/all.zip", name)
        for name, path in (
            ("Alpine", "Alpine"),
            ("Debian", "Debian"),
            ("PyPI", "PyPI"),
            ("Rocky Linux", "Rocky%20Linux"),
        )
    ]
    assert [name for name, *_ in told(None, "Debian", "Alpine")] == ["PyPI", "Rocky Linux"]
    assert [name for name, *_ in told(base, "Debian")] == ["Alpine", "PyPI", "Rocky Linux"]
    assert told(None)[0][1].startswith(feeds.OSV)


@pytest.mark.parametrize(
    ("path", "name", "kind", "ecosystem"),
    [
        ("PyPI.zip", "PyPI", "zip", "PyPI"),
        ("PyPI/all.zip", "PyPI", "zip", "PyPI"),
        ("Rocky%20Linux/all.zip", "Rocky Linux", "zip", "Rocky Linux"),
        ("mine.zip", "mine", "zip", None),
        ("some.jsonl", "some", "lines", None),
        ("GHSA-1.json", "GHSA-1", "record", None),
    ],
)
def test_a_file_is_named_after_what_it_holds(
    path: str, name: str, kind: str, ecosystem: str | None
) -> None:
    for base in ("https://example.org/x/", "file:///srv/"):
        (one,) = list_osv(base + path, ())
        assert (one.name, one.kind, one.ecosystem, one.address) == (
            name,
            kind,
            ecosystem,
            base + path,
        )


@pytest.mark.parametrize("address", ["https://example.org/x", "file:///x.txt", "file:///.zip", ""])
def test_what_is_no_file_of_osv_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="no file of OSV"):
        list_osv(address, ())


def test_a_folder_has_what_is_there(tmp_path: Path) -> None:
    address = tmp_path.as_uri() + "/"
    with pytest.raises(Missing, match="holds no zip"):
        list_osv(address, ())
    for path in ("PyPI/all.zip", "npm.zip", "a/b/x.jsonl", "a/X-1.json", "notes.txt"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    found = list_osv(address, ())
    assert [(one.name, one.kind) for one in found] == [
        ("PyPI", "zip"),
        ("npm", "zip"),
        ("records", "folder"),
        ("x", "lines"),
    ]
    with pytest.raises(Missing):
        list_osv(f"{address}none/", ())


def test_records_of_a_folder_and_whether_they_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in ("b.json", "a/c.json", "a/d.txt", "1/2/3/4/5/6/7/deep.json"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("{}")
    address = tmp_path.as_uri() + "/"
    paths, first = list_records(address)
    assert [path.name for path in paths] == ["b.json", "c.json"]
    assert list_records(address)[1] == first
    (tmp_path / "b.json").write_text("{ }")
    assert list_records(address)[1] != first
    monkeypatch.setattr(feeds, "FILES_LIMIT", 1)
    with pytest.raises(TooManyEntries):
        list_records(address)


def test_alpine_has_two_files_a_release() -> None:
    base = "file:///srv/secdb/"
    assert [(one.name, one.address) for one in list_secdb(base, SCOPES)] == [
        (name, f"{base}{name}.json")
        for name in ("v3.18/main", "v3.18/community", "edge/main", "edge/community")
    ]
    assert list_secdb(None, ("pypi",)) == ()
    assert list_secdb(None, ("alpine/3.18",))[0].address.startswith(feeds.SECDB)
    (one,) = list_secdb("file:///srv/main.json", ())
    assert (one.name, one.address) == ("", "file:///srv/main.json")


def test_a_file_is_opened_if_it_changed(tmp_path: Path) -> None:
    path = tmp_path / "feed"
    path.write_bytes(b"12345")
    address = path.as_uri()
    with closing(Http()) as http:
        with open_feed(address, http) as (stream, validators):
            assert stream is not None
            assert stream.read() == b"12345"
        with open_feed(address, http, validators) as (stream, again):
            assert (stream, again) == (None, validators)
        with pytest.raises(TooLarge), open_feed(address, http, limit=4):
            pass
        with pytest.raises(Missing), open_feed(f"{address}x", http):
            pass
        with pytest.raises(SourceUnavailable), open_feed("http://127.0.0.1:9/x", http):
            pass
