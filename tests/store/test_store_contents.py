"""What of an image was not read, and which of its packages the distribution did not build."""

from __future__ import annotations

from tests_store import NOON, PutImage, digest, layer

from imagecatalog.catalog import ingest
from imagecatalog.domain.contents import (
    FileProblem,
    LayerEntry,
    LayerReading,
    PackageDatabase,
)
from imagecatalog.domain.images import ImageManifest
from imagecatalog.domain.packages import Package
from imagecatalog.planning.inspection import image_detail
from imagecatalog.store.engine import Catalog
from imagecatalog.store.shelf import Shelf

BASH = Package("deb", "bash", "5.2-1", "amd64", "bash", "5.2-1")
NGINX = Package("deb", "nginx", "1.25.3-1~bookworm", "amd64", "nginx", "1.25.3-1~bookworm")
VAULT = Package("deb", "vault", "1.15.0-1", "amd64", "vault", "1.15.0-1")
PROBLEMS = (
    FileProblem("srv/a.jar", "language-package-not-read", "a.jar: is no archive"),
    FileProblem("srv/é", "language-package-not-read", "has 'quotes' and \\ more"),
)


def test_problems_are_kept_with_the_image(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        put_image(c, "app", [BASH], problems=PROBLEMS)
        put_image(c, "plain", [BASH])
    with catalog.read() as c:
        assert image_detail(c, str(digest("app")), now=NOON).problems == PROBLEMS
        assert image_detail(c, str(digest("plain")), now=NOON).problems == ()
    with catalog.write() as c:
        put_image(c, "app", [BASH])
    with catalog.read() as c:
        assert image_detail(c, str(digest("app")), now=NOON).problems == ()


def test_packages_of_third_parties_are_known_by_version_and_by_their_maintainer(
    catalog: Catalog, put_image: PutImage
) -> None:
    shelf = Shelf()
    database = PackageDatabase((BASH, NGINX, VAULT), foreign=(VAULT,))
    entry = LayerEntry("var/lib/dpkg/status", "file", database=database)
    manifest = ImageManifest("x", layer("config"), (layer("base"),))
    reading = LayerReading(layer("base").digest, 1, (entry,))
    with catalog.write() as c:
        put_image(c, "app", [BASH, NGINX, VAULT])
        ingest.record_reading(c, shelf, manifest, reading)
        ingest.record_reading(c, shelf, manifest, reading)
    with catalog.read() as c:
        told = image_detail(c, str(digest("app")), now=NOON).packages
    assert {one.package: one.third_party for one in told} == {
        "bash": False,
        "nginx": True,
        "vault": True,
    }
