"""What it costs to record five large clusters, beside their lists by Kubernetes' own client for Python.

A process of its own serves 20,000 pods a cluster, with all that real ones carry. Ours is the whole command:
start, lists side by side, intervals, judgement, SQLite. The client lists one of the clusters, each page into its
objects, and all are kept as whoever records them must; five of them are five times that, one after another.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

CLUSTERS, PODS = 5, 20_000
_CLIENT = """
import sys
from kubernetes import client, config
api = client.CoreV1Api(config.new_client_from_config(sys.argv[1]))
pods, token = [], None
while True:
    page = api.list_pod_for_all_namespaces(limit=500, _continue=token)
    pods += page.items
    token = page.metadata._continue
    if not token:
        break
print(sum(len(pod.spec.containers) for pod in pods))
"""
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
    """Seconds, processor seconds, and bytes of memory at the peak."""

    wall: float
    cpu: float
    peak: float

    def tell(self, what: str) -> None:
        """As a line."""
        print(
            f"  {what:34} {self.wall:7.1f} s   processor {self.cpu:7.1f} s"
            f"   memory {self.peak / 1e6:6.0f} MB",
            flush=True,
        )


def run() -> None:
    """Print what a first, an unchanged and a slightly changed record cost, and the client's list."""
    with tempfile.TemporaryDirectory() as name, _serve() as port:
        folder = Path(name)
        command = [str(Path(sys.executable).with_name("imagecatalog")), "--quiet", "--database",
                   str(folder / "catalog.sqlite")]  # fmt: skip
        subprocess.run([*command, "init"], check=True)
        kubeconfigs = [_write_kubeconfig(folder, chr(97 + n), port) for n in range(CLUSTERS)]
        named = ",".join(f"{path.stem}:{path}" for path in kubeconfigs)
        record = [*command, "--clusters", named, "record"]
        print(f"\nrecord {CLUSTERS} clusters of {PODS:,} pods each, SQLite", flush=True)
        first = _watch(record)
        first.tell("the first time")
        written = _size(folder)
        unchanged = _watch(record)
        unchanged.tell("unchanged")
        print(f"    the database grew by {_size(folder) - written:,} bytes to {_size(folder):,}")
        _post(f"http://127.0.0.1:{port}/change")
        _watch(record).tell("with 2 of 100 pods replaced")
        client = _watch_client(folder, kubeconfigs[0])
        client.tell("the client, one cluster")
        print(
            f"  the client for all, of ours: time {client.wall * CLUSTERS / first.wall:.1f},"
            f" processor {client.cpu * CLUSTERS / first.cpu:.1f},"
            f" memory for one {client.peak / first.peak:.1f};"
            f" of ours unchanged: processor {client.cpu * CLUSTERS / unchanged.cpu:.1f},"
            f" memory {client.peak / unchanged.peak:.1f}"
        )


def _watch_client(folder: Path, kubeconfig: Path) -> Cost:
    """Installed into an environment of its own, which goes with the folder."""
    home = folder / "client"
    subprocess.run([sys.executable, "-m", "venv", home], check=True)
    install = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "kubernetes"]
    subprocess.run(install, check=True)
    return _watch([str(home / "bin" / "python"), "-c", _CLIENT, str(kubeconfig)])


@contextmanager
def _serve() -> Iterator[int]:
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.pods", str(PODS)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


def _write_kubeconfig(folder: Path, name: str, port: int) -> Path:
    path = folder / f"{name}.config"
    cluster = {"server": f"http://127.0.0.1:{port}/{name}"}
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "c",
                "clusters": [{"name": "c", "cluster": cluster}],
                "users": [{"name": "u", "user": {"token": "t"}}],
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            }
        )
    )
    return path


def _watch(command: list[str]) -> Cost:
    done = subprocess.run(
        [sys.executable, "-S", "-c", _WATCH, *command], capture_output=True, check=True
    )
    wall, cpu, peak, status = json.loads(done.stderr.splitlines()[-1])
    if status:
        raise SystemExit(f"{command[0]} failed: {done.stderr.decode()}")
    return Cost(wall, cpu, peak)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("catalog.sqlite*"))


def _post(url: str) -> None:
    urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=60).close()
