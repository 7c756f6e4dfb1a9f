"""Archives of docker save: old ones without manifests, new ones with a layout inside."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from image_files import Blobs, layout_files, named

from imagecatalog.domain.images import ImageManifest
from imagecatalog.domain.refs import Digest
from imagecatalog.errors import (
    BadDocument,
    CatalogError,
    ConfigError,
    DigestMismatch,
    Missing,
    SourceUnavailable,
    TooManyEntries,
)
from imagecatalog.formats.oci import DOCKER_CONFIG, DOCKER_MANIFEST, parse_config, parse_manifest
from imagecatalog.sources.archive import DockerArchive

LAYERS = (b"the first layer" * 9000, b"the second layer")
CONFIG = json.dumps(
    {
        "os": "linux",
        "architecture": "amd64",
        "rootfs": {"diff_ids": [str(Digest.of(layer)) for layer in LAYERS]},
    }
).encode()


def _entry(**change: Any) -> dict[str, Any]:
    tags = ["nginx:1", "a.b/web:2"]
    return {
        "Config": "c.json",
        "RepoTags": tags,
        "Layers": ["1/layer.tar", "2/layer.tar"],
        **change,
    }


def _files(*entries: dict[str, Any]) -> dict[str, bytes]:
    return {
        "c.json": CONFIG,
        "1/layer.tar": LAYERS[0],
        "2/layer.tar": LAYERS[1],
        "manifest.json": json.dumps(entries or [_entry()]).encode(),
    }


def _write(path: Path, files: dict[str, bytes], links: dict[str, tuple[bytes, str]] = {}) -> Path:  # noqa: B006
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        for name, (kind, target) in links.items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, target
            archive.addfile(entry)
    return path


def _read(source: DockerArchive, repository: str, tag: str) -> tuple[ImageManifest, list[bytes]]:
    pointed = source.resolve(repository, tag)
    manifest = parse_manifest(source.manifest(repository, pointed.digest))
    assert isinstance(manifest, ImageManifest)
    contents = []
    for blob in (manifest.config, *manifest.layers):
        with source.blob(repository, blob) as stream:
            contents.append(stream.read())
    return manifest, contents


def test_an_old_archive_gets_a_manifest(tmp_path: Path) -> None:
    source = DockerArchive(_write(tmp_path / "app.tar", _files()))
    assert source.name == f"docker-archive:{tmp_path / 'app.tar'}"
    assert list(source.repositories()) == ["docker.io/library/nginx", "a.b/web"]
    assert list(source.tags("a.b/web")) == ["2"]
    manifest, contents = _read(source, "a.b/web", "2")
    assert contents == [CONFIG, *LAYERS]
    assert manifest.media_type == DOCKER_MANIFEST
    assert manifest.config.media_type == DOCKER_CONFIG
    assert {layer.media_type for layer in manifest.layers} == {
        "application/vnd.docker.image.rootfs.diff.tar"
    }
    assert [layer.size for layer in manifest.layers] == [len(layer) for layer in LAYERS]
    assert parse_config(contents[0], "c").diff_ids == tuple(x.digest for x in manifest.layers)
    pointed = source.resolve("docker.io/library/nginx", "1")
    assert pointed == source.resolve("a.b/web", "2")
    assert source.exists("a.b/web", pointed.digest)
    assert not source.exists("a.b/web", Digest.of(b"other"))


def test_the_digest_made_is_always_the_same(tmp_path: Path) -> None:
    one = DockerArchive(_write(tmp_path / "one.tar", _files()))
    two = DockerArchive(_write(tmp_path / "two.tar", dict(reversed(_files().items()))))
    digest = one.resolve("a.b/web", "2").digest
    assert digest == two.resolve("a.b/web", "2").digest
    kind = "application/vnd.docker.image.rootfs.diff.tar"
    parts = [(DOCKER_CONFIG, CONFIG), *((kind, layer) for layer in LAYERS)]
    config, *layers = [
        {"mediaType": media_type, "size": len(content), "digest": str(Digest.of(content))}
        for media_type, content in parts
    ]
    written = {"schemaVersion": 2, "mediaType": DOCKER_MANIFEST, "config": config, "layers": layers}
    assert digest == Digest.of(json.dumps(written, separators=(",", ":")).encode())


def test_links_between_layers(tmp_path: Path) -> None:
    links = {
        "2/layer.tar": (tarfile.SYMTYPE, "../shared/two.tar"),
        "1/layer.tar": (tarfile.LNKTYPE, "shared/one.tar"),
    }
    files = _files() | {"shared/two.tar": LAYERS[1], "shared/one.tar": LAYERS[0]}
    for name in links:
        del files[name]
    source = DockerArchive(_write(tmp_path / "app.tar", files, links))
    assert _read(source, "a.b/web", "2")[1] == [CONFIG, *LAYERS]


@pytest.mark.parametrize("target", ["../../etc/passwd", "/etc/passwd", "layer.tar", "nowhere"])
def test_links_that_lead_nowhere(tmp_path: Path, target: str) -> None:
    files = _files()
    del files["2/layer.tar"]
    path = _write(tmp_path / "app.tar", files, {"2/layer.tar": (tarfile.SYMTYPE, target)})
    with pytest.raises(BadDocument, match=r"holds no file '2/layer\.tar'"):
        list(DockerArchive(path).repositories())


def test_a_new_archive_keeps_its_digests(tmp_path: Path) -> None:
    blobs = Blobs()
    image = named(blobs.add_image("one"), name="a.b/web:2", ref="2")
    files = layout_files(blobs, image) | {"manifest.json": b"[]"}
    source = DockerArchive(_write(tmp_path / "app.tar", files))
    assert list(source.repositories()) == ["a.b/web"]
    assert source.resolve("a.b/web", "2").digest == image["digest"]
    manifest, contents = _read(source, "a.b/web", "2")
    assert [Digest.of(content) for content in contents] == [
        manifest.config.digest,
        *(layer.digest for layer in manifest.layers),
    ]
    with pytest.raises(Missing):
        source.manifest("a.b/web", Digest.of(b"other"))


def test_compressed_layers_are_called_so(tmp_path: Path) -> None:
    files = _files() | {"1/layer.tar": gzip.compress(LAYERS[0], mtime=0)}
    manifest, _ = _read(DockerArchive(_write(tmp_path / "app.tar", files)), "a.b/web", "2")
    assert manifest.layers[0].media_type == "application/vnd.docker.image.rootfs.diff.tar.gzip"


def test_an_image_without_a_tag(tmp_path: Path) -> None:
    path = _write(tmp_path / "App.tar", _files(_entry(RepoTags=None)))
    source = DockerArchive(path)
    assert list(source.repositories()) == ["docker.io/library/app"]
    assert list(source.tags("docker.io/library/app")) == ["latest"]


def test_one_bad_image_leaves_the_others(tmp_path: Path) -> None:
    bad = _entry(Config="nowhere.json", RepoTags=["a.b/bad:1"])
    source = DockerArchive(_write(tmp_path / "app.tar", _files(bad, _entry())))
    found = []
    with pytest.raises(BadDocument, match=r"nowhere\.json"):
        found.extend(source.repositories())
    assert found == ["docker.io/library/nginx", "a.b/web"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"2/layer.tar": b"another layer"}, "not sha256"),
        ({"c.json": b"nonsense"}, "not the JSON"),
        ({"c.json": b"{}"}, "states 0 layers"),
        ({"manifest.json": json.dumps([_entry(RepoTags=["Not A Name"])]).encode()}, "Not A Name"),
    ],
)
def test_broken_images(tmp_path: Path, change: dict[str, bytes], why: str) -> None:
    source = DockerArchive(_write(tmp_path / "app.tar", _files() | change))
    with pytest.raises(BadDocument, match=why):
        list(source.repositories())


def test_spoilt_after_it_was_listed(tmp_path: Path) -> None:
    path = _write(tmp_path / "app.tar", _files())
    source = DockerArchive(path)
    manifest, _ = _read(source, "a.b/web", "2")
    path.write_bytes(path.read_bytes().replace(b"the second layer", b"any other layer!"))
    with (
        pytest.raises(DigestMismatch),
        source.blob("a.b/web", manifest.layers[1]) as stream,
    ):
        stream.read()
    path.unlink()
    with (
        pytest.raises(SourceUnavailable),
        source.blob("a.b/web", manifest.layers[1]) as stream,
    ):
        stream.read()


def test_cut_anywhere_it_is_an_error_of_ours(tmp_path: Path) -> None:
    whole = _write(tmp_path / "app.tar", _files()).read_bytes()
    cut = tmp_path / "cut.tar"
    for size in [*range(0, 2048, 97), *range(2048, 140_000, 9001)]:
        cut.write_bytes(whole[:size])
        with pytest.raises(CatalogError):
            list(DockerArchive(cut).repositories())


def test_what_is_no_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="not a file"):
        DockerArchive(tmp_path)
    packed = tmp_path / "app.tar.gz"
    packed.write_bytes(gzip.compress(_write(tmp_path / "app.tar", _files()).read_bytes()))
    with pytest.raises(BadDocument) as caught:
        list(DockerArchive(packed).repositories())
    assert "unpack" in str(caught.value.hint)
    with pytest.raises(Missing, match=r"manifest\.json"):
        list(DockerArchive(_write(tmp_path / "x.tar", {"x": b""})).repositories())
    monkeypatch.setattr("imagecatalog.sources.archive.ENTRIES_LIMIT", 3)
    with pytest.raises(TooManyEntries):
        list(DockerArchive(tmp_path / "app.tar").repositories())
