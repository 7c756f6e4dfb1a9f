"""The ecosystems' own tools, and the versions of real advisories, judge our orders: no inversion.

dpkg judges those of Debian in tests/unit/versions/test_versions_deb.py.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.version import InvalidVersion, Version

from imagecatalog.errors import BadName
from imagecatalog.versions import key, sort_key
from imagecatalog.versions.digits import INVALID
from imagecatalog.versions.ranges import contains, parse_events
from version_orders import compare_apk, compare_evr, compare_golang, compare_semver, sign
from version_texts import GEM, RPM

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

pytestmark = pytest.mark.real

DATA = Path(__file__).parents[3] / "shared" / "data" / "osv"
Pairs = list[tuple[str, str]]

RPM_PROGRAM = """
for line in io.lines("{file}") do
  local left, right = line:match("^(%S*)\\t(%S*)$")
  io.stdout:write(rpm.vercmp(left, right), "\\n")
end
io.stdout:flush()
"""
RUBY_PROGRAM = """
STDIN.each_line(chomp: true) do |line|
  left, right = line.split("\\t")
  puts Gem::Version.new(left) <=> Gem::Version.new(right)
end
"""


def write(pairs: Pairs) -> str:
    return "".join(f"{left}\t{right}\n" for left, right in pairs)


def ask_rpm(pairs: Pairs, folder: Path) -> list[int]:
    """What librpm's rpmvercmp says of versions or releases."""
    (folder / "pairs").write_text(write(pairs))
    (folder / "judge.lua").write_text(RPM_PROGRAM.format(file=folder / "pairs"))
    expression = f'%{{lua: dofile("{folder / "judge.lua"}")}}'
    done = subprocess.run(["rpm", "--eval", expression], capture_output=True, text=True, check=True)
    return [int(line) for line in done.stdout.split()]


def ask_ruby(pairs: Pairs) -> list[int]:
    """What Gem::Version says."""
    command = ["ruby", "-e", RUBY_PROGRAM]
    done = subprocess.run(command, input=write(pairs), capture_output=True, text=True, check=True)
    return [int(line) for line in done.stdout.split()]


def all_pairs(versions: list[str]) -> Pairs:
    return [(left, right) for left in versions for right in versions]


def ours(ecosystem: str, pairs: Pairs) -> list[int]:
    return [sign(key(ecosystem, left), key(ecosystem, right)) for left, right in pairs]


@settings(max_examples=10, deadline=None)
@given(versions=st.lists(RPM, min_size=60, max_size=60, unique=True))
def test_rpm_says_the_same(versions: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    pairs = all_pairs(versions)
    assert ask_rpm(pairs, tmp_path_factory.mktemp("rpm")) == ours("rpm", pairs)


@settings(max_examples=5, deadline=None)
@given(versions=st.lists(GEM, min_size=80, max_size=80, unique=True))
def test_ruby_says_the_same(versions: list[str]) -> None:
    pairs = all_pairs(versions)
    assert ask_ruby(pairs) == ours("gem", pairs)


def read_lines(name: str) -> Iterator[dict[str, object]]:
    with zstd.open(DATA / f"{name}.jsonl.zst") as stream:
        for line in stream:
            yield json.loads(line)


@cache
def versions_of_advisories() -> dict[str, list[str]]:
    """Every version that real advisories name, by ecosystem; ``0`` is no version there."""
    found: dict[str, set[str]] = defaultdict(set)
    for name in (
        "almalinux",
        "crates-rustsec",
        "ghsa-go-sample",
        "go-vulndb",
        "osv-fixtures-misc",
        "pypi-pypa",
    ):
        for record in read_lines(name):
            for affected in record.get("affected") or ():
                ecosystem = affected.get("package", {}).get("ecosystem", "").partition(":")[0]
                found[ecosystem].update(affected.get("versions") or ())
                for span in affected.get("ranges") or ():
                    if span["type"] != "GIT":
                        found[ecosystem].update(*(event.values() for event in span["events"]))
    for record in read_lines("alpine-secdb-2020"):
        for package in record["packages"]:
            found["Alpine"].update(package["pkg"]["secfixes"])
    return {ecosystem: sorted(versions - {"0"}) for ecosystem, versions in found.items()}


COMPARED: dict[str, tuple[str, Callable[[str, str], int], int]] = {
    "AlmaLinux": ("rpm", compare_evr, 2000),
    "Alpine": ("apk", compare_apk, 1300),
    "crates.io": ("cargo", compare_semver, 500),
    "Go": ("golang", compare_golang, 2000),
    "PyPI": ("pypi", lambda left, right: sign(Version(left), Version(right)), 12_000),
}

if DATA.is_dir():

    @pytest.mark.parametrize("ecosystem", COMPARED)
    def test_versions_of_real_advisories_have_no_inversion(ecosystem: str) -> None:
        type_, compare, least = COMPARED[ecosystem]
        versions = [one for one in versions_of_advisories()[ecosystem] if is_valid(type_, one)]
        assert len(versions) >= least
        ordered = sorted(versions, key=lambda version: key(type_, version))
        # Neighbours are enough for the whole order; those further apart are for the comparator.
        pairs = [
            *pairwise(ordered),
            *zip(ordered, ordered[17:], strict=False),
            *zip(versions, ordered, strict=True),
        ]
        for left, right in pairs:
            assert compare(left, right) == sign(key(type_, left), key(type_, right)), (left, right)

    def test_rpm_says_the_same_of_every_version_of_almalinux(tmp_path: Path) -> None:
        parts = set()
        for version in versions_of_advisories()["AlmaLinux"]:
            parts.update(version.rpartition(":")[2].rpartition("-")[::2])
        ordered = sorted(parts, key=lambda part: key("rpm", part))
        pairs = [*pairwise(ordered), *zip(sorted(parts), ordered, strict=True)]
        assert ask_rpm(pairs, tmp_path) == ours("rpm", pairs)

    def test_what_is_invalid_for_us_is_what_is_invalid_for_python() -> None:
        for version in versions_of_advisories()["PyPI"]:
            try:
                Version(version)
            except InvalidVersion:
                assert not is_valid("pypi", version), version
            else:
                assert is_valid("pypi", version), version

    def test_ranges_of_python_advisories_hold_the_versions_that_they_list() -> None:
        # Each record lists the versions that its ranges meant when it was written.
        refused, missed, listed = [], [], 0
        for record in read_lines("pypi-pypa"):
            for affected in record.get("affected") or ():
                spans = [one for one in affected.get("ranges") or () if one["type"] == "ECOSYSTEM"]
                try:
                    intervals = [
                        one for span in spans for one in parse_events("pypi", span["events"])
                    ]
                except BadName:
                    refused.append(record["id"])
                    continue
                for version in affected.get("versions") or () if spans else ():
                    listed += 1
                    if not contains(intervals, sort_key("pypi", version)):
                        missed.append((record["id"], version))
        assert refused == ["PYSEC-2021-371", "PYSEC-2019-125"], "an end that is no version"
        assert listed > 140_000
        # These three list what their own ranges leave out; a list counts beside the ranges.
        assert {name for name, _ in missed} == {"PYSEC-2021-114", "PYSEC-2023-177", "PYSEC-2023-61"}
        assert len(missed) == 9


def is_valid(ecosystem: str, version: str) -> bool:
    return not sort_key(ecosystem, version).startswith(INVALID)
