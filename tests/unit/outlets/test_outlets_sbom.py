"""Bills of materials that we write are read again as what the catalog said."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from imagecatalog.domain.answers import ImageDetail, PackageItem, Verdict
from imagecatalog.domain.packages import Distro, Package
from imagecatalog.errors import NotFound
from imagecatalog.formats.purl import format_purl, make_package, parse_purl
from imagecatalog.formats.sbom import parse_sbom
from imagecatalog.outlets.sbom import SbomFormat, write_sbom

DIGEST = "sha256:" + "a" * 64
PACKAGES = tuple(
    sorted(
        [
            Package("deb", "bsdutils", "1:2.38.1-5+b3", "amd64", "util-linux", "2.38.1-5"),
            Package("deb", "libssl3", "3.0.15-1~deb12u1", "amd64", "openssl", "3.0.15-1~deb12u1"),
            Package("deb", "tzdata", "2026a-0+deb12u1", "all", "tzdata", "2026a-0+deb12u1"),
            Package("maven", "org.slf4j:slf4j-api", "2.0.7", "", "org.slf4j:slf4j-api", "2.0.7"),
            Package("npm", "@angular/core", "12.0.0", "", "@angular/core", "12.0.0"),
            Package(
                "golang",
                "github.com/moby/buildkit",
                "v0.16.0",
                "",
                "github.com/moby/buildkit",
                "v0.16.0",
            ),
            Package("pypi", "flask-login", "0.6", "", "flask-login", "0.6"),
        ]
    )
)


def _item(package: Package) -> PackageItem:
    return PackageItem(
        package=package.name,
        type=package.type,
        arch=package.arch,
        source=package.source,
        source_version=package.source_version,
        installed=package.version,
    )


IMAGE = ImageDetail(
    image="registry.example.org/team/app:1.0",
    digest=DIGEST,
    index_digest=(),
    platform="linux/amd64",
    media_type="application/vnd.oci.image.manifest.v1+json",
    config_digest=None,
    created=None,
    first_seen=datetime(2026, 11, 1, 10, 0, 0, 5, tzinfo=UTC),
    gone=None,
    distro="debian 12",
    names=("registry.example.org/team/app",),
    tags=(),
    verdict=Verdict(status="current"),
    updates=(),
    packages=tuple(map(_item, PACKAGES)),
    layers=(),
    running=(),
    apt_sources=(),
)
BOTH: tuple[SbomFormat, ...] = ("cyclonedx", "spdx")


def _write(image: ImageDetail, sbom_format: SbomFormat) -> Any:
    return json.loads(write_sbom(image, sbom_format))


@pytest.mark.parametrize("sbom_format", BOTH)
def test_it_is_read_as_what_it_was_written_from(sbom_format: SbomFormat) -> None:
    found = parse_sbom(write_sbom(IMAGE, sbom_format), "x")
    assert found.format == {"cyclonedx": "CycloneDX 1.6", "spdx": "SPDX 2.3"}[sbom_format]
    assert found.packages == PACKAGES
    assert found.distro == Distro("debian", "12", "bookworm")
    assert (found.subjects, found.problem) == ((DIGEST,), None)
    assert (found.tool or "").startswith("imagecatalog ")


@pytest.mark.parametrize("sbom_format", BOTH)
def test_it_changes_with_the_packages_alone(sbom_format: SbomFormat) -> None:
    moved = replace(IMAGE, verdict=Verdict(status="unknown"), tags=(), gone=IMAGE.first_seen)
    assert write_sbom(moved, sbom_format) == write_sbom(IMAGE, sbom_format)
    fewer = replace(IMAGE, packages=IMAGE.packages[1:])
    key = {"cyclonedx": "serialNumber", "spdx": "documentNamespace"}[sbom_format]
    assert _write(fewer, sbom_format)[key] != _write(IMAGE, sbom_format)[key]


def test_cyclonedx_names_the_image() -> None:
    document = _write(IMAGE, "cyclonedx")
    assert document["metadata"]["timestamp"] == "2026-11-01T10:00:00Z"
    purl = f"pkg:oci/app@{DIGEST}?repository_url=registry.example.org/team/app&tag=1.0"
    assert document["metadata"]["component"]["purl"].replace("%3A", ":").replace("%2F", "/") == purl
    refs = [component["bom-ref"] for component in document["components"]]
    assert len(refs) == len(set(refs)) == len(PACKAGES) + 1


def test_spdx_relates_everything_to_the_image() -> None:
    document = _write(IMAGE, "spdx")
    described, *contained = document["relationships"]
    assert described["relatedSpdxElement"] == "SPDXRef-image"
    assert [one["relatedSpdxElement"] for one in contained] == [
        package["SPDXID"] for package in document["packages"][1:]
    ]


@pytest.mark.parametrize("sbom_format", BOTH)
@pytest.mark.parametrize("distro", [None, "debian sid", "linux", "opensuse-leap 15.3"])
def test_any_distribution_will_do(sbom_format: SbomFormat, distro: str | None) -> None:
    found = parse_sbom(write_sbom(replace(IMAGE, distro=distro), sbom_format), "x")
    assert found.packages == PACKAGES
    assert (str(found.distro) if found.distro else None) == distro


@pytest.mark.parametrize("sbom_format", BOTH)
def test_an_image_without_a_name_has_its_digest(sbom_format: SbomFormat) -> None:
    found = parse_sbom(write_sbom(replace(IMAGE, image=DIGEST), sbom_format), "x")
    assert found.subjects == (DIGEST,)


def test_packages_that_are_not_known_are_not_told_as_none() -> None:
    verdict = Verdict(status="unknown", reason="its layers were not read")
    with pytest.raises(
        NotFound, match=r"no packages of .*app:1\.0 are known: its layers were not read"
    ):
        write_sbom(replace(IMAGE, packages=(), verdict=verdict), "spdx")


_NAME = st.text(st.characters(codec="ascii", categories=["Ll", "Nd"]), min_size=1, max_size=8)
_VERSION = st.from_regex(r"[0-9][A-Za-z0-9.+~]{0,8}", fullmatch=True)


@given(
    st.sampled_from(["deb", "apk", "rpm"]),
    _NAME,
    st.builds(lambda epoch, version: f"{epoch}{version}", st.sampled_from(["", "1:"]), _VERSION),
    st.sampled_from(["amd64", "all"]),
    _NAME,
    _VERSION,
    st.sampled_from([None, Distro("debian", "12", "bookworm"), Distro("alpine", "3.20")]),
)
def test_package_urls_of_systems_come_back(
    kind: str,
    name: str,
    version: str,
    arch: str,
    source: str,
    source_version: str,
    distro: Distro | None,
) -> None:
    package = Package(kind, name, version, arch, source, source_version)
    assert make_package(parse_purl(format_purl(package, distro))) == package


@pytest.mark.parametrize("source_version", ["1:18-1", "18-1", "17-1"])
@pytest.mark.parametrize("source", ["nodejs:18/nodejs", "nodejs:18/npm", "npm"])
def test_package_urls_of_modules_come_back(source: str, source_version: str) -> None:
    package = Package("rpm", "nodejs", "1:18-1", "x86_64", source, source_version)
    assert make_package(parse_purl(format_purl(package))) == package


@given(
    st.sampled_from(["npm", "golang", "maven", "pypi", "gem", "cargo", "generic"]),
    st.lists(_NAME, min_size=1, max_size=3),
    _VERSION,
)
def test_package_urls_of_languages_come_back(kind: str, parts: list[str], version: str) -> None:
    parts = parts[: {"maven": 2, "golang": 3}.get(kind, 1)]
    name = (":" if kind == "maven" else "/").join(parts)
    package = Package(kind, name, version, "", name, version)
    assert make_package(parse_purl(format_purl(package))) == package
