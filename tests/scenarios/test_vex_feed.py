"""The feed of VEX documents: files, folders and archives; what fails keeps what it said."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from feed_site import serve_feeds

from imagecatalog.config import Settings, load_settings
from imagecatalog.errors import ConfigError
from imagecatalog.jobs.refresh import list_feeds, refresh
from imagecatalog.jobs.report import Report
from imagecatalog.sources import vex as sources
from imagecatalog.store import health, vex
from imagecatalog.store.engine import Catalog

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def write(*faults: str, status: str = "not_affected") -> bytes:
    return json.dumps(
        {
            "@context": "https://openvex.dev/ns/v0.2.0",
            "author": "Vendor",
            "statements": [
                {
                    "vulnerability": {"name": fault},
                    "products": [{"@id": "pkg:oci/app"}],
                    "status": status,
                    "impact_statement": "Not built in.",
                }
                for fault in faults
            ],
        }
    ).encode()


def ask(catalog: Catalog, *addresses: str, **more: Any) -> Report:
    settings = Settings(vex=addresses, **more)
    return refresh(catalog, settings, ["vex"], now=lambda: NOON)


def said(catalog: Catalog) -> dict[str, list[str]]:
    """The faults of which each document speaks."""
    found: dict[str, list[str]] = {}
    with catalog.read() as c:
        for item in vex.list_statements(c).items:
            found.setdefault(item.document, []).append(item.advisory)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "srv" / "deep" / "er").mkdir(parents=True)
    (tmp_path / "srv" / "a.json").write_bytes(write("CVE-2026-1", "CVE-2026-2"))
    (tmp_path / "srv" / "deep" / "er" / "b.json").write_bytes(write("CVE-2026-3"))
    (tmp_path / "srv" / "index.json").write_bytes(b'{"packages": []}')
    (tmp_path / "srv" / "README.md").write_bytes(b"# read me")
    return tmp_path / "srv"


def test_a_folder_is_followed(catalog: Catalog, folder: Path) -> None:
    address = folder.as_uri() + "/"
    report = ask(catalog, address)
    assert report.failed == ()
    assert report.done == ("vex: 2 documents, 2 changed; 1 files are no VEX",)
    assert said(catalog) == {
        "srv/a.json": ["CVE-2026-1", "CVE-2026-2"],
        "srv/deep/er/b.json": ["CVE-2026-3"],
    }
    assert ask(catalog, address).done == ("vex: unchanged",)
    (folder / "a.json").write_bytes(write("CVE-2026-2"))
    (folder / "deep" / "er" / "b.json").unlink()
    assert ask(catalog, address).done == ("vex: 1 documents, 2 changed; 1 files are no VEX",)
    assert said(catalog) == {"srv/a.json": ["CVE-2026-2"]}
    with catalog.read() as c:
        [feed] = health.list_health(c)
    assert (feed.name, feed.last_error, feed.last_good) == ("vex", None, NOON)


def test_a_document_that_fails_keeps_what_it_said(catalog: Catalog, folder: Path) -> None:
    address = folder.as_uri() + "/"
    ask(catalog, address)
    before = said(catalog)
    for broken in (b"{", b"{}", b"", write(), write("CVE-2026-9", status="fine")):
        (folder / "a.json").write_bytes(broken)
        report = ask(catalog, address)
        assert [one.subject for one in report.failed] == ["vex srv/a.json"]
        assert said(catalog) == before
        # and it is tried again, although nothing of the folder changed
        assert len(ask(catalog, address).failed) == 1
    (folder / "new.json").write_bytes(b"{")
    assert len(ask(catalog, address).failed) == 2
    assert said(catalog) == before
    (folder / "a.json").write_bytes(write("CVE-2026-7"))
    (folder / "new.json").unlink()
    assert ask(catalog, address).failed == ()
    assert said(catalog)["srv/a.json"] == ["CVE-2026-7"]


def test_a_source_that_is_gone_or_empty_keeps_what_it_told(
    catalog: Catalog, folder: Path, tmp_path: Path
) -> None:
    address = folder.as_uri() + "/"
    ask(catalog, address)
    before = said(catalog)
    folder.rename(tmp_path / "elsewhere")
    [failure] = ask(catalog, address).failed
    assert "is not there" in failure.message
    assert said(catalog) == before
    folder.mkdir()
    [failure] = ask(catalog, address).failed
    assert "it has no VEX document" in failure.message
    assert said(catalog) == before


def test_a_feed_that_is_switched_off_is_retracted(catalog: Catalog, folder: Path) -> None:
    ask(catalog, folder.as_uri() + "/")
    with pytest.raises(ConfigError, match="no VEX documents are configured"):
        ask(catalog)
    assert said(catalog)
    ask(catalog, feeds={"vex": False})
    assert said(catalog) == {}


def test_it_is_asked_only_where_it_is_configured() -> None:
    assert "vex" not in list_feeds(Settings())
    assert "vex" not in list_feeds(Settings(feeds={"vex": False}))
    assert "vex" in list_feeds(Settings(feeds={"vex": "file:///srv/vex/"}))
    assert "vex" in list_feeds(Settings(vex=("file:///srv/vex/",)))


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in files.items():
            archive.writestr(name, body)
    return out.getvalue()


def tarred(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, body in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))
    return out.getvalue()


FILES = {"x/a.json": write("CVE-2026-1"), "../../b.json": write("CVE-2026-2"), "c.txt": b"no"}


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (zipped(FILES), ["vex.bin/../../b.json", "vex.bin/x/a.json"]),
        (tarred(FILES), ["vex.bin/../../b.json", "vex.bin/x/a.json"]),
        (gzip.compress(tarred(FILES)), ["vex.bin/../../b.json", "vex.bin/x/a.json"]),
        (write("CVE-2026-1"), ["vex.bin"]),
        (gzip.compress(write("CVE-2026-1")), ["vex.bin"]),
    ],
)
def test_an_archive_is_a_folder(
    catalog: Catalog, tmp_path: Path, body: bytes, names: list[str]
) -> None:
    file = tmp_path / "vex.bin"
    file.write_bytes(body)
    report = ask(catalog, file.as_uri())
    assert report.failed == ()
    assert sorted(said(catalog)) == names
    assert ask(catalog, file.as_uri()).done == ("vex: unchanged",)
    file.write_bytes(body[: len(body) // 5])
    assert len(ask(catalog, file.as_uri()).failed) == 1
    assert sorted(said(catalog)) == names
    assert not (tmp_path.parent / "b.json").exists()


def test_an_archive_on_a_server_is_fetched_when_it_changed(
    catalog: Catalog, tmp_path: Path
) -> None:
    (tmp_path / "vex.zip").write_bytes(zipped(FILES))
    with serve_feeds(tmp_path) as site:
        address = f"{site.url}vex.zip"
        assert ask(catalog, address).failed == ()
        assert ask(catalog, address).done == ("vex: unchanged",)
        (tmp_path / "vex.zip").write_bytes(zipped({"x/a.json": write("CVE-2026-8")}))
        assert ask(catalog, address).done == ("vex: 1 documents, 2 changed",)
        assert said(catalog) == {"vex.zip/x/a.json": ["CVE-2026-8"]}
        (tmp_path / "vex.zip").unlink()
        assert len(ask(catalog, address).failed) == 1
        assert [status for _, status in site.asked] == [200, 304, 200, 404]
    assert said(catalog) == {"vex.zip/x/a.json": ["CVE-2026-8"]}


def test_several_sources_are_one_feed(catalog: Catalog, folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "more" / "srv"
    other.mkdir(parents=True)
    (other / "a.json").write_bytes(write("CVE-2026-5"))
    addresses = (folder.as_uri() + "/", other.as_uri() + "/")
    assert ask(catalog, *addresses).failed == ()
    assert sorted(said(catalog)) == [
        f"{addresses[1]} a.json",
        "srv/a.json",
        "srv/deep/er/b.json",
    ]
    (other / "a.json").write_bytes(write("CVE-2026-6"))
    assert ask(catalog, *addresses).failed == ()
    assert said(catalog)[f"{addresses[1]} a.json"] == ["CVE-2026-6"]
    ask(catalog, addresses[1])
    assert list(said(catalog).values()) == [["CVE-2026-6"]]


def test_hostile_archives_are_bounded(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "ENTRIES_LIMIT", 5)
    monkeypatch.setattr(sources, "LIMIT", 10_000)
    monkeypatch.setattr(sources, "BOUNDS", msgspec.structs.replace(sources.BOUNDS, unpacked=50_000))
    many = {f"{n}.json": write("CVE-2026-1") for n in range(6)}
    large = {"a.json": b" " * 60_000, "b.json": write("CVE-2026-2")}
    for number, body in enumerate(
        [
            zipped(many),
            tarred(many),
            gzip.compress(tarred(large)),
            b"PK\x03\x04" + b"x" * 100,
            b"\x1f\x8b" + b"x" * 100,
            zipped(large)[:-30],
        ]
    ):
        file = tmp_path / f"{number}.bin"
        file.write_bytes(body)
        assert ask(catalog, file.as_uri()).failed
    file = tmp_path / "large.zip"
    file.write_bytes(zipped(large))
    [failure] = ask(catalog, file.as_uri()).failed
    assert "more than 10000 bytes" in failure.message
    assert said(catalog)["large.zip/b.json"] == ["CVE-2026-2"]


@pytest.mark.parametrize(
    ("address", "what"),
    [
        ("/srv/vex", "is no address"),
        ("https://vex.example.org/all/", "cannot be listed"),
        ("file:///nowhere/at/all.json", "is not there"),
    ],
)
def test_an_address_that_leads_nowhere_is_told(catalog: Catalog, address: str, what: str) -> None:
    [failure] = ask(catalog, address).failed
    assert what in failure.message


@pytest.mark.parametrize(
    ("text", "vex", "feeds"),
    [
        ('vex = ["file:///a/", "file:///b.zip"]', ("file:///a/", "file:///b.zip"), {}),
        ('vex = "file:///a/"', (), {"vex": "file:///a/"}),
        ("vex = false", (), {"vex": False}),
    ],
)
def test_the_configuration_names_one_or_several(
    tmp_path: Path, text: str, vex: tuple[str, ...], feeds: dict[str, object]
) -> None:
    settings = load(tmp_path, f"[feeds]\n{text}\n")
    assert (settings.vex, settings.feeds) == (vex, feeds)


def load(folder: Path, text: str) -> Settings:
    file = folder / "config.toml"
    file.write_text(f'database = "x.sqlite"\n{text}')
    return load_settings({"config": str(file)}, {})


@pytest.mark.parametrize(
    "text",
    [
        '[feeds]\nosv = ["file:///a/"]',
        "[feeds]\nvex = [1]",
        "[deferrals]\nmax_days = 0",
        "[deferrals]\nmax_days = 99999",
        "[deferrals]\nmax = 1",
    ],
)
def test_a_configuration_that_cannot_be_meant_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError):
        load(tmp_path, text)


def test_how_long_a_fault_may_be_put_off_is_configured(tmp_path: Path) -> None:
    assert load(tmp_path, "").deferrals.max_days == 365
    assert load(tmp_path, "[deferrals]\nmax_days = 30").deferrals.max_days == 30
