"""A fleet of any size, the same every time: bases, runtimes and services, rebuilt week by week.

Package names and versions are those of the sample fleet's archive indices. Each week some packages
move to a newer version; every image is then rebuilt upon its parent of that week, and so shares the
parent's layers and most of its packages, as real fleets do.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

from msgspec import Struct

from imagecatalog import sample
from imagecatalog.domain.apt import AptSetup, AptSource
from imagecatalog.domain.contents import ImageContents
from imagecatalog.domain.images import Descriptor, ImageConfig, ImageManifest
from imagecatalog.domain.packages import Distro, Package
from imagecatalog.domain.refs import Digest, Platform
from imagecatalog.formats.apt_index import open_index, parse_packages

START = datetime(2025, 1, 6, 3, 0, tzinfo=UTC)
WEEKS = 50
"""Versions of each repository."""
_BASES, _RUNTIMES = 3, 30
_MOVES_A_WEEK = 0.005
"""The part of all packages that gets a new version each week."""
_PLATFORM = Platform("linux", "amd64")
_REGISTRY = "registry.example.org"


class FleetImage(Struct, frozen=True):
    """One version of one repository, ready for the catalog."""

    repository: str
    tag: str
    digest: Digest
    manifest: ImageManifest
    config: ImageConfig
    contents: ImageContents


class _Stack(Struct, frozen=True):
    """What an image lends to its children in one week."""

    layers: tuple[Descriptor, ...]
    packages: frozenset[str]


def read_pool() -> dict[str, Package]:
    """One real version of each package that the sample archive has, by name."""
    pool: dict[str, Package] = {}
    for path in sorted(sample.mirror().rglob("Packages*")):
        if "amd64" not in str(path):
            continue
        with path.open("rb") as stream:
            for package in parse_packages(open_index(stream, path.name), str(path)):
                pool.setdefault(package.name, package)
    return pool


class Fleet:
    """The generator; ``size`` image versions in all."""

    def __init__(self, size: int, *, seed: int = 1) -> None:
        self.size = size
        self._seed = seed
        self._random = random.Random(seed)
        self._pool = read_pool()
        self._names = sorted(self._pool)
        self.setup = AptSetup(
            architectures=("amd64",),
            sources=(
                AptSource("https://apt.example.org/debian", "bookworm", ("main",), trusted=True),
                AptSource(
                    "https://apt.example.org/debian-security",
                    "bookworm-security",
                    ("main",),
                    trusted=True,
                ),
            ),
        )
        self._own = self._choose_own()

    def _choose_own(self) -> dict[str, tuple[str | None, frozenset[str]]]:
        """For each repository its parent and the packages that it adds itself."""
        pick = self._random.sample
        own: dict[str, tuple[str | None, frozenset[str]]] = {}
        bases = [f"base-{n}" for n in range(_BASES)]
        runtimes = [f"runtime-{n}" for n in range(_RUNTIMES)]
        for name in bases:
            own[name] = None, frozenset(pick(self._names, min(90, len(self._names))))
        for name in runtimes:
            added = pick(self._names, min(self._random.randint(20, 250), len(self._names)))
            own[name] = self._random.choice(bases), frozenset(added)
        services = max(0, -(-self.size // WEEKS) - len(own))
        for number in range(services):
            added = pick(self._names, min(self._random.randint(0, 40), len(self._names)))
            own[f"services/service-{number:05}"] = self._random.choice(runtimes), frozenset(added)
        return own

    def newest(self) -> list[Package]:
        """Each package as it stands in the last week."""
        return list(self._versions(WEEKS - 1).values())

    def versioned(self) -> list[tuple[str, str]]:
        """Packages of many images that moved early, with a version after their first."""
        return [
            (package.name, f"{self._pool[package.name].version}+deb12u1")
            for package in self._versions(WEEKS // 4).values()
            if package.version != self._pool[package.name].version
        ][:100]

    def images(self) -> Iterator[FleetImage]:
        """Every image, week by week, parents before children."""
        return islice(self._images(), self.size)

    def _images(self) -> Iterator[FleetImage]:
        for week in range(WEEKS):
            versions = self._versions(week)
            stacks: dict[str, _Stack] = {}
            moment = START + timedelta(weeks=week)
            for name, (parent, added) in self._own.items():
                below = stacks[parent] if parent else _Stack((), frozenset())
                stack = _Stack((*below.layers, *_layers(name, week)), below.packages | added)
                stacks[name] = stack
                yield self._image(name, week, moment, stack, versions)

    def _versions(self, week: int) -> dict[str, Package]:
        """Every package's version in a week: each week some move on."""
        chance = random.Random(self._seed + 1)
        bumps: Counter[str] = Counter()
        for _ in range(week):
            bumps.update(chance.sample(self._names, int(len(self._names) * _MOVES_A_WEEK)))
        return self._pool | {name: _bump(self._pool[name], n) for name, n in bumps.items()}

    def _image(
        self, name: str, week: int, moment: datetime, stack: _Stack, versions: dict[str, Package]
    ) -> FleetImage:
        config = _descriptor(f"config {name} {week}", 4_000)
        return FleetImage(
            repository=f"{_REGISTRY}/{name}",
            tag=f"{moment:%Y%m%d}",
            digest=Digest.of(f"manifest {name} {week}".encode()),
            manifest=ImageManifest(
                "application/vnd.oci.image.manifest.v1+json", config, stack.layers
            ),
            config=ImageConfig(moment, _PLATFORM),
            contents=ImageContents(
                distro=Distro("debian", "12", "bookworm", "Debian GNU/Linux 12 (bookworm)"),
                packages=tuple(versions[package] for package in sorted(stack.packages)),
                apt=self.setup,
            ),
        )


def _bump(package: Package, times: int) -> Package:
    version = f"{package.version}+deb12u{times}"
    source = f"{package.source_version}+deb12u{times}"
    return Package(package.type, package.name, version, package.arch, package.source, source)


def _layers(name: str, week: int) -> tuple[Descriptor, ...]:
    return tuple(
        _descriptor(f"layer {name} {week} {part}", 1_000_000) for part in ("packages", "files")
    )


def _descriptor(text: str, size: int) -> Descriptor:
    digest = Digest("sha256:" + hashlib.sha256(text.encode()).hexdigest())
    return Descriptor("application/vnd.oci.image.layer.v1.tar+gzip", digest, size)
