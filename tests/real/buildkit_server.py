"""A real BuildKit: its daemon on a socket of ours, with runc and without overlay file systems."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any


class BuildKit:
    """``buildkitd`` as root on a socket below ``folder``, and its ``buildctl``."""

    def __init__(self, folder: Path, programs: Path, registry: str) -> None:
        self.folder = folder
        self._programs = programs
        self._registry = registry
        self._address = f"unix://{folder}/socket"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin; returns when it answers."""
        assert os.geteuid() == 0, "buildkitd runs its steps with runc, which needs root here"
        self.folder.mkdir(parents=True)
        config = self.folder / "buildkitd.toml"
        config.write_text(f'[registry."{self._registry}"]\nhttp = true\n')
        flags = [
            "--config", config, "--addr", self._address, "--root", self.folder / "root",
            "--containerd-worker=false", "--oci-worker=true", "--oci-worker-snapshotter=native",
            "--oci-worker-net=host",
        ]  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "buildkitd", *flags], stdout=log, stderr=log
            )
        until = time.monotonic() + 120
        while time.monotonic() < until:
            assert self._process.poll() is None, (self.folder / "log").read_text()
            if self._control("debug", "workers").returncode == 0:
                return
            time.sleep(0.2)
        raise AssertionError(f"buildkitd gave no answer: {(self.folder / 'log').read_text()}")

    def stop(self) -> None:
        """End the process that ``start`` began."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=60)
            self._process = None

    def build(self, context: Path, name: str, **options: str) -> dict[str, Any]:
        """Build the folder's Dockerfile and push it by this name; what ``--metadata-file`` says."""
        told = self.folder / "metadata.json"
        words = [part for key, value in options.items() for part in ("--opt", f"{key}={value}")]
        done = self._control(
            "build", "--progress", "plain", "--frontend", "dockerfile.v0",
            "--local", f"context={context}", "--local", f"dockerfile={context}",
            "--output", f"type=image,name={self._registry}/{name},push=true",
            "--metadata-file", str(told), *words,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(told.read_bytes())
        return found

    def _control(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [str(self._programs / "buildctl"), "--addr", self._address, *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
