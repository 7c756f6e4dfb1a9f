"""The byte key of Debian versions against dpkg itself and against a slow comparator of our own."""

from __future__ import annotations

import functools
import shutil
import string
import subprocess
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagecatalog.errors import BadName
from imagecatalog.versions.deb import apt_key, compare, key, sort_key

ALPHABET = string.ascii_letters + string.digits + ".+~"


def texts(alphabet: str, least: int = 0) -> st.SearchStrategy[str]:
    return st.text(alphabet, min_size=least, max_size=8)


# Few different characters, so that equal beginnings are frequent.
UPSTREAM = st.builds(lambda head, tail: head + tail, st.sampled_from("0129"), texts("01a~.+-Z"))
VERSIONS = st.builds(
    lambda epoch, upstream, revision: epoch + upstream + revision,
    st.sampled_from(["", "0:", "1:", "00:", "10:", "300:"]),
    st.one_of(UPSTREAM, st.builds("1{}".format, texts(ALPHABET))).filter(
        lambda text: not text.endswith("-")
    ),
    st.one_of(st.just(""), st.builds("-{}".format, texts("01b~.+", 1))),
)


def rank(character: str) -> int:
    """deb-version(7): a tilde sorts before the end, letters before all that is no letter."""
    if character == "~":
        return -1
    return ord(character) if character.isalpha() else ord(character) + 256


def compare_part(left: str, right: str) -> int:
    """The algorithm as deb-version(7) words it, with nothing clever about it."""
    while left or right:
        for length in range(max(len(left), len(right)) + 1):
            a, b = left[length : length + 1], right[length : length + 1]
            ends = [not c or c.isdigit() for c in (a, b)]
            ranks = [0 if end else rank(c) for end, c in zip(ends, (a, b), strict=True)]
            if ranks[0] != ranks[1]:
                return -1 if ranks[0] < ranks[1] else 1
            if all(ends):
                left, right = left[length:], right[length:]
                break
        numbers = []
        for text in (left, right):
            digits = text[: len(text) - len(text.lstrip(string.digits))]
            numbers.append(int(digits or "0"))
        if numbers[0] != numbers[1]:
            return -1 if numbers[0] < numbers[1] else 1
        left, right = left.lstrip(string.digits), right.lstrip(string.digits)
    return 0


def compare_slowly(left: str, right: str) -> int:
    sides = []
    for version in (left, right):
        epoch, colon, rest = version.partition(":")
        epoch, rest = (epoch, rest) if colon else ("0", version)
        upstream, dash, revision = rest.rpartition("-")
        sides.append((int(epoch), upstream if dash else rest, revision if dash else ""))
    (epoch_a, upstream_a, revision_a), (epoch_b, upstream_b, revision_b) = sides
    if epoch_a != epoch_b:
        return -1 if epoch_a < epoch_b else 1
    return compare_part(upstream_a, upstream_b) or compare_part(revision_a, revision_b)


def ask_dpkg(pairs: list[tuple[str, str]]) -> list[int]:
    """What dpkg says of each pair, from one shell."""
    script = (
        "while read -r a b; do"
        ' if dpkg --compare-versions "$a" lt "$b"; then echo -1;'
        ' elif dpkg --compare-versions "$a" eq "$b"; then echo 0; else echo 1; fi; done'
    )
    text = "".join(f"{left} {right}\n" for left, right in pairs)
    answer = subprocess.run(
        ["sh", "-c", script], input=text, capture_output=True, text=True, check=True
    )
    return [int(line) for line in answer.stdout.split()]


@pytest.fixture(scope="module")
def archive() -> list[str]:
    """Every distinct version in the package indices that this machine's apt has."""
    assert shutil.which("apt-get"), "the system package apt is missing"
    targets = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(FILENAME)", "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert targets, "apt has no package indices: run apt-get update"
    found: set[str] = set()
    for target in targets:
        text = subprocess.run(
            ["/usr/lib/apt/apt-helper", "cat-file", target], capture_output=True, check=True
        ).stdout.decode()
        found.update(line[9:] for line in text.split("\n") if line.startswith("Version: "))
    return sorted(found)


@pytest.mark.real
def test_every_version_of_the_archive_sorts_as_dpkg_sorts(archive: list[str]) -> None:
    assert len(archive) > 10_000
    by_key = sorted(archive, key=key)
    for left, right in pairwise(by_key):
        order = compare_slowly(left, right)
        assert order <= 0, (left, right)
        assert (order == 0) == (key(left) == key(right)), (left, right)
    # dpkg itself on every pair of neighbours: no inversion anywhere in the whole order.
    neighbours = list(pairwise(by_key))
    parts = [neighbours[start::4] for start in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for asked, said in zip(parts, pool.map(ask_dpkg, parts), strict=True):
            assert said == [compare(left, right) for left, right in asked]


@settings(max_examples=15)
@given(st.lists(st.tuples(VERSIONS, VERSIONS), min_size=20, max_size=20))
def test_key_and_slow_comparator_agree_with_dpkg(pairs: list[tuple[str, str]]) -> None:
    said = ask_dpkg(pairs)
    assert [compare(left, right) for left, right in pairs] == said
    assert [compare_slowly(left, right) for left, right in pairs] == said


@settings(max_examples=1500)
@given(VERSIONS, VERSIONS)
def test_key_agrees_with_slow_comparator(left: str, right: str) -> None:
    assert compare(left, right) == compare_slowly(left, right)


@given(st.lists(VERSIONS, max_size=20))
def test_key_sorts_a_list(versions: list[str]) -> None:
    slowly = sorted(versions, key=functools.cmp_to_key(compare_slowly))
    assert [key(version) for version in slowly] == sorted(map(key, versions))


@pytest.mark.parametrize(
    "ascending",
    [
        ["1~~", "1~~a", "1~", "1", "1a", "1+", "1.", "1.1"],
        ["1.0~rc1", "1.0", "1.0-1", "1.0-1+b1", "1.0-1.1", "1.0a", "1.1", "1.10", "1:0.1"],
        ["1.127", "1.128", "1.255", "1.256", "1.65536", "1.999999999999999999"],
        ["1.999999999999999999", "1.1000000000000000000", "1." + "9" * 200, "1.1" + "0" * 200],
        ["1-1~deb12u1", "1-1", "1-1+deb12u2"],
        ["127:1", "128:0", "2147483647:0"],
    ],
)
def test_known_orders(ascending: list[str]) -> None:
    shuffled = ascending[1::2] + ascending[::2]
    assert sorted(shuffled, key=key) == ascending
    assert len({key(version) for version in ascending}) == len(ascending)


@pytest.mark.parametrize(
    ("left", "right"), [("1.0", "1.00"), ("1", "1-0"), ("0:1", "1"), ("1.", "1.0"), ("1a", "1a0")]
)
def test_versions_that_dpkg_calls_equal_share_a_key(left: str, right: str) -> None:
    assert ask_dpkg([(left, right)]) == [0]
    assert key(left) == key(right)


INVALID = [
    *("", " ", "1 2", "1-", ":1", "a:1", "1:", "1:-1", "-1", "1_2", "ä", "1\n", "2147483648:1"),
    *("1" * 1025, "1\x00", "\udcff1", "1-1_1"),
]


@pytest.mark.parametrize("text", INVALID)
def test_invalid_versions_are_refused_and_sort_below_all(text: str) -> None:
    with pytest.raises(BadName):
        key(text)
    assert sort_key(text) < key("0~~")


def test_keys_are_about_as_long_as_their_versions() -> None:
    for version in ("3.0.15-1~deb12u1", "1:2.36.1-8+deb11u1", "2023c-5", "1.1.1n-0+deb11u5"):
        assert len(key(version)) <= len(version) + 4


@settings(max_examples=200)
@given(
    st.lists(st.text("019aZ.+~_!,/;@", min_size=1, max_size=6), min_size=2, max_size=2),
    st.booleans(),
)
def test_what_is_no_version_sorts_as_apt_compares_it(texts: list[str], with_revision: bool) -> None:
    left, right = (f"{text}-{text[::-1]}" if with_revision else text for text in texts)
    first, second = apt_key(left), apt_key(right)
    assert (first > second) - (first < second) == compare_slowly(left, right)


@pytest.mark.parametrize(
    "version", ["1.0", "1:2.3-4+b1", "0~", "1_2", "", ":", "-", "a:1", "\u00e4"]
)
def test_every_text_has_a_place(version: str) -> None:
    assert apt_key(version)
    if version[:1].isdigit() and "_" not in version:
        assert apt_key(version) == key(version)
