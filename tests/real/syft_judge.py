"""Syft and we on the same files: what each finds installed."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import subprocess
import sysconfig
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from imagecatalog.domain.contents import ImageContents
from imagecatalog.domain.images import Descriptor, ImageConfig, ImageManifest
from imagecatalog.domain.packages import Package
from imagecatalog.domain.refs import Digest, Platform
from imagecatalog.formats.purl import normalise_pypi
from imagecatalog.sources.contents import read_contents

SYFT = Path(sysconfig.get_path("scripts")) / "syft"
GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
KINDS = {"go-module": "golang", "python": "pypi", "java-archive": "maven"}

Found = tuple[str, str, str]
"""Type, name and version of a package."""


class Blobs(dict[Digest, Path | bytes]):
    """A source of one image."""

    @contextmanager
    def blob(self, repository: str, blob: Descriptor) -> Iterator[Any]:
        there = self[blob.digest]
        with io.BytesIO(there) if isinstance(there, bytes) else there.open("rb") as stream:
            yield stream


def pack(root: Path) -> bytes:
    """A layer of all that lies in a folder."""
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w") as archive:
        for path in sorted(root.rglob("*")):
            archive.add(path, str(path.relative_to(root)), recursive=False)
    return gzip.compress(body.getvalue(), 1, mtime=0)


def read_layers(layers: Sequence[tuple[Digest, Path | bytes]]) -> ImageContents:
    """What we find in an image of these layers."""
    manifest = ImageManifest(
        MANIFEST,
        Descriptor("x", Digest.of(b""), 0),
        tuple(Descriptor(GZIP, digest, -1) for digest, _ in layers),
    )
    config = ImageConfig(None, Platform.parse("linux/amd64"))
    source: Any = Blobs(layers)
    contents, _ = read_contents(source, "a", manifest, config, known=lambda _: None)
    return contents


def read(root: Path) -> ImageContents:
    """What we find in an image of one layer that holds this folder."""
    data = pack(root)
    return read_layers([(Digest.of(data), data)])


def ours(root: Path) -> set[Found]:
    """The same, of an image that is known and has no file that could not be read."""
    contents = read(root)
    assert contents.unknown is None
    assert contents.problems == ()
    return named(contents.packages or ())


def named(packages: Sequence[Package]) -> set[Found]:
    """Packages by what Syft tells of them, too."""
    return {(one.type, one.name, one.version) for one in packages}


def scan(target: str) -> list[dict[str, Any]]:
    """What Syft finds, set to look for what is installed and not for what is asked for."""
    command = [SYFT, "scan", "-q", target, "--override-default-catalogers", "image"]
    done = subprocess.run(
        [*command, "-o", "json"],
        env=os.environ | {"SYFT_CHECK_FOR_APP_UPDATE": "false"},
        check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    return [one for one in json.loads(done.stdout)["artifacts"] if one["type"] != "binary"]


def name_of(artifact: dict[str, Any]) -> Found:
    """As we name it: Python's names are one, an epoch of 0 is none, and Go's version is a number."""
    kind, name = KINDS.get(artifact["type"], artifact["type"]), artifact["name"]
    version = artifact["version"]
    if kind == "pypi":
        name = normalise_pypi(name)
    if kind == "rpm":
        version = version.removeprefix("0:")
    if (kind, name) == ("golang", "stdlib"):
        version = version.removeprefix("go")
    return kind, name, version


def theirs(root: Path) -> set[Found]:
    """What Syft finds in a folder."""
    return {name_of(one) for one in scan(f"dir:{root}")}


def write_layout(folder: Path, layers: Sequence[Path]) -> None:
    """An OCI layout of one image of these gzip layers."""
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)

    def put(body: bytes, kind: str) -> dict[str, Any]:
        digest = Digest.of(body)
        (blobs / digest.encoded).write_bytes(body)
        return {"mediaType": kind, "digest": str(digest), "size": len(body)}

    listed, plain = [], []
    for path in layers:
        packed, unpacked = hashlib.sha256(), hashlib.sha256()
        with path.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                packed.update(chunk)
        with gzip.open(path) as stream:
            while chunk := stream.read(1 << 20):
                unpacked.update(chunk)
        (blobs / packed.hexdigest()).symlink_to(path.resolve())
        digest = f"sha256:{packed.hexdigest()}"
        listed.append({"mediaType": GZIP, "digest": digest, "size": path.stat().st_size})
        plain.append(f"sha256:{unpacked.hexdigest()}")
    config = {
        "os": "linux",
        "architecture": "amd64",
        "rootfs": {"type": "layers", "diff_ids": plain},
        "config": {},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": put(json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json"),
        "layers": listed,
    }
    index = {"schemaVersion": 2, "manifests": [put(json.dumps(manifest).encode(), MANIFEST)]}
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (folder / "index.json").write_text(json.dumps(index))
