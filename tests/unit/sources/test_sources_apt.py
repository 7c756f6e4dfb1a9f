"""Archives on disk and over HTTP: signatures, dates, hashes, and reading nothing twice."""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import lzma
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pysequoia
import pytest

from imagecatalog.domain.apt import AptSource, Keyring
from imagecatalog.errors import (
    BadDocument,
    DigestMismatch,
    Missing,
    SignatureInvalid,
    SourceUnavailable,
    TooLarge,
)
from imagecatalog.sources import apt
from imagecatalog.sources.apt import FetchedRelease, Unchanged, fetch_release, read_index
from imagecatalog.sources.apt_transport import join_uri, map_uri
from imagecatalog.sources.http import Http

NOW = datetime(2026, 11, 23, tzinfo=UTC)
URI = "https://apt.example.org/debian"
SOURCE = AptSource(URI, "bookworm", ("main",))


@functools.cache
def secret(name: str) -> pysequoia.Tsk:
    return pysequoia.Tsk.generate(f"{name} <{name}@example.org>")


def ring(name: str, path: str = "etc/apt/trusted.gpg.d/a.asc", *, armoured: bool = True) -> Keyring:
    certificate = secret(name).extract_certificate()
    return Keyring(path, str(certificate).encode() if armoured else bytes(certificate))


def paragraph(name: str, version: str, arch: str = "amd64") -> str:
    return f"Package: {name}\nVersion: {version}\nArchitecture: {arch}\n"


@dataclass
class Archive:
    """An archive on disk that may be written in several ways, right and wrong."""

    top: Path
    fields: dict[str, str] = field(
        default_factory=lambda: {
            "Suite": "stable",
            "Codename": "bookworm",
            "Architectures": "all amd64 i386",
            "Components": "main",
        }
    )
    files: dict[str, bytes] = field(default_factory=dict)
    signer: str = "acme"

    @property
    def suite(self) -> Path:
        return self.top / "dists/bookworm"

    def put(self, path: str, data: bytes, *, by_hash: bool = False) -> None:
        """A file that the Release file will list."""
        self.files[path] = data
        target = self.suite / path
        if by_hash:
            target = target.parent / "by-hash/SHA256" / hashlib.sha256(data).hexdigest()
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)

    def write(self, *, clear: bool = True) -> None:
        text = "".join(f"{name}: {value}\n" for name, value in self.fields.items()) + "SHA256:\n"
        for path, data in self.files.items():
            text += f" {hashlib.sha256(data).hexdigest()} {len(data)} {path}\n"
        self.suite.mkdir(parents=True, exist_ok=True)
        mode = pysequoia.SignatureMode
        signer = secret(self.signer).signer()
        if clear:
            signed = pysequoia.sign(signer, text.encode(), mode=mode.CLEAR)
            (self.suite / "InRelease").write_bytes(signed)
        else:
            signature = pysequoia.sign(signer, text.encode(), mode=mode.DETACHED)
            (self.suite / "Release").write_text(text)
            (self.suite / "Release.gpg").write_bytes(signature)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    archive = Archive(tmp_path / "mirror")
    plain = "\n".join([paragraph("a", "1"), paragraph("b", "2", "all")]).encode()
    # The plain form is listed but, as in real archives, not there.
    archive.files["main/binary-amd64/Packages"] = plain
    archive.put("main/binary-amd64/Packages.gz", gzip.compress(plain))
    archive.put("main/binary-amd64/Packages.xz", lzma.compress(plain))
    archive.write()
    return archive


@pytest.fixture
def client() -> Iterator[Http]:
    client = Http(sleep=lambda _: None)
    yield client
    client.close()


@dataclass
class Fetcher:
    """``fetch_release`` with what most tests want."""

    client: Http
    mirror: str

    def __call__(self, source: AptSource = SOURCE, **changes: Any) -> FetchedRelease | Unchanged:
        wanted: dict[str, Any] = {
            "architectures": ("amd64",),
            "keyrings": (ring("acme"),),
            "mirrors": {"https://apt.example.org": self.mirror.removesuffix("/debian")}
            if self.mirror.endswith("/debian")
            else {URI: self.mirror},
            "http": self.client,
            "previous": None,
            "now": NOW,
        }
        return fetch_release(source, **{**wanted, **changes})

    def new(self, source: AptSource = SOURCE, **changes: Any) -> FetchedRelease:
        fetched = self(source, **changes)
        assert isinstance(fetched, FetchedRelease)
        return fetched

    def names(self, fetched: FetchedRelease) -> list[str]:
        return [
            package.name
            for index in fetched.indices
            for package in read_index(index, fetched, http=self.client)
        ]


@pytest.fixture
def fetch(archive: Archive, client: Http) -> Fetcher:
    return Fetcher(client, f"file://{archive.top}")


def test_a_signed_archive_on_disk(fetch: Fetcher, archive: Archive) -> None:
    fetched = fetch.new()
    assert fetched.facts.codename == "bookworm"
    assert fetched.problems == ()
    plain = archive.files["main/binary-amd64/Packages"]
    (index,) = fetched.indices
    assert index.fingerprint == f"sha256:{hashlib.sha256(plain).hexdigest()}"
    assert fetch.names(fetched) == ["a", "b"]


def test_release_with_a_detached_signature(fetch: Fetcher, archive: Archive) -> None:
    (archive.suite / "InRelease").unlink()
    archive.write(clear=False)
    fetched = fetch.new()
    assert fetch.names(fetched) == ["a", "b"]
    assert isinstance(fetch(previous=fetched.state), Unchanged)
    (archive.suite / "Release").write_text("Suite: forged\n")
    with pytest.raises(SignatureInvalid):
        fetch()
    (archive.suite / "Release.gpg").unlink()
    with pytest.raises(BadDocument, match="no signature"):
        fetch()


def test_unchanged_is_told_by_stamp_and_by_bytes(fetch: Fetcher, archive: Archive) -> None:
    first = fetch.new()
    again = fetch(previous=first.state)
    assert again == Unchanged(first.state)
    inrelease = archive.suite / "InRelease"
    inrelease.write_bytes(inrelease.read_bytes())
    touched = fetch(previous=first.state)
    assert isinstance(touched, Unchanged)
    assert touched.state.stamp != first.state.stamp
    archive.fields["Version"] = "12"
    archive.write()
    assert fetch.new(previous=first.state).facts.version == "12"


def test_another_question_is_not_answered_by_unchanged(fetch: Fetcher) -> None:
    state = fetch.new().state
    assert isinstance(fetch(previous=state, architectures=("amd64", "i386")), FetchedRelease)
    with pytest.raises(SignatureInvalid):
        fetch(previous=state, keyrings=(ring("other"),))


def test_a_wrong_signature_names_keyrings_and_issuer(fetch: Fetcher, archive: Archive) -> None:
    with pytest.raises(SignatureInvalid, match=r"keyrings: etc/apt/other\.gpg") as caught:
        fetch(keyrings=(ring("other", "etc/apt/other.gpg"),))
    assert "backtrace" not in str(caught.value)
    with pytest.raises(SignatureInvalid, match="none at all"):
        fetch(keyrings=())
    inrelease = archive.suite / "InRelease"
    inrelease.write_bytes(inrelease.read_bytes().replace(b"stable", b"stoble"))
    with pytest.raises(SignatureInvalid):
        fetch()
    trusted = AptSource(URI, "bookworm", ("main",), trusted=True)
    assert fetch.new(trusted, keyrings=()).facts.suite == "stoble"


def test_only_signed_bytes_count(fetch: Fetcher, archive: Archive) -> None:
    inrelease = archive.suite / "InRelease"
    inrelease.write_bytes(b"Suite: forged\nSHA256:\n\n" + inrelease.read_bytes())
    assert fetch.new().facts.suite == "stable"


@pytest.mark.parametrize("armoured", [True, False])
def test_several_certificates_in_one_keyring(fetch: Fetcher, *, armoured: bool) -> None:
    both = b"".join(ring(name, armoured=armoured).data for name in ("other", "acme"))
    assert fetch.new(keyrings=(Keyring("x", both),)).indices


def test_signed_by(fetch: Fetcher) -> None:
    def source(*signed_by: str) -> AptSource:
        return AptSource(URI, "bookworm", ("main",), signed_by=signed_by)

    acme = ring("acme", "usr/share/keyrings/acme.gpg", armoured=False)
    other = ring("other", "usr/share/keyrings/other.gpg")
    both = (acme, other)
    assert fetch.new(source("/usr/share/keyrings/acme.gpg"), keyrings=both)
    with pytest.raises(SignatureInvalid):
        fetch(source("/usr/share/keyrings/other.gpg"), keyrings=both)
    assert fetch.new(source("/usr/share/keyrings/other.gpg"), keyrings=both, configured=(acme,))
    fingerprints = {
        name: secret(name).extract_certificate().fingerprint.upper() for name in ("acme", "other")
    }
    assert fetch.new(source(fingerprints["acme"]), keyrings=both)
    with pytest.raises(SignatureInvalid, match="none of which signed-by names"):
        fetch(source(fingerprints["other"]), keyrings=both)
    assert fetch.new(source(str(secret("acme").extract_certificate())), keyrings=(other,))


def test_an_outdated_release_file(fetch: Fetcher, archive: Archive) -> None:
    archive.fields["Valid-Until"] = "Mon, 23 Nov 2026 01:00:00 UTC"
    archive.write()
    fetched = fetch.new()
    assert fetched.valid_until == NOW + timedelta(hours=1)
    for previous in (None, fetched.state):
        with pytest.raises(BadDocument, match="valid only until"):
            fetch(now=NOW + timedelta(hours=2), previous=previous)
    lenient = AptSource(URI, "bookworm", ("main",), check_valid_until=False)
    assert fetch.new(lenient, now=NOW + timedelta(days=9))


def test_by_hash_and_by_name(fetch: Fetcher, archive: Archive) -> None:
    archive.fields["Acquire-By-Hash"] = "yes"
    archive.write()
    assert fetch.names(fetch.new()) == ["a", "b"]
    archive.put(
        "main/binary-amd64/Packages.xz",
        archive.files["main/binary-amd64/Packages.xz"],
        by_hash=True,
    )
    (archive.suite / "main/binary-amd64/Packages.xz").write_bytes(b"another version already")
    assert fetch.names(fetch.new()) == ["a", "b"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: lzma.compress(paragraph("evil", "1").encode()),
        lambda data: data + b"\0",
        lambda data: data[:-1],
        lambda data: b"",
    ],
)
def test_other_bytes_than_the_release_file_names(
    fetch: Fetcher, archive: Archive, spoil: Any
) -> None:
    path = archive.suite / "main/binary-amd64/Packages.xz"
    path.write_bytes(spoil(path.read_bytes()))
    fetched = fetch.new()
    with pytest.raises(BadDocument):
        fetch.names(fetched)


def test_a_same_sized_forgery_is_told_at_the_end(fetch: Fetcher, archive: Archive) -> None:
    archive.files.clear()
    archive.put("main/binary-amd64/Packages", paragraph("a", "1").encode())
    archive.write()
    fetched = fetch.new()
    path = archive.suite / "main/binary-amd64/Packages"
    path.write_bytes(path.read_bytes().replace(b"Version: 1", b"Version: 0"))
    (index,) = fetched.indices
    packages = read_index(index, fetched, http=fetch.client)
    assert next(packages).version == "0"
    with pytest.raises(DigestMismatch):
        next(packages)


def test_what_the_archive_lacks_is_said_and_the_rest_read(fetch: Fetcher) -> None:
    source = AptSource(URI, "bookworm", ("main", "contrib"))
    fetched = fetch.new(source, architectures=("amd64", "i386", "riscv64"))
    assert fetch.names(fetched) == ["a", "b"]
    assert [problem.partition(": ")[2] for problem in fetched.problems] == [
        "the archive has no architecture riscv64",
        "the archive has no component contrib",
    ]


def test_packages_of_all_have_an_index_of_their_own(fetch: Fetcher, archive: Archive) -> None:
    archive.put("main/binary-all/Packages.xz", lzma.compress(paragraph("c", "1", "all").encode()))
    archive.write()
    assert fetch.names(fetch.new()) == ["a", "b", "c"]
    archive.fields["No-Support-for-Architecture-all"] = "Packages"
    archive.write()
    assert fetch.names(fetch.new()) == ["a", "b"]
    del archive.fields["No-Support-for-Architecture-all"]
    archive.fields["Architectures"] = "amd64"
    archive.write()
    assert fetch.names(fetch.new()) == ["a", "b"]


def test_an_empty_index_is_not_fetched(fetch: Fetcher, archive: Archive) -> None:
    archive.files = {"main/binary-amd64/Packages": b"", "main/binary-amd64/Packages.xz": b"gone"}
    archive.write()
    fetched = fetch.new()
    assert len(fetched.indices) == 1
    assert fetch.names(fetched) == []


def test_a_trusted_archive_without_any_release_file(fetch: Fetcher, archive: Archive) -> None:
    flat = AptSource(URI, "flat/", trusted=True)
    folder = archive.top / "flat"
    folder.mkdir()
    with pytest.raises(Missing):
        fetch(flat)
    (folder / "Packages.gz").write_bytes(gzip.compress(paragraph("mine", "1").encode()))
    with pytest.raises(Missing):
        fetch(AptSource(URI, "flat/"))
    fetched = fetch.new(flat)
    assert fetch.names(fetched) == ["mine"]
    assert isinstance(fetch(flat, previous=fetched.state), Unchanged)
    (folder / "Packages.gz").write_bytes(gzip.compress(paragraph("mine", "2").encode()))
    assert fetch.new(flat, previous=fetched.state).indices != fetched.indices


def test_an_images_own_disk_is_not_ours(fetch: Fetcher, archive: Archive) -> None:
    source = AptSource(f"file://{archive.top}", "bookworm", ("main",))
    with pytest.raises(SourceUnavailable, match="inside of the image's machine") as caught:
        fetch(source)
    assert caught.value.hint == "Map it under [apt.mirrors]."
    assert fetch.new(source, local=True)
    assert fetch.new(source, mirrors={"file:/": "file:/"})


@pytest.mark.parametrize("suite", ["../../etc", "../", "a/../../../b/"])
def test_no_path_leads_out_of_the_archive(fetch: Fetcher, suite: str) -> None:
    with pytest.raises(BadDocument, match="leads out"):
        fetch(AptSource(URI, suite, () if suite.endswith("/") else ("main",)))


def test_too_large_an_index(
    fetch: Fetcher, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apt, "MAX_INDEX", 10)
    with pytest.raises(TooLarge):
        fetch.names(fetch.new())


def test_mirrors() -> None:
    mirrors = {"https://a.example": "file:///one", "https://a.example/deb/": "https://b.example/x/"}
    assert map_uri("https://a.example/deb", mirrors).rstrip("/") == "https://b.example/x"
    assert map_uri("https://a.example/deb/y", mirrors).rstrip("/") == "https://b.example/x/y"
    assert map_uri("https://a.example/debian", mirrors).rstrip("/") == "file:///one/debian"
    assert map_uri("https://a.example.org", mirrors) == "https://a.example.org"
    assert join_uri("https://a.example/", "./x y/%41") == "https://a.example/x%20y/%2541"


class Counting(http.server.SimpleHTTPRequestHandler):
    """Files of a folder with validators, each request noted."""

    asked: list[tuple[str, int]]

    def log_message(self, *_: object) -> None:
        pass

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        self.asked.append((self.path, int(code)))


@pytest.fixture
def server(archive: Archive) -> Iterator[tuple[str, list[tuple[str, int]]]]:
    asked: list[tuple[str, int]] = []
    handler = type("Handler", (Counting,), {"asked": asked})
    serving = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(handler, directory=str(archive.top))
    )
    thread = threading.Thread(target=serving.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{serving.server_port}", asked
    serving.shutdown()
    thread.join()
    serving.server_close()


def test_over_http_an_unchanged_archive_costs_one_request(
    server: tuple[str, list[tuple[str, int]]], client: Http
) -> None:
    address, asked = server
    fetch = Fetcher(client, address)
    fetched = fetch.new()
    assert fetch.names(fetched) == ["a", "b"]
    assert asked == [
        ("/dists/bookworm/InRelease", 200),
        ("/dists/bookworm/main/binary-amd64/Packages.xz", 200),
    ]
    asked.clear()
    assert fetch(previous=fetched.state) == Unchanged(fetched.state)
    assert asked == [("/dists/bookworm/InRelease", 304)]


def test_over_http_a_missing_archive_is_missing(
    server: tuple[str, list[tuple[str, int]]], client: Http
) -> None:
    with pytest.raises(Missing):
        Fetcher(client, server[0])(AptSource(URI, "nowhere", ("main",)))
