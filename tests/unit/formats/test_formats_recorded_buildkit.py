"""What a real BuildKit and a real buildx wrote of one Dockerfile (tests/data/buildkit/README.md)."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from imagecatalog.domain.builds import Build, Role, Statement
from imagecatalog.domain.packages import Distro
from imagecatalog.formats.buildx import parse_metadata
from imagecatalog.formats.provenance import parse_statement

DATA = Path(__file__).parents[2] / "data" / "buildkit"
REGISTRY = "127.0.0.1:5799"


def _statement(name: str) -> Statement:
    return parse_statement((DATA / f"{name}.json").read_bytes(), name)


def _metadata(name: str) -> tuple[Build, ...]:
    return parse_metadata((DATA / f"metadata-{name}.json").read_bytes(), name)


def _roles(build: Build) -> list[tuple[str | None, Role]]:
    assert all(parent.digest for parent in build.parents)
    return [
        ((parent.image or "").removeprefix(f"{REGISTRY}/"), parent.role) for parent in build.parents
    ]


EXACT: list[tuple[str | None, Role]] = [
    ("debian-minimal:12", "base"),
    ("debian-pending:12", "stage"),
    ("debian-patched:12", "copy"),
]
UNTOLD: list[tuple[str | None, Role]] = [
    ("debian-minimal:12", "stage"),
    ("debian-patched:12", "stage"),
    ("debian-pending:12", "stage"),
]


@pytest.mark.parametrize("version", ["v0.2", "v1"])
@pytest.mark.parametrize(
    ("mode", "roles"), [("max", EXACT), ("min", [*UNTOLD, ("generator:1", "stage")])]
)
def test_provenance(version: str, mode: str, roles: list[tuple[str | None, Role]]) -> None:
    found = _statement(f"provenance-{version}-{mode}")
    build = found.build
    assert build is not None
    assert (len(found.subjects), found.signature) == (1, "none")
    assert (build.image, build.platform) == (
        f"{REGISTRY}/team/hello:{mode}-{version}",
        "linux/amd64",
    )
    assert (build.builder, build.source_revision) == (
        "buildkit",
        "0123456789abcdef0123456789abcdef01234567",
    )
    assert build.source_repository == "https://git.example.org/team/hello.git"
    assert isinstance(build.started, datetime)
    assert isinstance(build.finished, datetime)
    assert build.started < build.finished
    assert _roles(build) == roles


def test_bill_of_materials() -> None:
    inventory = _statement("sbom-spdx-2.3").inventory
    assert inventory is not None
    assert (inventory.format, inventory.problem) == ("SPDX 2.3", None)
    assert inventory.distro == Distro("debian", "12", "bookworm")
    assert len(inventory.packages) > 50
    libc = next(package for package in inventory.packages if package.name == "libc6")
    assert (libc.arch, libc.source) == ("amd64", "glibc")


def test_metadata_of_one_build() -> None:
    (build,) = _metadata("max")
    assert build.image == f"{REGISTRY}/team/hello:bx"
    assert build.digest is not None
    assert build.source_path == "Dockerfile"
    assert _roles(build) == EXACT


def test_metadata_of_two_platforms() -> None:
    first, second = _metadata("two-platforms")
    assert first.digest == second.digest
    assert [first.platform, second.platform] == ["linux/amd64", "linux/arm64"]
    assert _roles(first) == _roles(second) == [("debian-minimal:12", "base")]


def test_metadata_of_bake() -> None:
    first, second = _metadata("bake")
    assert [first.image, second.image] == [
        f"{REGISTRY}/team/{name}:1" for name in ("web", "worker")
    ]
    assert first.digest != second.digest
    assert _roles(first) == _roles(second) == UNTOLD
