"""CycloneDX bills of materials: their packages, wherever they lie, and whose they are."""

from __future__ import annotations

import json
from typing import Any

import pytest

from imagecatalog.domain.packages import Distro, Package
from imagecatalog.errors import BadDocument, TooDeep
from imagecatalog.formats.cyclonedx import VERSIONS
from imagecatalog.formats.sbom import parse_sbom

DIGEST = "sha256:" + "a" * 64


def _bom(*components: Any, **more: Any) -> bytes:
    head = {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": components}
    return json.dumps(head | more).encode()


def _library(purl: str | None, **more: Any) -> dict[str, Any]:
    return {"type": "library", "name": "x", "purl": purl} | more


NPM = Package("npm", "a", "1", "", "a", "1")


@pytest.mark.parametrize("version", VERSIONS)
def test_each_version_is_read(version: str) -> None:
    found = parse_sbom(_bom(_library("pkg:npm/a@1"), specVersion=version), "x")
    assert (found.format, found.packages, found.problem) == (f"CycloneDX {version}", (NPM,), None)


def test_other_versions_are_refused_by_name() -> None:
    with pytest.raises(BadDocument, match=r"x: CycloneDX '2\.0' is not read"):
        parse_sbom(_bom(specVersion="2.0"), "x")


@pytest.mark.parametrize(
    "tools",
    [
        [{"vendor": "anchore", "name": "syft", "version": "1.18.1"}],
        {"components": [{"type": "application", "name": "syft", "version": "1.18.1"}]},
    ],
)
def test_the_tool_in_both_shapes(tools: Any) -> None:
    assert parse_sbom(_bom(metadata={"tools": tools}), "x").tool == "syft 1.18.1"


@pytest.mark.parametrize("tools", [None, [], {}, 3, [3], {"components": None}, {"services": []}])
def test_a_tool_that_is_not_told_is_none(tools: Any) -> None:
    assert parse_sbom(_bom(metadata={"tools": tools}), "x").tool is None


def test_packages_within_packages_count_and_each_once() -> None:
    inner = _library("pkg:npm/b@2", components=[_library("pkg:npm/c@3"), _library("pkg:npm/a@1")])
    found = parse_sbom(
        _bom(_library("pkg:npm/a@1", components=[inner]), _library("pkg:npm/a@1")), "x"
    )
    assert [package.name for package in found.packages] == ["a", "b", "c"]
    assert found.problem is None


def test_trivy_tells_the_source_in_properties() -> None:
    told = {"SrcName": "libxcrypt", "SrcVersion": "4.4.27", "SrcRelease": "1", "SrcEpoch": "1"}
    properties = [
        {"name": f"aquasecurity:trivy:{name}", "value": value} for name, value in told.items()
    ]
    component = _library(
        "pkg:deb/ubuntu/libcrypt1@4.4.27-1?arch=amd64&epoch=1&distro=ubuntu-22.04",
        properties=properties,
    )
    system = {"type": "operating-system", "name": "ubuntu", "version": "22.04"}
    group = {
        "type": "application",
        "name": "package-lock.json",
        "properties": [{"name": "aquasecurity:trivy:Type", "value": "npm"}],
    }
    found = parse_sbom(_bom(system, group, component), "x")
    assert found.packages == (
        Package("deb", "libcrypt1", "1:4.4.27-1", "amd64", "libxcrypt", "1:4.4.27-1"),
    )
    assert (found.distro, found.problem) == (Distro("ubuntu", "22.04"), None)


@pytest.mark.parametrize(
    ("others", "image", "arch"),
    [
        (["amd64", "all"], "", "amd64"),
        ([], "amd64", "amd64"),
        (["all"], "arm", "armhf"),
        (["amd64", "i386"], "amd64", "amd64"),
    ],
)
def test_an_architecture_that_is_left_out_is_that_of_the_rest(
    others: list[str], image: str, arch: str
) -> None:
    component = {"type": "container", "purl": f"pkg:oci/app@{DIGEST}?arch={image}"}
    found = parse_sbom(
        _bom(
            _library("pkg:deb/debian/bare@1"),
            *(_library(f"pkg:deb/debian/{one}@1?arch={one}") for one in others),
            metadata={"component": component},
        ),
        "x",
    )
    assert {package.name: package.arch for package in found.packages}["bare"] == arch
    assert found.problem is None


def test_without_any_architecture_it_is_not_understood() -> None:
    found = parse_sbom(_bom(_library("pkg:deb/debian/bare@1"), _library("pkg:npm/a@1")), "x")
    assert found.packages == (NPM,)
    assert found.problem == "1 of 2 entries are not understood: 'bare' has no architecture"


def test_the_distribution_is_told_before_it_is_guessed() -> None:
    debian = _library("pkg:deb/debian/a@1?arch=all&distro=debian-12")
    assert parse_sbom(_bom(debian), "x").distro == Distro("debian", "12", "bookworm")
    system = {
        "type": "operating-system",
        "name": "debian",
        "version": "13.1",
        "properties": [{"name": "syft:distro:versionCodename", "value": "trixie"}],
    }
    assert parse_sbom(_bom(debian, system), "x").distro == Distro("debian", "13", "trixie")


@pytest.mark.parametrize(
    "component",
    [
        {"purl": f"pkg:oci/app@{DIGEST}?repository_url=registry.example.org/app"},
        {"purl": f"pkg:docker/app@1.0?digest={DIGEST}"},
        {"type": "container", "version": DIGEST},
        {"type": "container", "hashes": [{"alg": "SHA-256", "content": "a" * 64}]},
        {
            "type": "container",
            "properties": [{"name": "aquasecurity:trivy:RepoDigest", "value": f"app@{DIGEST}"}],
        },
    ],
)
def test_the_image_it_speaks_of(component: dict[str, Any]) -> None:
    assert parse_sbom(_bom(metadata={"component": component}), "x").subjects == (DIGEST,)


def test_the_id_of_a_configuration_is_no_image_it_speaks_of() -> None:
    properties = [{"name": "aquasecurity:trivy:ImageID", "value": DIGEST}]
    component = {"type": "container", "name": "app", "version": "1.0", "properties": properties}
    assert parse_sbom(_bom(metadata={"component": component}), "x").subjects == ()


def test_what_is_not_understood_is_counted_and_spoils_nothing() -> None:
    found = parse_sbom(
        _bom(
            _library("pkg:npm/a@1"),
            _library(None, name="boxes"),
            _library("pkg:npm/left-pad"),
            _library("nonsense"),
            _library(f"pkg:oci/app@{DIGEST}"),
            {"type": "file", "name": "/etc/passwd"},
            {"name": 5},
            None,
            "text",
        ),
        "x",
    )
    assert found.packages == (NPM,)
    assert found.problem is not None
    assert found.problem.startswith(
        "1 of 8 entries have no package URL: boxes; 5 of 8 entries are not"
    )
    assert "'left-pad' has no version" in found.problem
    assert "and 2 more; 1 of 8 entries are images and no packages" in found.problem


def test_a_list_without_packages_says_so() -> None:
    assert parse_sbom(_bom(), "x").problem == "it lists no packages"


def test_vulnerabilities_alone_are_no_bill_of_materials() -> None:
    body = {"bomFormat": "CycloneDX", "specVersion": "1.4", "vulnerabilities": [{"id": "CVE-1"}]}
    with pytest.raises(BadDocument, match="lists vulnerabilities and no components"):
        parse_sbom(json.dumps(body).encode(), "x")


def test_a_byte_order_mark_is_passed_over() -> None:
    assert parse_sbom(b"\xef\xbb\xbf" + _bom(_library("pkg:npm/a@1")), "x").packages == (NPM,)


def test_components_have_a_bound_to_their_depth() -> None:
    component = _library("pkg:npm/a@1")
    for _ in range(40):
        component = _library("pkg:npm/a@1", components=[component])
    with pytest.raises(TooDeep, match="components lie more than 32 deep"):
        parse_sbom(_bom(component), "x")
