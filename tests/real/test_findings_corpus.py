"""Every verdict on a real corpus: Docker's official images of 2016 to 2018 against all of Debian's notices.

The judge reads the data's own files, and holds each notice against each package of each image, as
the tracker's documentation says it is meant: slow, and with an order of versions of its own.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from itertools import accumulate
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import text

from imagecatalog.catalog import ingest
from imagecatalog.config import Settings
from imagecatalog.domain.contents import ImageContents
from imagecatalog.domain.images import Descriptor, ImageConfig, ImageManifest
from imagecatalog.domain.packages import Distro, Package
from imagecatalog.domain.refs import Digest, Platform
from imagecatalog.jobs.refresh import refresh
from imagecatalog.store.dialect import batches
from imagecatalog.store.engine import Catalog, Connection, initialise
from imagecatalog.store.shelf import Shelf

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

pytestmark = pytest.mark.real

DATA = Path(__file__).parents[3] / "shared" / "data"
CORPUS = DATA / "images" / "docker-official-2016-2018"
__test__ = CORPUS.is_dir()
THEN = datetime(2018, 2, 1, tzinfo=UTC)
THAT_DAY = "2018-01-28"
RELEASES = {
    "7": ("wheezy", Distro("debian", "7", "wheezy")),
    "8": ("jessie", Distro("debian", "8", "jessie")),
    "9": ("stretch", Distro("debian", "9", "stretch")),
    "10": ("buster", Distro("debian", "10", "buster")),
}
MEDIA_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
EMPTY = Descriptor(
    "application/vnd.docker.container.image.v1+json", Digest("sha256:" + "0" * 64), 2
)


class Entry(msgspec.Struct):
    """Where a notice says that a source package of a release is fixed."""

    release: str
    package: str
    fixed_version: str | None = None
    tag: str | None = None


class Notice(msgspec.Struct):
    """A DSA or DLA."""

    id: str
    date: str
    cves: list[str]
    entries: list[Entry]
    package: str = "some-package"
    title: str = "some fault"


class Image(msgspec.Struct):
    """An image of the corpus, as far as its packages go."""

    id: str
    set: int


class Said(msgspec.Struct):
    """What the tracker says of a fault in a release."""

    status: str
    fixed_version: str | None = None


class Fault(msgspec.Struct):
    """A fault of a source package, by release."""

    releases: dict[str, Said]


def read_lines(path: Path) -> Iterator[str]:
    with zstd.open(path, "rt") as lines:
        yield from lines


class Corpus:
    """The images with their packages, and which tag was which image on that day."""

    def __init__(self) -> None:
        decode = msgspec.json.decode
        self.packages = [
            tuple(decode(line, type=list[str]))
            for line in read_lines(CORPUS / "packages.jsonl.zst")
        ]
        self.sets = [
            tuple(accumulate(decode(line, type=list[int])))
            for line in read_lines(CORPUS / "package-sets.jsonl.zst")
        ]
        images = [decode(line, type=Image) for line in read_lines(CORPUS / "images.jsonl.zst")]
        self.images = images
        self.releases = {number: self._release(number) for number in range(len(self.sets))}

    def _release(self, number: int) -> str | None:
        for line in self.sets[number]:
            name, _, version, *_ = self.packages[line]
            if name == "base-files" and "ubuntu" not in version:
                major = re.match(r"[0-9]+", version)
                return RELEASES[major[0]][0] if major and major[0] in RELEASES else None
        return None

    def live(self, day: str) -> dict[str, int]:
        """The image of each tag that was there at the end of a day."""
        lines = read_lines(CORPUS / "scan-timeline.tsv.zst")
        next(lines)
        state = {}
        for line in lines:
            moment, tag, image = line.rstrip("\n").split("\t")
            if moment[: len(day)] <= day:
                state[tag] = image
        return {tag: int(image) for tag, image in state.items() if image != "-"}


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    """The corpus, read once."""
    return Corpus()


@pytest.fixture(scope="module")
def notices() -> list[Notice]:
    """All notices of Debian since 2002."""
    lines = read_lines(DATA / "debian" / "advisories-all.jsonl.zst")
    return [msgspec.json.decode(line, type=Notice) for line in lines]


def write_lists(folder: Path, notices: list[Notice]) -> None:
    """Write notices as the tracker's own lists have them."""
    for kind in ("DSA", "DLA"):
        records = []
        for one in notices:
            if not one.id.startswith(kind):
                continue
            day = datetime.fromisoformat(one.date).strftime("%d %b %Y")
            records.append(f"[{day}] {one.id} {one.package} - {one.title}")
            if one.cves:
                records.append("\t{" + " ".join(one.cves) + "}")
            records += [
                f"\t[{entry.release}] - {entry.package} {entry.fixed_version or f'<{entry.tag}>'}"
                for entry in one.entries
            ]
        (folder / kind).mkdir(parents=True, exist_ok=True)
        (folder / kind / "list").write_text("\n".join(records) + "\n")


# The judge's own order of versions (deb-version(7)).


def rank(letter: str) -> int:
    """Where a letter that is no digit sorts; nothing at all is 0."""
    return -1 if letter == "~" else ord(letter) if letter.isalpha() else ord(letter) + 256


def compare(one: str, other: str) -> int:
    """Below 0, 0 or above 0, for a part of a version without epoch and hyphen."""
    while one or other:
        words = [re.match(r"[^0-9]*", part)[0] for part in (one, other)]  # type: ignore[index]
        for place in range(max(map(len, words))):
            ranks = [rank(word[place]) if place < len(word) else 0 for word in words]
            if ranks[0] != ranks[1]:
                return ranks[0] - ranks[1]
        one, other = one[len(words[0]) :], other[len(words[1]) :]
        digits = [re.match(r"[0-9]*", part)[0] for part in (one, other)]  # type: ignore[index]
        if int(digits[0] or 0) != int(digits[1] or 0):
            return int(digits[0] or 0) - int(digits[1] or 0)
        one, other = one[len(digits[0]) :], other[len(digits[1]) :]
    return 0


@lru_cache(None)
def is_below(one: str, other: str) -> bool:
    """Whether a version is older than another."""
    parts = []
    for version in (one, other):
        epoch, _, rest = version.partition(":") if ":" in version else ("0", "", version)
        upstream, _, revision = rest.rpartition("-") if "-" in rest else (rest, "", "0")
        parts.append((int(epoch), upstream, revision))
    (e1, u1, r1), (e2, u2, r2) = parts
    return (e1 - e2 or compare(u1, u2) or compare(r1, r2)) < 0


class Judge:
    """Holds every notice, and every fault of the tracker, against a set of packages."""

    def __init__(self, notices: list[Notice], tracker: dict[str, dict[str, Fault]]) -> None:
        self.said: dict[tuple[str, str], list[tuple[str, str | None]]] = defaultdict(list)
        for notice in notices:
            for entry in notice.entries:
                if entry.fixed_version:
                    self._say(entry, notice.id, entry.fixed_version)
                elif entry.tag in {"unfixed", "end-of-life"}:
                    self._say(entry, notice.id, None)
        for source, faults in tracker.items():
            for name, fault in faults.items():
                for release, said in fault.releases.items():
                    if said.status == "open":
                        self.said[release, source].append((name, None))
                    elif said.status == "resolved" and said.fixed_version != "0":
                        self.said[release, source].append((name, said.fixed_version))

    def _say(self, entry: Entry, name: str, fixed: str | None) -> None:
        self.said[entry.release, entry.package].append((name, fixed))

    def judge(
        self, release: str | None, packages: Iterable[tuple[str, ...]]
    ) -> set[tuple[str, str]]:
        """The (advisory, source) pairs of which these source packages lack the fix."""
        found: set[tuple[str, str]] = set()
        for source, version in packages:
            found |= self._judge(release or "", source, version)
        return found

    @lru_cache(None)  # noqa: B019 - lives as long as the test
    def _judge(self, release: str, source: str, version: str) -> frozenset[tuple[str, str]]:
        return frozenset(
            (name, source)
            for name, fixed in self.said.get((release, source), ())
            if fixed is None or is_below(version, fixed)
        )


def load(catalog: Catalog, corpus: Corpus, taken: list[int]) -> dict[int, int]:
    """Put images into a catalog as a sync does; their numbers, by their lines in the corpus."""
    shelf = Shelf()
    known = {
        line: Package("deb", name, version, arch or "all", source, source_version)
        for line, (name, arch, version, source, source_version) in enumerate(corpus.packages)
    }
    distros = dict(RELEASES.values())
    numbers: dict[int, int] = {}
    for batch in batches(taken, 500):
        records = []
        for line in batch:
            image = corpus.images[line]
            contents = ImageContents(
                distro=distros.get(corpus.releases[image.set] or ""),
                packages=tuple(known[one] for one in corpus.sets[image.set]),
            )
            manifest = ImageManifest(MEDIA_TYPE, EMPTY, ())
            config = ImageConfig(THEN, Platform.parse("linux/amd64"))
            records.append(ingest.ImageRecord(Digest(image.id), manifest, config, contents))
        with catalog.write() as c:
            written = ingest.record_images(c, shelf, records, configured={}, reader=1, now=THEN)
        numbers.update(zip(batch, written, strict=True))
    return numbers


COMPONENTS = text(
    "SELECT DISTINCT component.id FROM manifest "
    "JOIN distro ON distro.id = manifest.distro_id "
    "JOIN package_set_chunk held ON held.set_id = manifest.set_id "
    "JOIN package_chunk_member member ON member.chunk_id = held.chunk_id "
    "JOIN component_package judged ON judged.package_version_id = member.package_version_id "
    "JOIN component ON component.id = judged.component_id AND component.scope_id = distro.scope_id "
    "WHERE manifest.id = :number"
)
FINDINGS = text(
    "SELECT component.id, component.name, advisory.name FROM finding "
    "JOIN component ON component.id = finding.component_id "
    "JOIN advisory ON advisory.id = finding.advisory_id"
)


class Verdicts:
    """What the catalog finds, image by image."""

    def __init__(self, c: Connection) -> None:
        self._c = c
        self._found: dict[int, set[tuple[str, str]]] = defaultdict(set)
        for component, source, name in c.execute(FINDINGS):
            self._found[component].add((name, source))

    def of(self, number: int) -> set[tuple[str, str]]:
        """The (advisory, source) pairs found in an image."""
        found: set[tuple[str, str]] = set()
        for component in self._c.scalars(COMPONENTS, {"number": number}):
            found |= self._found.get(component, set())
        return found


def refresh_from(catalog: Catalog, folder: Path) -> None:
    report = refresh(
        catalog,
        Settings(feeds={"debian-tracker": f"{folder.as_uri()}/"}),
        ["debian-tracker"],
        now=lambda: THEN,
    )
    assert report.failed == ()


def test_every_verdict_on_every_image_is_the_judges(
    catalog: Catalog, corpus: Corpus, notices: list[Notice], tmp_path: Path
) -> None:
    write_lists(tmp_path, notices)
    body = "".join(read_lines(DATA / "debian" / "tracker-from-advisories.json.zst"))
    (tmp_path / "json").write_text(body)
    judge = Judge(notices, msgspec.json.decode(body, type=dict[str, dict[str, Fault]]))
    # The verdict is the set's: one image of each tells of all, which the next test goes through.
    first = {image.set: line for line, image in enumerate(corpus.images) if corpus.sets[image.set]}
    taken = sorted(first.values())
    if not catalog.embedded:
        taken = taken[::40]
    numbers = load(catalog, corpus, taken)
    refresh_from(catalog, tmp_path)
    wrong = []
    pairs = 0
    with catalog.read() as c:
        verdicts = Verdicts(c)
        for line, number in numbers.items():
            held = corpus.images[line].set
            packages = {corpus.packages[one][3:] for one in corpus.sets[held]}
            wanted = judge.judge(corpus.releases[held], packages)
            found = verdicts.of(number)
            pairs += len(wanted)
            wrong += [(line, one, one in found) for one in sorted(wanted ^ found)]
    assert wrong[:10] == []
    assert pairs > 10_000


def test_what_the_live_tags_of_a_day_lacked_is_known(
    corpus: Corpus, notices: list[Notice], tmp_path: Path
) -> None:
    initialise(str(tmp_path / "catalog.sqlite"))
    catalog = Catalog.open(str(tmp_path / "catalog.sqlite"))
    write_lists(tmp_path, [one for one in notices if one.date <= THAT_DAY])
    (tmp_path / "json").write_text('{"none": {}}')
    live = corpus.live(THAT_DAY)
    assert len(live) == 3030
    numbers = load(catalog, corpus, sorted({*live.values()}))
    refresh_from(catalog, tmp_path)
    with catalog.read() as c:
        verdicts = Verdicts(c)
        lacks = {
            line: {name for name, _ in verdicts.of(number) if name.startswith("D")}
            for line, number in numbers.items()
        }
    catalog.close()
    counts = [len(lacks[line]) for line in live.values() if lacks[line]]
    assert (len(counts), sum(counts)) == (1_622, 11_388)
