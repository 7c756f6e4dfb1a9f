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

from benchmarks.cost import Cost, watch

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
        first = watch(record)
        _tell(first, "the first time")
        written = _size(folder)
        unchanged = watch(record)
        _tell(unchanged, "unchanged")
        print(f"    the database grew by {_size(folder) - written:,} bytes to {_size(folder):,}")
        _post(f"http://127.0.0.1:{port}/change")
        _tell(watch(record), "with 2 of 100 pods replaced")
        client = _watch_client(folder, kubeconfigs[0])
        _tell(client, "the client, one cluster")
        print(
            f"  the client for all, of ours: time {client.wall * CLUSTERS / first.wall:.1f},"
            f" processor {client.cpu * CLUSTERS / first.cpu:.1f},"
            f" memory for one {client.peak / first.peak:.1f};"
            f" of ours unchanged: processor {client.cpu * CLUSTERS / unchanged.cpu:.1f},"
            f" memory {client.peak / unchanged.peak:.1f}"
        )


def _tell(cost: Cost, what: str) -> None:
    print(
        f"  {what:34} {cost.wall:7.1f} s   processor {cost.cpu:7.1f} s"
        f"   memory {cost.peak / 1e6:6.0f} MB",
        flush=True,
    )


def _watch_client(folder: Path, kubeconfig: Path) -> Cost:
    """Installed into an environment of its own, which goes with the folder."""
    home = folder / "client"
    subprocess.run([sys.executable, "-m", "venv", home], check=True)
    install = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "kubernetes"]
    subprocess.run(install, check=True)
    return watch([str(home / "bin" / "python"), "-c", _CLIENT, str(kubeconfig)])


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


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("catalog.sqlite*"))


def _post(url: str) -> None:
    urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=60).close()
