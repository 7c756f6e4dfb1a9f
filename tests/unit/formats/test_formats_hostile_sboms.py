"""Bills of materials and attestations that mean harm: mutated, deep, endless, enormous."""

from __future__ import annotations

import json
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imagecatalog.domain.refs import encode_hook
from imagecatalog.errors import CatalogError, TooDeep, TooLarge, TooManyEntries
from imagecatalog.formats.buildx import parse_metadata
from imagecatalog.formats.inventory import SBOM_LIMIT
from imagecatalog.formats.provenance import parse_statement
from imagecatalog.formats.sbom import parse_sbom

Parser = Callable[[bytes, str], object]
PURL = "pkg:deb/debian/libssl3@3.0.15-1?arch=amd64&distro=debian-12&upstream=openssl"

CYCLONEDX = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.6",
    "metadata": {
        "tools": {"components": [{"name": "syft", "version": "1"}]},
        "component": {"type": "container", "purl": "pkg:oci/a@sha256:" + "a" * 64},
    },
    "components": [
        {"type": "operating-system", "name": "debian", "version": "12"},
        {
            "type": "library",
            "name": "libssl3",
            "version": "3",
            "purl": PURL,
            "properties": [{"name": "aquasecurity:trivy:SrcName", "value": "openssl"}],
            "hashes": [{"alg": "SHA-256", "content": "a" * 64}],
            "components": [{"type": "library", "name": "x"}],
        },
    ],
}
SPDX2 = {
    "spdxVersion": "SPDX-2.3",
    "creationInfo": {"creators": ["Tool: syft-1.0"]},
    "documentDescribes": ["root"],
    "packages": [
        {
            "SPDXID": "root",
            "name": "a",
            "versionInfo": "1",
            "primaryPackagePurpose": "CONTAINER",
            "checksums": [{"algorithm": "SHA256", "checksumValue": "a" * 64}],
        },
        {
            "SPDXID": "p",
            "name": "libssl3",
            "sourceInfo": "built package from: openssl 3",
            "externalRefs": [{"referenceType": "purl", "referenceLocator": PURL}],
        },
    ],
    "relationships": [
        {"spdxElementId": "d", "relationshipType": "DESCRIBES", "relatedSpdxElement": "root"}
    ],
}
SPDX3 = {
    "@context": "x",
    "@graph": [
        {"type": "CreationInfo", "specVersion": "3.0.1"},
        {"type": "SpdxDocument", "rootElement": ["root"]},
        {
            "type": "software_Package",
            "spdxId": "p",
            "name": "libssl3",
            "software_packageUrl": PURL,
            "externalIdentifier": [{"externalIdentifierType": "packageUrl", "identifier": PURL}],
            "verifiedUsing": [{"algorithm": "sha256", "hashValue": "a" * 64}],
        },
    ],
}
PREDICATE = {
    "buildType": "https://mobyproject.org/buildkit@v1",
    "builder": {"id": "https://ci.example.org/1"},
    "invocation": {
        "configSource": {"uri": "https://git.example.org/a.git", "digest": {"sha1": "a" * 40}},
        "parameters": {"frontend": "gateway.v0", "args": {"source": "docker/dockerfile:1"}},
    },
    "materials": [{"uri": "pkg:docker/a@1?platform=linux%2Famd64", "digest": {"sha256": "b" * 64}}],
    "metadata": {
        "buildStartedOn": "2026-11-01T10:00:00Z",
        "https://mobyproject.org/buildkit@v1#metadata": {"vcs": {"source": "x", "revision": "y"}},
    },
    "buildConfig": {
        "llbDefinition": [
            {"id": "step0", "op": {"Op": {"source": {"identifier": "docker-image://a:1"}}}},
            {
                "id": "step1",
                "op": {"Op": {"exec": {"mounts": [{"input": 0, "dest": "/", "output": 0}]}}},
                "inputs": ["step0:0"],
            },
        ]
    },
}
STATEMENT = {
    "_type": "https://in-toto.io/Statement/v0.1",
    "predicateType": "https://slsa.dev/provenance/v0.2",
    "subject": [{"name": "pkg:docker/a@1", "digest": {"sha256": "a" * 64}}],
    "predicate": PREDICATE,
}
METADATA = {"buildx.build.provenance": PREDICATE, "containerimage.digest": "sha256:" + "a" * 64}
DOCUMENTS: list[tuple[Parser, dict[str, Any]]] = [
    (parse_sbom, CYCLONEDX),
    (parse_sbom, SPDX2),
    (parse_sbom, SPDX3),
    (parse_statement, STATEMENT),
    (
        parse_statement,
        STATEMENT | {"predicateType": "https://spdx.dev/Document", "predicate": SPDX2},
    ),
    (parse_metadata, METADATA),
]

_ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(["\0", "pkg:", "sha256:" + "g" * 64, "\ud800", "9" * 5000, "https://["]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
)


def _mutate(value: Any, draw: Callable[[Any], Any]) -> Any:
    """The value with one place of it replaced, left out or doubled."""
    if isinstance(value, dict | list) and value and draw(st.integers(0, 4)):
        if isinstance(value, dict):
            key = draw(st.sampled_from(sorted(value)))
            changed = {name: part for name, part in value.items() if name != key}
            return changed | ({key: _mutate(value[key], draw)} if draw(st.integers(0, 5)) else {})
        position = draw(st.integers(0, len(value) - 1))
        return [*value[:position], _mutate(value[position], draw), *value[position:]]
    return draw(_ODD)


@pytest.mark.parametrize(("parse", "document"), DOCUMENTS)
@given(data=st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_a_changed_document_is_read_or_refused(
    parse: Parser, document: dict[str, Any], data: st.DataObject
) -> None:
    changed: Any = document
    for _ in range(data.draw(st.integers(1, 3))):
        changed = _mutate(changed, data.draw)
    body = json.dumps(changed).encode()
    try:
        found = parse(body, "x")
    except CatalogError as error:
        assert error.message.startswith("x")  # noqa: PT017
    else:
        assert b"\\u0000" not in msgspec.json.encode(found, enc_hook=encode_hook)


@pytest.mark.parametrize(("parse", "document"), DOCUMENTS)
@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_broken_bytes_are_read_or_refused(
    parse: Parser, document: dict[str, Any], data: st.DataObject
) -> None:
    body = bytearray(json.dumps(document).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(body) - 1))
        body[position : position + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        parse(bytes(body), "x")
    except CatalogError as error:
        assert error.message.startswith("x")  # noqa: PT017


@pytest.mark.parametrize(("parse", "document"), DOCUMENTS)
@pytest.mark.parametrize("pair", [(b"[", b"]"), (b'{"a":', b"}"), (b'{"components":[', b"]}")])
def test_deep_nesting_is_refused(
    parse: Parser, document: dict[str, Any], pair: tuple[bytes, bytes]
) -> None:
    opening, closing = pair
    deep = opening * 100_000 + b"1" + closing * 100_000
    for key in document:
        body = json.dumps(document | {key: "HERE"}).encode().replace(b'"HERE"', deep)
        with pytest.raises(CatalogError):
            parse(body, "x")
    with pytest.raises(TooDeep):
        parse(json.dumps(document).encode()[:-1] + b',"other":' + deep + b"}", "x")


@pytest.mark.parametrize("parse", [parse_sbom, parse_statement, parse_metadata])
@pytest.mark.parametrize("part", [b"0,", b"[],", b"{},", b'{"a":0},'])
def test_a_document_of_tiny_values_takes_little_memory(parse: Parser, part: bytes) -> None:
    body = b'{"components":[' + part * (20_000_000 // len(part)) + b"0]}"
    tracemalloc.start()
    with pytest.raises(TooManyEntries, match="more than 4000000 values"):
        parse(body, "x")
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("count", "why"),
    [(1_000_000, "more than 4000000 values"), (200_001, "lists more than 200000 packages")],
)
def test_too_many_packages_are_refused_soon(count: int, why: str) -> None:
    component = b'{"type":"library","name":"a","purl":"pkg:npm/a@1"},'
    body = b'{"bomFormat":"CycloneDX","specVersion":"1.6","components":[' + component * count
    started = time.process_time()
    with pytest.raises(TooManyEntries, match=why):
        parse_sbom(body[:-1] + b"]}", "x")
    assert time.process_time() - started < 20


def test_bytes_have_a_limit() -> None:
    with pytest.raises(TooLarge):
        parse_sbom(b" " * (SBOM_LIMIT + 1), "x")


def test_a_huge_text_costs_its_entry_alone() -> None:
    components = [
        {"purl": "pkg:npm/" + "a" * 10_000_000},
        {"purl": "pkg:npm/a@1", "name": "a" * 1_000_000},
    ]
    body = {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": components}
    found = parse_sbom(json.dumps(body).encode(), "x")
    assert len(found.packages) == 1
    assert len(found.problem or "") < 500
