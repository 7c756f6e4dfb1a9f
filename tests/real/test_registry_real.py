"""What skopeo pushed into a real registry is read back as it was, by name, tag and digest."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest
from registry_server import PASSWORD, USER, DockerRegistry

from imagecatalog.config import RegistrySetting
from imagecatalog.domain.images import Descriptor, ImageIndex, ImageManifest
from imagecatalog.domain.refs import Digest
from imagecatalog.errors import AccessDenied, Missing, SourceUnavailable
from imagecatalog.formats.oci import (
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
    parse_config,
    parse_manifest,
)
from imagecatalog.sources.archive import DockerArchive
from imagecatalog.sources.layout import Layout
from imagecatalog.sources.registry import Registry

pytestmark = pytest.mark.real


def _tar(name: str, content: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


class _Maker:
    """An OCI layout that grows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "blobs/sha256").mkdir(parents=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        self.members: list[dict[str, object]] = []

    def blob(self, content: bytes, media_type: str) -> dict[str, object]:
        digest = Digest.of(content)
        (self.folder / "blobs/sha256" / digest.encoded).write_bytes(content)
        return {"mediaType": media_type, "digest": str(digest), "size": len(content)}

    def image(self, text: str, architecture: str = "amd64") -> dict[str, object]:
        layer = _tar("etc/motd", text.encode())
        config = {
            "created": "2026-01-02T03:04:05.678901234Z",
            "os": "linux",
            "architecture": architecture,
            "config": {"Labels": {"text": text}},
            "rootfs": {"type": "layers", "diff_ids": [str(Digest.of(layer))]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": self.blob(json.dumps(config).encode(), OCI_CONFIG),
            "layers": [
                self.blob(
                    gzip.compress(layer, mtime=0), "application/vnd.oci.image.layer.v1.tar+gzip"
                )
            ],
        }
        member = self.blob(json.dumps(manifest).encode(), OCI_MANIFEST)
        return member | {"platform": {"os": "linux", "architecture": architecture}}

    def index(self, *members: dict[str, object]) -> dict[str, object]:
        body = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": members}
        return self.blob(json.dumps(body).encode(), OCI_INDEX)

    def tag(self, member: dict[str, object], tag: str) -> Digest:
        names = {"org.opencontainers.image.ref.name": tag}
        self.members.append(member | {"annotations": names})
        body = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": self.members}
        (self.folder / "index.json").write_text(json.dumps(body))
        return Digest(str(member["digest"]))


@pytest.fixture
def maker(tmp_path: Path) -> _Maker:
    return _Maker(tmp_path / "layout")


def _setting(registry: DockerRegistry, folder: Path) -> RegistrySetting:
    if not registry.secure:
        return RegistrySetting(url=registry.url)
    password = folder / "password"
    password.write_text(PASSWORD + "\n")
    return RegistrySetting(
        url=registry.url, ca=str(registry.ca), username=USER, password_file=str(password)
    )


@pytest.mark.parametrize("kind", ["docker_registry", "secure_registry"])
def test_everything_pushed_is_read_back(
    kind: str, request: pytest.FixtureRequest, maker: _Maker, tmp_path: Path
) -> None:
    registry: DockerRegistry = request.getfixturevalue(kind)
    one = maker.tag(maker.image("one"), "1.0")
    both = maker.tag(maker.index(maker.image("amd"), maker.image("arm", "arm64")), "multi")
    registry.push(f"oci:{maker.folder}:1.0", "team/app:1.0")
    registry.push(f"oci:{maker.folder}:multi", "team/app:multi")
    registry.push(f"oci:{maker.folder}:1.0", "solo:old", "--format=v2s2")

    source = Registry(_setting(registry, tmp_path))
    app, solo = f"{registry.host}/team/app", f"{registry.host}/solo"
    assert sorted(source.repositories()) == [solo, app]
    assert sorted(source.tags(app)) == ["1.0", "multi"]
    assert source.resolve(app, "1.0") == Descriptor(
        OCI_MANIFEST, one, len((maker.folder / "blobs/sha256" / one.encoded).read_bytes())
    )
    assert source.resolve(app, "multi").digest == both
    assert source.resolve(solo, "old").media_type == DOCKER_MANIFEST

    manifest = parse_manifest(source.manifest(app, one))
    assert isinstance(manifest, ImageManifest)
    with source.blob(app, manifest.config) as stream:
        config = parse_config(stream.read(), "config")
    assert config.labels == {"text": "one"}
    with source.blob(app, manifest.layers[0]) as stream:
        layer = gzip.decompress(stream.read())
    assert Digest.of(layer) == config.diff_ids[0]

    index = parse_manifest(source.manifest(app, both))
    assert isinstance(index, ImageIndex)
    assert [str(member.platform) for member in index.manifests] == ["linux/amd64", "linux/arm64"]
    for member in index.manifests:
        assert source.exists(app, member.digest)
    assert not source.exists(app, Digest.of(b"nothing"))
    with pytest.raises(Missing):
        source.manifest(app, Digest.of(b"nothing"))
    with pytest.raises(Missing), source.blob(app, Descriptor("", Digest.of(b"nothing"), 7)) as none:
        none.read()
    source.close()


def test_what_is_deleted_is_gone(
    secure_registry: DockerRegistry, maker: _Maker, tmp_path: Path
) -> None:
    digest = maker.tag(maker.image("one"), "1.0")
    secure_registry.push(f"oci:{maker.folder}:1.0", "app:1.0")
    source = Registry(_setting(secure_registry, tmp_path))
    app = f"{secure_registry.host}/app"
    assert source.exists(app, digest)
    secure_registry.delete("app:1.0")
    assert not source.exists(app, digest)
    assert list(source.repositories()) == [app]
    assert list(source.tags(app)) == []
    with pytest.raises(Missing):
        source.resolve(app, "1.0")
    source.close()


def test_more_repositories_than_a_page_holds(
    docker_registry: DockerRegistry, maker: _Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imagecatalog.sources.registry.PAGE", 2)
    maker.tag(maker.image("one"), "1.0")
    for number in range(5):
        docker_registry.push(f"oci:{maker.folder}:1.0", f"team{number % 2}/app{number}:1.0")
    names = [f"{docker_registry.host}/team{number % 2}/app{number}" for number in range(5)]
    source = Registry(RegistrySetting(url=docker_registry.url))
    assert sorted(source.repositories()) == sorted(names)
    source.close()
    below = Registry(RegistrySetting(url=f"{docker_registry.url}/team1"))
    assert sorted(below.repositories()) == [names[1], names[3]]
    below.close()


def test_a_page_size_that_the_registry_refuses(
    docker_registry: DockerRegistry, maker: _Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imagecatalog.sources.registry.PAGE", 100_000)
    maker.tag(maker.image("one"), "1.0")
    docker_registry.push(f"oci:{maker.folder}:1.0", "app:1.0")
    source = Registry(RegistrySetting(url=docker_registry.url))
    assert list(source.repositories()) == [f"{docker_registry.host}/app"]
    source.close()


def test_without_password_or_authority(secure_registry: DockerRegistry, tmp_path: Path) -> None:
    no_password = RegistrySetting(url=secure_registry.url, ca=str(secure_registry.ca))
    source = Registry(no_password, find=lambda *_: None)
    with pytest.raises(AccessDenied, match="does not list its repositories"):
        list(source.repositories())
    with pytest.raises(AccessDenied, match="wants"):
        list(source.tags(f"{secure_registry.host}/app"))
    source.close()
    no_authority = Registry(RegistrySetting(url=secure_registry.url))
    with pytest.raises(SourceUnavailable, match="certificate is not trusted") as caught:
        list(no_authority.repositories())
    assert "`ca`" in str(caught.value.hint)
    no_authority.close()


def test_archives_and_layouts_as_skopeo_writes_them(maker: _Maker, tmp_path: Path) -> None:
    digest = maker.tag(maker.image("one"), "1.0")
    copy = ["skopeo", "--insecure-policy", "copy", f"oci:{maker.folder}:1.0"]
    (tmp_path / "team").mkdir()
    archive = tmp_path / "app.tar"
    name = "registry.example.org/team/app:1.0"
    subprocess.run([*copy, f"docker-archive:{archive}:{name}"], check=True, capture_output=True)
    subprocess.run([*copy, f"oci:{tmp_path / 'team/copy'}:{name}"], check=True, capture_output=True)
    packed, laid = DockerArchive(archive), Layout(tmp_path / "team")
    for source in (packed, laid):
        assert list(source.repositories()) == ["registry.example.org/team/app"]
        (repository,) = source.repositories()
        assert list(source.tags(repository)) == ["1.0"]
        pointed = source.resolve(repository, "1.0")
        manifest = parse_manifest(source.manifest(repository, pointed.digest))
        assert isinstance(manifest, ImageManifest)
        with source.blob(repository, manifest.layers[0]) as stream:
            assert len(stream.read()) == manifest.layers[0].size
        with source.blob(repository, manifest.config) as stream:
            assert parse_config(stream.read(), "config").labels == {"text": "one"}
    assert laid.resolve("registry.example.org/team/app", "1.0").digest == digest
