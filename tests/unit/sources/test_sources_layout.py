"""OCI layouts: how images in them are named, and that nothing leads out of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from image_files import Blobs, layout_files, named, write_files

from imagecatalog.config import RegistrySetting, Settings
from imagecatalog.domain.images import Descriptor, ImageManifest
from imagecatalog.domain.refs import Digest
from imagecatalog.errors import (
    BadDocument,
    CatalogError,
    ConfigError,
    DigestMismatch,
    Missing,
    TooDeep,
    TooLarge,
    Truncated,
)
from imagecatalog.formats.oci import MANIFEST_LIMIT, OCI_MANIFEST, parse_manifest
from imagecatalog.sources.archive import DockerArchive
from imagecatalog.sources.layout import Layout, StoredImages
from imagecatalog.sources.open import _find_setting, is_loopback, open_source
from imagecatalog.sources.registry import Registry


def _names(source: StoredImages) -> dict[str, list[str]]:
    return {repository: list(source.tags(repository)) for repository in source.repositories()}


def test_how_images_are_named(tmp_path: Path) -> None:
    blobs = Blobs()
    one, two, three, four = (blobs.add_image(text) for text in ("one", "two", "three", "four"))
    files = layout_files(
        blobs,
        named(one, name="a.b/team/app:1.0", ref="1.0"),
        named(two, ref="a.b/team/app:2.0"),
        named(three, ref="stable"),
        named(four, ref="nginx:1"),
    )
    write_files(tmp_path / "web", files)
    source = Layout(tmp_path / "web")
    assert _names(source) == {
        "a.b/team/app": ["1.0", "2.0"],
        "docker.io/library/web": ["stable"],
        "docker.io/library/nginx": ["1"],
    }
    assert source.resolve("a.b/team/app", "2.0").digest == two["digest"]
    assert source.name == f"oci:{tmp_path / 'web'}"


def test_a_folder_of_layouts(tmp_path: Path) -> None:
    blobs = Blobs()
    one, two = blobs.add_image("one"), blobs.add_image("two")
    write_files(tmp_path / "fleet/a.b/team/app", layout_files(blobs, named(one, ref="1")))
    write_files(tmp_path / "fleet/db", layout_files(blobs, named(one, name="a.b/team/app:2")))
    write_files(tmp_path / "fleet/db-two", layout_files(blobs, two))
    (tmp_path / "fleet/notes").mkdir()
    source = Layout(tmp_path / "fleet")
    assert _names(source) == {
        "a.b/team/app": ["1", "2"],
        "docker.io/library/db-two": ["latest"],
    }
    source.manifest("a.b/team/app", Digest(one["digest"]))


def test_images_without_names(tmp_path: Path) -> None:
    blobs = Blobs()
    one, two = blobs.add_image("one"), blobs.add_image("two")
    write_files(tmp_path / "web", layout_files(blobs, one, two))
    assert _names(Layout(tmp_path / "web")) == {
        "docker.io/library/web": [m["digest"][7:19] for m in (one, two)]
    }


def test_a_bad_name_is_told_after_the_good_ones(tmp_path: Path) -> None:
    blobs = Blobs()
    good, bad = blobs.add_image("good"), blobs.add_image("bad")
    files = layout_files(blobs, named(bad, ref="Not A Name/x"), named(good, name="a.b/good:1"))
    write_files(tmp_path / "fleet/one", files)
    write_files(tmp_path / "fleet/two", {"index.json": b"nonsense"})
    found = []
    with pytest.raises(BadDocument, match="without a usable name") as caught:
        found.extend(Layout(tmp_path / "fleet").repositories())
    assert found == ["a.b/good"]
    assert "index.json of two" in str(caught.value)


def test_reading_what_is_there(tmp_path: Path) -> None:
    blobs = Blobs()
    image = named(blobs.add_image("one"), name="a.b/app:1")
    write_files(tmp_path, layout_files(blobs, image))
    source = Layout(tmp_path)
    digest = Digest(image["digest"])
    raw = source.manifest("a.b/app", digest)
    assert (raw.media_type, raw.body) == (OCI_MANIFEST, blobs[digest])
    manifest = parse_manifest(raw)
    assert isinstance(manifest, ImageManifest)
    with source.blob("a.b/app", manifest.layers[0]) as stream:
        assert stream.read(3) == blobs[manifest.layers[0].digest][:3]
    with source.blob("a.b/app", manifest.layers[0]) as stream:
        assert stream.read() == blobs[manifest.layers[0].digest]
    assert source.exists("a.b/app", digest)
    assert not source.exists("a.b/app", Digest.of(b"other"))
    for reading in (
        lambda: source.manifest("a.b/app", Digest.of(b"other")),
        lambda: source.manifest("a.b/other", digest),
        lambda: source.resolve("a.b/app", "2"),
        lambda: list(source.tags("a.b/other")),
    ):
        with pytest.raises(Missing):
            reading()


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda content: content[:-1] + b"!", DigestMismatch),
        (lambda content: content + b"!", DigestMismatch),
        (lambda content: content[:-1], Truncated),
        (lambda content: b"", Truncated),
    ],
)
def test_spoilt_bytes(tmp_path: Path, spoil: object, error: type[BadDocument]) -> None:
    blobs = Blobs()
    image = named(blobs.add_image("one"), name="a.b/app:1")
    files = layout_files(blobs, image)
    (layer,) = (d for d, content in blobs.items() if content[:2] == b"\x1f\x8b")
    blob = Descriptor("", layer, len(blobs[layer]))
    for digest in (layer, Digest(image["digest"])):
        path = f"blobs/sha256/{digest.encoded}"
        files[path] = spoil(files[path])  # type: ignore[operator]
    write_files(tmp_path, files)
    source = Layout(tmp_path)
    with pytest.raises(error), source.blob("a.b/app", blob) as stream:
        stream.read()
    with pytest.raises(DigestMismatch):
        source.manifest("a.b/app", Digest(image["digest"]))


def test_a_digest_that_cannot_be_checked(tmp_path: Path) -> None:
    blobs = Blobs()
    image = named(blobs.add_image("one"), name="a.b/app:1")
    digest = Digest("blake3:" + "ab" * 32)
    files = layout_files(blobs, image) | {"blobs/blake3/" + "ab" * 32: b"x"}
    write_files(tmp_path, files)
    with pytest.raises(BadDocument, match="blake3") as caught:
        Layout(tmp_path).manifest("a.b/app", digest)
    assert caught.value.code == "digest-unverifiable"


def test_a_manifest_beyond_the_bound(tmp_path: Path) -> None:
    blobs = Blobs()
    big = named(blobs.add(b" " * (MANIFEST_LIMIT + 1), OCI_MANIFEST), name="a.b/app:1")
    write_files(tmp_path, layout_files(blobs, big))
    with pytest.raises(TooLarge):
        Layout(tmp_path).manifest("a.b/app", Digest(big["digest"]))
    write_files(tmp_path / "big", {"index.json": b" " * (MANIFEST_LIMIT + 1)})
    with pytest.raises(BadDocument, match="are more than"):
        list(Layout(tmp_path / "big").repositories())


def test_links_that_lead_out_are_refused(tmp_path: Path) -> None:
    blobs = Blobs()
    image = named(blobs.add_image("one"), name="a.b/app:1")
    root = tmp_path / "layout"
    write_files(root, layout_files(blobs, image))
    digest = Digest(image["digest"])
    blob = root / "blobs/sha256" / digest.encoded
    outside = tmp_path / "secret"
    outside.write_bytes(blobs[digest])
    source = Layout(root)
    blob.unlink()
    for target in (str(outside), "../../../secret"):
        blob.symlink_to(target)
        with pytest.raises(BadDocument, match="leads out of"):
            source.manifest("a.b/app", digest)
        blob.unlink()
    (root / "inside").write_bytes(blobs[digest])
    blob.symlink_to("../../inside")
    assert source.manifest("a.b/app", digest).body == blobs[digest]
    blob.unlink()
    os.mkfifo(blob)
    with pytest.raises(BadDocument, match="not a file"):
        source.manifest("a.b/app", digest)
    blob.unlink()
    blob.symlink_to(blob.name)
    with pytest.raises(CatalogError):
        source.manifest("a.b/app", digest)
    (root / "index.json").unlink()
    (root / "index.json").symlink_to("/etc/passwd")
    with pytest.raises(BadDocument, match="leads out of"):
        list(Layout(root).repositories())


def test_what_is_no_layout(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not a directory"):
        Layout(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="holds no OCI layout"):
        list(Layout(tmp_path).repositories())
    (tmp_path / "/".join("abcdefgh")).mkdir(parents=True)
    with pytest.raises(TooDeep):
        list(Layout(tmp_path).repositories())


# --- addresses ----------------------------------------------------------------------------------


def test_addresses_lead_to_sources(tmp_path: Path) -> None:
    blobs = Blobs()
    write_files(tmp_path / "layout", layout_files(blobs, named(blobs.add_image("x"), ref="1")))
    (tmp_path / "app.tar").write_bytes(b"")
    assert isinstance(open_source(f"oci:{tmp_path / 'layout'}", Settings()), Layout)
    assert isinstance(
        open_source(f"docker-archive:{tmp_path / 'app.tar'}", Settings()), DockerArchive
    )
    for address in (
        "https://a.b:5000/team",
        "http://127.0.0.1:5000",
        "http://localhost",
        "http://[::1]:5000/",
    ):
        registry = open_source(address, Settings())
        assert isinstance(registry, Registry)
        registry.close()


@pytest.mark.parametrize(
    ("address", "hint"),
    [
        ("http://registry.example.org", "https://"),
        ("http://127.0.0.1.example.org", "https://"),
        ("registry.example.org", "https://registry.example.org"),
        ("registry.example.org:5000", "https://registry.example.org:5000"),
        ("ftp://a.b", "oci:DIR"),
        ("oci:", "oci:DIR"),
        ("", "https://"),
        ("https://", "https://"),
        ("https://user:secret@a.b", "https://"),
        ("https://[::", "https://"),
    ],
)
def test_addresses_that_lead_nowhere(address: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_source(address, Settings())
    assert hint in (caught.value.hint or "")


def test_the_nearest_setting_counts() -> None:
    wide = RegistrySetting(url="https://a.b", username="wide")
    near = RegistrySetting(url="https://a.b/team/", username="near")
    other = RegistrySetting(url="https://a.b:5000", username="other")
    settings = Settings(registries=(wide, near, other))
    for address, username in [
        ("https://a.b", "wide"),
        ("https://A.B/", "wide"),
        ("https://a.b/teams", "wide"),
        ("https://a.b/team", "near"),
        ("https://a.b/team/app", "near"),
        ("https://a.b:5000/team", "other"),
        ("https://b.a", None),
        ("http://a.b", None),
    ]:
        found = _find_setting(address, settings)
        assert (found.url, found.username) == (address, username)


@pytest.mark.parametrize(
    ("address", "is_own"),
    [
        ("http://127.8.9.1", True),
        ("http://localhost:1/x", True),
        ("http://[::1]", True),
        ("http://10.0.0.1", False),
        ("http://localhost.example", False),
        ("http:", False),
    ],
)
def test_loopback_addresses(address: str, is_own: bool) -> None:
    assert is_loopback(address) is is_own
