"""Tags and media types of what lies beside images; what a real Cosign and a real BuildKit left."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imagecatalog.domain.images import ImageManifest, RawManifest
from imagecatalog.domain.refs import Digest
from imagecatalog.errors import BadDocument
from imagecatalog.formats.attached import read_content, read_tag
from imagecatalog.formats.oci import MEMBERS_LIMIT, is_artifact, parse_listing, parse_manifest
from imagecatalog.formats.provenance import parse_statement

DATA = Path(__file__).parents[2] / "data"
HEX = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("tag", "is_cosigns"),
    [(f"sha256-{HEX}", False)] + [(f"sha256-{HEX}.{end}", True) for end in ("att", "sbom", "sig")],
)
def test_tags_that_stand_for_attachments(tag: str, is_cosigns: bool) -> None:
    assert read_tag(tag) == (Digest(f"sha256:{HEX}"), is_cosigns)


@pytest.mark.parametrize(
    "tag",
    ["latest", "sha256-abc", f"sha256-{HEX}0", f"sha256-{HEX}.att2", f"sha512-{HEX}", f"sha256-{HEX.upper()}"],
)  # fmt: skip
def test_tags_that_do_not(tag: str) -> None:
    assert read_tag(tag) is None


@pytest.mark.parametrize(
    ("media_type", "artifact_type", "content"),
    [
        ("application/vnd.in-toto+json", "", "statement"),
        ("application/vnd.in-toto.provenance+dsse", "", "statement"),
        ("application/vnd.dsse.envelope.v1+json", "", "statement"),
        ("application/vnd.dev.sigstore.bundle.v0.3+json", "", "statement"),
        ("application/vnd.dev.sigstore.bundle+json;version=0.3", "", "statement"),
        ("application/vnd.cyclonedx+json", "", "sbom"),
        ("application/spdx+json", "", "sbom"),
        ("text/spdx+json", "", "sbom"),
        ("application/vnd.syft+json", "", "sbom"),
        ("application/octet-stream", "application/vnd.cyclonedx+json", "sbom"),
        ("application/vnd.dev.cosign.simplesigning.v1+json", "", "signature"),
        ("application/jose+json", "application/vnd.cncf.notary.signature", "signature"),
        ("application/vnd.oci.empty.v1+json", "application/vnd.cncf.notary.signature", "signature"),
        ("text/plain", "", "other"),
    ],
)
def test_what_a_media_type_means(media_type: str, artifact_type: str, content: str) -> None:
    assert read_content(media_type, artifact_type) == content


def test_one_bad_member_of_a_list_costs_only_itself() -> None:
    good = {"mediaType": "a/b", "digest": f"sha256:{HEX}", "size": 1, "artifactType": "x/y"}
    members = [{}, None, "text", {"digest": "sha256:no"}, good | {"size": -5}, good]
    found = parse_listing(json.dumps({"manifests": members}).encode(), "list")
    assert [(one.digest, one.artifact_type) for one in found] == [(f"sha256:{HEX}", "x/y")]


def test_a_list_is_bounded() -> None:
    good = {"mediaType": "a/b", "digest": f"sha256:{HEX}", "size": 1}
    body = json.dumps({"manifests": [good] * (MEMBERS_LIMIT + 5)}).encode()
    assert len(parse_listing(body, "list")) == MEMBERS_LIMIT


@pytest.mark.parametrize("body", [b"", b"[]", b'{"manifests": {}}', b"\xff"])
def test_what_is_no_list(body: bytes) -> None:
    with pytest.raises(BadDocument):
        parse_listing(body, "list")


@pytest.mark.parametrize("subject", ["3", '"sha256:no"', "[]", '{"digest": "no"}'])
def test_a_manifest_is_one_whatever_it_says_it_is_attached_to(subject: str) -> None:
    config = f'{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:{HEX}"}}'
    body = f'{{"schemaVersion":2,"config":{config},"layers":[],"subject":{subject}}}'.encode()
    manifest = parse_manifest(RawManifest(Digest.of(body), "", body))
    assert isinstance(manifest, ImageManifest)
    assert manifest.subject is None


@pytest.mark.parametrize(
    "path",
    [
        "buildkit/attestation-manifest.json",
        "cosign/att-manifest.json",
        "cosign/bundle-manifest.json",
        "cosign/sig-manifest.json",
    ],
)
def test_what_real_tools_attach_is_no_image(path: str) -> None:
    body = (DATA / path).read_bytes()
    manifest = parse_manifest(RawManifest(Digest.of(body), "", body))
    assert isinstance(manifest, ImageManifest)
    assert is_artifact(manifest)


@pytest.mark.parametrize("name", ["envelope.json", "bundle.json"])
def test_what_cosign_signed_is_unwrapped_and_not_verified(name: str) -> None:
    statement = parse_statement((DATA / "cosign" / name).read_bytes(), name)
    assert statement.signature == "unverified"
    assert statement.predicate_type == "https://slsa.dev/provenance/v0.2"
    assert statement.build is not None
    assert {one.role for one in statement.build.parents} == {"base", "stage", "copy"}
    assert len(statement.subjects) == 1
