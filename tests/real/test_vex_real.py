"""Every VEX document that vendors really published is read; the invalid ones of OASIS are refused.

They lie beside the repository; where they are not, there is nothing to test.
"""

from __future__ import annotations

import io
import json
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from imagecatalog.domain.suppressions import VexDocument
from imagecatalog.errors import BadDocument
from imagecatalog.formats.vex import parse_vex

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

pytestmark = pytest.mark.real

DATA = Path(__file__).parents[3] / "shared" / "data" / "vex"

READ = {
    "csaf-cisa-it": 348,
    "csaf-redhat-vex": 47,
    "openvex-aquasecurity-vexhub": 59,
    "openvex-misc": 23,
    "openvex-rancher-oci": 462,
}
"""Documents of each archive that are VEX, and sound."""
NO_VEX = "it is no VEX document we know"
REFUSED = {
    "csaf-cisa-it": {NO_VEX: 1},
    "csaf-redhat-vex": {
        NO_VEX: 2,
        "it is no JSON object": 1,
        # Deletions of a server, which have nothing of the document but its name.
        "it is not the JSON it should be": 3,
        # Made up by the tests of scanners, or cut short by them.
        "nothing says what to do": 6,
        "a flag is of no product": 1,
    },
    "openvex-aquasecurity-vexhub": {NO_VEX: 59},
    "openvex-misc": {
        NO_VEX: 38,
        "it is no JSON object": 1,
        "it is not the JSON it should be": 1,
        "nothing says why": 1,
    },
    "openvex-rancher-oci": {NO_VEX: 2},
}
"""Why the other files are none."""
JUDGED = frozenset(
    {"6.1.1", "6.1.2", "6.1.3", "6.1.4", "6.1.5", "6.1.6", "6.1.27.7", "6.1.27.9", "6.1.27.10"}
).union({"6.1.32", "6.1.33"})
"""The tests of OASIS that all our statements rest on: not one of their invalid documents is read."""
IN_PART = {"6.1.13": 1, "6.1.27.4": 1, "6.1.27.8": 1, "6.1.27.11": 1, "6.1.50": 2}
"""Tests of which some documents are invalid for us, too: not more pass than these say."""
BREAKS_ANOTHER = frozenset(
    # One identifier for two products.
    {
        "mandatory/oasis_csaf_tc-csaf_2_1-2024-6-1-27-13-16.json",
        "mandatory/oasis_csaf_tc-csaf_2_1-2024-6-1-50-14.json",
        "mandatory/oasis_csaf_tc-csaf_2_1-2024-6-1-50-15.json",
    }
    # A product that only an extension defines, which nobody may pass over.
    | {
        "recommended/oasis_csaf_tc-csaf_2_1-2024-6-2-54-03-01.json",
        "informative/oasis_csaf_tc-csaf_2_1-2024-6-3-21-01-02.json",
        "informative/oasis_csaf_tc-csaf_2_1-2024-6-3-21-01-12.json",
    }
)
"""Valid for the test they are of, and invalid by another."""


@cache
def unpack(name: str) -> dict[str, bytes]:
    with zstd.open(DATA / f"{name}.tar.zst") as stream:
        content = io.BytesIO(stream.read())
    files = {}
    with tarfile.open(fileobj=content) as archive:
        for member in archive:
            if member.isfile() and member.name.endswith(".json"):
                file = archive.extractfile(member)
                assert file is not None
                files[member.name] = file.read()
    return files


def there(*names: str) -> list[str]:
    return [name for name in names if (DATA / f"{name}.tar.zst").exists()]


def ask(body: bytes, name: str) -> VexDocument | BadDocument:
    try:
        return parse_vex(body, name)
    except BadDocument as error:
        return error


def read(name: str) -> tuple[dict[str, VexDocument], Counter[str]]:
    documents: dict[str, VexDocument] = {}
    refused: Counter[str] = Counter()
    for path, body in unpack(name).items():
        answer = ask(body, path)
        if isinstance(answer, VexDocument):
            documents[path] = answer
        else:
            assert answer.where.startswith(path)
            known = [why for why in REFUSED.get(name, {}) if answer.why.startswith(why)]
            refused[known[0] if known else answer.why] += 1
    return documents, refused


@pytest.mark.parametrize("name", there(*READ))
def test_what_vendors_published_is_read(name: str) -> None:
    documents, refused = read(name)
    assert (len(documents), dict(refused)) == (READ[name], REFUSED[name])
    for document in documents.values():
        assert document.author
        assert document.name
        assert all(one.names for one in document.statements)


@pytest.mark.parametrize("name", there("openvex-rancher-oci"))
def test_statements_of_rancher_are_about_packages_in_images(name: str) -> None:
    documents, _ = read(name)
    statements = [one for document in documents.values() for one in document.statements]
    assert len(statements) == 12_947
    placed = [one for one in statements if one.repository and one.name and one.within is None]
    assert len(placed) >= 12_900
    example = next(one for one in placed if one.name == "libdw1")
    assert (example.type, example.namespace, example.status) == ("rpm", "suse", "not_affected")
    assert {one.repository for one in placed if "/" in (one.repository or "")} >= {
        "registry.suse.com/suse/sles/15.7/virt-api"
    }


@pytest.mark.parametrize("name", there("openvex-aquasecurity-vexhub"))
def test_what_is_in_a_package_is_never_said_of_a_whole_image(name: str) -> None:
    documents, _ = read(name)
    statements = [one for document in documents.values() for one in document.statements]
    inner = [one for one in statements if one.within is not None]
    assert len(inner) > 15_000
    whole = {one.within for one in inner if one.name == "stdlib"}
    assert all(one and "/" in one for one in whole)


@pytest.mark.parametrize("name", there("csaf-redhat-vex"))
def test_packages_of_red_hat_are_meant_in_their_release(name: str) -> None:
    documents, _ = read(name)
    statements = [one for document in documents.values() for one in document.statements]
    scopes = {one.scope for one in statements if one.scope}
    assert {"redhat/8", "redhat/9"} <= scopes
    # Without a version a package is that of some product: which, the image cannot always tell.
    assert all(
        one.scope or one.within or one.version or one.image_digest
        for one in statements
        if one.type == "rpm" and one.namespace == "redhat"
    )
    assert any(one.image_digest for one in statements)


def judge(version: str) -> Iterator[tuple[str, str, bool, bytes]]:
    """Test, file, whether it is valid, and its bytes, as OASIS has them."""
    files = unpack("csaf-oasis-examples")
    folder = f"oasis-tcs_csaf/csaf_{version}/test/validator/data/"
    base = next(path for path in files if path.endswith(f"{folder}testcases.json"))
    base = base.removesuffix("testcases.json")
    for test in json.loads(files[f"{base}testcases.json"])["tests"]:
        for case in (*test.get("failures", ()), *test.get("valid", ())):
            yield test["id"], case["name"], case["valid"], files[base + case["name"]]


@pytest.mark.parametrize("version", [v for v in ("2.0", "2.1") if there("csaf-oasis-examples")])
def test_oasis_tells_valid_from_invalid(version: str) -> None:
    refused: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    wronged = set()
    for test, name, is_valid, body in judge(version):
        answer = ask(body, name)
        if isinstance(answer, VexDocument):
            passed[test] += not is_valid
            continue
        assert answer.where.startswith(name)
        assert answer.why
        if is_valid:
            wronged.add(name)
        else:
            refused[test] += 1
    assert wronged == (BREAKS_ANOTHER if version == "2.1" else set())
    assert refused.keys() >= JUDGED
    assert not any(passed[test] for test in JUDGED)
    assert refused.keys() <= JUDGED | IN_PART.keys()
