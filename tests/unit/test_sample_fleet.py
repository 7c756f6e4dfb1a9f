"""The packaged sample fleet: small, whole, and real as other programs judge it."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
import sys
import tarfile
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imagecatalog import sample

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LIMIT = 4_000_000
NAME = "org.opencontainers.image.ref.name"
INDEX = "application/vnd.oci.image.index.v1+json"


def blob(digest: str) -> bytes:
    return (sample.images() / "blobs" / digest.replace(":", "/")).read_bytes()


def named() -> dict[str, dict[str, Any]]:
    index = json.loads((sample.images() / "index.json").read_bytes())
    return {entry["annotations"][NAME]: entry for entry in index["manifests"]}


def manifests() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every image under its name, those of an index one by one."""
    for name, entry in named().items():
        document = json.loads(blob(entry["digest"]))
        if entry["mediaType"] == INDEX:
            for each in document["manifests"]:
                yield name, json.loads(blob(each["digest"]))
        else:
            yield name, document


def unpack(layer: dict[str, Any]) -> bytes:
    packed = blob(layer["digest"])
    if layer["mediaType"].endswith("+zstd"):
        return zstd.decompress(packed)
    return gzip.decompress(packed)


def statuses() -> dict[str, bytes]:
    """Every dpkg status file that any layer holds, by the layer's digest."""
    found = {}
    for _, manifest in manifests():
        for layer in manifest["layers"]:
            with tarfile.open(fileobj=io.BytesIO(unpack(layer))) as tar:
                if "var/lib/dpkg/status" in tar.getnames():
                    file = tar.extractfile("var/lib/dpkg/status")
                    assert file is not None
                    found[layer["digest"]] = file.read()
    return found


def test_it_takes_less_of_the_wheel_than_allowed() -> None:
    files = [file for file in Path(sample.__file__).parent.rglob("*") if file.is_file()]
    # What a zip archive holds for a file: its name twice, 76 bytes of headers, its packed bytes.
    size = sum(
        len(zlib.compress(file.read_bytes()))
        + 76
        + 2 * len(str(file.relative_to(sample.images().parent.parent)))
        for file in files
        if file.suffix != ".pyc"
    )
    assert size < LIMIT


def test_every_blob_is_what_its_digest_names_and_is_needed() -> None:
    needed = set()
    for entry in named().values():
        needed.add((entry["digest"], entry["size"]))
        document = json.loads(blob(entry["digest"]))
        needed |= {(each["digest"], each["size"]) for each in document.get("manifests", ())}
    for _, manifest in manifests():
        for each in (manifest["config"], *manifest["layers"]):
            needed.add((each["digest"], each["size"]))
    for digest, size in needed:
        assert len(blob(digest)) == size
        assert f"sha256:{hashlib.sha256(blob(digest)).hexdigest()}" == digest
    stored = {file.name for file in (sample.images() / "blobs/sha256").iterdir()}
    assert stored == {digest.removeprefix("sha256:") for digest, _ in needed}


def test_the_builds_are_of_its_images_and_from_the_bases_that_those_name() -> None:
    digests = {name: entry["digest"] for name, entry in named().items()}
    bases = {
        (name, manifest.get("annotations", {}).get("org.opencontainers.image.base.name"))
        for name, manifest in manifests()
    }
    builds = json.loads(sample.builds().read_bytes())
    assert {build["builder"] for build in builds} == {"docker-pkg", "buildkit"}
    for build in builds:
        assert build["digest"] == digests[build["image"]]
        (parent,) = build["parents"]
        assert parent["digest"] == digests[parent["image"]]
        assert (build["image"], parent["image"]) in bases
    assert len({build["image"] for build in builds}) == len(builds)


def test_every_layer_is_the_one_its_configuration_names() -> None:
    for _, manifest in manifests():
        config = json.loads(blob(manifest["config"]["digest"]))
        assert len(config["history"]) == len(manifest["layers"])
        assert config["rootfs"]["diff_ids"] == [
            f"sha256:{hashlib.sha256(unpack(layer)).hexdigest()}" for layer in manifest["layers"]
        ]


def test_skopeo_reads_the_layout() -> None:
    for repository in (
        "bookworm:latest",
        "services/mailer:2026-11-23-1",
        "tools/health-probe:2026-06-02-1",
    ):
        name = f"{sample.REGISTRY}/{repository}"
        done = subprocess.run(
            ["skopeo", "inspect", "--override-arch=amd64", f"oci:{sample.images()}:{name}"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        entry = named()[name]
        document = json.loads(blob(entry["digest"]))
        if entry["mediaType"] == INDEX:
            document = json.loads(blob(document["manifests"][0]["digest"]))
        assert said["Layers"] == [layer["digest"] for layer in document["layers"]]


def test_there_are_three_generations() -> None:
    depths: Counter[int] = Counter()
    versions: Counter[str] = Counter()
    layers = {
        name: [each["digest"] for each in manifest["layers"]] for name, manifest in manifests()
    }
    for name, own in layers.items():
        parents = [
            other
            for other in layers.values()
            if len(other) < len(own) and own[: len(other)] == other
        ]
        depths[len({tuple(parent) for parent in parents})] += 1
        if "/services/" in name and not name.endswith(":latest"):
            versions[name.rsplit(":", 1)[0]] += 1
    assert depths[0] >= 5
    assert depths[1] >= 10
    assert depths[2] >= 10
    assert len(versions) >= 10
    assert set(versions.values()) <= {2, 3, 4}


def test_dpkg_reads_every_status_file(tmp_path: Path) -> None:
    (tmp_path / "info").mkdir()
    (tmp_path / "updates").mkdir()
    sizes = []
    for status in statuses().values():
        (tmp_path / "status").write_bytes(status)
        done = subprocess.run(
            ["dpkg-query", f"--admindir={tmp_path}", "--show", "--showformat=${Package} ${Version} ${source:Package}\n"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0
        complaints = [line.strip() for line in done.stderr.splitlines()]
        assert set(complaints[1::2]) == {"missing 'Description' field"}
        assert len(done.stdout.splitlines()) == status.count(b"Package: ")
        assert b"\nDescription:" not in status
        sizes.append(status.count(b"Package: "))
    assert len(sizes) > 30
    assert min(sizes) > 60
    assert max(sizes) > 300


def test_dpkg_states_of_all_kinds_are_there() -> None:
    states = {
        line
        for status in statuses().values()
        for line in status.splitlines()
        if line.startswith(b"Status: ")
    }
    assert states == {
        b"Status: install ok installed",
        b"Status: hold ok installed",
        b"Status: deinstall ok config-files",
    }


@pytest.mark.parametrize("cluster", ["north", "south"])
def test_the_pods_name_what_the_layout_holds(cluster: str) -> None:
    items = json.loads(sample.pods()[cluster].read_bytes())["items"]
    assert 50 <= len(items) <= 120
    assert len({pod["metadata"]["namespace"] for pod in items}) >= 10
    assert len({(pod["metadata"]["namespace"], pod["metadata"]["name"]) for pod in items}) == len(
        items
    )
    known = {name: entry["digest"] for name, entry in named().items()}
    found: Counter[bool] = Counter()
    for pod in items:
        for status in pod["status"]["containerStatuses"]:
            found[status["imageID"].rpartition("@")[2] in known.values()] += 1
    assert found[True] > 30
    assert found[False] > 0


def test_gpgv_accepts_every_release() -> None:
    releases = sorted(sample.mirror().rglob("InRelease"))
    assert len(releases) == 6
    for release in releases:
        done = subprocess.run(
            ["gpgv", "--status-fd=1", "--keyring", str(sample.keyring()), str(release)],
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert b"GOODSIG" in done.stdout
        text = release.read_text()
        assert "Valid-Until" not in text
        for digest, _, path in (line.split() for line in text.splitlines() if line.endswith(".xz")):
            assert hashlib.sha256((release.parent / path).read_bytes()).hexdigest() == digest
