"""Real feeds, whole: every record is read, or it is known why not."""

from __future__ import annotations

import io
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imagecatalog.domain.advisories import AffectedRange, FeedPart
from imagecatalog.domain.scopes import LANGUAGES, canonical_name, scope_of_ecosystem, type_of
from imagecatalog.formats.epss import open_epss
from imagecatalog.formats.feed_faults import Faults
from imagecatalog.formats.kev import parse_kev
from imagecatalog.formats.osv import list_lines, read_osv
from imagecatalog.formats.secdb import open_secdb, read_secdb
from imagecatalog.versions import is_invalid, sort_key

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

pytestmark = pytest.mark.real

DATA = Path(__file__).parents[3] / "shared" / "data"
OSV = {
    path.name.removesuffix(".jsonl.zst"): path
    for path in sorted(DATA.glob("osv/*.jsonl.zst"))
    if "secdb" not in path.name and "nodejs" not in path.name
}
"""The files of OSV's records; ``nodejs-security-wg`` has a form of its own that no feed has."""
__test__ = bool(OSV)

FAULTS = {
    "osv-fixtures-misc": {"PYSEC-2021-63", "CGA-2c2h-8fj5-55vx"},
}
"""Records that are there twice, as tests wrote them."""
UNTOLD = {
    "pypi-pypa": {"PYSEC-2021-371", "PYSEC-2019-125"},
    "osv-fixtures-misc": {"CVE-5", "GSD-2022-1000008"},
}
"""Records with a package of which no version can be told: they name one that is none, or none."""
PLACES = {
    "almalinux": {"almalinux/8", "almalinux/9", "almalinux/10"},
    "crates-rustsec": {"cargo"},
    "ghsa-go-sample": {"golang"},
    "go-vulndb": {"golang"},
    "pypi-pypa": {"pypi"},
    "bitnami-vulndb": set[str](),
    "psf-python": set[str](),
}
"""Where they speak; Bitnami's packages are of no package database, and the PSF names commits alone."""
SILENT = {"bitnami-vulndb", "psf-python"}
FIRST_DAY = "2021-11-03"
"""On which the catalog began, with faults that had been due under earlier orders."""


def unpack(path: Path) -> bytes:
    return zstd.decompress(path.read_bytes())


def lines_of(path: Path) -> Iterator[bytes]:
    """The records; beside those of GitHub lie answers of a proxy, which are none."""
    return (line for line in unpack(path).splitlines() if b'"id":' in line)


def read(path: Path, faults: Faults) -> list[FeedPart]:
    stream = io.BytesIO(b"\n".join(lines_of(path)))
    return list(read_osv(list_lines(stream), faults))


@pytest.mark.parametrize("name", OSV)
def test_every_record_of_osv_is_read(name: str) -> None:
    faults = Faults()
    parts = read(OSV[name], faults)
    broken = FAULTS.get(name, set())
    assert faults.count == len(broken), str(faults)
    assert all(one in str(faults) for one in broken)
    assert len(parts) == len(list(lines_of(OSV[name]))) - len(broken)
    untold = {part.name for part in parts for one in part.affected if one.status == "undetermined"}
    assert untold == UNTOLD.get(name, set())
    if name in PLACES:
        assert {one.scope for part in parts for one in part.affected} == PLACES[name]


@pytest.mark.parametrize("name", OSV)
def test_what_is_read_is_what_the_record_says(name: str) -> None:
    """Held against a reading of the schema that is as plain as can be, version for version."""
    compared = Counter[bool]()
    told = {part.name: part for part in read(OSV[name], Faults())}
    for line in lines_of(OSV[name]):
        record = json.loads(line)
        spans: dict[tuple[str, str], list[AffectedRange]] = {}
        for one in told[record["id"]].affected:
            if one.status != "undetermined":
                spans.setdefault((one.scope, one.name), []).extend(one.ranges)
        for (scope, package), ours in spans.items():
            said = [one for one in record["affected"] if place_of(one) == (scope, package)]
            for version in list_versions(said, type_of(scope))[:30]:
                key = sort_key(type_of(scope), version)
                if not is_invalid(type_of(scope), key):
                    is_ours = any(span.contains(key) for span in ours)
                    theirs = any(is_affected(entry, key, type_of(scope)) for entry in said)
                    assert is_ours == theirs, (record["id"], package, version)
                    compared[is_ours] += 1
    assert name in SILENT or (compared[True] and compared[False])


def place_of(entry: dict[str, Any]) -> tuple[str, str]:
    package = entry.get("package", {"ecosystem": "", "name": ""})
    scope = scope_of_ecosystem(package["ecosystem"])
    return scope, canonical_name(type_of(scope), package["name"])


def list_ranges(entry: dict[str, Any]) -> list[list[tuple[str, str]]]:
    """The events of each range that is not of commits."""
    return [
        [item for event in span["events"] for item in event.items()]
        for span in entry.get("ranges") or []
        if span["type"] != "GIT"
    ]


def list_versions(said: list[dict[str, Any]], kind: str) -> list[str]:
    """Those that a record names, the ends of its ranges first; and of distributions the ones before."""
    ends = [at for entry in said for span in list_ranges(entry) for _, at in span]
    listed = [version for entry in said for version in entry.get("versions") or []]
    if kind in {"deb", "rpm"}:
        ends += [f"{one}~" for one in ends if one != "0"]
    return [version for version in dict.fromkeys([*ends, *listed]) if version not in {"0", "*"}]


def is_affected(entry: dict[str, Any], key: bytes, kind: str) -> bool:
    """As the schema says: listed, or behind an introduction and before what ends it.

    Where a version introduces what it fixes, nothing begins and nothing ends there.
    """
    ranges = list_ranges(entry)
    if (kind in LANGUAGES or not ranges) and any(
        sort_key(kind, one) == key for one in entry.get("versions") or []
    ):
        return True
    for span in ranges:
        at: dict[bytes, set[str]] = {}
        for what, version in span:
            is_start = (what, version) == ("introduced", "0")
            at.setdefault(b"" if is_start else sort_key(kind, version), set()).add(what)
        state = False
        for point, kinds in sorted(at.items()):
            if kinds == {"introduced", "fixed"}:
                continue
            if "introduced" in kinds and key >= point:
                state = True
            if ("fixed" in kinds and key >= point) or ("last_affected" in kinds and key > point):
                state = False
        if state:
            return True
    return False


def test_every_fix_of_alpine_is_read() -> None:
    faults = Faults()
    told = Counter[str]()
    invalid: set[str] = set()
    for path in DATA.glob("osv/alpine-secdb-*.jsonl.zst"):
        for line in unpack(path).splitlines():
            database = open_secdb(line, path.name)
            for part in read_secdb(database, faults):
                told.update(one.status for one in part.affected)
                invalid |= {part.name for one in part.affected if one.status == "undetermined"}
    assert not faults.count, str(faults)
    assert told == {"fixed": 12_552, "undetermined": 53, "not-affected": 5}
    assert invalid == {
        "git", "icu", "irssi", "libxi", "mariadb", "opensmtpd", "phpmyadmin", "py-django",
        "python2", "quassel", "wget", "xen",
    }  # fmt: skip
    assert is_invalid("apk", sort_key("apk", "2.15.r-r1"))


@pytest.mark.parametrize("path", sorted(DATA.glob("kev/k*.zst")), ids=lambda path: path.name)
def test_every_exploited_fault_is_read(path: Path) -> None:
    faults = Faults()
    body = unpack(path)
    told = parse_kev(body, path.name, faults)
    assert not faults.count, str(faults)
    assert len(told.entries) == json.loads(body)["count"]
    late = [one for one in told.entries if one.due is None or one.due <= one.added]
    assert all(f"{one.added:%Y-%m-%d}" == FIRST_DAY for one in late)
    assert sum(one.ransomware for one in told.entries) > 100


@pytest.mark.parametrize("path", sorted(DATA.glob("epss/*.zst")), ids=lambda path: path.name)
def test_every_score_is_read(path: Path) -> None:
    faults = Faults()
    body = unpack(path)
    told = open_epss(io.BytesIO(body), path.name, faults)
    scores = list(told.rows)
    assert not faults.count, str(faults)
    assert len(scores) == body.count(b"\n") == 360_142
    assert f"{told.day:%Y-%m-%d}" in path.name
