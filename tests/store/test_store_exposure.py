"""Where an advisory is found: by package versions, release by release, what runs first."""

from __future__ import annotations

import pytest
from test_store_updates import run
from tests_store import NOON, PutImage, digest, fixed_in, package

from imagecatalog.catalog import ingest
from imagecatalog.domain.advisories import Advisory, Affected, Exposure, FeedPart
from imagecatalog.domain.packages import Package
from imagecatalog.errors import BadName, NotFound
from imagecatalog.matching.match import match
from imagecatalog.planning import exposure
from imagecatalog.planning.differences import diff
from imagecatalog.store.advisories import apply_feed
from imagecatalog.store.engine import Catalog, Connection

APP = "registry.example.org/team/app"


def ssl(version: str, binary: str | None = None) -> Package:
    return Package("deb", "libssl3", binary or version, "amd64", "openssl", version)


def tell(c: Connection, *told: Affected) -> None:
    names = {one.advisory for one in told}
    part = FeedPart(
        name="openssl",
        digest=repr(told).encode(),
        advisories=tuple(Advisory(name=name, description="a fault") for name in sorted(names)),
        affected=told,
    )
    apply_feed(c, "tracker", [part], where="tracker.json")


def affected(c: Connection, text: str, **more: int) -> Exposure:
    """What is answered once all is judged."""
    match(c, now=NOON)
    return exposure.affected(c, text, now=NOON, **more)


def fault(name: str, release: str, status: str, fixed: str | None = None) -> Affected:
    if fixed is not None:
        return fixed_in(name, f"debian/{release}", "openssl", fixed)
    return Affected(
        advisory=name,
        scope=f"debian/{release}",
        name="openssl",
        status=status,  # type: ignore[arg-type]
        reason="postponed" if status == "open" else None,
    )


def fill(c: Connection, put_image: PutImage) -> None:
    numbers = {
        "old": put_image(c, "old", [ssl("3.0.14-1"), package("tar")]),
        "new": put_image(c, "new", [ssl("3.0.15-1"), package("tar")]),
        "idle": put_image(c, "idle", [ssl("3.0.13-1", "3.0.13-1+b2")]),
        "none": put_image(c, "none", [package("tar")]),
    }
    ingest.record_repository(c, APP, numbers, list(numbers.values()), [], now=NOON)
    run(c, "old", "new", "none", "unmet")


def test_the_bad_versions_their_images_and_what_runs_of_them(
    catalog: Catalog, put_image: PutImage
) -> None:
    with catalog.write() as c:
        fill(c, put_image)
        tell(
            c,
            fault("CVE-2026-1", "bookworm", "fixed", "3.0.15-1"),
            fault("CVE-2026-1", "trixie", "fixed", "3.9-1"),
        )
        found = affected(c, "cve-2026-1")
        assert found.id == "CVE-2026-1"
        assert [(one.image, one.packages) for one in found.images] == [
            (f"{APP}:old", ("libssl3 3.0.14-1",)),
            (f"{APP}:idle", ("libssl3 3.0.13-1+b2",)),
        ]
        assert [place.workload for place in found.images[0].running] == ["Deployment/old"]
        assert found.images[1].running == ()
        (told,) = found.packages
        assert (told.package, told.source, told.fixed) == ("libssl3", "openssl", "3.0.15-1")
        assert told.versions == ("3.0.13-1+b2", "3.0.14-1")
        assert (found.containers, found.unknown, found.more_images) == (1, 1, False)


def test_without_a_fix_every_version_is_bad(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        fill(c, put_image)
        tell(c, fault("CVE-2026-2", "bookworm", "open"))
        found = affected(c, "CVE-2026-2")
        assert [one.image for one in found.images] == [f"{APP}:{n}" for n in ("old", "new", "idle")]
        assert (found.packages[0].fixed, found.packages[0].reason) == (None, "postponed")


@pytest.mark.parametrize("status", ["not-affected", "undetermined"])
def test_what_is_not_affected_or_not_known_is_not_called_bad(
    catalog: Catalog, put_image: PutImage, status: str
) -> None:
    with catalog.write() as c:
        fill(c, put_image)
        tell(c, fault("CVE-2026-3", "bookworm", status))
        found = affected(c, "CVE-2026-3")
        assert found.images == ()
        assert found.undetermined == (("openssl in bookworm",) if status == "undetermined" else ())


@pytest.mark.parametrize("name", ["openssl", "libssl3"])
def test_a_range_of_a_package(catalog: Catalog, put_image: PutImage, name: str) -> None:
    with catalog.write() as c:
        fill(c, put_image)
        found = affected(c, f"pkg:deb/debian/{name}@<3.0.15")
        assert [one.image for one in found.images] == [f"{APP}:old", f"{APP}:idle"]
        assert affected(c, f"pkg:deb/ubuntu/{name}@<3.0.15").images == ()


@pytest.mark.parametrize(
    ("kind", "name", "version", "text"),
    [
        ("golang", "golang.org/x/text", "v0.3.5", "pkg:golang/golang.org/x/text@<v0.3.7"),
        ("npm", "@angular/core", "1.0.0", "pkg:npm/%40angular/core@<2.0.0"),
        ("maven", "org.example:app", "1.0", "pkg:maven/org.example/app@<2"),
        ("pypi", "zope-interface", "1.0", "pkg:pypi/Zope.Interface@<2"),
    ],
)
def test_a_range_names_a_package_of_a_language_in_full(
    catalog: Catalog, put_image: PutImage, kind: str, name: str, version: str, text: str
) -> None:
    with catalog.write() as c:
        number = put_image(c, "old", [Package(kind, name, version, "", name, version)])
        ingest.record_repository(c, APP, {"old": number}, [number], [], now=NOON)
        assert [one.image for one in affected(c, text).images] == [f"{APP}:old"]
        assert affected(c, text.partition("@<")[0] + "@<0.1.0").images == ()


def test_what_does_not_run_is_listed_up_to_the_limit(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        fill(c, put_image)
        found = affected(c, "pkg:deb/debian/openssl", limit=0)
        assert [one.image for one in found.images] == [f"{APP}:old", f"{APP}:new"]
        assert found.more_images
        assert not affected(c, "pkg:deb/debian/openssl", limit=1).more_images


def test_what_nobody_tells_of_is_not_found(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        with pytest.raises(NotFound, match="no feed tells of ALSA-2023:3722"):
            affected(c, "ALSA-2023:3722")
        with pytest.raises(NotFound, match="no feed tells of CVE-2026-9") as caught:
            affected(c, "CVE-2026-9")
        assert "refresh debian-tracker" in str(caught.value.hint)
        for text in (
            "",
            "openssl",
            "pkg:",
            "pkg:deb",
            "pkg:deb/debian/openssl@<",
            "pkg:npm/a@<2",
            "CVE 1",
        ):
            with pytest.raises(BadName):
                affected(c, text)


def test_what_an_update_ends_and_what_it_brings(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        fill(c, put_image)
        newest = package("other", "2.0-1")
        put_image(c, "next", [ssl("3.0.15-1"), newest])
        tell(
            c,
            fault("CVE-2026-1", "bookworm", "fixed", "3.0.15-1"),
            fault("CVE-2026-2", "bookworm", "open"),
            fault("CVE-2026-3", "bookworm", "fixed", "3.0.16-1"),
            fault("CVE-2026-4", "trixie", "fixed", "3.0.15-1"),
            fault("CVE-2026-5", "bookworm", "undetermined"),
        )
        match(c, now=NOON)
        changes = diff(c, f"{APP}:old", str(digest("next"))).advisories
        assert (changes.fixed, changes.introduced) == (("CVE-2026-1",), ())
        changes = diff(c, str(digest("next")), f"{APP}:old").advisories
        assert (changes.fixed, changes.introduced) == ((), ("CVE-2026-1",))
        changes = diff(c, f"{APP}:none", f"{APP}:new").advisories
        assert changes.introduced == ("CVE-2026-2", "CVE-2026-3")
