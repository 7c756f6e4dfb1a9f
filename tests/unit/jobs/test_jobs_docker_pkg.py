"""Builds read off a tree and a registry: parents and revisions as they were, whatever came after."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import pytest

from docker_pkg_folders import START, commit, git, write_image
from imagecatalog.domain.builds import Build
from imagecatalog.domain.images import Descriptor, RawManifest
from imagecatalog.domain.refs import Digest
from imagecatalog.errors import Missing, SourceUnavailable
from imagecatalog.formats.docker_pkg import TreeConfig
from imagecatalog.jobs.docker_pkg import Run, TreeBuilds
from imagecatalog.sources.docker_pkg import DockerPkgTree

HOST = "registry.example.org"
CONFIG = TreeConfig(
    registry=HOST,
    base_images=(f"{HOST}/debian:20261101",),
    variables={"registry": HOST},
)
DAY = timedelta(days=1)


class MemoryRegistry:
    """Images by their layers alone."""

    name = HOST

    def __init__(self) -> None:
        self._tags: dict[str, dict[str, Digest]] = {}
        self._blobs: dict[Digest, bytes] = {}
        self.broken: set[str] = set()
        self.asked = 0

    def push(self, name: str, layers: str, created: datetime | None = START) -> Digest:
        """An image whose layers are these letters; ``name`` is ``path:tag``."""
        config = {
            "architecture": "amd64", "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [str(Digest.of(c.encode())) for c in layers]},
            "config": {"Labels": {"name": name}},
        }  # fmt: skip
        if created:
            config["created"] = created.isoformat()
        entry = self._blob(config, "application/vnd.oci.image.config.v1+json")
        manifest = {"schemaVersion": 2, "config": entry, "layers": [],
                    "mediaType": "application/vnd.oci.image.manifest.v1+json"}  # fmt: skip
        return self._tag(name, manifest)

    def push_index(self, name: str) -> Digest:
        """A name for several images."""
        kind = "application/vnd.oci.image.index.v1+json"
        return self._tag(name, {"schemaVersion": 2, "mediaType": kind, "manifests": []})

    def _tag(self, name: str, manifest: Mapping[str, object]) -> Digest:
        path, _, tag = name.partition(":")
        entry = self._blob(manifest, str(manifest["mediaType"]))
        digest = Digest.parse(str(entry["digest"]))
        self._tags.setdefault(f"{HOST}/{path}", {})[tag] = digest
        return digest

    def _blob(self, value: Mapping[str, object], kind: str) -> dict[str, object]:
        body = json.dumps(value).encode()
        digest = Digest.of(body)
        self._blobs[digest] = body
        return {"mediaType": kind, "digest": str(digest), "size": len(body)}

    def _find(self, repository: str) -> dict[str, Digest]:
        self.asked += 1
        if repository in self.broken:
            raise SourceUnavailable(f"{repository} is broken")
        if repository not in self._tags:
            raise Missing(f"no {repository}")
        return self._tags[repository]

    def repositories(self) -> Iterator[str]:
        """Not needed here."""
        return iter(self._tags)

    def tags(self, repository: str) -> Iterator[str]:
        """In the order of pushing."""
        return iter(self._find(repository))

    def resolve(self, repository: str, tag: str) -> Descriptor:
        """By name."""
        found = self._find(repository)
        if tag not in found:
            raise Missing(f"no {tag}")
        return Descriptor("", found[tag], 0)

    def manifest(self, repository: str, digest: Digest) -> RawManifest:
        """By digest."""
        self._find(repository)
        body = self._blobs[digest]
        return RawManifest(digest, json.loads(body)["mediaType"], body)

    def exists(self, repository: str, digest: Digest) -> bool:
        """Always, here."""
        return digest in self._blobs and repository in self._tags

    @contextmanager
    def blob(self, repository: str, blob: Descriptor) -> Iterator[BinaryIO]:
        """By digest."""
        self._find(repository)
        yield io.BytesIO(self._blobs[blob.digest])

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def registry() -> MemoryRegistry:
    """A registry with a base image under a date and as latest."""
    found = MemoryRegistry()
    found.push("debian:20261101", "d")
    found.push("debian:latest", "d")
    return found


def builds(
    tree: Path,
    registry: MemoryRegistry,
    known: Mapping[str, Digest] | None = None,
    run: Run | None = None,
) -> tuple[dict[str, Build], TreeBuilds]:
    """What is told of a tree, by name without its host."""
    found = TreeBuilds(DockerPkgTree(tree), CONFIG, registry, run)
    whole = {f"{HOST}/{name}": digest for name, digest in (known or {}).items()}

    def ask(repository: str) -> dict[str, Digest]:
        return {
            name.rpartition(":")[2]: digest
            for name, digest in whole.items()
            if name.rpartition(":")[0] == repository
        }

    told = {str(build.image).removeprefix(f"{HOST}/"): build for build in found.missing(ask)}
    return told, found


def parents(build: Build) -> dict[str, tuple[str, Digest | None]]:
    """Role and digest of each parent, by name without its host."""
    return {
        str(one.image).removeprefix(f"{HOST}/"): (one.role, one.digest) for one in build.parents
    }


BASE = 'FROM {{ "debian" | image_tag }}\n'
WEB = 'FROM {{ "base" | image_tag }}\n'


def write_tree(folder: Path, *versions: str) -> None:
    """A base and an image on it, in step."""
    write_image(folder / "images/base", "base", *versions, template=BASE)
    write_image(folder / "images/web", "web", *versions, template=WEB)


def test_versions_of_the_past_have_the_parents_of_then(
    tmp_path: Path, registry: MemoryRegistry
) -> None:
    git(tmp_path, "init", "-q")
    git(tmp_path, "remote", "add", "origin", "https://git.example.org/images")
    commits, bases = [], []
    for day in range(3):
        write_tree(tmp_path, *(f"1.{n}" for n in range(day + 1)))
        commits.append(commit(tmp_path, START + day * DAY))
        at = START + day * DAY + timedelta(hours=1)
        bases.append(registry.push(f"base:1.{day}", f"d{day}", at))
        registry.push(f"web:1.{day}", f"d{day}w", at)
        registry.push("web:latest", f"d{day}w", at)
    told, found = builds(tmp_path / "images", registry)
    assert list(told) == ["base:1.0", "base:1.1", "base:1.2", "web:1.0", "web:1.1", "web:1.2"]
    for day in range(3):
        build = told[f"web:1.{day}"]
        assert parents(build) == {f"base:1.{day}": ("base", bases[day])}
        assert build.source_revision == commits[day]
        assert build.source_path == "images/web"
        assert build.source_repository == "https://git.example.org/images"
        assert build.reason == f"1.{day}"
        assert build.finished == START + day * DAY + timedelta(hours=1)
        assert (build.builder, build.builder_version) == ("docker-pkg", None)
        assert build.platform == "linux/amd64"
    digest = registry.resolve(f"{HOST}/debian", "20261101").digest
    assert parents(told["base:1.0"]) == {"debian:20261101": ("base", digest)}
    assert found.problems == {}
    assert found.failures == {}
    assert found.absent == []


def test_what_is_registered_is_not_asked_for_again(
    tmp_path: Path, registry: MemoryRegistry
) -> None:
    write_tree(tmp_path, *(f"1.{n}" for n in range(20)))
    known = {}
    for n in range(20):
        known[f"base:1.{n}"] = registry.push(f"base:1.{n}", f"d{n}")
        known[f"web:1.{n}"] = registry.push(f"web:1.{n}", f"d{n}w")
    registry.asked = 0
    told, _ = builds(tmp_path, registry, known)
    assert told == {}
    assert registry.asked == 4, "tags and newest version of two images"
    del known["web:1.3"]
    assert set(builds(tmp_path, registry, known)[0]) == {"web:1.3"}
    known["web:1.19"] = Digest.of(b"another")
    assert set(builds(tmp_path, registry, known)[0]) == {"web:1.3", "web:1.19"}, "pushed anew"


def test_a_nightly_build_is_of_the_parents_of_that_night(
    tmp_path: Path, registry: MemoryRegistry
) -> None:
    write_tree(tmp_path, "1.0")
    for tag, layer in (("1.0", "a"), ("1.0-20261122", "b"), ("1.0-20261122-030405", "c")):
        registry.push(f"base:{tag}", f"d{layer}")
        registry.push(f"web:{tag}", f"d{layer}w")
    registry.push("web:1.1-20261122", "dx")
    told, _ = builds(tmp_path, registry)
    for tag in ("1.0", "1.0-20261122", "1.0-20261122-030405"):
        base = registry.resolve(f"{HOST}/base", tag).digest
        assert parents(told[f"web:{tag}"]) == {f"base:{tag}": ("base", base)}
    assert "web:1.1-20261122" not in told, "no version of the tree"


def test_snapshots_of_one_run_differ_by_seconds(tmp_path: Path, registry: MemoryRegistry) -> None:
    write_tree(tmp_path, "1.0")
    older = registry.push("base:1.0-20261122-030401", "da")
    registry.push("base:1.0-20261122-020000", "db")
    registry.push("base:1.0-20261199-999999", "db")
    registry.push("base:1.1-20261122-030402", "db")
    registry.push("web:1.0-20261122-030402", "daw")
    registry.push("web:1.0-20261122-050000", "dxw")
    told, _ = builds(tmp_path, registry)
    assert parents(told["web:1.0-20261122-030402"]) == {"base:1.0-20261122-030401": ("base", older)}
    lone = "1.0-20261122-050000"
    assert parents(told[f"web:{lone}"]) == {f"base:{lone}": ("base", None)}, "not published"


def test_layers_say_which_version_the_base_was(tmp_path: Path, registry: MemoryRegistry) -> None:
    """Without git, the tree says what would be built now; the base has moved on since."""
    write_image(tmp_path / "base", "base", "1.0", "1.1", template=BASE)
    write_image(tmp_path / "web", "web", "1.0", template=WEB)
    first = registry.push("base:1.0", "da")
    registry.push("base:1.1", "db")
    registry.push("web:1.0", "daw")
    told, found = builds(tmp_path, registry)
    assert parents(told["web:1.0"]) == {"base:1.0": ("base", first)}
    registry.push("web:1.0", "xyz")
    told, found = builds(tmp_path, registry)
    assert parents(told["web:1.0"]) == {}
    assert "begins with no version of" in found.problems[f"{HOST}/web:1.0"]


def test_a_base_under_a_tag_that_moves(tmp_path: Path, registry: MemoryRegistry) -> None:
    write_image(tmp_path / "web", "web", "1.0", template="FROM {{ registry }}/debian:latest\n")
    registry.push("web:1.0", "dw")
    latest = registry.resolve(f"{HOST}/debian", "latest").digest
    assert parents(builds(tmp_path, registry)[0]["web:1.0"]) == {"debian:latest": ("base", latest)}
    registry.push("debian:latest", "e")
    told, found = builds(tmp_path, registry)
    assert parents(told["web:1.0"]) == {"debian:latest": ("base", None)}, "what it meant then"
    assert found.problems == {}


def test_build_images_and_what_is_copied(tmp_path: Path, registry: MemoryRegistry) -> None:
    template = (
        'FROM {{ "build" | image_tag }} AS b\nFROM {{ registry }}/tools AS t\n'
        'FROM {{ "debian" | image_tag }}\nCOPY --from=b /x /y\n'
        'COPY --from={{ "build" | image_tag }} /x /z\nCOPY --from=other.example.org/x:1 /x /q\n'
    )
    write_image(tmp_path / "build", "build", "2.0", template=BASE)
    write_image(tmp_path / "web", "web", "1.0", template=template)
    build = registry.push("build:2.0", "db", START)
    registry.push("tools:latest", "t")
    registry.push("web:1.0", "dw", START + DAY)
    told, _ = builds(tmp_path, registry)
    assert [(one.image, one.role, one.digest) for one in told["web:1.0"].parents] == [
        (f"{HOST}/build:2.0", "stage", build),
        (f"{HOST}/tools:latest", "stage", None),
        (f"{HOST}/debian:20261101", "base", registry.resolve(f"{HOST}/debian", "20261101").digest),
        (f"{HOST}/build:2.0", "copy", build),
        ("other.example.org/x:1", "copy", None),
    ]
    registry.push("build:2.0", "db2", START + 2 * DAY)
    told, _ = builds(tmp_path, registry)
    assert parents(told["web:1.0"])["build:2.0"] == ("copy", None), "pushed anew since"


def test_a_run_that_was_watched_is_of_the_tree_as_it_is(
    tmp_path: Path, registry: MemoryRegistry
) -> None:
    git(tmp_path, "init", "-q")
    write_tree(tmp_path, "1.0")
    head = commit(tmp_path)
    registry.push("base:1.0", "da", START)
    registry.push("web:1.0", "daw", START + DAY)
    write_image(tmp_path / "images/extra", "extra", "1.0", template=BASE)
    registry.push("extra:1.0", "dx", START + DAY)
    told, _ = builds(tmp_path, registry, run=Run(START + DAY, "4.0.4"))
    assert told["web:1.0"].source_revision == head
    assert told["web:1.0"].builder_version == "4.0.4"
    assert told["base:1.0"].builder_version is None, "built before"
    assert told["extra:1.0"].source_revision == f"{head}-dirty"
    (tmp_path / "images/web/file").write_text("not committed")
    told, _ = builds(tmp_path, registry, run=Run(START + DAY, None))
    assert told["web:1.0"].source_revision == f"{head}-dirty"
    assert told["base:1.0"].source_revision == head


def test_a_version_that_no_commit_has(tmp_path: Path, registry: MemoryRegistry) -> None:
    git(tmp_path, "init", "-q")
    write_tree(tmp_path, "1.0")
    head = commit(tmp_path)
    write_tree(tmp_path, "1.0", "1.1", "1.2")
    for version in ("1.1", "1.2"):
        registry.push(f"base:{version}", f"d{version[-1]}")
        registry.push(f"web:{version}", f"d{version[-1]}w", START + DAY)
    told, _ = builds(tmp_path, registry)
    assert told["web:1.2"].source_revision == f"{head}-dirty"
    assert set(parents(told["web:1.2"])) == {"base:1.2"}
    assert told["web:1.1"].source_revision is None
    assert told["web:1.1"].parents == (), "what it was built on is not guessed"


def test_one_bad_image_spoils_no_other(tmp_path: Path, registry: MemoryRegistry) -> None:
    write_tree(tmp_path, "1.0")
    write_image(tmp_path / "images/odd", "odd", "1.0", template="FROM {{ chosen() }}\n")
    write_image(tmp_path / "images/bad", "BAD", "1.0")
    write_image(tmp_path / "images/several", "several", "1.0", template=BASE)
    write_image(tmp_path / "images/never", "never", "1.0", template=BASE)
    write_image(tmp_path / "images/nowhere", "nowhere", "1.0", template="FROM no/such:1/name\n")
    for name in ("web", "base", "odd", "nowhere"):
        registry.push(f"{name}:1.0", name, created=None)
    registry.push_index("several:1.0")
    registry.broken = {f"{HOST}/base"}
    told, found = builds(tmp_path, registry)
    assert set(told) == {"web:1.0", "odd:1.0", "several:1.0", "nowhere:1.0"}
    assert told["odd:1.0"].parents == ()
    assert told["several:1.0"].finished is None
    assert told["nowhere:1.0"].parents == ()
    assert set(found.failures) == {f"{HOST}/base"}
    assert found.absent == [f"{HOST}/never:1.0"]
    assert set(found.problems) == {
        "images/bad/changelog",
        "images/odd/Dockerfile.template",
        f"{HOST}/web:1.0: {HOST}/base:1.0",
        f"{HOST}/nowhere:1.0: no/such:1/name",
    }


def test_a_clock_of_nothing(tmp_path: Path, registry: MemoryRegistry) -> None:
    git(tmp_path, "init", "-q")
    write_tree(tmp_path, "1.0")
    head = commit(tmp_path)
    registry.push("base:1.0", "da", datetime(1970, 1, 1, tzinfo=UTC))
    registry.push("web:1.0", "daw", None)
    told, _ = builds(tmp_path, registry)
    assert told["base:1.0"].source_revision == head
    assert told["web:1.0"].source_revision == head
    assert told["web:1.0"].finished is None
