"""The bill of materials of an image, over HTTP and on the command line."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from imagecatalog.formats.sbom import parse_sbom

KINDS = {"cyclonedx": "application/vnd.cyclonedx+json", "spdx": "application/spdx+json"}


@pytest.mark.parametrize("kind", KINDS)
def test_it_lists_what_the_catalog_lists(client: TestClient, worst: Any, kind: str) -> None:
    answer = client.get(f"/api/v1/images/{worst['digest']}/sbom?format={kind}")
    assert answer.headers["content-type"].startswith(KINDS[kind])
    found = parse_sbom(answer.content, "the answer")
    listed = client.get(f"/api/v1/images/{worst['digest']}/packages").json()["items"]
    assert {(one.name, one.arch, one.version, one.source) for one in found.packages} == {
        (one["package"], one["arch"], one["installed"], one["source"]) for one in listed
    }
    assert str(found.distro) == worst["distro"]
    assert found.subjects == (worst["digest"],)


def test_without_a_format_it_is_cyclonedx_and_stays_as_it_is(
    client: TestClient, worst: Any
) -> None:
    path = f"/api/v1/images/{worst['image']}/sbom"
    first = client.get(path)
    assert first.json()["bomFormat"] == "CycloneDX"
    again = client.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304


def test_unknown_images_and_formats_are_refused(client: TestClient, worst: Any) -> None:
    assert client.get("/api/v1/images/registry.example.org/none:1/sbom").status_code == 404
    assert client.get(f"/api/v1/images/{worst['digest']}/sbom?format=xml").status_code == 422
