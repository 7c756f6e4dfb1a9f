"""apt itself judges our choice of candidates: many made-up archives, pins and installed versions.

Each situation is a private apt root with signed archives on disk. Both sides read the same files:
apt through ``apt update``, we through ``fetch_release`` and ``read_index``.
"""

from __future__ import annotations

import gzip
import hashlib
import lzma
import random
import re
import shutil
import subprocess
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pysequoia
import pytest

from imagecatalog.domain.apt import Keyring
from imagecatalog.domain.packages import Package
from imagecatalog.formats.apt_preferences import parse_preferences
from imagecatalog.formats.apt_sources import parse_sources
from imagecatalog.matching.candidates import Available, Choice, Policy
from imagecatalog.sources.apt import FetchedRelease, fetch_release, read_index
from imagecatalog.sources.http import Http
from imagecatalog.versions.deb import sort_key

pytestmark = pytest.mark.real

NOW = datetime(2026, 11, 23, tzinfo=UTC)
VERSIONS = ["1.0", "1.0-1+b1", "1.1~rc1", "1.1", "2.0-1~deb12u1", "2.0-1", "1:0.5"]
NAMES = [f"pkg-{letter}" for letter in "abcdefgh"] + ["libx1", "libx2"]
ARCHES = ["amd64", "i386"]
_LISTED = re.compile(r"(\S+?)/\S* (\S+) (\S+) \[upgradable from: (\S+)\]")


@dataclass
class Archive:
    """One suite of our own repository."""

    suite: str
    facts: dict[str, str]
    packages: dict[str, list[Package]]
    """By component."""

    def write(self, top: Path, signer: pysequoia.PySigner) -> None:
        folder = top / "dists" / self.suite
        lines = []
        for component, packages in self.packages.items():
            for arch in ("amd64", "i386"):
                here = folder / component / f"binary-{arch}"
                here.mkdir(parents=True)
                mine = [paragraph(p) for p in packages if p.arch in {arch, "all"}]
                plain = "\n".join(mine).encode()
                (here / "Packages.xz").write_bytes(lzma.compress(plain))
                (here / "Packages.gz").write_bytes(gzip.compress(plain))
                for name, data in [("", plain), (".xz", lzma.compress(plain))]:
                    path = f"{component}/binary-{arch}/Packages{name}"
                    lines.append(f" {hashlib.sha256(data).hexdigest()} {len(data)} {path}\n")
        fields = {
            **self.facts,
            "Date": "Sun, 22 Nov 2026 00:00:00 UTC",
            "Architectures": "amd64 i386",
            "Components": " ".join(self.packages),
        }
        text = "".join(f"{name}: {value}\n" for name, value in fields.items())
        release = f"{text}SHA256:\n{''.join(lines)}".encode()
        signed = pysequoia.sign(signer, release, mode=pysequoia.SignatureMode.CLEAR)
        (folder / "InRelease").write_bytes(signed)


@dataclass
class Situation:
    """A machine: archives, pins, and what is installed."""

    archives: list[Archive]
    preferences: str
    installed: list[Package]
    facts: list[str] = field(default_factory=list)


def paragraph(package: Package, status: str = "") -> str:
    """The same fields everywhere: apt tells apart packages of one version by the others."""
    source = package.source
    if package.source_version != package.version:
        source += f" ({package.source_version})"
    middle = status or (
        f"Filename: pool/{package.name}.deb\nSize: 1000\n"
        f"SHA256: {hashlib.sha256(repr(package).encode()).hexdigest()}\n"
    )
    return (
        f"Package: {package.name}\nSource: {source}\nVersion: {package.version}\n"
        f"Architecture: {package.arch}\nMulti-Arch: same\n"
        f"Maintainer: Acme <acme@example.org>\nInstalled-Size: 1\n{middle}"
        f"Description: what {package.name} does\n"
    ).replace("Multi-Arch: same\n", "" if package.arch == "all" else "Multi-Arch: same\n")


def make_package(rng: random.Random, name: str, arch: str) -> Package:
    """Some versions are of the architecture ``all``: no version is both."""
    version = rng.choice(VERSIONS)
    source_version = re.sub(r"\+b\d+$", "", version)
    source = "libx" if name.startswith("libx") else name
    if zlib.crc32(f"{name} {version}".encode()) % 3 == 0:
        arch = "all"
    return Package("deb", name, version, arch, source, source_version)


def make_archive(rng: random.Random, number: int) -> Archive:
    suite = f"suite{number}"
    facts = {
        "Origin": rng.choice(["Acme", "Debian"]),
        "Label": rng.choice(["Acme", "Debian", "Debian-Security"]),
        "Suite": rng.choice(["stable", "testing", "stable-security"]),
        "Codename": rng.choice(["bookworm", "trixie", "bookworm-security"]),
        "Version": rng.choice(["12", "12.5", "13"]),
    }
    facts = {name: value for name, value in facts.items() if rng.random() < 0.9}
    facts.setdefault("Codename", "bookworm")
    if rng.random() < 0.4:
        facts["NotAutomatic"] = "yes"
    if rng.random() < 0.5:
        facts["ButAutomaticUpgrades"] = "yes"
    packages: dict[str, list[Package]] = {}
    for component in rng.sample(["main", "contrib", "extra"], k=rng.randint(1, 2)):
        some = [(n, a) for n in NAMES for a in ARCHES if rng.random() < 0.5]
        packages[component] = [make_package(rng, name, arch) for name, arch in some]
    return Archive(suite, facts, packages)


GENERAL_PINS = [
    "release *",
    "release a=stable",
    "release a=STABLE",
    "release a=stable*",
    "release n=bookworm, l=Debian",
    "release o=Acme,c=main",
    "release l=/sec.*y$/",
    "release v=12*",
    "release v=12",
    "release bookworm",
    "release 12*",
    "release stable",
    "release a=now",
    "release b=i386",
    "release b=amd64,c=extra",
    "release c=nothing",
    "release x=y",
    'origin ""',
    'origin "apt.example.org"',
    "origin *",
]
VERSION_PINS = ["version 1.*", "version 1.1", "version *deb12*", "version 2.0-1", "version /^1:/"]
PIN_NAMES = [
    "pkg-a",
    "pkg-?",
    "*",
    "pkg-[ab]",
    "/x[0-9]$/",
    "libx1 libx2",
    "src:libx",
    "pkg-b:i386",
]
PIN_NAMES += ["pkg-c:any", "src:pkg-*", "* pkg-a", "pkg-d:amd64", "/^LIB/", "pkg-[^ab]"]
PRIORITIES = [-10, -1, 1, 99, 100, 101, 499, 500, 501, 990, 999, 1000, 1001]


def make_preferences(rng: random.Random) -> str:
    records = []
    for _ in range(rng.choice([0, 1, 2, 3, 5])):
        name = rng.choice(["*", rng.choice(PIN_NAMES), rng.choice(PIN_NAMES)])
        pins = GENERAL_PINS if name == "*" else GENERAL_PINS + VERSION_PINS * 3
        priority: object = rng.choice(PRIORITIES)
        if name == "*" and rng.random() < 0.1:
            priority = "never"
        records.append(f"Package: {name}\nPin: {rng.choice(pins)}\nPin-Priority: {priority}\n")
    return "\n".join(records)


def make_situation(seed: int) -> Situation:
    rng = random.Random(seed)
    archives = [make_archive(rng, number) for number in range(rng.randint(1, 4))]
    installed = []
    for name in NAMES:
        one = make_package(rng, name, "amd64")
        installed.append(one)
        # dpkg wants packages that are installed side by side to be of one version.
        if one.arch != "all" and rng.random() < 0.4:
            installed.append(msgspec.structs.replace(one, arch="i386"))
    return Situation(archives, make_preferences(rng), installed)


@dataclass
class Machine:
    """A private apt root; ``top`` holds the repository, ``key`` vouches for it."""

    top: Path
    secret: pysequoia.Tsk

    def set_up(self, situation: Situation) -> None:
        for folder in ("etc/apt/preferences.d", "etc/apt/trusted.gpg.d", "var/lib/dpkg"):
            (self.top / folder).mkdir(parents=True, exist_ok=True)
        for folder in ("var/lib/apt/lists/partial", "var/cache/apt/archives/partial"):
            (self.top / folder).mkdir(parents=True)
        shutil.rmtree(self.top / "repo", ignore_errors=True)
        certificate = bytes(self.secret.extract_certificate())
        (self.top / "etc/apt/key.gpg").write_bytes(certificate)
        lines = []
        for archive in situation.archives:
            archive.write(self.top / "repo", self.secret.signer())
            parts = " ".join(archive.packages)
            options = f"[signed-by={self.top}/etc/apt/key.gpg]"
            lines.append(f"deb {options} file:{self.top}/repo {archive.suite} {parts}\n")
        (self.top / "etc/apt/sources.list").write_text("".join(lines))
        (self.top / "etc/apt/preferences").write_text(situation.preferences)
        (self.top / "etc/apt/apt.conf").write_text(
            f'Dir "{self.top}";\nDir::State::status "{self.top}/var/lib/dpkg/status";\n'
            'Dir::Etc::parts "/dev/null";\nAPT::Architecture "amd64";\n'
            'APT::Architectures { "amd64"; "i386"; };\nAPT::Sandbox::User "root";\n'
            'Acquire::Languages "none";\nAPT::Update::Post-Invoke-Success "";\n'
        )
        status = "\n".join(
            paragraph(package, "Status: install ok installed\n") for package in situation.installed
        )
        (self.top / "var/lib/dpkg/status").write_text(status)

    def call(self, *words: str) -> str:
        done = subprocess.run(
            ["apt", "-qq", *words],
            env={"APT_CONFIG": f"{self.top}/etc/apt/apt.conf", "LC_ALL": "C", "PATH": PATH},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def say_upgradable(self) -> dict[tuple[str, str], str]:
        """What apt would upgrade: name and architecture to version."""
        self.call("update")
        found = {}
        for line in self.call("list", "--upgradable").splitlines():
            match = _LISTED.fullmatch(line.strip())
            assert match, line
            found[match[1], match[3]] = match[2]
        return found

    def fetch(self) -> Iterator[tuple[FetchedRelease, list[tuple[str, str, Package]]]]:
        """Each source as our own feed reads it."""
        sources, problems = parse_sources(
            {"etc/apt/sources.list": (self.top / "etc/apt/sources.list").read_bytes()}
        )
        assert problems == ()
        ring = Keyring(f"{self.top}/etc/apt/key.gpg", bytes(self.secret.extract_certificate()))
        http = Http()
        for source in sources:
            fetched = fetch_release(
                source,
                architectures=("amd64", "i386"),
                keyrings=(ring,),
                mirrors={f"file://{self.top}/repo": f"file://{self.top}/repo"},
                http=http,
                previous=None,
                now=NOW,
            )
            assert isinstance(fetched, FetchedRelease)
            yield (
                fetched,
                [
                    (index.component, index.architecture, package)
                    for index in fetched.indices
                    for package in read_index(index, fetched, http=http)
                ],
            )
        http.close()

    def choose(self, situation: Situation) -> dict[tuple[str, str], Choice]:
        """What we say."""
        pins, _ = parse_preferences({"etc/apt/preferences": situation.preferences.encode()})
        offers: dict[tuple[str, str], list[Available]] = {}
        for fetched, packages in self.fetch():
            for component, index_arch, package in packages:
                arch = "amd64" if package.arch == "all" else package.arch
                offers.setdefault((package.name, arch), []).append(
                    Available(
                        version=package.version,
                        key=sort_key(package.version),
                        release=fetched.facts,
                        component=component,
                        source=package.source,
                        source_version=package.source_version,
                        index_architecture=index_arch,
                    )
                )
        policy = Policy(pins, "amd64")
        chosen = {}
        for package in situation.installed:
            arch = "amd64" if package.arch == "all" else package.arch
            choice = policy.choose(package, offers.get((package.name, arch), ()))
            if choice:
                chosen[package.name, arch] = choice
        return chosen


PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    assert shutil.which("apt"), "the system package apt is missing"
    return Machine(tmp_path, pysequoia.Tsk.generate("Acme <acme@example.org>"))


def native(listed: dict[tuple[str, str], str]) -> dict[tuple[str, str], str]:
    """apt names a package of all by that architecture; either way it is the native one."""
    return {(n, "amd64" if a == "all" else a): version for (n, a), version in listed.items()}


@pytest.mark.parametrize("seed", [*range(60), 1012, 1075, 1078])
def test_updates_are_those_of_apt(machine: Machine, seed: int) -> None:
    situation = make_situation(seed)
    machine.set_up(situation)
    said = native(machine.say_upgradable())
    ours = {key: choice.candidate for key, choice in machine.choose(situation).items()}
    assert ours == said, situation.preferences
