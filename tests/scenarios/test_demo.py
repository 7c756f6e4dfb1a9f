"""The demo's whole chain, judged by apt: what each sample image needs is what apt says it needs."""

from __future__ import annotations

import hashlib
import io
import json
import re
import socket
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from imagecatalog import sample
from imagecatalog.config import Settings
from imagecatalog.errors import ConfigError
from imagecatalog.jobs.demo import run_demo
from imagecatalog.jobs.report import Report
from imagecatalog.planning import inspection, moments, staleness
from imagecatalog.planning.patching import patching
from imagecatalog.planning.sights import list_clusters
from imagecatalog.planning.workload_past import WorkloadName, workload_past
from imagecatalog.store.engine import Catalog

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

pytestmark = pytest.mark.real

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
APT_FILES = ("etc/apt/", "usr/share/keyrings/")
STATUS = "var/lib/dpkg/status"
UPGRADABLE = re.compile(r"^([^/\s]+)/(\S+) (\S+) (\S+) \[upgradable from: (\S+)\]$", re.MULTILINE)

Upgrade = tuple[str, str, str, str]
"""Package, architecture, installed and candidate version."""


@dataclass(frozen=True)
class Demo:
    """A catalog that the demo filled."""

    folder: Path
    settings: Settings
    report: Report
    catalog: Catalog


def refuse(*_: object) -> None:
    message = "the demo must not use the network"
    raise AssertionError(message)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", refuse)
        patch.setattr(socket.socket, "connect", refuse)
        settings, report = run_demo(folder, now=lambda: NOW)
    catalog = Catalog.open(settings.database)
    yield Demo(folder, settings, report, catalog)
    catalog.close()


def blob(digest: str) -> bytes:
    return (sample.images() / "blobs" / digest.replace(":", "/")).read_bytes()


@dataclass
class Root:
    """An image's files as its layers leave them, laid on one another by this test alone."""

    architecture: str
    files: dict[str, bytes] = field(default_factory=dict)

    def lay(self, layer: dict[str, Any]) -> None:
        data = blob(layer["digest"])
        if layer["mediaType"].endswith("zstd"):
            data = zstd.decompress(data)
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            members = [member for member in tar if member.isfile()]
            for path in (PurePosixPath(member.name) for member in members):
                if path.name == ".wh..wh..opq":
                    hidden = f"{path.parent}/"
                    self.files = {k: v for k, v in self.files.items() if not k.startswith(hidden)}
                elif path.name.startswith(".wh."):
                    del self.files[str(path.parent / path.name.removeprefix(".wh."))]
            for member in members:
                content = tar.extractfile(member)
                assert content is not None
                if not PurePosixPath(member.name).name.startswith(".wh."):
                    self.files[member.name] = content.read()

    def status(self) -> bytes | None:
        """The dpkg status, of a distroless image as dpkg would have written it."""
        parts = [
            data.replace(b"\n", b"\nStatus: install ok installed\n", 1)
            for path, data in sorted(self.files.items())
            if "/status.d/" in path and not path.endswith(".md5sums")
        ]
        return self.files.get(STATUS) or b"\n".join(parts) or None

    def apt(self) -> dict[str, bytes]:
        """The files that tell apt what to do; those of the demo's configuration if there are none."""
        found = {path: data for path, data in self.files.items() if path.startswith(APT_FILES)}
        # A path in a list of sources has no blank, whatever folder the package lies in.
        keyring = f"usr/share/keyrings/{sample.keyring().name}"
        lines = [
            f"deb [signed-by=/{keyring}] {sample.APT_SITE}{rest}\n"
            for rest in (
                "debian bookworm main",
                "debian bookworm-updates main",
                "debian-security bookworm-security main",
            )
        ]
        return found or {
            "etc/apt/sources.list": "".join(lines).encode(),
            keyring: sample.keyring().read_bytes(),
        }


def images() -> dict[str, Root]:
    """Every image of the sample by its digest."""
    found = {}
    waiting = list(json.loads((sample.images() / "index.json").read_bytes())["manifests"])
    for entry in waiting:
        document = json.loads(blob(entry["digest"]))
        if "manifests" in document:
            waiting += document["manifests"]
            continue
        config = json.loads(blob(document["config"]["digest"]))
        root = Root(config["architecture"])
        for layer in document["layers"]:
            root.lay(layer)
        found[entry["digest"]] = root
    return found


class Judge:
    """Real apt, in a root of its own for each set-up that the images have."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ready: dict[bytes, list[str]] = {}

    def upgrades(self, root: Root) -> set[Upgrade]:
        """What ``apt list --upgradable`` prints in the image after ``apt-get update``."""
        options = self._prepare(root)
        status = self._folder / "status"
        status.write_bytes(root.status() or b"")
        said = self._run(
            "apt", [*options, f"-oDir::State::status={status}"], "list", "--upgradable"
        )
        return {
            (name, arch, installed, candidate)
            for name, _, candidate, arch, installed in UPGRADABLE.findall(said)
        }

    def _prepare(self, root: Root) -> list[str]:
        key = hashlib.sha256(
            repr((root.architecture, sorted(root.apt().items()))).encode()
        ).digest()
        if key not in self._ready:
            folder = self._folder / str(len(self._ready))
            for name in ("etc/apt/preferences.d", "etc/apt/sources.list.d", "usr/share/keyrings",
                         "var/lib/apt/lists/partial", "var/cache/apt/archives/partial"):  # fmt: skip
                (folder / name).mkdir(parents=True)
            for path, data in root.apt().items():
                place = folder / path
                place.write_bytes(self._move(data, folder) if path.startswith("etc/") else data)
            options = [
                f"-oDir={folder}",
                "-oDir::Etc::trusted=/dev/null",
                "-oDir::Etc::trustedparts=/dev/null",
                "-oDir::Etc::parts=/dev/null",
                "-oAPT::Sandbox::User=",
                f"-oAPT::Architecture={root.architecture}",
                f"-oAPT::Architectures={root.architecture}",
                "-oAcquire::Languages=none",
                "-oAPT::Default-Release=",
            ]
            empty = folder / "status"
            empty.touch()
            self._run("apt-get", [*options, f"-oDir::State::status={empty}"], "update")
            self._ready[key] = options
        return self._ready[key]

    @staticmethod
    def _move(text: bytes, folder: Path) -> bytes:
        """The sources with the packaged mirror for the site, and the image's keyring in its root."""
        text = text.replace(sample.APT_SITE.encode(), f"{sample.mirror().as_uri()}/".encode())
        return text.replace(b"/usr/share/keyrings/", f"{folder}/usr/share/keyrings/".encode())

    @staticmethod
    def _run(program: str, options: list[str], *command: str) -> str:
        done = subprocess.run(
            [program, *options, *command],
            capture_output=True, text=True, check=False, env={"PATH": "/usr/sbin:/usr/bin", "LC_ALL": "C"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert not re.search("GPG|not signed|Failed to fetch", done.stderr), done.stderr
        return done.stdout


def test_apt_lists_the_same_upgrades_for_every_image(demo: Demo, tmp_path: Path) -> None:
    judge = Judge(tmp_path)
    wrong = []
    upgrades = judged = 0
    with demo.catalog.read() as c:
        for digest, root in images().items():
            detail = inspection.image_detail(c, digest, now=NOW)
            if root.status() is None:
                assert detail.verdict.status == "unknown"
                continue
            expected = judge.upgrades(root)
            found = {(u.package, u.arch, u.installed, u.candidate) for u in detail.updates}
            doubt = detail.verdict.reason if detail.verdict.status != "superseded" else None
            if found != expected or doubt:
                wrong.append((detail.image, detail.verdict, sorted(found ^ expected)))
            upgrades += len(expected)
            judged += 1
    assert wrong == []
    assert judged > 60
    assert upgrades > 400


def test_a_held_package_is_listed_as_held(demo: Demo) -> None:
    with demo.catalog.read() as c:
        detail = inspection.image_detail(
            c, f"{sample.REGISTRY}/services/ledger:2026-11-20-1", now=NOW
        )
    assert {u.package for u in detail.updates if u.held} == {"libssl3", "openssl"}


def test_the_front_page_has_every_kind_of_verdict(demo: Demo) -> None:
    with demo.catalog.read() as c:
        overview = staleness.overview(c, now=NOW)
        items = moments.running(c, now=NOW, limit=1000).items
    for status in ("security-update", "update", "unknown", "current"):
        assert overview.by_status[status] >= 3
    assert overview.running == sum(overview.by_status.values())
    assert {item.cluster for item in items} == {"north", "south"}
    assert 120 <= overview.containers <= 300


def test_the_clusters_have_a_past(demo: Demo) -> None:
    with demo.catalog.read() as c:
        found = list_clusters(c, now=NOW)
        assert [NOW - one.first_scan for one in found if one.first_scan] == [
            timedelta(days=112)
        ] * 2
        past = workload_past(c, WorkloadName("north", "finance", "Deployment/ledger"), now=NOW)
        assert [stay.image.rpartition(":")[2] for stay in past.stays] == [
            "2026-11-20-1",
            "2026-10-22-1",
            "2026-08-11-1",
        ]
        assert past.gaps == ()
        south = workload_past(c, WorkloadName("south", "ingress", "DaemonSet/edge-proxy"), now=NOW)
        assert [(one.since, one.until) for one in south.gaps] == [
            (NOW - timedelta(days=55), NOW - timedelta(days=46))
        ]
        assert patching(c, now=NOW).total.patched > 50


def test_nothing_fails(demo: Demo) -> None:
    assert demo.report.failed == ()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ConfigError, match=str(file / "config.toml")):
        run_demo(file, now=lambda: NOW)


def test_a_second_start_reads_and_changes_nothing(demo: Demo) -> None:
    later = NOW + timedelta(hours=1)
    with demo.catalog.read() as c:
        before = staleness.overview(c, now=later)
    settings, report = run_demo(demo.folder, now=lambda: later)
    with demo.catalog.read() as c:
        after = staleness.overview(c, now=later)
    assert settings == demo.settings
    assert after == before
    assert any("0 new images, 0 layers read" in line for line in report.done)
