"""Images whose packages apt does not know are never called current."""

from __future__ import annotations

import pytest
from msgspec import structs
from tests_store import NOON, SETUP, PutImage, package

from imagecatalog.catalog import ingest
from imagecatalog.catalog.configured import configured_setups
from imagecatalog.config import Settings
from imagecatalog.domain.packages import Package
from imagecatalog.matching.updates import judge
from imagecatalog.planning.verdicts import judge_images
from imagecatalog.store import apt, holders
from imagecatalog.store.engine import Catalog

APK = Package("apk", "musl", "1.2.5-r0", "x86_64", "musl", "1.2.5-r0")
GO = Package("golang", "stdlib", "1.22.1", "", "stdlib", "1.22.1")
NPM = Package("npm", "left-pad", "1.3.0", "", "left-pad", "1.3.0")


@pytest.mark.parametrize(
    ("packages", "kinds"),
    [([APK], "apk"), ([GO], "golang"), ([GO, NPM, APK], "apk or golang or npm")],
)
@pytest.mark.parametrize("setup", [None, SETUP])
def test_packages_that_no_feed_judges(
    catalog: Catalog, put_image: PutImage, packages: list[Package], kinds: str, setup: object
) -> None:
    lines = ("deb https://apt.example.org/debian bookworm main",)
    settings = Settings(database="", apt_sources={"debian 12": lines})
    with catalog.write() as c:
        number = put_image(c, "a", packages, setup=setup)
        for _ in range(2):
            verdict = judge_images(c, [number], now=NOON)[number].verdict
            assert (verdict.status, verdict.reason) == (
                "unknown",
                f"no feed judges {kinds} packages yet",
            )
            assert ingest.point_configured(c, configured_setups(settings)) == 0
            judge(c)


def test_a_debian_image_keeps_its_verdict_beside_packages_of_languages(
    catalog: Catalog, put_image: PutImage
) -> None:
    with catalog.write() as c:
        plain = put_image(c, "plain", [package("bash")])
        mixed = put_image(c, "mixed", [package("bash"), GO, NPM])
        (setup,) = apt.list_setups(c)
        judge(c)
        judged = judge_images(c, [plain, mixed], now=NOON)
        mark = "1 golang package, 1 npm package: no feed tells of them"
        assert judged[mixed].verdict == structs.replace(judged[plain].verdict, unjudged=mark)
        assert judged[plain].verdict.unjudged is None
        assert judged[mixed].pair is not None
        assert judged[mixed].pair[0] == setup.id


def test_debian_images_that_nothing_is_configured_for_say_so(
    catalog: Catalog, put_image: PutImage
) -> None:
    with catalog.write() as c:
        number = put_image(c, "a", [package("bash"), GO], setup=None)
        reason = judge_images(c, [number], now=NOON)[number].verdict.reason
        assert reason == "it carries no apt sources, and [apt.sources] has none for debian 12"


def test_versions_below_another_are_those_of_each_ecosystem(
    catalog: Catalog, put_image: PutImage
) -> None:
    old = Package("npm", "openssl", "3.0.0-beta", "", "openssl", "3.0.0-beta")
    new = Package("npm", "openssl", "3.0.1", "", "openssl", "3.0.1")
    with catalog.write() as c:
        put_image(c, "a", [package("openssl", "3.0.0-1"), old, new])
        found = holders.list_holders(c, "openssl", below="3.0.0").items
        assert [one.version for one in found] == ["3.0.0-beta"]
        found = holders.list_holders(c, "openssl", below="3.0.1").items
        assert sorted(one.version for one in found) == ["3.0.0-1", "3.0.0-beta"]
