"""SPDX documents of versions 2 and 3: their packages, and whose they are."""

from __future__ import annotations

import json
from typing import Any

import pytest

from imagecatalog.domain.packages import Distro, Package
from imagecatalog.errors import BadDocument
from imagecatalog.formats.sbom import parse_sbom

DIGEST = "sha256:" + "a" * 64
NPM = Package("npm", "a", "1", "", "a", "1")


def _ref(purl: str, category: str = "PACKAGE-MANAGER") -> dict[str, str]:
    return {"referenceCategory": category, "referenceType": "purl", "referenceLocator": purl}


def _package(purl: str | None, name: str = "x", **more: Any) -> dict[str, Any]:
    refs = [_ref(purl)] if purl else []
    return {"name": name, "SPDXID": f"SPDXRef-{name}", "externalRefs": refs} | more


def _document(*packages: Any, **more: Any) -> bytes:
    head = {
        "spdxVersion": "SPDX-2.3",
        "SPDXID": "SPDXRef-DOCUMENT",
        "creationInfo": {"creators": ["Organization: Anchore, Inc", "Tool: syft-1.18.1"]},
        "packages": packages,
    }
    return json.dumps(head | more).encode()


@pytest.mark.parametrize("version", ["2.2", "2.3"])
def test_each_version_is_read(version: str) -> None:
    found = parse_sbom(_document(_package("pkg:npm/a@1"), spdxVersion=f"SPDX-{version}"), "x")
    assert (found.format, found.tool) == (f"SPDX {version}", "syft 1.18.1")
    assert (found.packages, found.problem) == ((NPM,), None)


def test_other_versions_are_refused_by_name() -> None:
    with pytest.raises(BadDocument, match=r"SPDX version 'SPDX-2\.1' is not read"):
        parse_sbom(_document(spdxVersion="SPDX-2.1"), "x")


@pytest.mark.parametrize(
    ("creators", "tool"),
    [
        (["Tool: sigs.k8s.io/bom/pkg/spdx"], "sigs.k8s.io/bom/pkg/spdx"),
        (["Tool: spdx-maven-plugin"], "spdx-maven-plugin"),
        ([{"Person": "Nisha"}], None),
        (None, None),
        ([], None),
    ],
)
def test_the_tool_among_the_creators(creators: Any, tool: str | None) -> None:
    assert parse_sbom(_document(creationInfo={"creators": creators}), "x").tool == tool


def test_the_category_of_a_reference_does_not_matter() -> None:
    refs = [
        {"referenceType": "cpe23Type", "referenceLocator": "cpe:2.3:a:a:a:1"},
        _ref("pkg:npm/a@1", "PACKAGE_MANAGER"),
    ]
    assert parse_sbom(_document(_package(None, externalRefs=refs)), "x").packages == (NPM,)


def test_trivy_tells_source_and_distribution_in_its_own_words() -> None:
    found = parse_sbom(
        _document(
            _package(None, SPDXID="SPDXRef-OperatingSystem-1", name="debian", versionInfo="12.5"),
            _package(None, SPDXID="SPDXRef-ContainerImage-1", name="app"),
            _package(None, SPDXID="SPDXRef-Application-1", name="node-pkg"),
            _package(
                "pkg:deb/debian/bsdutils@2.38.1-5?arch=amd64&epoch=1",
                sourceInfo="built package from: util-linux 2.38.1-5",
            ),
        ),
        "x",
    )
    assert found.packages == (
        Package("deb", "bsdutils", "1:2.38.1-5", "amd64", "util-linux", "2.38.1-5"),
    )
    assert (found.distro, found.problem) == (Distro("debian", "12", "bookworm"), None)


@pytest.mark.parametrize(
    "root",
    [
        _package(f"pkg:oci/app@{DIGEST}?arch=amd64", "root"),
        _package(
            None,
            "root",
            primaryPackagePurpose="CONTAINER",
            checksums=[{"algorithm": "SHA256", "checksumValue": "a" * 64}],
        ),
        _package(None, "root", primaryPackagePurpose="CONTAINER", versionInfo=DIGEST),
    ],
)
@pytest.mark.parametrize(
    "about",
    [
        {"documentDescribes": ["SPDXRef-root"]},
        {
            "relationships": [
                {
                    "spdxElementId": "SPDXRef-DOCUMENT",
                    "relationshipType": "DESCRIBES",
                    "relatedSpdxElement": "SPDXRef-root",
                }
            ]
        },
        {
            "relationships": [
                {"relationshipType": "CONTAINS", "spdxElementId": "SPDXRef-root"},
                "nonsense that says DESCRIBES",
                {
                    "spdxElementId": "SPDXRef-root",
                    "relationshipType": "DESCRIBED_BY",
                    "relatedSpdxElement": "SPDXRef-DOCUMENT",
                },
            ]
        },
        {},
    ],
)
def test_the_image_it_speaks_of(root: dict[str, Any], about: dict[str, Any]) -> None:
    found = parse_sbom(_document(root, _package("pkg:npm/a@1"), **about), "x")
    assert (found.subjects, found.packages, found.problem) == ((DIGEST,), (NPM,), None)


def test_an_image_that_it_does_not_describe_is_no_subject() -> None:
    other = _package(f"pkg:oci/other@{DIGEST}", "other")
    found = parse_sbom(
        _document(_package(None, "root"), other, documentDescribes=["SPDXRef-root"]), "x"
    )
    assert found.subjects == ()
    assert found.problem == "1 of 1 entries are images and no packages"


def test_what_is_not_understood_is_counted_and_spoils_nothing() -> None:
    layer = _package(None, "f" * 64)
    found = parse_sbom(
        _document(
            _package("pkg:npm/a@1"), _package(None, "bash"), layer, {"name": 5}, None, _package("x")
        ),
        "x",
    )
    assert found.packages == (NPM,)
    assert found.problem is not None
    assert found.problem.startswith(
        "1 of 5 entries have no package URL: bash; 3 of 5 entries are not"
    )


def _graph(*elements: Any, version: str = "3.0.1") -> bytes:
    creation = {"@id": "_:c", "type": "CreationInfo", "specVersion": version}
    return json.dumps(
        {
            "@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld",
            "@graph": [
                creation,
                {"type": "Tool", "spdxId": "urn:t", "name": "syft"},
                {"type": "SpdxDocument", "spdxId": "urn:d", "rootElement": ["urn:root"]},
                *elements,
            ],
        }
    ).encode()


def _element(**more: Any) -> dict[str, Any]:
    return {"type": "software_Package", "spdxId": "urn:x", "name": "x"} | more


@pytest.mark.parametrize(
    "told",
    [
        {"software_packageUrl": "pkg:npm/a@1"},
        {
            "externalIdentifier": [
                {
                    "type": "ExternalIdentifier",
                    "externalIdentifierType": "cpe23",
                    "identifier": "cpe",
                },
                {
                    "type": "ExternalIdentifier",
                    "externalIdentifierType": "packageUrl",
                    "identifier": "pkg:npm/a@1",
                },
            ]
        },
        {
            "externalIdentifier": {
                "externalIdentifierType": "packageUrl",
                "identifier": "pkg:npm/a",
            },
            "software_packageVersion": "1",
        },
    ],
)
def test_version_3_tells_the_package_url_in_several_places(told: dict[str, Any]) -> None:
    found = parse_sbom(_graph(_element(**told)), "x")
    assert (found.format, found.tool, found.problem) == ("SPDX 3.0.1", "syft", None)
    assert found.packages == (NPM,)


def test_version_3_tells_image_and_distribution_by_purpose() -> None:
    found = parse_sbom(
        _graph(
            _element(
                spdxId="urn:root",
                software_primaryPurpose="container",
                verifiedUsing=[{"type": "Hash", "algorithm": "sha256", "hashValue": "a" * 64}],
            ),
            _element(
                name="debian",
                software_primaryPurpose="operatingSystem",
                software_packageVersion="12",
            ),
            {"type": "software_File", "spdxId": "urn:f", "name": "/bin/sh"},
            {"type": "Relationship", "from": "urn:root", "to": ["urn:x"]},
            _element(name="bash"),
            _element(name=5),
            5,
        ),
        "x",
    )
    assert found.subjects == (DIGEST,)
    assert found.distro == Distro("debian", "12", "bookworm")
    assert found.problem is not None
    assert found.problem.startswith(
        "1 of 2 entries have no package URL: bash; 1 of 2 entries are not"
    )


@pytest.mark.parametrize("version", ["3.1", "4", ""])
def test_other_versions_of_3_are_refused(version: str) -> None:
    with pytest.raises(BadDocument, match="is not read"):
        parse_sbom(_graph(version=version), "x")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "it is no JSON object"),
        (b"[]", "it is no JSON object"),
        (b"<bom/>", "it is XML"),
        (b"SPDXVersion: SPDX-2.2\n", "tag-value form"),
        (b"\xff\xfe{\0", "it is UTF-16, not UTF-8"),
        (b"{}", "it is no bill of materials we know"),
        (b'{"artifacts": [], "schema": {}}', "it is Syft's own format"),
        (b'{"spdxVersion": 2}', "it is not the JSON it should be"),
        (b'{"bomFormat": "CycloneDX", "components": {}}', "it is not the JSON it should be"),
        (b'{"bomFormat": "CycloneDX"', "it is not the JSON it should be"),
    ],
)
def test_what_is_no_bill_of_materials_is_refused_with_its_reason(body: bytes, why: str) -> None:
    with pytest.raises(BadDocument, match=why) as caught:
        parse_sbom(body, "sbom.json")
    assert caught.value.where == "sbom.json"
