"""Manifests, indexes and configurations: good ones, odd ones, and ones made to hurt."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagecatalog.domain.images import Descriptor, ImageIndex, ImageManifest, RawManifest
from imagecatalog.domain.refs import Digest, Platform
from imagecatalog.errors import BadDocument, TooDeep, TooLarge, TooManyEntries
from imagecatalog.formats.oci import (
    CONFIG_LIMIT,
    DEPTH_LIMIT,
    DOCKER_CONFIG,
    DOCKER_INDEX,
    DOCKER_MANIFEST,
    MANIFEST_LIMIT,
    MEMBERS_LIMIT,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
    ManifestSchema1,
    is_artifact,
    is_attestation,
    is_foreign,
    parse_config,
    parse_manifest,
)

A, B = str(Digest.of(b"a")), str(Digest.of(b"b"))
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def _part(media_type: str, digest: str = A, size: int = 7, **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest, "size": size, **more}


def _image(**more: Any) -> dict[str, Any]:
    body = {"schemaVersion": 2, "mediaType": OCI_MANIFEST}
    return {**body, "config": _part(OCI_CONFIG), "layers": [_part(LAYER, B)], **more}


def _index(*members: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": members, **more}


def _raw(document: object, media_type: str = "") -> RawManifest:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return RawManifest(Digest.of(body), media_type, body)


def test_an_image() -> None:
    parsed = parse_manifest(_raw(_image(annotations={"k": "v", "none": None})))
    assert parsed == ImageManifest(
        OCI_MANIFEST,
        Descriptor(OCI_CONFIG, Digest(A), 7),
        (Descriptor(LAYER, Digest(B), 7),),
        {"k": "v", "none": ""},
    )


def test_an_index_with_an_attestation() -> None:
    arm = _part(OCI_MANIFEST, platform={"os": "linux", "architecture": "arm64", "variant": "v8"})
    said = {"vnd.docker.reference.type": "attestation-manifest"}
    nowhere = {"os": "unknown", "architecture": "unknown"}
    parsed = parse_manifest(
        _raw(
            _index(
                arm,
                _part(OCI_MANIFEST, B, annotations=said),
                _part(OCI_MANIFEST, B, platform=nowhere),
            )
        )
    )
    assert isinstance(parsed, ImageIndex)
    assert parsed.manifests[0].platform == Platform("linux", "arm64")
    assert [is_attestation(member) for member in parsed.manifests] == [False, True, True]


@pytest.mark.parametrize(
    ("given_type", "document", "media_type"),
    [
        (f"{OCI_MANIFEST}; charset=utf-8", _image(mediaType=None), OCI_MANIFEST),
        (DOCKER_MANIFEST, _image(mediaType=""), DOCKER_MANIFEST),
        (DOCKER_INDEX, _index(mediaType=None), DOCKER_INDEX),
        ("application/json", _image(mediaType=None), OCI_MANIFEST),
        ("", _index(mediaType=None), OCI_INDEX),
        ("text/plain", _image(), OCI_MANIFEST),
    ],
)
def test_the_type_is_the_bodys_or_else_the_servers(
    given_type: str, document: dict[str, Any], media_type: str
) -> None:
    assert parse_manifest(_raw(document, given_type)).media_type == media_type


@pytest.mark.parametrize(
    ("given_type", "document"),
    [
        ("", {"schemaVersion": 1, "fsLayers": [], "signatures": []}),
        ("application/vnd.docker.distribution.manifest.v1+prettyjws", {}),
        ("application/vnd.docker.distribution.manifest.v1+json; charset=utf-8", b"not even JSON"),
    ],
)
def test_schema_1_is_named(given_type: str, document: object) -> None:
    with pytest.raises(ManifestSchema1, match="schema 1") as caught:
        parse_manifest(_raw(document, given_type))
    assert caught.value.code == "manifest-schema1"


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({}, "neither"),
        ([], "not the JSON"),
        (b"", "not the JSON"),
        (b'{"layers": [', "not the JSON"),
        (b'{"mediaType": "\xff"}', "not the JSON"),
        (_image(manifests=[]), "both"),
        (_image(mediaType=OCI_INDEX), "is not one"),
        (_index(mediaType=DOCKER_MANIFEST), "is not one"),
        (_image(mediaType="application/x"), "are not read"),
        ({"layers": []}, "names no config"),
        (_image(config=_part(OCI_CONFIG, "sha256:abc")), "config: 'sha256:abc' is not a digest"),
        (_image(config={"size": 1}), "not a digest"),
        (_image(layers=[_part(LAYER, size=-5)]), r"layers\[0\]"),
        (_image(layers=[_part(LAYER, size=2**63)]), "no size"),
        (_image(layers=[7]), "not the JSON"),
        (_image(layers="many"), "not the JSON"),
    ],
)
def test_what_is_no_manifest(document: object, why: str) -> None:
    with pytest.raises(BadDocument, match=why) as caught:
        parse_manifest(_raw(document))
    assert caught.value.code == "bad-document"


def test_a_body_that_contradicts_its_server() -> None:
    with pytest.raises(BadDocument, match="was sent as"):
        parse_manifest(_raw(_image(), OCI_INDEX))


def test_bounds() -> None:
    with pytest.raises(TooLarge):
        parse_manifest(_raw(b" " * (MANIFEST_LIMIT + 1)))
    with pytest.raises(TooLarge):
        parse_config(b" " * (CONFIG_LIMIT + 1), "config")
    with pytest.raises(TooManyEntries, match="manifests"):
        parse_manifest(_raw(_index(*[_part(OCI_MANIFEST)] * (MEMBERS_LIMIT + 1))))
    with pytest.raises(TooManyEntries, match="layers"):
        parse_manifest(_raw(_image(layers=[_part(LAYER)] * (MEMBERS_LIMIT + 1))))
    with pytest.raises(TooManyEntries, match="layers"):
        parse_config(json.dumps({"rootfs": {"diff_ids": [A] * (MEMBERS_LIMIT + 1)}}).encode(), "c")


@pytest.mark.parametrize("depth", [DEPTH_LIMIT, 1000, 100_000])
@pytest.mark.parametrize(("start", "end"), [(b"[", b"]"), (b'{"a":', b"}"), (b"[", b"")])
def test_deep_nesting(depth: int, start: bytes, end: bytes) -> None:
    nested = b'{"unread":' + start * depth + (b"1" if start != b"[" else b"") + end * depth + b"}"
    with pytest.raises(TooDeep):
        parse_manifest(_raw(nested))
    with pytest.raises(TooDeep):
        parse_config(nested, "config")


def test_brackets_in_texts_nest_nothing() -> None:
    text = '[{"\\' * 1000
    parsed = parse_config(json.dumps({"config": {"Labels": {"a": text}}}).encode(), "config")
    assert parsed.labels == {"a": text}


@pytest.mark.parametrize("piece", [b'"', b'\\"', b'"\\', b"\\", b"[]", b'"a"', b'"\\\\"'])
def test_no_body_takes_long(piece: bytes) -> None:
    for start in (b"", b'"', b'{"a":"'):
        body = start + piece * (1_000_000 // len(piece))
        began = time.process_time()
        with pytest.raises(BadDocument):
            parse_manifest(_raw(body))
        assert time.process_time() - began < 2


def test_a_configuration() -> None:
    config = parse_config(
        json.dumps(
            {
                "created": "2026-01-02T03:04:05.678901234+02:00",
                "os": "linux",
                "architecture": "arm",
                "variant": "v6",
                "config": {"Labels": {"a": "b", "nul": "x\0y", "none": None}, "Env": ["X=1"]},
                "rootfs": {"type": "layers", "diff_ids": [A, B]},
                "history": [{}],
            }
        ).encode(),
        "config",
    )
    assert config.created == datetime(2026, 1, 2, 1, 4, 5, 678901, tzinfo=UTC)
    assert config.platform == Platform("linux", "arm", "v6")
    assert config.labels == {"a": "b", "nul": "x\ufffdy", "none": ""}
    assert config.diff_ids == (A, B)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"created": None, "os": None, "architecture": None, "config": None, "rootfs": None},
        {"created": "", "config": {"Labels": None}, "rootfs": {"diff_ids": None}},
        {"created": "0001-01-01T00:00:00Z"},
        {"created": "0001-01-01T00:00:00+23:00"},
        {"created": "yesterday"},
    ],
)
def test_an_empty_configuration(document: dict[str, Any]) -> None:
    config = parse_config(json.dumps(document).encode(), "config")
    assert config.created is None
    assert config.platform == Platform("unknown", "unknown")
    assert config.labels == {}
    assert config.diff_ids == ()


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b'{"rootfs": {"diff_ids": ["x"]}}', b'{"config": []}']
)
def test_what_is_no_configuration(body: bytes) -> None:
    with pytest.raises(BadDocument):
        parse_config(body, "config")


def test_what_is_no_image() -> None:
    def manifest(config: str, *layers: str) -> ImageManifest:
        parsed = parse_manifest(
            _raw(_image(config=_part(config), layers=[_part(layer) for layer in layers]))
        )
        assert isinstance(parsed, ImageManifest)
        return parsed

    assert not is_artifact(manifest(OCI_CONFIG, LAYER))
    assert not is_artifact(manifest(OCI_CONFIG))
    assert not is_artifact(manifest(DOCKER_CONFIG, LAYER))
    assert is_artifact(manifest("application/vnd.oci.empty.v1+json", LAYER))
    assert is_artifact(manifest("application/vnd.cncf.helm.config.v1+json"))
    assert is_artifact(manifest(OCI_CONFIG, "application/vnd.in-toto+json"))


@pytest.mark.parametrize(
    ("media_type", "foreign"),
    [
        (LAYER, False),
        ("application/vnd.docker.image.rootfs.diff.tar.gzip", False),
        ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", True),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar", True),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", True),
    ],
)
def test_foreign_layers(media_type: str, foreign: bool) -> None:
    assert is_foreign(Descriptor(media_type, Digest(A), 1)) is foreign


_KEYS = [
    *("schemaVersion", "mediaType", "config", "layers", "manifests", "digest", "size", "platform"),
    *("annotations", "os", "os.features", "created", "rootfs", "diff_ids", "Labels"),
]
_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from([A, OCI_INDEX]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(_KEYS),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(_json.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=200))
def test_any_bytes_raise_only_our_errors(body: bytes) -> None:
    for parse in (lambda: parse_manifest(_raw(body)), lambda: parse_config(body, "config")):
        try:
            parse()
        except BadDocument as error:
            assert error.message  # noqa: PT017 - most inputs are refused, some are not
