"""Debian's docker-registry as a peer on a loopback port, with many images in it and every request told.

Its storage is written as pushes would have left it: pushing thousands of images takes minutes.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from imagecatalog import sample
from imagecatalog.domain.images import Descriptor
from imagecatalog.domain.refs import Digest
from imagecatalog.sources.layout import Layout

_LINE = re.compile(r'"(GET|HEAD) /v2/(\S*) HTTP/[\d.]+" (\d+)')
_KINDS = (
    (re.compile(r"GET .*/blobs/"), "GET blob"),
    (re.compile(r"GET .*/manifests/"), "GET manifest"),
    (re.compile(r"HEAD .*/manifests/"), "HEAD manifest"),
    (re.compile(r"GET (_catalog|.*/tags/list)"), "GET list"),
)


class Storage:
    """The file system of a registry; blobs lie in it once, repositories link to them."""

    def __init__(self, folder: Path) -> None:
        self._root = folder / "docker/registry/v2"

    def put_blob(self, body: bytes) -> Digest:
        """Store the bytes unless they are there."""
        digest = Digest.of(body)
        path = self._root / "blobs/sha256" / digest.encoded[:2] / digest.encoded / "data"
        if not path.exists():
            path.parent.mkdir(parents=True)
            path.write_bytes(body)
        return digest

    def put_image(self, repository: str, tag: str, manifest: bytes, blobs: set[str]) -> None:
        """Store a manifest whose blobs are there, and let the tag point to it."""
        digest = self.put_blob(manifest)
        home = self._root / "repositories" / repository
        for blob in blobs:
            self._link(home / "_layers", blob)
        self._link(home / "_manifests/revisions", digest)
        self._link(home / "_manifests/tags" / tag / "index", digest)
        _write(home / "_manifests/tags" / tag / "current/link", digest)

    def _link(self, folder: Path, digest: str) -> None:
        _write(folder / digest.replace(":", "/") / "link", digest)


def _write(path: Path, text: str) -> None:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def fill(folder: Path, repositories: int, tags: int) -> None:
    """So many repositories with so many tags each, all different: the sample's images, labelled anew."""
    storage, layout = Storage(folder), Layout(sample.images())
    models: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for name in layout.repositories():
        for tag in layout.tags(name):
            manifest = json.loads(layout.manifest(name, layout.resolve(name, tag).digest).body)
            if "layers" not in manifest:
                continue  # an index
            config = json.loads(_read(layout, name, manifest["config"]))
            for layer in manifest["layers"]:
                storage.put_blob(_read(layout, name, layer))
            models.append((manifest, config))
    for number in range(repositories):
        name = f"team-{number % 10}/service-{number:04}"
        for version in range(tags):
            manifest, config = models[(number * tags + version) % len(models)]
            config["config"]["Labels"] = {"build": f"{name} {version}"}
            body = json.dumps(config).encode()
            manifest["config"] |= {"digest": str(storage.put_blob(body)), "size": len(body)}
            blobs = {part["digest"] for part in (manifest["config"], *manifest["layers"])}
            storage.put_image(name, f"1.{version}", json.dumps(manifest).encode(), blobs)


def _read(layout: Layout, name: str, part: dict[str, Any]) -> bytes:
    with layout.blob(name, Descriptor("", Digest(part["digest"]), part["size"])) as stream:
        return stream.read()


class Peer:
    """A running registry."""

    def __init__(self, host: str, log: Path) -> None:
        self.url = f"http://{host}"
        self._log = log
        self._seen = 0

    def requests(self) -> Counter[str]:
        """How many requests of each kind it answered since this was asked last."""
        text = self._log.read_text()
        fresh, self._seen = text[self._seen :], len(text)
        return Counter(_kind(*line) for line in _LINE.findall(fresh))


def _kind(method: str, path: str, status: str) -> str:
    if status != "200":
        return f"{method} {status}"
    asked = f"{method} {path}"
    return next((kind for pattern, kind in _KINDS if pattern.match(asked)), "other")


@contextmanager
def serve(folder: Path) -> Iterator[Peer]:
    """The registry over a storage folder, until the block ends."""
    if not shutil.which("docker-registry"):
        raise SystemExit("docker-registry is missing: install the package docker-registry")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{probe.getsockname()[1]}"
    config, log = folder / "config.yml", folder / "log"
    config.write_text(
        "version: 0.1\nlog: {level: error, accesslog: {disabled: false}}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder}}}, cache: {{blobdescriptor: inmemory}}}}\n"
        f"http: {{addr: '{host}'}}\n"
    )
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["docker-registry", "serve", str(config)], stdout=output, stderr=subprocess.STDOUT
        )
    try:
        _wait(process, host, log)
        peer = Peer(host, log)
        yield peer
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait(process: subprocess.Popen[bytes], host: str, log: Path) -> None:
    name, _, port = host.rpartition(":")
    until = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < until:
        try:
            socket.create_connection((name, int(port)), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"docker-registry does not answer: {log.read_text()}")
