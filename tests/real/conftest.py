"""What tests against real peers share: a registry, root file systems, apt's word on them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from debian_roots import Upgrade, ask_apt, cached_fleet
from registry_server import DockerRegistry


@pytest.fixture
def docker_registry(tmp_path: Path) -> Iterator[DockerRegistry]:
    """Debian's docker-registry, plain, empty, started."""
    registry = DockerRegistry(tmp_path / "registry")
    registry.start()
    yield registry
    registry.stop()


@pytest.fixture
def secure_registry(tmp_path: Path) -> Iterator[DockerRegistry]:
    """The same with TLS by its own authority, and a password."""
    registry = DockerRegistry(tmp_path / "secure-registry", secure=True)
    registry.start()
    yield registry
    registry.stop()


@pytest.fixture(scope="session")
def debian_fleet() -> Path:
    """The folder with ``roots/NAME`` and an OCI ``layout`` tagged by the same names."""
    return cached_fleet()


@pytest.fixture(scope="session")
def apt_words(debian_fleet: Path) -> dict[str, dict[tuple[str, str], Upgrade]]:
    """What apt holds upgradable now in each root file system."""
    return ask_apt(debian_fleet)
