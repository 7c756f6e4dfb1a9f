"""Images made of bytes: as a layout on disk, or as the paths and answers of a registry."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from imagecatalog.domain.images import Descriptor
from imagecatalog.domain.refs import Digest
from imagecatalog.formats.oci import OCI_CONFIG, OCI_INDEX, OCI_MANIFEST

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
NAME = "io.containerd.image.name"
REF = "org.opencontainers.image.ref.name"


class Blobs(dict[Digest, bytes]):
    """Bytes by digest; ``add`` gives the descriptor as JSON has it."""

    def add(self, content: bytes, media_type: str) -> dict[str, Any]:
        digest = Digest.of(content)
        self[digest] = content
        return {"mediaType": media_type, "digest": str(digest), "size": len(content)}

    def add_json(self, document: object, media_type: str) -> dict[str, Any]:
        return self.add(json.dumps(document).encode(), media_type)

    def add_image(self, text: str) -> dict[str, Any]:
        """An image of one layer that holds ``text``."""
        layer = text.encode() * 100
        config = {
            "os": "linux",
            "architecture": "amd64",
            "config": {"Labels": {"text": text}},
            "rootfs": {"type": "layers", "diff_ids": [str(Digest.of(layer))]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": self.add_json(config, OCI_CONFIG),
            "layers": [self.add(gzip.compress(layer, mtime=0), LAYER)],
        }
        return self.add_json(manifest, OCI_MANIFEST)


def describe(member: dict[str, Any]) -> Descriptor:
    """The descriptor that a member of an index is."""
    return Descriptor(member["mediaType"], Digest(member["digest"]), member["size"])


def named(member: dict[str, Any], **names: str) -> dict[str, Any]:
    """The member with annotations; ``name`` and ``ref`` stand for the two that name an image."""
    keys = {"name": NAME, "ref": REF}
    return member | {"annotations": {keys.get(key, key): value for key, value in names.items()}}


def layout_files(blobs: Blobs, *members: dict[str, Any]) -> dict[str, bytes]:
    """Path to bytes of an OCI layout."""
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": members}
    files = {f"blobs/{d.algorithm}/{d.encoded}": content for d, content in blobs.items()}
    return files | {
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
        "index.json": json.dumps(index).encode(),
    }


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    """The same, written."""
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
