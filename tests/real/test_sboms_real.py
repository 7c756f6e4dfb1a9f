"""Syft's own documents of the sample fleet say what we read of the layers ourselves, and ours do too."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

from imagecatalog import sample
from imagecatalog.cli.main import main
from imagecatalog.domain.builds import Inventory
from imagecatalog.formats.sbom import parse_sbom

pytestmark = pytest.mark.real

SYFT = Path(sysconfig.get_path("scripts")) / "syft"
FORMATS = {
    "cyclonedx-json@1.2": "CycloneDX 1.2",
    "cyclonedx-json@1.6": "CycloneDX 1.6",
    "spdx-json@2.2": "SPDX 2.2",
    "spdx-json@2.3": "SPDX 2.3",
}
IMAGES = ["bookworm:20250915", "distroless/base:20261123", "services/checkout:2026-10-28-1"]


def _extract(image: str, folder: Path) -> Path:
    """A layout with this image of the sample alone."""
    folder.mkdir()
    index = json.loads((sample.images() / "index.json").read_bytes())
    names = (f"{sample.REGISTRY}/{image}",)
    index["manifests"] = [
        one
        for one in index["manifests"]
        if one["annotations"].get("org.opencontainers.image.ref.name") in names
    ]
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "oci-layout").write_bytes((sample.images() / "oci-layout").read_bytes())
    shutil.copytree(sample.images() / "blobs", folder / "blobs")
    return folder


def _scan(layout: Path, into: Path) -> dict[str, Inventory]:
    """What Syft says of it, in each format."""
    files = {name: into / f"{name}.json" for name in FORMATS}
    outputs = [part for name, file in files.items() for part in ("-o", f"{name}={file}")]
    subprocess.run(
        [SYFT, "scan", "--quiet", f"oci-dir:{layout}", *outputs],
        env=os.environ | {"SYFT_CHECK_FOR_APP_UPDATE": "false"},
        check=True,
        timeout=300,
    )
    return {name: parse_sbom(file.read_bytes(), name) for name, file in files.items()}


@pytest.mark.parametrize("image", IMAGES)
def test_three_readers_of_an_image_agree(
    image: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    layout = _extract(image, tmp_path / "layout")
    monkeypatch.setenv("IMAGE_CATALOG_DB", str(tmp_path / "catalog.sqlite"))
    monkeypatch.delenv("IMAGE_CATALOG_CONFIG", raising=False)
    assert main(["init"]) == 0
    assert main(["sync", f"oci:{layout}"]) == 0
    capsysbinary.readouterr()
    assert main(["export", "sbom", f"{sample.REGISTRY}/{image}"]) == 0
    ours = parse_sbom(capsysbinary.readouterr().out, "ours")
    assert ours.packages
    for name, theirs in _scan(layout, tmp_path).items():
        assert theirs.format == FORMATS[name]
        assert theirs.problem is None
        assert tuple(one for one in theirs.packages if one.type == "deb") == ours.packages
        assert str(theirs.distro) == str(ours.distro)
        assert theirs.subjects == ours.subjects
