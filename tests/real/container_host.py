"""A host that runs containers: podman's engine with a runtime that needs no cgroups of its own."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from docker_engine import DockerEngine

# podman tells a runtime without cgroups so by a flag that runc does not know.
RUNTIME = """#!/bin/bash
words=()
while [ $# -gt 0 ]; do
    case $1 in
    --cgroup-manager) shift ;;
    --cgroup-manager=*) ;;
    *) words+=("$1") ;;
    esac
    shift
done
exec runc --rootless=true "${words[@]}"
"""
SETTINGS = """runtime = "plain"
runtime_supports_nocgroup = ["plain"]"""


class ContainerHost(DockerEngine):
    """An engine of which containers sleep until ``stop``."""

    def __init__(self, folder: Path, authorities: Mapping[str, Path] = {}) -> None:
        super().__init__(folder, authorities)
        runtime = folder / "runtime"
        runtime.write_text(RUNTIME)
        runtime.chmod(0o755)
        settings = folder / "containers.conf"
        text = settings.read_text().replace('runtime = "runc"', SETTINGS)
        text = text.replace('"nofile=1024:1024"', '"nofile=1024:1024", "nproc=1024:1024"')
        settings.write_text(f'{text}[engine.runtimes]\nplain = ["{runtime}"]\n')
        self._program = str(shutil.which("sleep"))

    @property
    def address(self) -> str:
        """As the settings have it."""
        return f"unix://{self.socket}"

    def make_image(self, name: str, word: str = "") -> None:
        """An image that can sleep; another ``word`` in it makes it another."""
        root = self.folder / "root"
        linked = subprocess.run(
            ["ldd", self._program], capture_output=True, text=True, check=True
        ).stdout
        for file in (self._program, *re.findall(r"(/\S+)", linked)):
            target = root / file.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
        (root / "word").write_text(word)
        archive = self.folder / "root.tar"
        subprocess.run(["tar", "-C", str(root), "-cf", str(archive), "."], check=True)
        self._podman("import", str(archive), name)

    def push(self, name: str) -> None:
        """Into the registry that the name begins with."""
        self._podman("push", "--tls-verify=false", name)

    def run(self, name: str, image: str, **labels: str) -> None:
        """Start a container that sleeps."""
        told = [f"--label={key.replace('__', '.')}={value}" for key, value in labels.items()]
        self._podman("run", "--detach", "--name", name, *told, image, self._program, "1000")

    def end(self, name: str) -> None:
        """Stop a container; it is still there."""
        self._podman("stop", "--time", "0", name)

    def stop(self) -> None:
        """End all that runs, and the engine."""
        self._podman("rm", "--all", "--force", "--time", "0")
        super().stop()
