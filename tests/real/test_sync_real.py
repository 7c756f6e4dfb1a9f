"""Sync against Debian's docker-registry: what is known is only looked at, what is gone is marked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from registry_server import PASSWORD, USER, DockerRegistry

from imagecatalog import sample
from imagecatalog.config import RegistrySetting, Settings
from imagecatalog.domain.images import Descriptor, RawManifest
from imagecatalog.domain.refs import Digest
from imagecatalog.jobs.sync import sync
from imagecatalog.planning.inspection import image_detail, list_images
from imagecatalog.sources.registry import Registry
from imagecatalog.store import repositories
from imagecatalog.store.engine import Catalog

pytestmark = pytest.mark.real

START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts what is read of a registry: manifests and blobs, by digest."""
    counts: Counter[str] = Counter()
    read_manifest, open_blob = Registry.manifest, Registry.blob

    def manifest(self: Registry, repository: str, digest: Digest) -> RawManifest:
        counts[f"manifest {digest}"] += 1
        return read_manifest(self, repository, digest)

    @contextmanager
    def blob(self: Registry, repository: str, blob: Descriptor) -> Iterator[BinaryIO]:
        counts[f"blob {blob.digest}"] += 1
        with open_blob(self, repository, blob) as stream:
            yield stream

    monkeypatch.setattr(Registry, "manifest", manifest)
    monkeypatch.setattr(Registry, "blob", blob)
    return counts


def _push(registry: DockerRegistry, reference: str, name: str) -> None:
    registry.push(f"oci:{sample.images()}:{sample.REGISTRY}/{reference}", name)


def _sync(catalog: Catalog, registry: DockerRegistry, at: datetime, **more: Any) -> None:
    settings = Settings(registries=(RegistrySetting(url=registry.url, **more),))
    report = sync(catalog, settings, [], now=lambda: at)
    assert report.failed == ()


def test_a_second_sync_reads_nothing_that_is_known(
    docker_registry: DockerRegistry, catalog: Catalog, asked: Counter[str]
) -> None:
    for reference in (
        "bookworm:latest",
        "services/checkout:latest",
        "services/ledger:2026-11-20-1",
    ):
        _push(docker_registry, reference, reference)
    _sync(catalog, docker_registry, START)
    assert asked
    assert max(asked.values()) == 1, "each manifest and each layer is read once"
    asked.clear()
    _sync(catalog, docker_registry, START + timedelta(hours=1))
    assert asked == Counter()
    _push(docker_registry, "services/checkout:latest", "services/again:1")
    _sync(catalog, docker_registry, START + timedelta(hours=2))
    assert asked == Counter(), "the same image under another name is known"


def test_tags_move_and_images_go_and_nothing_is_forgotten(
    docker_registry: DockerRegistry, catalog: Catalog
) -> None:
    old, new = "services/ledger:2026-10-22-1", "services/ledger:2026-11-20-1"
    _push(docker_registry, old, "app:live")
    _push(docker_registry, old, "app:old")
    _sync(catalog, docker_registry, START)
    name = f"{docker_registry.host}/app"
    with catalog.read() as c:
        first = image_detail(c, f"{name}:live", now=START)
    assert first.packages
    _push(docker_registry, new, "app:live")
    moved = START + timedelta(hours=1)
    _sync(catalog, docker_registry, moved)
    docker_registry.delete("app:old")
    gone = START + timedelta(hours=2)
    _sync(catalog, docker_registry, gone)
    with catalog.read() as c:
        periods = [(p.tag, p.since, p.until) for p in repositories.tag_history(c, name)]
        assert periods == [
            ("live", moved, None),
            ("live", START, moved),
            ("old", START, gone),
        ]
        before = image_detail(c, first.digest, now=gone)
        assert before.gone == gone
        assert before.packages == first.packages
        assert len(list_images(c, repository=name, now=gone).items) == 2


def test_a_registry_with_tls_and_a_password(
    secure_registry: DockerRegistry, catalog: Catalog, tmp_path: Path
) -> None:
    _push(secure_registry, "bookworm:latest", "bookworm:latest")
    secret = tmp_path / "password"
    secret.write_text(PASSWORD)
    refused = sync(
        catalog,
        Settings(
            registries=(RegistrySetting(url=secure_registry.url, ca=str(secure_registry.ca)),)
        ),
        [],
        now=lambda: START,
    )
    assert [failure.code for failure in refused.failed] == ["access-denied"]
    _sync(
        catalog,
        secure_registry,
        START,
        ca=str(secure_registry.ca),
        username=USER,
        password_file=str(secret),
    )
    with catalog.read() as c:
        detail = image_detail(c, f"{secure_registry.host}/bookworm:latest", now=START)
    assert detail.packages
