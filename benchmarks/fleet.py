"""A fleet of any size, the same every time: bases, runtimes and services, rebuilt week by week.

Package names and versions are those of the sample fleet's archive indices. Each week some packages
move to a newer version; every image is then rebuilt upon its parent of that week, and so shares the
parent's layers and most of its packages, as real fleets do. Each tenth service is built on another
one, as images for debugging are.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

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
OWN_LAYERS = ("packages", "files")
"""What each image adds to its parent's layers."""
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


class Line(Struct, frozen=True):
    """A repository: what it is built on, and the kind of its contents, the same packages each week."""

    name: str
    parent: int | None
    """The place of its parent among the lines, which is before it."""
    kind: int


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
    """The generator; ``size`` image versions in all, the positions 0 to ``size`` - 1.

    Services share ``kinds`` different lists of packages; without it each has a list of its own.
    """

    def __init__(self, size: int, *, seed: int = 1, kinds: int | None = None) -> None:
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
        self._packages: list[tuple[str, ...]] = []
        """Names of the packages of each kind, sorted."""
        self.lines = self._choose_lines(kinds)
        self._week = -1
        self._of_week: dict[str, Package] = {}
        self._layers: dict[int, tuple[Descriptor, ...]] = {}
        self._contents: dict[int, ImageContents] = {}

    def _choose_lines(self, kinds: int | None) -> list[Line]:
        """Bases, runtimes, services: each after its parent."""
        lines = [Line(f"base-{n}", None, self._add_kind(90)) for n in range(_BASES)]
        for n in range(_RUNTIMES):
            parent = self._random.randrange(_BASES)
            kind = self._add_kind(self._random.randint(20, 250), lines[parent])
            lines.append(Line(f"runtime-{n}", parent, kind))
        shared = [] if kinds is None else [self._choose_service(lines) for _ in range(kinds)]
        debugging: dict[int, int] = {}
        services = max(0, -(-self.size // WEEKS) - len(lines))
        for number in range(services):
            name = f"services/service-{number:05}"
            if number % 10 == 0 and number > 10:
                parent = self._random.randrange(_BASES + _RUNTIMES, len(lines))
                below = lines[parent].kind
                if below not in debugging:
                    kind = self._add_kind(5, lines[parent])
                    debugging |= {below: kind, kind: kind}
                lines.append(Line(name, parent, debugging[below]))
            else:
                place = self._random.choice(shared) if shared else self._choose_service(lines)
                lines.append(Line(name, *place))
        return lines

    def _choose_service(self, lines: list[Line]) -> tuple[int, int]:
        parent = self._random.randrange(_BASES, _BASES + _RUNTIMES)
        return parent, self._add_kind(self._random.randint(0, 40), lines[parent])

    def _add_kind(self, count: int, parent: Line | None = None) -> int:
        added = self._random.sample(self._names, min(count, len(self._names)))
        below = () if parent is None else self._packages[parent.kind]
        self._packages.append(tuple(sorted({*below, *added})))
        return len(self._packages) - 1

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
        return map(self.image, range(self.size))

    def weeks(self) -> Iterator[range]:
        """The positions of each week's images."""
        for start in range(0, self.size, len(self.lines)):
            yield range(start, min(start + len(self.lines), self.size))

    def built_on(self) -> list[int]:
        """The positions of all bases and runtimes."""
        few = _BASES + _RUNTIMES
        return [position for week in self.weeks() for position in week[:few]]

    def pick(self, count: int, *, seed: int) -> list[FleetImage]:
        """So many images of all ages, or all there are, in the order of their positions."""
        chosen = random.Random(seed).sample(range(self.size), min(count, self.size))
        return [self.image(position) for position in sorted(chosen)]

    def line(self, position: int) -> Line:
        """The repository of the image at a position."""
        return self.lines[position % len(self.lines)]

    def above(self, position: int) -> Iterator[int]:
        """The positions of the images that it is built on, the nearest first."""
        place = position % len(self.lines)
        start = position - place
        while (parent := self.lines[place].parent) is not None:
            yield start + parent
            place = parent

    def tag(self, position: int) -> str:
        """The tag of the image at a position."""
        return f"{self._moment(position):%Y%m%d}"

    def _moment(self, position: int) -> datetime:
        return START + timedelta(weeks=position // len(self.lines))

    def image(self, position: int) -> FleetImage:
        """The image at a position; those of one week are made fastest one after another."""
        week, place = divmod(position, len(self.lines))
        self._turn_to(week)
        line = self.lines[place]
        layers = self._layers_of(place, week)
        config = _descriptor(f"config {line.name} {week}", 4_000)
        return FleetImage(
            repository=f"{_REGISTRY}/{line.name}",
            tag=self.tag(position),
            digest=Digest.of(f"manifest {line.name} {week}".encode()),
            manifest=ImageManifest("application/vnd.oci.image.manifest.v1+json", config, layers),
            config=ImageConfig(self._moment(position), _PLATFORM),
            contents=self._contents_of(line.kind),
        )

    def _turn_to(self, week: int) -> None:
        if week != self._week:
            self._week, self._of_week = week, self._versions(week)
            self._layers.clear()
            self._contents.clear()

    def _layers_of(self, place: int, week: int) -> tuple[Descriptor, ...]:
        if place not in self._layers:
            line = self.lines[place]
            below = () if line.parent is None else self._layers_of(line.parent, week)
            own = (
                _descriptor(f"layer {line.name} {week} {part}", 1_000_000) for part in OWN_LAYERS
            )
            self._layers[place] = (*below, *own)
        return self._layers[place]

    def _contents_of(self, kind: int) -> ImageContents:
        if kind not in self._contents:
            self._contents[kind] = ImageContents(
                distro=Distro("debian", "12", "bookworm", "Debian GNU/Linux 12 (bookworm)"),
                packages=tuple(self._of_week[name] for name in self._packages[kind]),
                apt=self.setup,
            )
        return self._contents[kind]

    def _versions(self, week: int) -> dict[str, Package]:
        """Every package's version in a week: each week some move on."""
        chance = random.Random(self._seed + 1)
        bumps: Counter[str] = Counter()
        for _ in range(week):
            bumps.update(chance.sample(self._names, int(len(self._names) * _MOVES_A_WEEK)))
        return self._pool | {name: _bump(self._pool[name], n) for name, n in bumps.items()}


def _bump(package: Package, times: int) -> Package:
    version = f"{package.version}+deb12u{times}"
    source = f"{package.source_version}+deb12u{times}"
    return Package(package.type, package.name, version, package.arch, package.source, source)


def _descriptor(text: str, size: int) -> Descriptor:
    return Descriptor("application/vnd.oci.image.layer.v1.tar+gzip", Digest.of(text.encode()), size)
