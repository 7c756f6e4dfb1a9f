"""What buildx writes of the builds that it had done."""

from __future__ import annotations

import json
from typing import Any

import pytest

from imagecatalog.domain.builds import Build, Parent
from imagecatalog.domain.refs import Digest
from imagecatalog.errors import BadDocument, TooManyEntries
from imagecatalog.formats.buildx import parse_metadata

A, B = (Digest("sha256:" + letter * 64) for letter in "ab")
PROVENANCE = {
    "buildType": "https://mobyproject.org/buildkit@v1",
    "materials": [
        {"uri": "pkg:docker/docker/dockerfile@1", "digest": {"sha256": "c" * 64}},
        {
            "uri": "pkg:docker/registry.example.org/bookworm@1?platform=linux%2Famd64",
            "digest": {"sha256": "b" * 64},
        },
    ],
}
BUILD = Build(
    image="registry.example.org/app:1.0",
    digest=A,
    builder="buildkit",
    parents=(Parent(image="registry.example.org/bookworm:1", digest=B),),
)
TARGET = {
    "buildx.build.provenance": PROVENANCE,
    "buildx.build.ref": "default/default/abc",
    "containerimage.config.digest": "sha256:" + "d" * 64,
    "containerimage.descriptor": {"mediaType": "x", "digest": A, "size": 506},
    "containerimage.digest": A,
    "image.name": "registry.example.org/app:latest,registry.example.org/app:1.0",
}


def _read(document: Any) -> tuple[Build, ...]:
    return parse_metadata(json.dumps(document).encode(), "metadata.json")


def test_a_build_for_one_platform() -> None:
    assert _read(TARGET) == (BUILD,)


def test_a_build_without_provenance_is_a_build_still() -> None:
    assert _read({"containerimage.digest": A}) == (Build(digest=A, builder="buildkit"),)
    named = _read({"image.name": "app"})
    assert named == (Build(image="docker.io/library/app:latest", builder="buildkit"),)


def test_a_build_for_several_platforms_is_one_for_each() -> None:
    target = {name: value for name, value in TARGET.items() if name != "buildx.build.provenance"}
    predicate = {"buildDefinition": {"buildType": "https://mobyproject.org/buildkit@v1"}}
    first, second = _read(
        target
        | {
            "buildx.build.provenance/linux/amd64": PROVENANCE,
            "buildx.build.provenance/linux/arm64": predicate,
        }
    )
    assert (first.platform, first.digest, first.parents) == ("linux/amd64", A, BUILD.parents)
    assert (second.platform, second.digest, second.parents) == ("linux/arm64", A, ())


def test_bake_writes_one_for_each_target() -> None:
    builds = _read({"buildx.build.warnings": [], "app": TARGET, "lint": {}, "nothing": None})
    assert builds == (BUILD,)


@pytest.mark.parametrize(
    "document",
    [
        {},
        [],
        {"app": {}},
        {"app": 5},
        {"containerimage.digest": 5},
        {"containerimage.digest": "nonsense"},
        {"image.name": "NO NAME, ALSO NONE"},
        {"buildx.build.ref": "default/default/abc"},
        {"containerimage.digest": A, "buildx.build.provenance": []},
    ],
)
def test_what_names_no_image_is_refused(document: Any) -> None:
    with pytest.raises(BadDocument, match=r"^metadata\.json"):
        _read(document)


def test_a_file_has_a_bound_to_its_targets() -> None:
    with pytest.raises(TooManyEntries):
        _read({str(number): {} for number in range(1001)})
