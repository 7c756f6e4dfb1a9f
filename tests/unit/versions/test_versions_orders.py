"""The byte keys of each ecosystem against slow comparators, known orders and hostile versions."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.version import Version

from imagecatalog.errors import BadName
from imagecatalog.versions import ORDERED, is_invalid, key, sort_key
from imagecatalog.versions.digits import MAX_KEY, MAX_LENGTH
from version_orders import (
    compare_apk,
    compare_evr,
    compare_gem,
    compare_golang,
    compare_maven,
    compare_nuget,
    compare_semver,
    sign,
)
from version_texts import APK, EVR, GEM, GO, MAVEN, NUGET, PYPI, SEMVER

RECORDED = Path(__file__).parents[2] / "data" / "versions"
COMPARED: dict[str, tuple[st.SearchStrategy[str], Callable[[str, str], int]]] = {
    "apk": (APK, compare_apk),
    "cargo": (SEMVER, compare_semver),
    "gem": (GEM, compare_gem),
    "golang": (GO, compare_golang),
    "maven": (MAVEN, compare_maven),
    "npm": (SEMVER, compare_semver),
    "nuget": (NUGET, compare_nuget),
    "pypi": (PYPI, lambda left, right: sign(Version(left), Version(right))),
    "rpm": (EVR, compare_evr),
}


def test_each_order_but_that_of_debian_is_compared_here() -> None:
    assert COMPARED.keys() | {"deb"} == ORDERED


@pytest.mark.parametrize("ecosystem", COMPARED)
def test_keys_agree_with_the_slow_comparator(ecosystem: str) -> None:
    versions, compare = COMPARED[ecosystem]

    @settings(max_examples=200)
    @given(st.lists(versions, min_size=6, max_size=6))
    def check(texts: list[str]) -> None:
        keys = [key(ecosystem, text) for text in texts]
        for one, mine in zip(texts, keys, strict=True):
            for other, its in zip(texts, keys, strict=True):
                assert sign(mine, its) == compare(one, other), (one, other)
        slowly = sorted(texts, key=functools.cmp_to_key(compare))
        assert [key(ecosystem, text) for text in slowly] == sorted(keys)

    check()


@pytest.mark.parametrize("file", sorted(RECORDED.glob("*.txt")), ids=lambda file: file.stem)
def test_recorded_orders_of_the_ecosystems_own_tools(file: Path) -> None:
    # Each line is above the last one; versions of one line are equal.
    lines = [line.split() for line in file.read_text().splitlines() if not line.startswith("#")]
    keys = [{key(file.stem, version) for version in versions} for versions in lines]
    assert len(keys) > 100
    assert all(len(equal) == 1 for equal in keys)
    for (lower,), (higher,), of in zip(keys, keys[1:], pairwise(lines), strict=False):
        assert lower < higher, of


ASCENDING = {
    # The example of section 11 of the specification.
    "npm": """1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11
        1.0.0-rc.1 1.0.0 2.0.0 2.1.0 2.1.1""",
    "golang": """v0.0.0-20190101000000-abcdef123456 v0.0.0-20200101000000-0123456789ab v0.0.1
        v1.2.3-pre v1.2.3-pre.0.20190101000000-abcdef123456 v1.2.3+incompatible
        v1.2.4-0.20190101000000-abcdef123456 1.2.4 go1.21rc2 go1.21.0 go1.21.3-custom go1.22.1""",
    # The example of PEP 440, "Summary of permitted suffixes and relative ordering", and its like.
    "pypi": """1.dev0 1.0.dev456 1.0a1 1.0a2.dev456 1.0a12.dev456 1.0a12 1.0b1.dev456 1.0b2
        1.0b2.post345.dev456 1.0b2.post345 1.0rc1.dev456 1.0rc1 1.0 1.0+abc.5 1.0+abc.7 1.0+5
        1.0.post456.dev34 1.0.post456 1.0.15 1.1.dev1 1!0.1""",
    "rpm": """1.0~~ 1.0~rc1 1.0~rc2-5 1.0 1.0-1~bp1 1.0-1 1.0-1.el9 1.0-1.el9_2 1.0-2 1.0^ 1.0^git1~pre
        1.0^git1 1.0a 1.0.1~rc1 1.0.1 1.0.1^ 1.0.1a 1.0.10 1:0.1""",
    "apk": """0.1.0_alpha_pre2 0.1.0_alpha 0.1.0_beta 1.0_rc1-r3 1.0 1.0-r0 1.0-r1 1.0~1a2b 1.0_git20200101
        1.0_p1 1.0_p1-r2 1.0_p10 1.0a 1.0b_p1 1.0.01 1.0.1 1.0.1.1 1.0.2 1.0.10 1.1""",
    "maven": """1-alpha1 1-alpha-2 1-beta 1-M1 1-rc 1-rc-1 1-cr2-SNAPSHOT 1-cr2 1-SNAPSHOT 1.0 1-sp 1-abc
        1-foo 1-1 1.0.1-SNAPSHOT 1.0.1 1.1-jre8 1.1-jre11 1.1.1""",
    "nuget": """1.0.0-0 1.0.0-Alpha 1.0.0-alpha.1 1.0.0-BETA 1.0.0-beta.2 1.0.0-beta.11 1.0.0 1.0.0.1
        1.0.1-rc 1.0.1 1.1 1.10""",
    "gem": "1.0.a 1.0.a.2 1.0.b1 1.0.b.2 1.0.b.10 1.0.rc1 1 1.0.0.1 1.0.1 1.1.a 1.1 1.10",
}
EQUAL = {
    "npm": ["1.0.0 v1.0.0 1.0.0+a 1.0.0+b.1"],
    "cargo": ["1.0.0-rc.1 1.0.0-rc.1+x"],
    "golang": ["v1 v1.0 v1.0.0 1.0.0 v1.0.0+incompatible go1 go1.0.0", "go1.22rc1 1.22.0-rc.1"],
    "pypi": [
        "1 1.0 1.0.0 v1 0!1",
        "1.0c1 1.0-rc.1 1.0pre1 1.0_preview_01",
        "1.0-1 1.0.post1 1.0r1",
    ],
    "rpm": ["1.0-1 0:1.0-1 1_00-01 1.0.-1", "1.0 0:1.0"],
    "apk": ["1.0-r1 1.0-r01 01.0-r1"],
    "maven": [
        "1 1.0 1.0.0 1-ga 1.0.Final 1.0.RELEASE 1-0",
        "1-a1 1-alpha1 1-ALPHA-1 1alpha1 1.alpha1",
    ],
    "nuget": ["1 1.0 1.0.0.0 01.00 1.0.0+a", "1.0-RC.01 1.0.0-rc.1"],
    "gem": ["1 1.0 1.0.0 01", "1.a 1.0.a 1.0.a.0", "1-1 1.pre.1"],
}
INVALID = {
    "npm": "|1|1.0|01.0.0|1.0.0-01|1.0.0-|1.0.0-a..b|1.0.0+|1.0.0 |latest|1.0.0-ä",
    "cargo": "|1.0|1.0.0.0|=1.0.0",
    "golang": "|(devel)|v1.0.0-01|v01.0.0|devel go1.22|go1.22x|v1.0-rc1",
    "pypi": "|1.0-|abc|1.0.x|1!|1.0+|1.0+a_|1.0a1b1|1.0 1|2004d|1.0+\u212a",
    "rpm": "|-1|1.0-|a:1.0|:1.0|1.0-1-1|1 0|1.0-1@x|4294967296:1|1/2",
    "apk": "|1.0bc|1.0_foo|1.0-1|1.0-r|1.|.1|1.0~|1.0~g|a|1.0_rc1a|1.0-r1_p1",
    "maven": "|1 0|1.0\t|1.0-ä",
    "nuget": "|1.0.0.0.0|v1.0|1.|1.0-|1.0-a..b|1.0+",
    "gem": "1..0|a|1.0.|1.0-|1.0_1|1,0",
}


@pytest.mark.parametrize("ecosystem", ASCENDING)
def test_known_orders(ecosystem: str) -> None:
    ascending = ASCENDING[ecosystem].split()
    keys = [key(ecosystem, version) for version in ascending]
    for (one, lower), (other, higher) in pairwise(zip(ascending, keys, strict=True)):
        assert lower < higher, (one, other)


@pytest.mark.parametrize("ecosystem", EQUAL)
def test_versions_that_are_equal_share_a_key(ecosystem: str) -> None:
    for equal in EQUAL[ecosystem]:
        assert len({key(ecosystem, version) for version in equal.split()}) == 1, equal


@pytest.mark.parametrize("ecosystem", INVALID)
def test_invalid_versions_are_refused_and_sort_below_all(ecosystem: str) -> None:
    lowest = "0_alpha" if ecosystem == "apk" else "~" if ecosystem == "rpm" else "0.0.0-0"
    lowest = {"pypi": "0.dev0", "gem": "0.A", "maven": "alpha"}.get(ecosystem, lowest)
    hostile = ["1" * (MAX_LENGTH + 1), "1\x00", "1\n", "\udcff", "1.0\u0661"]
    for version in [*INVALID[ecosystem].split("|"), *hostile]:
        if ecosystem in ("gem", "pypi") and version == "1\n":  # they read past white space
            continue
        with pytest.raises(BadName):
            key(ecosystem, version)
        found = sort_key(ecosystem, version)
        assert is_invalid(ecosystem, found), version
        assert found < key(ecosystem, lowest)
    assert not is_invalid(ecosystem, key(ecosystem, lowest))


def test_invalid_versions_are_told_apart_by_their_text() -> None:
    assert sort_key("npm", "1.0") < sort_key("npm", "1.1") < sort_key("npm", "latest")
    assert not is_invalid("generic", sort_key("generic", "\x00"))


PIECES = ["1", ".", "-", "_", "a", "0", "~", "^", "+", "a1", ".a", "a.", "-a.", "0a", "_p", "_p1",
          ".0", "1.", "!", ":", "\x00", "9", ".99", "255.", "ä", "\U0001f600", "\udcff", "--", "-1", ".-"]  # fmt: skip
STARTS = ["", "1", "1.0.0-", "1.0.0-a", "1+", "1.0+a", "1-r", "1:", "1.0_p", "1~", "1.a"]


@pytest.mark.parametrize("ecosystem", sorted(ORDERED))
def test_hostile_versions_cost_little_and_have_short_keys(ecosystem: str) -> None:
    begun = time.process_time()
    for start in STARTS:
        for piece in PIECES:
            for length in (400, 799, 1000, 1024, 100_000):
                text = start + piece * ((length - len(start)) // len(piece))
                assert len(sort_key(ecosystem, text)) <= MAX_KEY
    assert time.process_time() - begun < 10


@pytest.mark.parametrize("ecosystem", sorted(ORDERED))
def test_numbers_of_any_length_sort_as_numbers(ecosystem: str) -> None:
    shape = "{}.0.0" if ecosystem in ("npm", "cargo") else "{}"
    numbers = [
        0,
        1,
        127,
        128,
        255,
        256,
        65_535,
        65_536,
        10**17,
        10**18 - 1,
        10**18,
        10**19,
        10**700,
    ]
    keys = [key(ecosystem, shape.format(number)) for number in numbers]
    assert all(lower < higher for lower, higher in pairwise(keys))


@given(st.sampled_from(sorted(ORDERED)), st.text(max_size=300))
def test_every_text_has_a_key(ecosystem: str, text: str) -> None:
    assert 0 < len(sort_key(ecosystem, text)) <= MAX_KEY
