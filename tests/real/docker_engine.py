"""A Docker-compatible engine: podman's API service, with storage, trust and settings of its own.

It needs neither a daemon of the machine nor its configuration. As root in a container it makes do
without cgroups and network namespaces.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

CONTAINERS_CONF = """
[containers]
netns = "host"
utsns = "host"
cgroups = "disabled"
seccomp_profile = "unconfined"
apparmor_profile = "unconfined"
default_ulimits = ["nofile=1024:1024"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
tmp_dir = "{folder}/run/libpod"
"""
POLICY = '{"default": [{"type": "insecureAcceptAnything"}]}'


class DockerEngine:
    """podman as an engine for docker clients; all of it lies below ``folder``.

    ``authorities`` are PEM files by registry.
    """

    def __init__(self, folder: Path, authorities: Mapping[str, Path]) -> None:
        for program in ("podman", "runc"):
            assert shutil.which(program), f"{program} is missing: install the package {program}"
        self.folder = folder
        self.socket = folder / "sock"
        self._process: subprocess.Popen[bytes] | None = None
        containers = folder / "home/.config/containers"
        containers.mkdir(parents=True)
        (folder / "tmp").mkdir()
        (folder / "run").mkdir(0o700)
        (containers / "policy.json").write_text(POLICY)
        (folder / "containers.conf").write_text(CONTAINERS_CONF.replace("{folder}", str(folder)))
        for registry, authority in authorities.items():
            (containers / "certs.d" / registry).mkdir(parents=True)
            shutil.copy(authority, containers / "certs.d" / registry / "ca.crt")
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder / "home"),
            "XDG_RUNTIME_DIR": str(folder / "run"),
            "TMPDIR": str(folder / "tmp"),
            "CONTAINERS_CONF": str(folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
            "BUILDAH_ISOLATION": "chroot",
        }
        self._choose_storage()

    def start(self) -> None:
        """Begin to serve; returns when it answers."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["podman", "system", "service", "--time=0", f"unix://{self.socket}"],
                env=self.environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        until = time.monotonic() + 60
        while not self.socket.exists():
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < until, (self.folder / "log").read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        """End the process that ``start`` began, and what it mounted."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=60)
            self._process = None
        for waiting in self.folder.glob("run/**/pause.pid"):
            # where root may not mount, podman keeps a user namespace open by a process of its own
            with suppress(ProcessLookupError):
                os.kill(int(waiting.read_text()), signal.SIGTERM)
        mounted = Path("/proc/self/mounts").read_text().splitlines()
        for point in sorted((row.split()[1] for row in mounted), reverse=True):
            if point.startswith(f"{self.folder}/"):
                subprocess.run(["umount", "--lazy", point], check=False)
        shutil.rmtree(self.folder / "storage", ignore_errors=True)

    def packages(self, image: str) -> list[tuple[str, ...]]:
        """Name, architecture, version, source and its version, as dpkg-query says within an image."""
        columns = ("Package", "Architecture", "Version", "source:Package", "source:Version")
        form = "|".join(f"${{{column}}}" for column in ("db:Status-Status", *columns))
        context = self.folder / "context"
        context.mkdir(exist_ok=True)
        (context / "Dockerfile").write_text(
            f"FROM {image}\nUSER 0\nRUN dpkg-query --show --showformat='{form}\\n'\n"
        )
        url = f"unix://{self.socket}"
        said = self._podman("--remote", "--url", url, "build", "--no-cache", str(context))
        return [
            tuple(row.split("|")[1:]) for row in said.splitlines() if row.startswith("installed|")
        ]

    def _choose_storage(self) -> None:
        """Overlays where this machine can stack them, else copies."""
        for driver in ("overlay", "vfs"):
            storage = self.folder / "storage" / driver
            (self.folder / "storage.conf").write_text(
                f'[storage]\ndriver = "{driver}"\n'
                f'graphroot = "{storage}"\nrunroot = "{storage}-run"\n'
            )
            with suppress(AssertionError):
                self._podman("info")
                return
        self._podman("info")

    def _podman(self, *words: str) -> str:
        done = subprocess.run(
            ["podman", *words], env=self.environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"podman {words}: {done.stderr}"
        return done.stdout
