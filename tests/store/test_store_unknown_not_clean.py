"""What nobody judged, or was not wholly read, is never shown as if nothing were wrong with it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, insert, select
from test_store_findings import tell
from test_store_updates import run
from tests_store import NOON, PutImage, digest, fixed_in, layer, package

from imagecatalog.catalog import ingest
from imagecatalog.domain.contents import FileProblem, ImageContents
from imagecatalog.domain.exploits import Exploit
from imagecatalog.domain.images import ImageConfig, ImageManifest
from imagecatalog.domain.packages import Distro, Package
from imagecatalog.domain.refs import Platform
from imagecatalog.matching.match import match
from imagecatalog.planning.exposure import affected
from imagecatalog.planning.findings import image_findings
from imagecatalog.planning.verdicts import judge_images
from imagecatalog.store.engine import Catalog, Connection
from imagecatalog.store.exploits import apply_exploits
from imagecatalog.store.schema import (
    component,
    component_package,
    manifest,
    scope_chunk,
    standing,
    unenrolled,
)
from imagecatalog.store.shelf import Shelf
from imagecatalog.store.waiting import has_unkept

ALPINE = Distro("alpine", "3.18.4", None, "Alpine Linux v3.18")
APK = Package("apk", "musl", "1.2.4-r0", "x86_64", "musl", "1.2.4-r0")
GO = Package("golang", "stdlib", "1.22.1", "", "stdlib", "1.22.1")


def put(
    c: Connection,
    name: str,
    packages: Sequence[Package],
    distro: Distro | None,
    problems: tuple[FileProblem, ...] = (),
) -> int:
    """An image of any distribution, without apt's sources."""
    contents = ImageContents(distro=distro, packages=tuple(packages), apt=None, problems=problems)
    media = "application/vnd.oci.image.manifest.v1+json"
    image = ImageManifest(media, layer(f"config of {name}"), (layer(name),))
    config = ImageConfig(NOON, Platform.parse("linux/amd64"))
    record = ingest.ImageRecord(digest(name), image, config, contents)
    return ingest.record_images(c, Shelf(), [record], configured={}, reader=1, now=NOON)[0]


def status(c: Connection, number: int) -> tuple[str, str | None]:
    verdict = judge_images(c, [number], now=NOON)[number].verdict
    return verdict.status, verdict.reason


def test_an_image_of_no_distribution_with_a_fix_out_is_not_current(catalog: Catalog) -> None:
    with catalog.write() as c:
        number = put(c, "scratch", [GO], None)
        tell(c, "osv Go", [fixed_in("GO-2026-1", "golang", "stdlib", "1.22.2")])
        match(c, now=NOON)
        assert status(c, number)[0] == "security-update"


def test_what_waits_to_be_judged_is_not_current(catalog: Catalog) -> None:
    with catalog.write() as c:
        tell(
            c,
            "alpine-secdb v3.18/main",
            [fixed_in("CVE-2026-1", "alpine/3.18", "musl", "1.2.4-r1")],
        )
        match(c, now=NOON)
        number = put(c, "a", [APK], ALPINE)
        assert status(c, number)[0] == "unknown"
        match(c, now=NOON)
        assert status(c, number)[0] == "security-update"


def test_an_image_with_files_that_could_not_be_read_is_not_current(catalog: Catalog) -> None:
    with catalog.write() as c:
        tell(
            c,
            "alpine-secdb v3.18/main",
            [fixed_in("CVE-2026-1", "alpine/3.18", "musl", "1.2.3-r1")],
        )
        whole = put(c, "whole", [APK], ALPINE)
        torn = put(
            c, "torn", [APK], ALPINE, (FileProblem("app/a.jar", "cut-short", "it is cut short"),)
        )
        match(c, now=NOON)
        assert status(c, whole)[0] == "current"
        assert status(c, torn)[0] == "unknown"


def test_an_image_that_is_not_enrolled_yet_is_told_to_wait(
    catalog: Catalog, put_image: PutImage
) -> None:
    with catalog.write() as c:
        tell(c, "debian-tracker json", [fixed_in("CVE-2026-1", "debian/bookworm", "bash", "2.0-1")])
        number = put_image(c, "a", [package("bash")])
        for table in (scope_chunk, component_package, component):
            c.execute(delete(table))
        (inside,) = c.scalars(select(manifest.c.distro_id))
        c.execute(insert(unenrolled).values(distro_id=inside, manifest_id=number))
        found = image_findings(c, str(digest("a")), now=NOON)
        assert not found.items
        assert found.unknown == ("its packages are not judged yet: imagecatalog refresh",)


def test_what_begins_to_run_between_two_jobs_is_told_to_be_unknown(
    catalog: Catalog, put_image: PutImage
) -> None:
    with catalog.write() as c:
        tell(c, "debian-tracker json", [fixed_in("CVE-2026-1", "debian/bookworm", "bash", "2.0-1")])
        put_image(c, "a", [package("bash")])
        match(c, now=NOON)
        run(c, "a")
        assert affected(c, "CVE-2026-1", now=NOON).unknown == 1
        assert has_unkept(c)
        match(c, now=NOON)
        found = affected(c, "CVE-2026-1", now=NOON)
        assert [(one.digest, len(one.running)) for one in found.images] == [(str(digest("a")), 1)]
        assert found.unknown == 0
        assert not has_unkept(c)


def test_what_is_exploited_since_is_added_up_anew(catalog: Catalog, put_image: PutImage) -> None:
    told = fixed_in("CVE-2026-1", "debian/bookworm", "bash", "2.0-1")
    entries = [Exploit(name="CVE-2026-1", added=NOON, description=None)]
    with catalog.write() as c:
        tell(c, "debian-tracker json", [told])
        put_image(c, "a", [package("bash")])
        run(c, "a")
        match(c, now=NOON)
        for known in (True, True, False):
            others = [
                Exploit(name=f"CVE-2020-{n}", added=NOON, description=None) for n in range(20)
            ]
            apply_exploits(c, [*entries, *others] if known else others, "kev")
            assert known or has_unkept(c)
            match(c, now=NOON)
            assert list(c.scalars(select(standing.c.exploited))) == [int(known)]
