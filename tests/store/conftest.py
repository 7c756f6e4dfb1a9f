"""Images to put into a catalog."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import pytest
from tests_store import BOOKWORM, NOON, SETUP, PutImage, digest, layer

from imagecatalog.catalog import ingest
from imagecatalog.domain.apt import AptSetup
from imagecatalog.domain.contents import ImageContents
from imagecatalog.domain.images import ImageConfig, ImageManifest
from imagecatalog.domain.packages import Package
from imagecatalog.domain.refs import Platform
from imagecatalog.store.engine import Connection
from imagecatalog.store.shelf import Shelf


@pytest.fixture
def put_image() -> PutImage:
    """Writes an image named by a text, as a sync does; gives its number."""
    return _make_writer()


@pytest.fixture
def make_put_image() -> Callable[[], PutImage]:
    """Makes more of these: each remembers what it wrote, as threads do that know nothing of others."""
    return _make_writer


def _make_writer() -> PutImage:
    shelf = Shelf()

    def put(
        c: Connection,
        name: str,
        packages: Sequence[Package] | None = (),
        *,
        setup: AptSetup | None = SETUP,
        at: datetime = NOON,
        layers: Sequence[str] | None = None,
        platform: str = "linux/amd64",
        **more: object,
    ) -> int:
        contents = ImageContents(
            distro=BOOKWORM,
            packages=None if packages is None else tuple(packages),
            apt=setup,
            **more,  # type: ignore[arg-type]
        )
        manifest = ImageManifest(
            "application/vnd.oci.image.manifest.v1+json",
            layer(f"config of {name}"),
            tuple(map(layer, ("base", name) if layers is None else layers)),
        )
        config = ImageConfig(at, Platform.parse(platform))
        record = ingest.ImageRecord(digest(name), manifest, config, contents)
        return ingest.record_images(c, shelf, [record], configured={}, reader=1, now=at)[0]

    return put
