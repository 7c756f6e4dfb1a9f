"""Everything that Clair and we work on together: real images in a registry, a tracker, a catalog."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import socket
import subprocess
import tarfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clair_server import ISSUER, KEY, ClairServer, DebianMirror, PostgreSQL
from command_line import COMMAND, clean_environment, imagecatalog
from debian_roots import Root, is_newer, machine_archive
from go_programs import compile_clair
from registry_server import PASSWORD, USER, DockerRegistry

from imagecatalog.config import FEEDS, ClairSetting
from imagecatalog.domain.second_opinions import Opinion
from imagecatalog.planning.second_opinions import second_opinion
from imagecatalog.sources.clair import Clair
from imagecatalog.store.engine import Catalog
from imagecatalog.store.lookups import resolve

IMAGES = ("minimal", "pending", "patched")
Tracker = dict[str, dict[str, dict[str, Any]]]
Installed = list[tuple[str, ...]]
"""Name, architecture, version, source, its version."""


class Workplace:
    """A registry with a password, a Clair, a catalog with its server, all on the loopback."""

    def __init__(self, folder: Path, fleet: Path) -> None:
        self.folder = folder
        self.fleet = fleet
        self.codename = machine_archive().codename
        self.installed: dict[str, Installed] = {
            name: Root(fleet / "roots" / name).packages() for name in IMAGES
        }
        self.registry = DockerRegistry(folder / "registry", secure=True)
        release = Root(fleet / "roots" / "minimal").call(
            "sh", "-c", ". /etc/os-release; echo $VERSION_ID"
        )
        self.mirror = DebianMirror({self.codename: release.strip()}, {})
        self.database = PostgreSQL()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        hook = f"http://127.0.0.1:{self.port}/hooks/clair"
        self.clair = ClairServer(
            compile_clair(), folder / "clair", self.database, self.mirror, hook, self.registry.ca
        )
        self.config = folder / "config.toml"
        self.path = folder / "catalog.sqlite"

    @contextmanager
    def working(self) -> Iterator[Workplace]:
        """All but Clair itself, started; the catalog knows the registry's images."""
        self.registry.start()
        self.mirror.start()
        self.database.start()
        try:
            for name in IMAGES:
                self.registry.push(f"oci:{self.fleet / 'layout'}:{name}", f"debian-{name}:12")
            self.registry.push(f"oci:{_write_broken(self.folder / 'broken')}:1", "broken:1")
            self._write_config()
            self.run("init")
            self.run("sync", expect=1)  # one image is broken
            yield self
        finally:
            self.clair.stop()
            self.database.stop()
            self.mirror.stop()
            self.registry.stop()

    def run(self, *words: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
        """The command with our configuration."""
        return imagecatalog("--config", self.config, *words, expect=expect)

    def ask(self, *words: str) -> Any:
        """What the command answers as JSON."""
        return json.loads(self.run(*words, "--format", "json").stdout)

    def get(self, path: str) -> Any:
        """What our server answers, while it serves."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
            return json.load(answer)

    def name(self, image: str) -> str:
        """An image as the catalog calls it."""
        return f"{self.registry.host}/{image}"

    def digest(self, image: str) -> str:
        """The digest of an image of the registry."""
        return str(self.ask("show", self.name(image))["digest"])

    def opinion(self, image: str) -> Opinion:
        """What the catalog has of Clair's on an image."""
        with self.catalog() as catalog, catalog.read() as c:
            found = second_opinion(c, resolve(c, self.name(image)), now=datetime.now(UTC))
        assert found is not None
        return found

    @contextmanager
    def catalog(self) -> Iterator[Catalog]:
        """The catalog's database, opened."""
        catalog = Catalog.open(str(self.path))
        try:
            yield catalog
        finally:
            catalog.close()

    def connect(self) -> Clair:
        """A client of the Clair."""
        return Clair(ClairSetting(url=self.clair.url, psk=KEY), now=lambda: datetime.now(UTC))

    def wait_for_update(self, before: str) -> None:
        """Until Clair took in another state of the tracker than that of ``before``."""
        client = self.connect()
        until = time.monotonic() + 60
        while client.updates().fingerprint == before:
            assert time.monotonic() < until, self.clair.log()
            time.sleep(0.2)
        client.close()

    @contextmanager
    def serving(self) -> Iterator[None]:
        """A server of ours, with its jobs, where Clair's notifier looks for it."""
        log = (self.folder / "server.log").open("wb")
        with log:
            process = subprocess.Popen(
                [COMMAND, "--config", self.config, "serve", "--port", str(self.port)],
                env=clean_environment(), stdout=log, stderr=log,
            )  # fmt: skip
        try:
            until = time.monotonic() + 60
            while True:
                try:
                    self.get("/api/v1/jobs")
                    break
                except OSError:
                    assert time.monotonic() < until, (self.folder / "server.log").read_text()
                    time.sleep(0.1)
            yield
        finally:
            process.terminate()
            process.wait(timeout=60)

    def _write_config(self) -> None:
        secret, key = self.folder / "password", self.folder / "clair.key"
        secret.write_text(PASSWORD)
        key.write_text(f"{KEY}\n")
        off = "".join(
            f"{feed} = false\n" for feed in FEEDS if feed not in ("clair", "debian-tracker")
        )
        self.config.write_text(
            f'database = "{self.path}"\n'
            f'[[registry]]\nurl = "{self.registry.url}"\nca = "{self.registry.ca}"\n'
            f'username = "{USER}"\npassword_file = "{secret}"\n'
            f'[feeds]\n{off}debian-tracker = "{self.mirror.url}tracker.json"\n'
            f'[clair]\nurl = "{self.clair.url}"\npsk = "file://{key}"\nissuer = "{ISSUER}"\n'
            'images = "all"\nkeep_days = 0\n'
        )


def make_tracker(installed: dict[str, Installed], codename: str) -> Tracker:
    """Every meaning that the tracker knows, of source packages that the images really have."""
    versions: dict[str, set[str]] = {}
    for packages in installed.values():
        for _, _, _, source, version in packages:
            versions.setdefault(source, set()).add(version)
    plain = [name for name in sorted(versions) if len(versions[name]) == 1]
    kinds: list[dict[str, Any]] = [
        {"status": "open", "urgency": "high"},
        {"status": "open", "urgency": "low", "nodsa": "Minor issue", "nodsa_reason": "postponed"},
        {"status": "open", "urgency": "unimportant"},
        {"status": "open", "urgency": "end-of-life"},
        {"status": "undetermined", "urgency": "not yet assigned"},
        {"status": "resolved", "fixed_version": "0", "urgency": "unimportant"},
        {"status": "resolved", "fixed_version": "0~0", "urgency": "medium"},
        {"status": "resolved", "fixed_version": "9999:1", "urgency": "medium"},
    ]
    tracker: Tracker = {}
    for number, (source, kind) in enumerate(zip(plain, kinds * 2, strict=False), 1):
        _add(tracker, source, f"CVE-2026-1{number:04}", codename, kind)
    # fixed by the very update that one of the images has and the other has not
    for number, source in enumerate(name for name in sorted(versions) if len(versions[name]) > 1):
        newest = next(
            v for v in versions[source] if not any(is_newer(o, v) for o in versions[source])
        )
        fixed = {"status": "resolved", "fixed_version": newest, "urgency": "medium"}
        _add(tracker, source, f"CVE-2026-2{number:04}", codename, fixed)
    # between the version of the source and that of its binary, which was built anew
    rebuilt = next(p for p in installed["minimal"] if p[2].startswith(f"{p[4]}+b"))
    between = {"status": "resolved", "fixed_version": f"{rebuilt[4]}+a1", "urgency": "medium"}
    _add(tracker, rebuilt[3], "CVE-2026-30000", codename, between)
    return tracker


def list_claims(tracker: Tracker, installed: Installed, codename: str) -> set[tuple[str, str]]:
    """What Clair is to say by its own reading: no status, binary versions, 0 is not affected."""
    return {
        (name, source)
        for package, _, version, source, _ in installed
        for name, issue in tracker.get(source, {}).items()
        if _claims(issue["releases"][codename].get("fixed_version"), version)
    }


def _claims(fixed: str | None, version: str) -> bool:
    return fixed is None or (fixed != "0" and is_newer(fixed, version))


def _add(tracker: Tracker, source: str, name: str, codename: str, kind: dict[str, Any]) -> None:
    issue = {"description": f"{name} of {source}", "scope": "remote", "releases": {codename: kind}}
    tracker.setdefault(source, {})[name] = issue


def _write_broken(layout: Path) -> Path:
    """An image one layer of which is no archive, though its digest is right."""
    (layout / "blobs/sha256").mkdir(parents=True)
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def blob(data: bytes, kind: str) -> dict[str, Any]:
        encoded = hashlib.sha256(data).hexdigest()
        (layout / "blobs/sha256" / encoded).write_bytes(data)
        return {"mediaType": kind, "digest": f"sha256:{encoded}", "size": len(data)}

    good = io.BytesIO()
    with tarfile.open(fileobj=good, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("srv"))
    layer = "application/vnd.oci.image.layer.v1.tar+gzip"
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob(
            b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}',
            "application/vnd.oci.image.config.v1+json",
        ),
        "layers": [
            blob(gzip.compress(good.getvalue(), mtime=0), layer),
            blob(gzip.compress(b"no archive " * 1000, mtime=0), layer),
        ],
    }
    entry = blob(json.dumps(manifest).encode(), str(manifest["mediaType"]))
    entry["annotations"] = {"org.opencontainers.image.ref.name": "1"}
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    return layout
