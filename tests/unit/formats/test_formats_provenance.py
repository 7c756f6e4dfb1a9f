"""Attestations: what is taken out of envelopes, and what provenance says of a build."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from imagecatalog.domain.builds import Build, Parent, Statement
from imagecatalog.domain.refs import Digest
from imagecatalog.errors import BadDocument, TooLarge, TooManyEntries
from imagecatalog.formats.provenance import ENVELOPE_LIMIT, parse_statement

A, B, C = (Digest("sha256:" + letter * 64) for letter in "abc")
SLSA02 = "https://slsa.dev/provenance/v0.2"
SLSA1 = "https://slsa.dev/provenance/v1"
BUILDKIT02 = "https://mobyproject.org/buildkit@v1"
BUILDKIT1 = "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md"
ALPINE = {"uri": "pkg:docker/alpine@3.18?platform=linux%2Famd64", "digest": {"sha256": "b" * 64}}
GOLANG = {"uri": "pkg:docker/golang@1.22?platform=linux%2Famd64", "digest": {"sha256": "c" * 64}}
FRONTEND = {"uri": "pkg:docker/docker/dockerfile@1", "digest": {"sha256": "d" * 64}}


def _statement(predicate: Any, kind: str = SLSA02, **more: Any) -> dict[str, Any]:
    subject = {
        "name": "pkg:docker/registry.example.org/app@1.0?platform=linux%2Farm64",
        "digest": {"sha256": "a" * 64},
    }
    return {
        "_type": "https://in-toto.io/Statement/v0.1",
        "predicateType": kind,
        "subject": [subject],
        "predicate": predicate,
    } | more


def _read(predicate: Any, kind: str = SLSA02, **more: Any) -> Statement:
    return parse_statement(json.dumps(_statement(predicate, kind, **more)).encode(), "x")


def _build(predicate: Any, kind: str = SLSA02) -> Build:
    build = _read(predicate, kind).build
    assert build is not None
    return build


def _envelope(statement: Any, **more: Any) -> dict[str, Any]:
    payload = base64.b64encode(json.dumps(statement).encode()).decode()
    return {
        "payloadType": "application/vnd.in-toto+json",
        "payload": payload,
        "signatures": [{"keyid": "", "sig": "c2ln"}],
    } | more


def _kit02(materials: list[Any], **more: Any) -> dict[str, Any]:
    return {"buildType": BUILDKIT02, "materials": materials} | more


def _kit1(dependencies: list[Any], **more: Any) -> dict[str, Any]:
    definition = {"buildType": BUILDKIT1, "resolvedDependencies": dependencies}
    return {"buildDefinition": definition | more}


def test_what_buildkit_says_in_version_02() -> None:
    predicate = _kit02(
        [FRONTEND, ALPINE],
        builder={"id": "https://ci.example.org/runs/7"},
        invocation={
            "configSource": {"entryPoint": "Dockerfile"},
            "parameters": {
                "frontend": "gateway.v0",
                "args": {
                    "cmdline": "docker/dockerfile:1",
                    "source": "docker/dockerfile:1",
                    "label:maintainer": "team",
                },
                "locals": [{"name": "context"}],
            },
            "environment": {"platform": "linux/amd64"},
        },
        metadata={
            "buildInvocationID": "abc",
            "buildStartedOn": "2026-11-01T10:00:00.5Z",
            "buildFinishedOn": "2026-11-01T12:02:00+02:00",
            "https://mobyproject.org/buildkit@v1#metadata": {
                "vcs": {
                    "source": "https://token@git.example.org/app.git",
                    "revision": "f" * 40,
                    "localdir:dockerfile": "images/app",
                }
            },
        },
    )
    assert _read(predicate) == Statement(
        subjects=(A,),
        predicate_type=SLSA02,
        signature="none",
        build=Build(
            image="registry.example.org/app:1.0",
            platform="linux/arm64",
            builder="buildkit",
            started=datetime(2026, 11, 1, 10, 0, 0, 500000, tzinfo=UTC),
            finished=datetime(2026, 11, 1, 10, 2, tzinfo=UTC),
            source_repository="https://git.example.org/app.git",
            source_revision="f" * 40,
            source_path="images/app/Dockerfile",
            link="https://ci.example.org/runs/7",
            parents=(Parent(image="docker.io/library/alpine:3.18", digest=B),),
            labels={"maintainer": "team"},
        ),
    )


def test_what_buildkit_says_in_version_1() -> None:
    git = {"uri": "https://git.example.org/app.git#refs/tags/v1", "digest": {"sha1": "e" * 40}}
    predicate = _kit1(
        [ALPINE, git],
        externalParameters={
            "configSource": {
                "uri": "https://git.example.org/app.git#refs/tags/v1",
                "path": "Dockerfile",
            },
            "request": {"frontend": "dockerfile.v0", "args": {"label:a": "b"}},
        },
    )
    predicate["runDetails"] = {
        "builder": {"id": "", "version": {"buildkit": "0.26.0"}},
        "metadata": {
            "invocationID": "abc",
            "startedOn": "2026-11-01T10:00:00Z",
            "finishedOn": "2026-11-01T10:02:00Z",
        },
    }
    assert _build(predicate, SLSA1) == Build(
        image="registry.example.org/app:1.0",
        platform="linux/arm64",
        builder="buildkit",
        builder_version="0.26.0",
        started=datetime(2026, 11, 1, 10, tzinfo=UTC),
        finished=datetime(2026, 11, 1, 10, 2, tzinfo=UTC),
        source_repository="https://git.example.org/app.git",
        source_revision="e" * 40,
        source_path="Dockerfile",
        parents=(Parent(image="docker.io/library/alpine:3.18", digest=B),),
        labels={"a": "b"},
    )


def test_blubber_is_the_builder_and_no_parent() -> None:
    name = "docker-registry.example.org/repos/releng/blubber/buildkit"
    blubber = {"uri": f"pkg:docker/{name}@v1.2.0", "digest": {"sha256": "d" * 64}}
    args = {"source": f"{name}:v1.2.0"}
    build = _build(
        _kit02(
            [blubber, ALPINE], invocation={"parameters": {"frontend": "gateway.v0", "args": args}}
        )
    )
    assert (build.builder, build.builder_version) == ("blubber", "v1.2.0")
    assert [parent.digest for parent in build.parents] == [B]


def test_a_frontend_is_told_from_a_parent_by_what_was_asked() -> None:
    inner = {"frontend": "gateway.v0", "args": {"source": "registry.example.org/own/frontend:2"}}
    own = {"uri": "pkg:docker/registry.example.org/own/frontend@2", "digest": {"sha256": "d" * 64}}
    request = {"frontend": "dockerfile.v0", "root": {"request": inner}}
    build = _build(_kit1([own, ALPINE], externalParameters={"request": request}), SLSA1)
    assert [parent.digest for parent in build.parents] == [B]


def test_the_generator_of_sboms_is_a_tool() -> None:
    scanner = {
        "uri": "pkg:docker/docker/buildkit-syft-scanner@stable-1?platform=linux%2Famd64",
        "digest": {"sha256": "d" * 64},
    }
    args = {"source": "docker/dockerfile:1"}
    request = {"parameters": {"frontend": "gateway.v0", "args": args}}
    build = _build(_kit02([FRONTEND, ALPINE, scanner], invocation=request))
    assert [(parent.role, parent.digest) for parent in build.parents] == [("base", B)]


def test_of_several_images_without_steps_none_is_told_as_the_base() -> None:
    build = _build(_kit02([FRONTEND, ALPINE, GOLANG]))
    assert build.parents == (
        Parent(image="docker.io/library/alpine:3.18", digest=B, role="stage"),
        Parent(image="docker.io/library/golang:1.22", digest=C, role="stage"),
    )


def test_images_of_other_builders_may_be_tools() -> None:
    build = _build({"buildType": "tekton.dev/v1beta1/TaskRun", "materials": [ALPINE]})
    assert [parent.role for parent in build.parents] == ["stage"]


def test_steps_tell_the_roles_and_materials_the_digests() -> None:
    steps = [
        _source("step0", "docker-image://docker.io/library/golang:1.22"),
        _exec("step1", "step0:0"),
        _source("step2", f"docker-image://docker.io/library/alpine:3.18@{B}"),
        _copy("step3", "step2:0", "step1:0"),
        {"id": "step4", "op": {"Op": {}}, "inputs": ["step3:0"]},
    ]
    expected = (
        Parent(image="docker.io/library/alpine:3.18", digest=B, role="base"),
        Parent(image="docker.io/library/golang:1.22", digest=C, role="stage"),
    )
    config = {"llbDefinition": steps, "digestMapping": {}}
    materials = [FRONTEND, GOLANG, ALPINE]
    assert _build(_kit02(materials, buildConfig=config)).parents == expected
    predicate = _kit1(materials, internalParameters={"buildConfig": config})
    assert _build(predicate, SLSA1).parents == expected


def _source(name: str, identifier: str) -> dict[str, Any]:
    return {"id": name, "op": {"Op": {"source": {"identifier": identifier}}}}


def _exec(name: str, *inputs: str) -> dict[str, Any]:
    mounts = [{"dest": "/", "output": 0}]
    return {"id": name, "op": {"Op": {"exec": {"mounts": mounts}}}, "inputs": list(inputs)}


def _copy(name: str, *inputs: str) -> dict[str, Any]:
    actions = [{"input": 0, "secondaryInput": 1, "output": 0, "Action": {"copy": {}}}]
    return {"id": name, "op": {"Op": {"file": {"actions": actions}}}, "inputs": list(inputs)}


def test_what_github_says() -> None:
    predicate = {
        "buildDefinition": {
            "buildType": "https://actions.github.io/buildtypes/workflow/v1",
            "externalParameters": {
                "workflow": {
                    "ref": "refs/heads/main",
                    "repository": "https://github.com/octo/app",
                    "path": ".github/workflows/build.yml",
                }
            },
            "resolvedDependencies": [
                {
                    "uri": "git+https://github.com/octo/app@refs/heads/main",
                    "digest": {"gitCommit": "e" * 40},
                }
            ],
        },
        "runDetails": {
            "builder": {"id": "https://github.com/actions/runner/github-hosted"},
            "metadata": {"invocationId": "https://github.com/octo/app/actions/runs/1/attempts/1"},
        },
    }
    subject = [{"name": "ghcr.io/octo/app", "digest": {"sha256": "a" * 64}}]
    found = _read(predicate, SLSA1, subject=subject, _type="https://in-toto.io/Statement/v1")
    assert found.subjects == (A,)
    assert found.build == Build(
        builder="github-actions",
        source_repository="https://github.com/octo/app",
        source_revision="e" * 40,
        source_path=".github/workflows/build.yml",
        link="https://github.com/octo/app/actions/runs/1/attempts/1",
    )


@pytest.mark.parametrize(
    ("uri", "image", "digest"),
    [
        ("pkg:docker/ghcr.io/octo/app@1", "ghcr.io/octo/app:1", C),
        ("pkg:docker/localhost%3A5000/app@1", "localhost:5000/app:1", C),
        (f"pkg:docker/app@{B}", "docker.io/library/app", C),
        ("pkg:docker/team/app@1?repository_url=gcr.io", "gcr.io/team/app:1", C),
        (
            f"pkg:oci/app@{B}?repository_url=registry.example.org/team/app&tag=1",
            "registry.example.org/team/app:1",
            C,
        ),
        ("pkg:oci/app@latest?platform=linux%2Famd64", None, C),
        (f"docker-image://docker.io/library/app:1@{B}", "docker.io/library/app:1", C),
        ("oci://gcr.io/team/app", "gcr.io/team/app", C),
        (f"oci-layout://stored@{B}", None, C),
        ("docker-image://NOT A NAME", None, C),
    ],
)
def test_images_have_many_spellings(uri: str, image: str | None, digest: Digest) -> None:
    build = _build(_kit02([{"uri": uri, "digest": {"sha256": "c" * 64}}]))
    assert build.parents == (Parent(image=image, digest=digest),)


@pytest.mark.parametrize(
    "material",
    [
        {"uri": "https://example.org/file.tar", "digest": {"sha256": "c" * 64}},
        {"uri": "pkg:docker/app@1?ref_type=blob", "digest": {"sha256": "c" * 64}},
        {"uri": "pkg:docker/NO%20NAME@1"},
        {"uri": "pkg:nonsense"},
        {"uri": None},
        {},
    ],
)
def test_what_is_no_image_is_no_parent(material: dict[str, Any]) -> None:
    assert _build(_kit02([material])).parents == ()


def test_a_digest_that_is_none_is_not_told() -> None:
    material = ALPINE | {"digest": {"sha256": "nonsense", "gitCommit": "e" * 40}}
    assert _build(_kit02([material])).parents == (Parent(image="docker.io/library/alpine:3.18"),)


def test_subjects_are_kept_as_they_are_told() -> None:
    subjects = [
        {"name": "pkg:docker/a@1", "digest": {"sha256": "a" * 64}},
        {"name": "pkg:docker/b@2", "digest": {"sha256": "a" * 64, "sha512": "b" * 128}},
        {"name": "c", "digest": {"sha512": "b" * 128}},
        {"name": "d", "digest": {"sha256": "short"}},
        {"name": "e", "digest": "nonsense"},
        "nonsense",
    ]
    found = _read(_kit02([]), subject=subjects)
    assert found.subjects == (A, "sha512:" + "b" * 128)
    assert found.build is not None
    assert found.build.image == "docker.io/library/a:1"


def test_envelopes_are_taken_off_and_a_signature_is_said() -> None:
    statement = _statement(_kit02([]))
    plain = parse_statement(json.dumps(statement).encode(), "x")
    bundle = {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {},
        "dsseEnvelope": _envelope(statement),
    }
    for wrapped in (_envelope(statement), bundle):
        found = parse_statement(json.dumps(wrapped).encode(), "x")
        assert found.signature == "unverified"
        assert (found.subjects, found.build) == (plain.subjects, plain.build)
    unsigned = _envelope(statement, signatures=[])
    assert (
        parse_statement(json.dumps(unsigned).encode(), "x").signature == plain.signature == "none"
    )


def test_base64_may_be_of_the_kind_for_urls() -> None:
    statement = _statement(_kit02([]), note="??>>~~")
    envelope = _envelope(statement)
    envelope["payload"] = base64.urlsafe_b64encode(
        json.dumps(statement, ensure_ascii=False).encode()
    ).decode()
    assert parse_statement(json.dumps(envelope).encode(), "x").subjects == (A,)


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (_envelope({}, payload="%%%"), "is not base64"),
        (_envelope({}, payload="é"), "is not base64"),
        (_envelope({}, payloadType="text/plain"), "its envelope holds 'text/plain'"),
        (_envelope(_envelope(_statement({}))), "is not a statement that we read"),
        ({"messageSignature": {"signature": "c2ln"}}, "states nothing"),
        ({"dsseEnvelope": 5}, "it is not the JSON it should be"),
        (
            _statement({}, _type="https://in-toto.io/Statement/v2"),
            "is not a statement that we read",
        ),
        ({}, "'None' is not a statement that we read"),
        ([], "it is not the JSON it should be"),
        (_statement(None), "it is not the JSON it should be"),
        (_statement({"materials": 5}), "it is not the JSON it should be"),
    ],
)
def test_what_is_no_statement_is_refused_with_its_reason(document: Any, why: str) -> None:
    with pytest.raises(BadDocument, match=why):
        parse_statement(json.dumps(document).encode(), "x")


@pytest.mark.parametrize(
    "kind",
    [
        "https://spdx.dev/Document",
        "https://spdx.dev/Document/v2.3",
    ],
)
def test_a_bill_of_materials_may_be_what_is_stated(kind: str) -> None:
    refs = [{"referenceType": "purl", "referenceLocator": "pkg:npm/a@1"}]
    spdx = {"spdxVersion": "SPDX-2.3", "packages": [{"name": "a", "externalRefs": refs}]}
    for predicate in (spdx, {"Data": spdx}, {"Data": json.dumps(spdx), "Timestamp": ""}):
        found = _read(predicate, kind)
        assert found.build is None
        assert found.inventory is not None
        assert [package.name for package in found.inventory.packages] == ["a"]


def test_cyclonedx_may_be_what_is_stated() -> None:
    bom = {"bomFormat": "CycloneDX", "specVersion": "1.5", "components": []}
    inventory = _read(bom, "https://cyclonedx.org/bom").inventory
    assert inventory is not None
    assert inventory.format == "CycloneDX 1.5"


def test_other_predicates_are_named_and_no_more() -> None:
    found = _read({"anything": 1}, "https://cosign.sigstore.dev/attestation/vuln/v1")
    assert (found.build, found.inventory) == (None, None)
    assert found.predicate_type == "https://cosign.sigstore.dev/attestation/vuln/v1"


def test_limits() -> None:
    with pytest.raises(TooLarge):
        parse_statement(b" " * (ENVELOPE_LIMIT + 1), "x")
    with pytest.raises(TooManyEntries, match="1001 subjects"):
        _read(_kit02([]), subject=[{}] * 1001)
    with pytest.raises(TooManyEntries, match="10001 materials"):
        _read(_kit02([{}] * 10001))
    many = [{"uri": f"pkg:docker/image{number}@1"} for number in range(1001)]
    with pytest.raises(TooManyEntries, match="1001 images"):
        _read(_kit02(many))


def test_texts_are_bounded_and_clean() -> None:
    args = {f"label:{number}": "x\0" * 5000 for number in range(300)}
    predicate = _kit02(
        [],
        builder={"id": "http://" + "x" * 5000},
        invocation={"configSource": {"uri": "u\0" * 5000}, "parameters": {"args": args}},
    )
    build = _build(predicate)
    assert len(build.labels) == 200
    assert {len(value) for value in build.labels.values()} == {1000}
    assert "\\x00" not in repr(build)
    assert len(build.source_repository or "") == len(build.link or "") == 1000
