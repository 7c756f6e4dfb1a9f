"""A small fleet on disk: an OCI layout whose images install from repositories of our own."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

from deb_repository import build_repositories

NAME = "registry.example.org/acme/service-{}"
_INSTALLED = {
    "acme-epoch": "9.0-1",
    "acme-rebuilt": "1.0-1",
    "acme-port": "1.0-1~port12+1",
    "acme-gone": "3.0",
    "acme-grown": "1.0",
    "acme-near": "1.0",
}
_OS_RELEASE = b'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n'
_SOURCES = (
    b"deb [trusted=yes] file:/srv/acme/flat ./\n"
    b"deb [trusted=yes] file:/srv/acme/suites stable main extra\n"
    b"deb [trusted=yes] file:/srv/acme/suites trial main\n"
    b"deb [trusted=yes] file:/srv/acme/suites port main\n"
)


class SmallFleet:
    """Services of two versions each over one base; ``config`` is all that the command needs."""

    def __init__(self, folder: Path, services: int = 6) -> None:
        self.folder = folder
        self.layout = folder / "layout"
        (self.layout / "blobs/sha256").mkdir(parents=True)
        (self.layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        self.tags: dict[str, dict[str, str]] = {}
        """Repository to tag to digest."""
        self._entries: list[dict[str, object]] = []
        base = self._layer({"etc/os-release": _OS_RELEASE, "etc/apt/sources.list": _SOURCES})
        for number in range(services):
            for version in (1, 2):
                self._add(base, number, version)
        index = {"schemaVersion": 2, "manifests": self._entries}
        (self.layout / "index.json").write_text(json.dumps(index))
        build_repositories(folder / "acme", installed=False)

    def write_config(self, database: Path) -> Path:
        """A configuration for this database."""
        path = database.with_suffix(".toml")
        path.write_text(
            f'database = "{database}"\n[apt.mirrors]\n"file:/srv/acme" = "file://{self.folder}/acme"\n'
        )
        return path

    def _add(self, base: dict[str, object], number: int, version: int) -> None:
        packages = dict(_INSTALLED)
        for name in sorted(packages)[: number % 4]:
            del packages[name]
        packages[f"service-{number}"] = f"{version}.0"
        if version == 2:
            packages["acme-rebuilt"] = "1.0-1+b2"
        status = "\n".join(
            f"Package: {name}\nStatus: install ok installed\nArchitecture: all\nVersion: {value}\n"
            for name, value in packages.items()
        )
        layer = self._layer({"var/lib/dpkg/status": status.encode()})
        config = {
            "architecture": "amd64",
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": []},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": self._blob(
                json.dumps(config | {"author": f"{number}.{version}"}).encode(),
                "application/vnd.oci.image.config.v1+json",
            ),
            "layers": [base, layer],
        }
        entry = self._blob(json.dumps(manifest).encode(), str(manifest["mediaType"]))
        name = f"{NAME.format(number)}:{version}.0"
        self._entries.append(entry | {"annotations": {"org.opencontainers.image.ref.name": name}})
        repository = self.tags.setdefault(NAME.format(number), {})
        repository[f"{version}.0"] = str(entry["digest"])

    def _layer(self, files: dict[str, bytes]) -> dict[str, object]:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as archive:
            for name, data in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        packed = gzip.compress(out.getvalue(), mtime=0)
        return self._blob(packed, "application/vnd.oci.image.layer.v1.tar+gzip")

    def _blob(self, data: bytes, media_type: str) -> dict[str, object]:
        encoded = hashlib.sha256(data).hexdigest()
        (self.layout / "blobs/sha256" / encoded).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{encoded}", "size": len(data)}
