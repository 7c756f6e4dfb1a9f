"""Writes one OCI image layout (OCI image specification 1.1), the same bytes for the same input."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import sys
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

OCI = "application/vnd.oci.image"
Json = dict[str, Any]


@dataclass(frozen=True)
class Entry:
    """One file of a layer, or a symbolic link when ``target`` is given."""

    path: str
    data: bytes = b""
    target: str | None = None
    mode: int = 0o644


@dataclass(frozen=True)
class Layer:
    """A layer that lies in the layout already."""

    descriptor: Json
    diff_id: str
    command: str
    """What its history says made it."""


@dataclass(frozen=True)
class Image:
    """An image that lies in the layout: its manifest, and what it is made of."""

    descriptor: Json
    config_digest: str
    layers: tuple[Layer, ...]


def digest_of(data: bytes) -> str:
    """The bytes' OCI digest."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def write_tar(entries: Sequence[Entry], when: datetime) -> bytes:
    """An uncompressed layer: sorted, owned by root, every folder before what lies in it."""
    folders = {str(parent) for entry in entries for parent in PurePosixPath(entry.path).parents} - {
        "."
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path, entry in sorted(
            [(folder, None) for folder in folders] + [(entry.path, entry) for entry in entries],
            key=lambda pair: pair[0],
        ):
            info = tarfile.TarInfo(path)
            info.mtime = int(when.timestamp())
            if entry is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            elif entry.target is not None:
                info.type, info.mode, info.linkname = tarfile.SYMTYPE, 0o777, entry.target
            else:
                info.size, info.mode = len(entry.data), entry.mode
            tar.addfile(info, io.BytesIO(entry.data) if entry else None)
    return buffer.getvalue()


class Layout:
    """An OCI layout being written; equal blobs are stored once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._named: list[Json] = []
        (folder / "blobs/sha256").mkdir(parents=True)

    def add_blob(self, data: bytes, media_type: str) -> Json:
        """Stores the bytes and describes them."""
        digest = digest_of(data)
        (self._folder / "blobs" / digest.replace(":", "/")).write_bytes(data)
        return {"mediaType": media_type, "digest": digest, "size": len(data)}

    def add_json(self, document: Json, media_type: str) -> Json:
        """Stores a JSON document and describes it."""
        return self.add_blob(json.dumps(document, separators=(",", ":")).encode(), media_type)

    def add_layer(
        self, entries: Sequence[Entry], when: datetime, command: str, *, kind: str = "gzip"
    ) -> Layer:
        """Stores a layer compressed with ``zstd`` or ``gzip``."""
        tar = write_tar(entries, when)
        packed = gzip.compress(tar, 9, mtime=0) if kind == "gzip" else zstd.compress(tar, 19)
        blob = self.add_blob(packed, f"{OCI}.layer.v1.tar+{kind}")
        return Layer(blob, digest_of(tar), command)

    def add_image(
        self,
        layers: tuple[Layer, ...],
        architecture: str,
        when: datetime,
        labels: Mapping[str, str],
    ) -> Image:
        """Stores the configuration and the manifest of an image for Linux."""
        created = when.strftime("%Y-%m-%dT%H:%M:%SZ")
        platform = {"architecture": architecture, "os": "linux"}
        if architecture == "arm64":
            platform["variant"] = "v8"
        config = self.add_json(
            {
                "created": created,
                **platform,
                "config": {
                    "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                    "Labels": dict(labels),
                },
                "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
                "history": [{"created": created, "created_by": layer.command} for layer in layers],
            },
            f"{OCI}.config.v1+json",
        )
        base = {key: value for key, value in labels.items() if ".image.base." in key}
        manifest = self.add_json(
            {
                "schemaVersion": 2,
                "mediaType": f"{OCI}.manifest.v1+json",
                "config": config,
                "layers": [layer.descriptor for layer in layers],
                "annotations": {"org.opencontainers.image.created": created, **base},
            },
            f"{OCI}.manifest.v1+json",
        )
        return Image({**manifest, "platform": platform}, config["digest"], layers)

    def add_index(self, images: Sequence[Image]) -> Json:
        """Stores an index of one image for each platform."""
        document = {
            "schemaVersion": 2,
            "mediaType": f"{OCI}.index.v1+json",
            "manifests": [image.descriptor for image in images],
        }
        return self.add_json(document, f"{OCI}.index.v1+json")

    def name(self, reference: str, descriptor: Json) -> None:
        """Gives an image or index its full name."""
        annotations = {"org.opencontainers.image.ref.name": reference}
        self._named.append({**descriptor, "annotations": annotations})

    def close(self) -> None:
        """Writes ``index.json`` and ``oci-layout``."""
        index = {
            "schemaVersion": 2,
            "mediaType": f"{OCI}.index.v1+json",
            "manifests": self._named,
        }
        (self._folder / "index.json").write_text(json.dumps(index, indent=1) + "\n")
        (self._folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}\n')
