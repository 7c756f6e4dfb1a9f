"""VEX documents of three kinds: which product a statement is about, and what is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagecatalog.domain.refs import DEFAULT_REGISTRY
from imagecatalog.domain.suppressions import VexStatement
from imagecatalog.errors import BadDocument, LimitExceeded, TooDeep, TooLarge, TooManyEntries
from imagecatalog.formats import vex_products
from imagecatalog.formats.vex import LIMIT, parse_vex
from imagecatalog.formats.vex_products import name_product

SHA = "sha256:" + 64 * "a"
OPENVEX: dict[str, Any] = {
    "@context": "https://openvex.dev/ns/v0.2.0",
    "@id": "https://vendor.example.org/vex/1",
    "author": "Vendor",
    "timestamp": "2026-11-20T12:00:00+02:00",
    "version": 1,
    "statements": [],
}


def openvex(*statements: dict[str, Any], **more: Any) -> bytes:
    return json.dumps(OPENVEX | {"statements": statements} | more).encode()


def state(product: object = "pkg:deb/debian/openssl", **more: Any) -> dict[str, Any]:
    return {
        "vulnerability": {"name": "CVE-2026-1"},
        "products": [{"@id": product} if isinstance(product, str) else product],
        "status": "not_affected",
        "justification": "component_not_present",
    } | more


def csaf(
    tree: dict[str, Any], *vulnerabilities: dict[str, Any], category: str = "csaf_vex"
) -> bytes:
    return json.dumps(
        {
            "document": {
                "category": category,
                "csaf_version": "2.0",
                "publisher": {"name": "Vendor", "category": "vendor"},
                "tracking": {"id": "V-1", "current_release_date": "2026-11-20T12:00:00Z"},
            },
            "product_tree": tree,
            "vulnerabilities": vulnerabilities,
        }
    ).encode()


def full(number: str, **helper: Any) -> dict[str, Any]:
    return {"product_id": number, "name": number, "product_identification_helper": helper}


def spared(*numbers: str) -> dict[str, Any]:
    return {
        "cve": "CVE-2026-1",
        "product_status": {"known_not_affected": numbers},
        "flags": [{"label": "component_not_present", "product_ids": numbers}],
    }


def cyclonedx(vulnerability: dict[str, Any], **more: Any) -> bytes:
    return json.dumps(
        {
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "serialNumber": "urn:uuid:1",
            "metadata": {"timestamp": "2026-11-20T12:00:00Z", "authors": [{"name": "Vendor"}]},
            "vulnerabilities": [vulnerability],
        }
        | more
    ).encode()


def only(body: bytes) -> VexStatement:
    [statement] = parse_vex(body, "here").statements
    return statement


def fields(statement: VexStatement) -> dict[str, str]:
    """What a statement says of its product."""
    product = {name: getattr(statement, name) for name in vex_products.Product.__struct_fields__}
    return {name: value for name, value in product.items() if value is not None}


@pytest.mark.parametrize(
    ("purl", "expected"),
    [
        (f"pkg:oci/app@{SHA}", {"image_digest": SHA, "repository": "app"}),
        (f"pkg:oci/app@{SHA.replace(':', '%3A')}", {"image_digest": SHA, "repository": "app"}),
        (
            "pkg:oci/app?repository_url=registry.example.org/team/app&tag=1.0",
            {"repository": "registry.example.org/team/app", "tag": "1.0"},
        ),
        (
            "pkg:oci/app?repository_url=https://registry.example.org/team",
            {"repository": "registry.example.org/team/app"},
        ),
        ("pkg:oci/trivy", {"repository": "trivy"}),
        (
            f"pkg:oci/trivy?repository_url=index.{DEFAULT_REGISTRY}/aquasec/trivy",
            {"repository": f"{DEFAULT_REGISTRY}/aquasec/trivy"},
        ),
        ("pkg:docker/team/app@1.0", {"repository": f"{DEFAULT_REGISTRY}/team/app", "tag": "1.0"}),
        (
            "pkg:docker/team/app@1?repository_url=registry.example.org",
            {"repository": "registry.example.org/team/app", "tag": "1"},
        ),
        ("pkg:oci/app?arch=arm64", {"repository": "app", "within": "images for arm64"}),
        ("pkg:deb/debian/openssl", {"type": "deb", "namespace": "debian", "name": "openssl"}),
        (
            "pkg:deb/debian/openssl@3.0?distro=bookworm",
            {
                "type": "deb",
                "namespace": "debian",
                "name": "openssl",
                "version": "3.0",
                "scope": "debian/bookworm",
            },
        ),
        (
            "pkg:deb/debian/openssl?distro=nowhere",
            {"type": "deb", "namespace": "debian", "name": "openssl", "scope": "debian/nowhere"},
        ),
        (
            "pkg:rpm/rhel/bash@5-1.el9?epoch=2&arch=x86_64",
            {"type": "rpm", "namespace": "redhat", "name": "bash", "version": "2:5-1.el9"},
        ),
        (
            "pkg:rpm/redhat/bash?arch=s390x",
            {"type": "rpm", "namespace": "redhat", "name": "bash", "within": "arch s390x"},
        ),
        ("pkg:pypi/Zope.Interface@5", {"type": "pypi", "name": "zope-interface", "version": "5"}),
        (
            "pkg:golang/github.com/x/y@v1",
            {"type": "golang", "name": "github.com/x/y", "version": "v1"},
        ),
        ("pkg:maven/org.x/y", {"type": "maven", "name": "org.x:y"}),
        ("a thing", {"within": "a thing"}),
        ("pkg:oci/App?repository_url=UP/CASE", {"within": "pkg:oci/App?repository_url=UP/CASE"}),
    ],
)
def test_a_package_url_names_an_image_or_a_package(purl: str, expected: dict[str, str]) -> None:
    assert fields(only(openvex(state(purl)))) == expected


def test_openvex_says_who_when_and_why() -> None:
    body = openvex(
        state(vulnerability={"name": "CVE-2026-1", "aliases": ["GHSA-AAAA-bbbb-cccc"]}),
        state(
            vulnerability={"@id": "https://nvd.example.org/detail/cve-2026-2"},
            justification=None,
            impact_statement="Not built in.",
            timestamp="2026-01-02T00:00:00Z",
        ),
    )
    document = parse_vex(body, "here")
    assert (document.author, document.name, document.format) == (
        "Vendor",
        "https://vendor.example.org/vex/1",
        "OpenVEX 0.2.0",
    )
    assert document.issued == datetime(2026, 11, 20, 10, tzinfo=UTC)
    first, second = document.statements
    assert first.names == ("CVE-2026-1", "GHSA-aaaa-bbbb-cccc")
    assert (first.justification, first.issued) == ("component_not_present", None)
    assert second.names == ("CVE-2026-2",)
    assert (second.statement, second.issued) == ("Not built in.", datetime(2026, 1, 2, tzinfo=UTC))


def test_a_part_is_meant_in_its_product() -> None:
    image = {"@id": f"pkg:oci/app@{SHA}", "subcomponents": [{"@id": "pkg:deb/debian/openssl"}]}
    assert fields(only(openvex(state(image)))) == {
        "image_digest": SHA,
        "repository": "app",
        "type": "deb",
        "namespace": "debian",
        "name": "openssl",
    }
    module = {
        "@id": "pkg:golang/github.com/x/y@v1",
        "subcomponents": [{"@id": "pkg:golang/stdlib@1.24"}],
    }
    assert fields(only(openvex(state(module)))) == {
        "type": "golang",
        "name": "stdlib",
        "version": "1.24",
        "within": "github.com/x/y v1",
    }


def test_the_older_shape_of_openvex() -> None:
    body = openvex(
        {
            "vulnerability": "CVE-2026-1",
            "products": ["pkg:oci/app"],
            "subcomponents": ["pkg:apk/alpine/busybox@1"],
            "status": "fixed",
        },
        **{"@context": "https://openvex.dev/ns"},
    )
    assert fields(only(body)) == {
        "repository": "app",
        "type": "apk",
        "namespace": "alpine",
        "name": "busybox",
        "version": "1",
    }


def test_a_package_of_csaf_is_meant_in_its_release() -> None:
    tree = {
        "full_product_names": [
            full("rhel", cpe="cpe:/o:redhat:enterprise_linux:9::baseos"),
            full("eus", cpe="cpe:/o:redhat:rhel_eus:9.2"),
            full("bash", purl="pkg:rpm/redhat/bash"),
            full("image", purl=f"pkg:oci/app@{SHA}"),
        ],
        "relationships": [
            {
                "category": "default_component_of",
                "full_product_name": {"product_id": f"{whole}:{part}", "name": "joined"},
                "product_reference": part,
                "relates_to_product_reference": whole,
            }
            for whole, part in (
                ("rhel", "bash"),
                ("eus", "bash"),
                ("image", "bash"),
                ("eus", "image"),
            )
        ],
    }
    numbers = ["rhel:bash", "eus:bash", "image:bash", "eus:image"]
    document = parse_vex(csaf(tree, spared(*numbers)), "here")
    bash = {"type": "rpm", "namespace": "redhat", "name": "bash"}
    image = {"image_digest": SHA, "repository": "app"}
    assert [fields(one) for one in document.statements] == [
        bash | {"scope": "redhat/9"},
        bash | {"within": "eus"},
        bash | image,
        image,
    ]
    assert (document.author, document.name, document.format) == ("Vendor", "V-1", "CSAF 2.0")
    assert {one.justification for one in document.statements} == {"component_not_present"}


@pytest.mark.parametrize(
    ("category", "name", "expected"),
    [
        ("product_version", "3.0.11", {"version": "3.0.11"}),
        ("product_version", "openssl", {}),
        ("product_version_range", "vers:deb/<3", {"version": "vers:deb/<3"}),
        ("product_version_range", "<3", {"within": "versions <3"}),
    ],
)
def test_a_branch_may_name_the_version(category: str, name: str, expected: dict[str, str]) -> None:
    branch = {
        "category": category,
        "name": name,
        "product": full("p", purl="pkg:deb/debian/openssl"),
    }
    tree = {"branches": [{"category": "vendor", "name": "v", "branches": [branch]}]}
    assert (
        fields(only(csaf(tree, spared("p"))))
        == {
            "type": "deb",
            "namespace": "debian",
            "name": "openssl",
        }
        | expected
    )


def test_statuses_of_csaf_with_their_words() -> None:
    tree = {
        "full_product_names": [full(n, purl=f"pkg:pypi/{n}") for n in "abcd"],
        "product_groups": [{"group_id": "g", "product_ids": ["a", "b"]}],
    }
    body = csaf(
        tree,
        {
            "cve": "CVE-2026-1",
            "product_status": {
                "known_not_affected": ["a"],
                "known_affected": ["b"],
                "first_fixed": ["c"],
                "under_investigation": ["d"],
            },
            "threats": [{"category": "impact", "details": "Not built in.", "group_ids": ["g"]}],
            "remediations": [
                {"category": "vendor_fix", "details": "Update.", "product_ids": ["b"]}
            ],
        },
    )
    told = {one.name: (one.status, one.statement) for one in parse_vex(body, "here").statements}
    assert told == {
        "a": ("not_affected", "Not built in."),
        "b": ("affected", "Update."),
        "c": ("fixed", None),
        "d": ("under_investigation", None),
    }


def test_an_analysis_of_cyclonedx_is_a_statement() -> None:
    body = cyclonedx(
        {
            "id": "CVE-2026-1",
            "references": [{"id": "GHSA-aaaa-bbbb-cccc"}],
            "analysis": {
                "state": "false_positive",
                "justification": "code_not_reachable",
                "detail": "Never called.",
                "lastUpdated": "2026-11-01T00:00:00Z",
            },
            "affects": [{"ref": "ssl"}, {"ref": f"urn:cdx:x/1#pkg:oci%2Fapp@{SHA}"}],
        },
        components=[
            {
                "type": "library",
                "name": "x",
                "components": [
                    {
                        "bom-ref": "ssl",
                        "type": "library",
                        "name": "openssl",
                        "purl": "pkg:deb/debian/openssl@3",
                    }
                ],
            }
        ],
    )
    document = parse_vex(body, "here")
    first, second = document.statements
    assert (document.author, document.format) == ("Vendor", "CycloneDX 1.6")
    assert first.names == ("CVE-2026-1", "GHSA-aaaa-bbbb-cccc")
    assert (first.status, first.justification, first.statement) == (
        "not_affected",
        "code_not_reachable",
        "Never called.",
    )
    assert first.issued == datetime(2026, 11, 1, tzinfo=UTC)
    assert (first.name, first.version, first.within) == ("openssl", "3", None)
    assert fields(second) == {"image_digest": SHA, "repository": "app"}


def test_components_of_cyclonedx_are_in_what_it_describes() -> None:
    told = {
        "id": "CVE-2026-1",
        "analysis": {"state": "not_affected"},
        "affects": [{"ref": "ssl"}],
    }
    listed = [{"bom-ref": "ssl", "type": "library", "name": "y", "purl": "pkg:pypi/y"}]
    image = {"component": {"type": "container", "name": "app", "version": SHA}}
    found = fields(only(cyclonedx(told, components=listed, metadata=image)))
    assert found == {"image_digest": SHA, "type": "pypi", "name": "y"}
    program = {"component": {"type": "application", "name": "app", "version": "2"}}
    found = fields(only(cyclonedx(told, components=listed, metadata=program)))
    assert found == {"type": "pypi", "name": "y", "within": "app 2"}
    elsewhere = told | {"affects": [{"ref": "urn:cdx:x/1#pkg:pypi/y"}]}
    assert fields(only(cyclonedx(elsewhere)))["within"] == "urn:cdx:x/1"


def test_versions_of_cyclonedx_are_told_apart() -> None:
    body = cyclonedx(
        {
            "id": "CVE-2026-1",
            "analysis": {"state": "exploitable"},
            "affects": [
                {
                    "ref": "pkg:pypi/y",
                    "versions": [
                        {"version": "1"},
                        {"version": "2", "status": "unaffected"},
                        {"range": "vers:pypi/>=3", "status": "unknown"},
                    ],
                }
            ],
        }
    )
    assert [(one.version, one.status) for one in parse_vex(body, "here").statements] == [
        ("1", "affected"),
        ("2", "not_affected"),
        ("vers:pypi/>=3", "under_investigation"),
    ]


TREE = {"full_product_names": [full("p", purl="pkg:pypi/y")]}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "it is no JSON object"),
        (b"[]", "it is no JSON object"),
        (b"{}", "it is no VEX document we know"),
        (b'{"statements": [', "it is not the JSON it should be"),
        (openvex(), "statements: there are none"),
        (openvex(state(), author=" "), "author: it is empty"),
        (openvex(state(), **{"@context": "https://example.org"}), "@context"),
        (openvex(state(status="fine")), "$.statements[0].status"),
        (openvex(state(), state(justification=None)), "statements[1]: not_affected has neither"),
        (openvex(state(products=[])), "statements[0]: products"),
        (openvex(state(vulnerability={"name": "openssl is old"})), "names no advisory"),
        (openvex(state(vulnerability={})), "names no advisory"),
        (csaf(TREE), "needs product_tree and vulnerabilities"),
        (csaf(TREE, spared("q")), "vulnerabilities[0]: product_status: no product is named 'q'"),
        (csaf(TREE, spared("p") | {"flags": []}), "nothing says why 'p' is not affected"),
        (csaf(TREE, spared("p") | {"cve": None}), "neither cve nor ids"),
        (csaf(TREE, {"cve": "CVE-1-1", "product_status": {}}), "it says nothing"),
        (
            csaf(TREE, {"cve": "CVE-1-1", "product_status": {"known_affected": ["p"]}}),
            "nothing says what to do",
        ),
        (
            csaf(
                TREE,
                {"cve": "CVE-1-1", "product_status": {"fixed": ["p"], "first_affected": ["p"]}},
            ),
            "'p' is both affected and fixed",
        ),
        (
            csaf({"full_product_names": [full("p"), full("p", purl="pkg:pypi/z")]}, spared("p")),
            "'p' is defined twice",
        ),
        (csaf({"full_product_names": [full("p", purl="pkg")]}, spared("p")), "not a package URL"),
        (csaf({"full_product_names": [{"name": "x"}]}, spared("p")), "$.product_tree"),
        (
            csaf(TREE, spared("p"), category="csaf_base").replace(b'"2.0"', b'"1.0"'),
            "CSAF '1.0' is not read",
        ),
        (cyclonedx({"id": "CVE-2026-1"}), "no vulnerability with an analysis"),
        (
            cyclonedx({"id": "CVE-2026-1", "analysis": {"state": "fine"}}),
            "$.vulnerabilities[0].analysis.state",
        ),
        (
            cyclonedx({"id": "CVE-2026-1", "analysis": {"state": "resolved"}}),
            "vulnerabilities[0]: affects",
        ),
        (
            cyclonedx({"id": "?", "analysis": {"state": "resolved"}, "affects": [{"ref": "x"}]}),
            "names no advisory",
        ),
        (cyclonedx({}, specVersion="1.3"), "CycloneDX '1.3' is not read"),
    ],
)
def test_what_is_not_sound_is_refused_with_its_place(body: bytes, said: str) -> None:
    with pytest.raises(BadDocument) as caught:
        parse_vex(body, "here")
    assert caught.value.message.startswith("here")
    assert said in caught.value.message


def joined(*pairs: tuple[str, str, str]) -> dict[str, Any]:
    return {
        "full_product_names": [full("p", purl="pkg:pypi/y")],
        "relationships": [
            {
                "category": "installed_on",
                "full_product_name": {"product_id": made, "name": made},
                "product_reference": part,
                "relates_to_product_reference": whole,
            }
            for made, part, whole in pairs
        ],
    }


def test_products_in_a_circle_are_refused() -> None:
    for tree in (
        joined(("a", "b", "p"), ("b", "p", "a")),
        joined(("a", "a", "p")),
        joined(("a", "b", "p"), ("b", "c", "p"), ("c", "a", "p")),
    ):
        with pytest.raises(BadDocument, match="a part of itself"):
            parse_vex(csaf(tree, spared("a")), "here")
    towers = joined(*((f"{n + 1}", f"{n}" if n else "p", "p") for n in range(100)))
    with pytest.raises(TooDeep):
        parse_vex(
            csaf({**towers, "relationships": towers["relationships"][::-1]}, spared("1")), "x"
        )


def test_hostile_documents_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TooLarge):
        parse_vex(b" " * (LIMIT + 1), "here")
    with pytest.raises(TooManyEntries):
        parse_vex(b"[" * 5_000_000, "here")
    for deep in (
        b'{"document": ' + b'{"a":' * 100_000,
        b'{"bomFormat":1,"specVersion":"1.6","components":' + b'[{"components":' * 50_000,
        b'{"statements":' + b"[" * 100_000,
    ):
        with pytest.raises(BadDocument):
            parse_vex(deep, "here")
    component: dict[str, Any] = {"name": "x"}
    for _ in range(40):
        component = {"name": "x", "components": [component]}
    told = {"id": "CVE-1-1", "analysis": {"state": "resolved"}, "affects": [{"ref": "x"}]}
    with pytest.raises(TooDeep):
        parse_vex(cyclonedx(told, components=[component]), "here")
    branch: dict[str, Any] = {"category": "vendor", "name": "x"}
    for _ in range(70):
        branch = {"category": "vendor", "name": "x", "branches": [branch]}
    with pytest.raises(TooDeep):
        parse_vex(csaf({"branches": [branch]}, spared("p")), "here")
    monkeypatch.setattr(vex_products, "STATEMENTS_LIMIT", 10)
    with pytest.raises(TooManyEntries):
        parse_vex(openvex(*(state(f"pkg:pypi/p{n}") for n in range(11))), "here")


def test_texts_are_kept_as_databases_take_them() -> None:
    body = openvex(state(impact_statement="a\0b" + "x" * 5000), author="V\0" + "y" * 5000)
    document = parse_vex(body, "here")
    [statement] = document.statements
    assert statement.statement is not None
    assert statement.statement.startswith("a\ufffdb")
    assert len(statement.statement) == vex_products.TEXT_LIMIT
    assert len(document.author) == vex_products.NAME_LIMIT


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59-12:00", "yesterday", "2026-13-01", "", "1"])
def test_a_time_that_is_none_is_none(text: str) -> None:
    assert only(openvex(state(timestamp=text))).issued is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)
VALID = [
    json.loads(
        openvex(state(), state({"@id": "pkg:oci/app", "subcomponents": [{"@id": "pkg:pypi/y"}]}))
    ),
    json.loads(csaf(joined(("a", "p", "p")), spared("a", "p"))),
    json.loads(
        cyclonedx(
            {"id": "CVE-1-1", "analysis": {"state": "resolved"}, "affects": [{"ref": "pkg:pypi/y"}]}
        )
    ),
]


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """A document of which one value, anywhere, is something else."""
    document = json.loads(json.dumps(draw(st.sampled_from(VALID))))
    at: Any = document
    while True:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        key = draw(st.sampled_from(keys))
        if isinstance(at[key], dict | list) and at[key] and draw(st.booleans()):
            at = at[key]
            continue
        at[key] = draw(JSON)
        return json.dumps(document).encode()


@settings(max_examples=200)
@given(
    st.one_of(broken(), st.binary(max_size=200), JSON.map(lambda value: json.dumps(value).encode()))
)
def test_whatever_comes_is_read_or_refused(body: bytes) -> None:
    try:
        document = parse_vex(body, "here")
    except BadDocument:
        return
    for one in document.statements:
        assert one.names
        one_of = (one.image_digest, one.repository, one.name, one.within)
        assert any(part is not None for part in one_of)


@settings(max_examples=200)
@given(st.text(max_size=60).map(lambda text: f"pkg:{text}") | st.text(max_size=60))
def test_any_text_names_a_product(text: str) -> None:
    product = name_product(text)
    assert product.name or product.repository or product.within or product.image_digest


def test_limits_are_documents_that_are_refused() -> None:
    assert issubclass(LimitExceeded, BadDocument)
