"""Alpine's security database: what was fixed in which version."""

from __future__ import annotations

import json
from typing import Any

import pytest

from imagecatalog.domain.advisories import FeedPart
from imagecatalog.errors import BadDocument
from imagecatalog.formats.feed_faults import Faults
from imagecatalog.formats.secdb import open_secdb, read_secdb
from imagecatalog.versions import key


def database(*packages: Any, release: str = "v3.18", repository: str = "main") -> bytes:
    listed = [one if not isinstance(one, tuple) else package(*one) for one in packages]
    return json.dumps(
        {"distroversion": release, "reponame": repository, "archs": [], "packages": listed}
    ).encode()


def package(name: str, fixes: Any) -> dict[str, Any]:
    return {"pkg": {"name": name, "secfixes": fixes}}


def read(*packages: Any, faults: Faults | None = None) -> list[FeedPart]:
    return list(read_secdb(open_secdb(database(*packages), "main.json"), faults or Faults()))


def test_a_fix_ends_the_range_of_its_faults() -> None:
    (part,) = read(("apk-tools", {"2.10.1-r0": ["CVE-2018-1000849"], "0": ["CVE-2026-0001"]}))
    assert part.name == "apk-tools"
    gone, fixed = sorted(part.affected, key=lambda one: one.advisory, reverse=True)
    assert (gone.advisory, gone.status, gone.ranges) == ("CVE-2026-0001", "not-affected", ())
    assert (fixed.scope, fixed.name, fixed.status) == ("alpine/3.18", "apk-tools", "fixed")
    (span,) = fixed.ranges
    assert span.fixed == "2.10.1-r0"
    assert span.contains(key("apk", "2.10.0-r9"))
    assert not span.contains(key("apk", "2.10.1-r0"))


def test_of_several_fixes_the_last_counts() -> None:
    (part,) = read(
        (
            "exim",
            {
                "4.89.1-r0": ["CVE-2018-9860"],
                "4.90.1-r0": ["CVE-2018-9860"],
                "0": ["CVE-2018-9860"],
            },
        )
    )
    assert [one.fixed for one in part.affected] == ["4.90.1-r0"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("CVE-2026-0001 GHSA-28r2-q6m8-9hpx", {"CVE-2026-0001", "GHSA-28r2-q6m8-9hpx"}),
        ("CVE-2017-2616 (+ regression fix)", {"CVE-2017-2616"}),
        ("CVE-2018-14879 (tcpdump -V)", {"CVE-2018-14879"}),
        ("CVE 2018-16859", {"CVE-2018-16859"}),
        ("CVE_2019-2426", {"CVE-2019-2426"}),
        ("XSA-207", {"XSA-207"}),
        (" wnpa-sec-2017-21\t", {"wnpa-sec-2017-21"}),
        ("", set()),
        ("\0", set()),
    ],
)
def test_ids_are_found_in_what_people_write(text: str, names: set[str]) -> None:
    (part,) = read(("a", {"1-r0": [text]}))
    assert {one.name for one in part.advisories} == names


def test_ids_in_one_text_are_kin() -> None:
    (part,) = read(
        (
            "a",
            {
                "1-r0": [
                    "CVE-2026-0001 GHSA-28r2-q6m8-9hpx",
                    "CVE-2026-0001 XSA-1",
                    "CVE-2026-0002 XSA-1",
                ]
            },
        )
    )
    told = {one.name: (one.aliases, one.covers) for one in part.advisories}
    assert told == {
        "CVE-2026-0001": ((), ()),
        "CVE-2026-0002": ((), ()),
        "GHSA-28r2-q6m8-9hpx": (("CVE-2026-0001",), ()),
        "XSA-1": ((), ("CVE-2026-0001", "CVE-2026-0002")),
    }


def test_a_version_that_is_none_says_nothing() -> None:
    (part,) = read(("git", {"2.15.r-r1": ["CVE-2018-19486"]}))
    (one,) = part.affected
    assert (one.status, one.ranges, one.reason) == ("undetermined", (), "invalid-version")


@pytest.mark.parametrize("fixes", [None, {}, [], {"1-r0": None}, {"1-r0": ""}, {"1-r0": []}])
def test_nothing_fixed_is_nothing_told(fixes: Any) -> None:
    (part,) = read(("a", fixes))
    assert (part.advisories, part.affected) == ((), ())


@pytest.mark.parametrize(
    "bad",
    [
        7,
        {},
        {"pkg": {}},
        package("", {}),
        package("a" * 500, {}),
        package("b", {"1": 7}),
        package("b", "x"),
    ],
)
def test_a_broken_package_spoils_no_other(bad: Any) -> None:
    faults = Faults()
    assert [part.name for part in read(bad, ("a", {}), faults=faults)] == ["a"]
    assert faults.count == 1


def test_what_has_not_changed_is_not_read() -> None:
    (part,) = read(("a", {"1-r0": ["CVE-2026-0001"]}))
    again = read(("a", {"1-r0": ["CVE-2026-0001"]}), faults=Faults({"a": part.digest}))
    assert [(one.digest, one.affected) for one in again] == [(part.digest, ())]
    faults = Faults({"a": part.digest})
    twice = read(("a", {"1-r0": ["CVE-2026-0001"]}), ("a", {}), faults=faults)
    assert [one.digest for one in twice] == [part.digest, part.digest]
    assert str(faults) == "a (it is there twice)"


def test_a_file_says_what_it_is_about() -> None:
    told = open_secdb(database(release="3.18", repository="community"), "x")
    assert (told.release, told.repository, told.scope) == ("v3.18", "community", "alpine/3.18")
    assert open_secdb(database(release="edge"), "x").scope == "alpine/edge"
    empty = {"distroversion": "v3.3", "reponame": "community", "packages": ""}
    assert open_secdb(json.dumps(empty).encode(), "x").packages == ()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        database(release=""),
        database(release="../x"),
        database(repository="../main"),
        database()[:-2],
    ],
    ids=lambda body: str(body[:30]),
)
def test_what_is_no_database_is_refused(body: bytes) -> None:
    with pytest.raises(BadDocument):
        open_secdb(body, "x")
