"""Images without apt sources are judged by the configuration of now."""

from __future__ import annotations

import pytest
from tests_store import NOON, digest, layer, package

from imagecatalog.catalog import ingest
from imagecatalog.catalog.configured import configured_setups
from imagecatalog.config import Settings
from imagecatalog.domain.contents import ImageContents
from imagecatalog.domain.images import ImageConfig, ImageManifest
from imagecatalog.domain.packages import Distro
from imagecatalog.domain.refs import Platform
from imagecatalog.planning.verdicts import judge_images
from imagecatalog.store import apt, lookups
from imagecatalog.store.engine import Catalog, Connection
from imagecatalog.store.shelf import Shelf

BOOKWORM = Distro("debian", "12", "bookworm")
SID = Distro("debian", None, "sid")


def configure(release: str) -> ingest.ConfiguredSetups:
    lines = ("deb https://apt.example.org/debian bookworm main",)
    return configured_setups(Settings(database="", apt_sources={release: lines}))


def put_bare(c: Connection, platform: str, distro: Distro, configured: object) -> int:
    """An image without apt sources."""
    name = f"{platform} of {distro.codename}"
    contents = ImageContents(distro=distro, packages=(package("ssl"),))
    manifest = ImageManifest(
        "application/vnd.oci.image.manifest.v1+json", layer(f"config of {name}"), (layer(name),)
    )
    record = ingest.ImageRecord(
        digest(name), manifest, ImageConfig(NOON, Platform.parse(platform)), contents
    )
    return ingest.record_images(
        c,
        Shelf(),
        [record],
        configured=configured,  # type: ignore[arg-type]
        reader=1,
        now=NOON,
    )[0]


def native_of(c: Connection, number: int) -> str | None:
    setup_id = lookups.list_images(c, [number])[number].setup_id
    return None if setup_id is None else apt.list_setups(c, [setup_id])[0].setup.architectures[0]


@pytest.mark.parametrize(
    ("platform", "native"),
    [
        ("linux/amd64", "amd64"),
        ("linux/arm64", "arm64"),
        ("linux/arm64/v9", "arm64"),
        ("linux/arm/v7", "armhf"),
        ("linux/sparc64", None),
    ],
)
@pytest.mark.parametrize(("release", "distro"), [("debian 12", BOOKWORM), ("debian sid", SID)])
def test_sources_come_late_and_for_the_architecture_of_the_image(
    catalog: Catalog, platform: str, native: str | None, release: str, distro: Distro
) -> None:
    with catalog.write() as c:
        late = put_bare(c, platform, distro, {})
        assert native_of(c, late) is None
        ingest.point_configured(c, configure(release))
        assert native_of(c, late) == native
        again = put_bare(c, platform, distro, configure(release))
        assert native_of(c, again) == native
        assert ingest.point_configured(c, configure(release)) == 0


def test_sources_that_the_configuration_drops_are_followed_no_more(catalog: Catalog) -> None:
    with catalog.write() as c:
        number = put_bare(c, "linux/amd64", BOOKWORM, configure("debian 12"))
        assert ingest.point_configured(c, configure("debian 13")) == 1
        assert native_of(c, number) is None
        assert judge_images(c, [number], now=NOON)[number].verdict.status == "unknown"
        assert ingest.point_configured(c, {}) == 0


def test_the_reason_names_the_release_as_the_configuration_does(catalog: Catalog) -> None:
    with catalog.write() as c:
        number = put_bare(c, "linux/amd64", SID, {})
        reason = judge_images(c, [number], now=NOON)[number].verdict.reason
    assert str(reason).endswith("has none for debian sid")
