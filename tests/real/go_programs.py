"""Peers written in Go, compiled from the modules that a ``go.sum`` pins; kept in the user's cache."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

MODULE = Path(__file__).with_name("go")
PACKAGES = (
    "github.com/moby/buildkit/cmd/buildctl",
    "github.com/moby/buildkit/cmd/buildkitd",
    "oras.land/oras/cmd/oras",
    "./referrers_registry",
)


CLAIR = Path(__file__).with_name("clair_module")
SCANNER = Path(__file__).with_name("scanner_module")
KUBERNETES = Path(__file__).with_name("kubernetes_module")


def compile_programs(module: Path = MODULE, packages: tuple[str, ...] = PACKAGES) -> Path:
    """The folder with the programs; the first time takes some minutes and the module proxy."""
    if shutil.which("go") is None:
        pytest.fail(
            "these tests compile their peers: install the Go that tests/real/go/go.mod names"
        )
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "imagecatalog-tests"
    home.mkdir(parents=True, exist_ok=True)
    sources = sorted(path for path in module.rglob("*") if path.is_file())
    recipe = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]
    folder = home / f"go-{recipe}"
    with (home / "go.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            unfinished = home / "go-unfinished"
            command = ["go", "build", "-mod=readonly", "-buildvcs=false", "-o", f"{unfinished}/"]
            done = subprocess.run(
                [*command, *packages],
                cwd=module, env=os.environ | {"CGO_ENABLED": "0"},
                capture_output=True, text=True, timeout=1800, check=False,
            )  # fmt: skip
            if done.returncode:
                pytest.fail(f"go build (the module wants the Go that go.mod names):\n{done.stderr}")
            unfinished.rename(folder)
    return folder


def compile_clair() -> Path:
    """Clair itself; of a module of its own, for its libraries are not of BuildKit's versions."""
    return compile_programs(CLAIR, ("github.com/quay/clair/v4/cmd/clair",)) / "clair"


def compile_scanner() -> Path:
    """OSV's own scanner, which reads bills of materials; of a module of its own as well."""
    package = "github.com/google/osv-scanner/v2/cmd/osv-scanner"
    return compile_programs(SCANNER, (package,)) / "osv-scanner"


def compile_kubernetes() -> tuple[Path, Path]:
    """etcd and kube-apiserver; with nothing in Go's own cache that takes eight minutes of processor."""
    packages = ("go.etcd.io/etcd/server/v3", "k8s.io/kubernetes/cmd/kube-apiserver")
    folder = compile_programs(KUBERNETES, packages)
    return folder / "server", folder / "kube-apiserver"
