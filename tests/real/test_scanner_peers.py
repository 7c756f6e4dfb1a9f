"""OSV's own scanner on the same records and the same images: each difference has its reason."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import accumulate
from pathlib import Path
from typing import Any

import msgspec
import pytest
from go_programs import compile_scanner
from osv_scanner import Found, scan, write_database
from sqlalchemy import text

from imagecatalog.catalog import ingest
from imagecatalog.config import Settings
from imagecatalog.domain.contents import ImageContents
from imagecatalog.domain.images import Descriptor, ImageConfig, ImageManifest
from imagecatalog.domain.packages import Distro, Package
from imagecatalog.domain.refs import Digest, Platform
from imagecatalog.errors import BadName
from imagecatalog.formats.purl import make_package, parse_purl
from imagecatalog.jobs.refresh import refresh
from imagecatalog.outlets.sbom import write_sbom
from imagecatalog.planning.inspection import image_detail
from imagecatalog.store.engine import Catalog, initialise
from imagecatalog.store.shelf import Shelf
from imagecatalog.versions import is_invalid, sort_key

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

pytestmark = [pytest.mark.real, pytest.mark.compiled]

DATA = Path(__file__).parents[3] / "shared" / "data"
CORPUS = DATA / "images" / "docker-official-2016-2018"
THEN = datetime(2026, 11, 1, tzinfo=UTC)
CONFIG = Descriptor(
    "application/vnd.docker.container.image.v1+json", Digest("sha256:" + "0" * 64), 2
)
REASONS = {"invalid": 788, "rpm": 809, "alias": 16}
"""Findings at the ends of real ranges that the scanner has not, by the reason of each."""
FILES = {
    "Debian": "debian-dsa-dla-derived",
    "PyPI": "pypi-pypa",
    "Go": "go-vulndb",
    "crates.io": "crates-rustsec",
    "AlmaLinux": "almalinux",
}
DEBIAN = {
    "7": Distro("debian", "7", "wheezy"),
    "8": Distro("debian", "8", "jessie"),
    "9": Distro("debian", "9", "stretch"),
}
KINDS = {
    "PyPI": "pypi",
    "Go": "golang",
    "crates.io": "cargo",
    "npm": "npm",
    "Debian": "deb",
    "Alpine": "apk",
    "AlmaLinux": "rpm",
}

Image = tuple[Distro | None, tuple[Package, ...]]
FINDINGS = text(
    "SELECT held.name, held.version, advisory.name, finding.state FROM manifest "
    "LEFT JOIN distro ON distro.id = manifest.distro_id "
    "JOIN package_set_chunk chunk ON chunk.set_id = manifest.set_id "
    "JOIN package_chunk_member member ON member.chunk_id = chunk.chunk_id "
    "JOIN package_version held ON held.id = member.package_version_id "
    "JOIN component_package judged ON judged.package_version_id = held.id "
    "JOIN component ON component.id = judged.component_id "
    "JOIN scope ON scope.id = component.scope_id "
    "JOIN finding ON finding.component_id = component.id "
    "JOIN advisory ON advisory.id = finding.advisory_id "
    "WHERE manifest.id = :number AND (scope.id = distro.scope_id OR scope.name NOT LIKE '%/%')"
)


def read_lines(path: Path) -> Iterator[bytes]:
    return iter(zstd.decompress(path.read_bytes()).splitlines())


def write_secdb() -> Iterator[bytes]:
    """Alpine's fixes as records: one for each fixed version of a package of a release."""
    for line in read_lines(DATA / "osv" / "alpine-secdb-2020.jsonl.zst"):
        database = msgspec.json.decode(line)
        for package in (one["pkg"] for one in database["packages"]):
            for version, faults in package["secfixes"].items():
                release = database["distroversion"]
                place = {"ecosystem": f"Alpine:{release}", "name": package["name"]}
                events = [{"introduced": "0"}, {"fixed": version}]
                if version != "0" and faults:
                    name = f"X-{release}-{database['reponame']}-{package['name']}-{version}"
                    yield make_record(name, place, events)


def make_record(
    name: str, place: Mapping[str, str], events: Sequence[Mapping[str, str]], **more: Any
) -> bytes:
    kind = "SEMVER" if place["ecosystem"] in {"Go", "npm", "crates.io"} else "ECOSYSTEM"
    affected = {"package": place, "ranges": [{"type": kind, "events": events}]}
    record = {"id": name, "modified": "2026-01-01T00:00:00Z", "affected": [affected]}
    return msgspec.json.encode(record | more)


@pytest.fixture(scope="module")
def program() -> Path:
    return compile_scanner()


class Peers:
    """A catalog and the scanner over the same records and images."""

    def __init__(self, program: Path, folder: Path, records: Mapping[str, Sequence[bytes]]) -> None:
        self._program = program
        self._folder = folder
        self._database = write_database(folder, records)
        initialise(str(folder / "catalog.sqlite"))
        self._catalog = Catalog.open(str(folder / "catalog.sqlite"))
        told = (msgspec.json.decode(one) for lines in records.values() for one in lines)
        self.records: dict[str, dict[str, Any]] = {one["id"]: one for one in told}
        self._doubted: set[tuple[Package, str]] = set()
        self.held: dict[tuple[str, str, str], Package] = {}

    def compare(self, images: Sequence[Image]) -> tuple[Found, Found]:
        """What is found here, and what the scanner finds in the bills that are written here."""
        taken = []
        for number, (distro, packages) in enumerate(images, start=1):
            contents = ImageContents(distro=distro, packages=packages)
            config = ImageConfig(THEN, Platform.parse("linux/amd64"))
            manifest = ImageManifest("application/vnd.oci.image.manifest.v1+json", CONFIG, ())
            digest = Digest(f"sha256:{number:064x}")
            taken.append(ingest.ImageRecord(digest, manifest, config, contents))
            for one in packages:
                self.held[f"{number}", one.name, one.version] = one
        with self._catalog.write() as c:
            numbers = ingest.record_images(c, Shelf(), taken, configured={}, reader=1, now=THEN)
        settings = Settings(feeds={"osv": f"{self._database.as_uri()}/"})
        report = refresh(self._catalog, settings, ["osv"], now=lambda: THEN)
        assert report.failed == (), report.failed
        ours: Found = defaultdict(set)
        documents = {}
        with self._catalog.read() as c:
            for place, (number, record) in enumerate(zip(numbers, taken, strict=True), start=1):
                detail = image_detail(c, record.digest, now=THEN)
                documents[f"{place}"] = write_sbom(detail, "cyclonedx")
                for name, version, advisory, state in c.execute(FINDINGS, {"number": number}):
                    if advisory in self.records:
                        ours[f"{place}", name, version].add(advisory)
                        if state == "undetermined":
                            self._doubted.add((self.held[f"{place}", name, version], advisory))
        self._catalog.close()
        return ours, scan(self._program, self._folder, documents)

    def explain(self, ours: Found, theirs: Found) -> Counter[str]:
        """Why each that is found here alone is; fails where it is not known why, or they find more."""
        reasons = Counter[str]()
        strange = []
        for place in sorted(ours.keys() | theirs.keys()):
            here, there = ours.get(place, set()), theirs.get(place, set())
            strange += [(place, "theirs alone", one) for one in there - here]
            for name in here - there:
                reason = self._explain(self.held[place], name, here & there)
                reasons[reason or ""] += 1
                strange += [] if reason else [(place, "ours alone", name)]
        assert strange[:10] == [], len(strange)
        return reasons

    def _explain(self, package: Package, name: str, others: set[str]) -> str | None:
        """Why a record is held to be of a package here and not by the scanner; None: nobody knows."""
        kind = package.type
        if kind == "rpm":
            return "rpm"  # bills' packages of RPM are of no ecosystem to it
        if (package.source, package.source_version) != (package.name, package.version):
            return "source"  # it takes the binary's name and version, whatever ``upstream`` says
        key = sort_key(kind, package.version)
        record = self.records[name]
        said = [one for one in record["affected"] if one["package"]["name"] == package.name]
        ends = [at for one in said for at in list_ends(one)]
        broken = any(is_invalid(kind, sort_key(kind, at)) for at in (package.version, *ends))
        if broken and (package, name) in self._doubted:
            return "invalid"  # undetermined here; there it is somewhere in the order
        if any(one["type"] == "GIT" for entry in said for one in entry.get("ranges") or ()):
            return "commits"  # it reads no range behind one of commits
        listed = [one for entry in said for one in entry.get("versions") or ()]
        if package.version not in listed and key in {sort_key(kind, one) for one in listed}:
            return "spelling"  # it compares listed versions letter by letter
        names = {name, *(record.get("aliases") or ())}
        if any(names & {one, *(self.records[one].get("aliases") or ())} for one in others):
            return "alias"  # another record of the same fault is found by both
        return None


def list_ends(said: Mapping[str, Any]) -> list[str]:
    """The versions at which the ranges of an entry begin and end."""
    return [
        at
        for span in said.get("ranges") or ()
        if span["type"] != "GIT"
        for event in span["events"]
        for at in event.values()
        if at != "0"
    ]


def debian_images(count: int) -> list[Image]:
    packages = [
        msgspec.json.decode(line, type=tuple[str, str, str, str, str])
        for line in read_lines(CORPUS / "packages.jsonl.zst")
    ]
    sets = [
        [packages[one] for one in accumulate(msgspec.json.decode(line, type=list[int]))]
        for line in read_lines(CORPUS / "package-sets.jsonl.zst")
    ]
    images: list[Image] = []
    for held in sets[:: max(1, len(sets) // (count * 2))]:
        base = next((one[2] for one in held if one[0] == "base-files"), "ubuntu")
        distro = DEBIAN.get(base[0]) if "ubuntu" not in base else None
        if distro:
            told = tuple(
                Package("deb", name, version, arch or "all", source, source_version)
                for name, arch, version, source, source_version in held
            )
            images.append((distro, told))
    return images[:count]


def language_images(count: int) -> list[Image]:
    """Of the SBOMs of popular images those with the most Python and Go."""
    images: list[Image] = []
    for line in read_lines(DATA / "sbom" / "bom-shelter-syft-packages.jsonl.zst"):
        packages = []
        for one in msgspec.json.decode(line)["packages"]:
            if one.get("purl", "").startswith(("pkg:pypi/", "pkg:golang/", "pkg:cargo/")):
                try:
                    packages.append(make_package(parse_purl(one["purl"]), one.get("v")))
                except BadName:
                    continue
        images.append((None, tuple(dict.fromkeys(packages))))
    return sorted(images, key=lambda one: -len(one[1]))[:count]


def boundary_images(
    records: Mapping[str, Sequence[bytes]], distros: Mapping[str, Distro]
) -> list[Image]:
    """Images that hold each version at which a record says that something begins or ends.

    Beside each stands one just below, and of languages those that the record lists.
    """
    held: dict[str, dict[Package, None]] = defaultdict(dict)
    for line in (one for lines in records.values() for one in lines):
        for said in msgspec.json.decode(line).get("affected") or ():
            place = said.get("package", {"ecosystem": "", "name": ""})
            ecosystem, name = place["ecosystem"], place["name"]
            kind = KINDS.get(ecosystem.partition(":")[0])
            if kind is None or (":" in ecosystem and ecosystem not in distros):
                continue
            ends = list_ends(said)
            if kind in {"deb", "rpm"}:
                ends += [f"{at}~" for at in ends]
            elif kind in {"golang", "cargo", "npm"}:
                ends += [f"{at}-rc.1" for at in ends if "-" not in at]
            elif kind == "pypi":
                ends += [f"{at}rc1" for at in ends] + (said.get("versions") or [])[-5:]
            for at in ends:
                arch = "" if ":" not in ecosystem else "amd64"
                held[ecosystem][Package(kind, name, at, arch, name, at)] = None
    languages = tuple(one for name, found in held.items() if name not in distros for one in found)
    return [(None, languages), *((one, tuple(held[name])) for name, one in distros.items())]


def without_commits(line: bytes) -> bytes:
    """A record without its ranges of commits, behind which the scanner reads nothing."""
    record = msgspec.json.decode(line)
    for said in record.get("affected") or ():
        said["ranges"] = [one for one in said.get("ranges") or () if one["type"] != "GIT"]
    return msgspec.json.encode(record)


def as_sources(images: Sequence[Image]) -> list[Image]:
    """The same images with their source packages in the place of the binary ones."""
    return [
        (distro, tuple(dict.fromkeys(
            Package(one.type, one.source, one.source_version, one.arch, one.source, one.source_version)
            if one.type == "deb" else one
            for one in packages
        )))
        for distro, packages in images
    ]  # fmt: skip


def test_small_records_are_judged_alike(program: Path, tmp_path: Path) -> None:
    """Also where no real data is: one record for each reason, and agreement in all else."""
    zlib = {"ecosystem": "Debian:12", "name": "zlib"}
    lib = {"ecosystem": "PyPI", "name": "lib"}
    crate = {"ecosystem": "crates.io", "name": "crate"}
    epoch = [{"introduced": "0"}, {"fixed": "1:1.2.13.dfsg-2"}]
    below_two = [{"introduced": "0"}, {"fixed": "2.0"}]
    commits = msgspec.json.decode(make_record("PYSEC-1", lib, below_two))
    commits["affected"][0]["ranges"].insert(
        0, {"type": "GIT", "repo": "https://example.org/lib", "events": [{"introduced": "0"}]}
    )
    records = {
        "Debian": [make_record("DSA-1-1", zlib, epoch)],
        "PyPI": [
            msgspec.json.encode(commits),
            make_record("PYSEC-2", lib, below_two, withdrawn="2026-01-01T00:00:00Z"),
            make_record("PYSEC-3", lib, [{"introduced": "1.0"}, {"last_affected": "1.5"}]),
        ],
        "crates.io": [
            make_record("R-1", crate, [{"introduced": "1.0.0"}, {"fixed": "1.1.0"}], aliases=["CVE-2026-1"]),
            make_record("R-2", crate, [{"introduced": "1.2.0"}, {"fixed": "1.3.0"}], aliases=["CVE-2026-1"]),
        ],
        "AlmaLinux": [
            make_record("ALSA-1", {"ecosystem": "AlmaLinux:9", "name": "zlib"}, below_two)
        ],
    }  # fmt: skip
    fixed, old = "1:1.2.13.dfsg-2", "1:1.2.13.dfsg-1"
    debian = (
        Package("deb", "zlib1g", old, "amd64", "zlib", old),
        Package("deb", "zlib", old, "amd64", "zlib", old),
        Package("deb", "zlib", fixed, "amd64", "zlib", fixed),
    )
    languages = (
        *(Package("pypi", "lib", at, "", "lib", at) for at in ("1.0rc1", "1.5", "2.0", "none")),
        *(Package("cargo", "crate", at, "", "crate", at) for at in ("1.0.5", "1.1.0", "1.2.0")),
    )
    alma = (Package("rpm", "zlib", "1.0-1.el9", "x86_64", "zlib", "1.0-1.el9"),)
    peers = Peers(program, tmp_path, records)
    images = [
        (Distro("debian", "12", "bookworm"), debian),
        (None, languages),
        (Distro("almalinux", "9.4"), alma),
    ]
    ours, theirs = peers.compare(images)
    assert peers.explain(ours, theirs) == {
        "source": 1, "commits": 2, "invalid": 2, "alias": 2, "rpm": 1,
    }  # fmt: skip
    assert theirs["1", "zlib", old] == {"DSA-1-1"}
    assert theirs["2", "lib", "1.5"] == {"PYSEC-3"}


@pytest.mark.parametrize("data", [DATA] if DATA.is_dir() else [])
def test_at_the_ends_of_real_ranges_both_say_the_same(
    program: Path, tmp_path: Path, data: Path
) -> None:
    records = {
        ecosystem: [without_commits(one) for one in read_lines(data / "osv" / f"{name}.jsonl.zst")]
        for ecosystem, name in FILES.items()
    }
    records["Alpine"] = list(write_secdb())
    records["AlmaLinux"] = records["AlmaLinux"][::60]
    steps = {"AlmaLinux": 1, "crates.io": 2}
    distros = {
        "Debian:8": DEBIAN["8"],
        "Debian:12": Distro("debian", "12", "bookworm"),
        "Alpine:v3.11": Distro("alpine", "3.11.3"),
        "AlmaLinux:9": Distro("almalinux", "9.4"),
    }
    taken = {name: lines[:: steps.get(name, 12)] for name, lines in records.items()}
    peers = Peers(program, tmp_path, records)
    ours, theirs = peers.compare(boundary_images(taken, distros))
    reasons = peers.explain(ours, theirs)
    assert sum(map(len, theirs.values())) > 50_000
    assert reasons == REASONS


@pytest.mark.parametrize("data", [DATA] if DATA.is_dir() else [])
def test_on_real_images_the_only_reasons_are_known(
    program: Path, tmp_path: Path, data: Path
) -> None:
    names = ("Debian", "PyPI", "Go", "crates.io")
    records = {name: list(read_lines(data / "osv" / f"{FILES[name]}.jsonl.zst")) for name in names}
    images = [*debian_images(30), *language_images(30)]
    peers = Peers(program, tmp_path, records)
    ours, theirs = peers.compare([*images, *as_sources(images[:30])])
    reasons = peers.explain(ours, theirs)
    assert set(reasons) == {"source", "invalid"}
    assert reasons["invalid"] == 8
    compared = 0
    for (place, name, version), package in peers.held.items():
        if package.type == "deb" and int(place) <= 30:
            # what it says of the source is what is said here of the binary
            sister = (f"{int(place) + len(images)}", package.source, package.source_version)
            there = theirs.get(sister, set())
            assert ours.get((place, name, version), set()) == there, (place, package)
            compared += len(there)
    assert compared > 5_000
