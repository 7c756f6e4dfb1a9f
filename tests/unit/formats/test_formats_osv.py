"""Records of OSV: what each says of the packages that are known here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagecatalog.domain.advisories import Advisory, Affected, FeedPart
from imagecatalog.errors import BadDocument
from imagecatalog.formats.feed_faults import Faults
from imagecatalog.formats.osv import Record, guess_id, read_osv
from imagecatalog.versions import key

ZERO = {"introduced": "0"}


def entry(
    ecosystem: str, name: str, *events: Mapping[str, str], kind: str = "ECOSYSTEM", **more: Any
) -> dict[str, Any]:
    ranges = [{"type": kind, "events": list(events)}] if events else []
    return {"package": {"ecosystem": ecosystem, "name": name}, "ranges": ranges, **more}


def record(*affected: Mapping[str, Any], name: str = "X-1", **more: Any) -> dict[str, Any]:
    return {"id": name, "affected": list(affected), **more}


def read(
    *records: Mapping[str, Any], ecosystem: str | None = None, faults: Faults | None = None
) -> list[FeedPart]:
    bodies = (Record("", json.dumps(one).encode()) for one in records)
    return list(read_osv(bodies, faults or Faults(), ecosystem))


def affected(*entries: Mapping[str, Any], name: str = "X-1") -> tuple[Affected, ...]:
    (part,) = read(record(*entries, name=name))
    return part.affected


def advisory(**more: Any) -> Advisory:
    (part,) = read(record(**more))
    (one,) = part.advisories
    return one


def hits(told: tuple[Affected, ...], kind: str, versions: str) -> list[str]:
    """Which of these versions have the fault, each with what it is said to be."""
    return [
        f"{version} {one.status} {span.fixed or '-'}"
        for version in versions.split()
        for one in told
        for span in one.ranges
        if span.contains(key(kind, version))
    ]


@pytest.mark.parametrize(
    ("ecosystem", "name", "scope", "known"),
    [
        ("Debian:12", "openssl", "debian/bookworm", "openssl"),
        ("Ubuntu:22.04:LTS", "openssl", "ubuntu/jammy", "openssl"),
        ("Alpine:v3.18", "openssl", "alpine/3.18", "openssl"),
        ("AlmaLinux:9", "openssl-libs", "almalinux/9", "openssl-libs"),
        ("Rocky Linux:9", "openssl", "rocky/9", "openssl"),
        ("Red Hat:enterprise_linux:9::baseos", "openssl", "redhat/9", "openssl"),
        ("PyPI", "Zope.Interface_x", "pypi", "zope-interface-x"),
        ("npm", "@Scope/Name", "npm", "@scope/name"),
        ("Go", "github.com/Azure/x", "golang", "github.com/Azure/x"),
        ("Go", "stdlib", "golang", "stdlib"),
        ("Maven", "org.apache:log4j", "maven", "org.apache:log4j"),
        ("crates.io", "openssl", "cargo", "openssl"),
        ("RubyGems", "rails", "gem", "rails"),
        ("NuGet", "Newtonsoft.Json", "nuget", "newtonsoft.json"),
    ],
)
def test_packages_are_named_as_the_catalog_names_them(
    ecosystem: str, name: str, scope: str, known: str
) -> None:
    (one,) = affected(entry(ecosystem, name, ZERO, {"fixed": "1.0.0"}))
    assert (one.scope, one.name, one.status, one.fixed) == (scope, known, "fixed", "1.0.0")


@pytest.mark.parametrize("ecosystem", ["Bitnami", "Debian", "Linux", "OSS-Fuzz", "", "Debian:"])
def test_what_is_not_known_here_affects_nothing(ecosystem: str) -> None:
    assert affected(entry(ecosystem, "x", ZERO)) == ()
    assert affected({"ranges": []}) == ()


def test_fixes_of_a_module_are_of_its_stream_alone() -> None:
    modular = {"fixed": "1:18.12.1-1.module_el9.1.0+16+91bc168f"}
    plain = {"fixed": "1:16.20.2-8.el9_4"}
    (part,) = read(
        record(
            entry("AlmaLinux:9", "nodejs", ZERO, modular),
            entry("AlmaLinux:9", "nodejs", ZERO, plain),
            summary="Moderate: nodejs:18 security update",
        )
    )
    assert [one.name for one in part.affected] == ["nodejs:18/nodejs", "nodejs"]
    (part,) = read(record(entry("AlmaLinux:9", "nodejs", ZERO, modular), summary="nodejs"))
    assert [one.name for one in part.affected] == ["nodejs"]


def test_fixes_are_told_as_written_and_per_range() -> None:
    told = affected(
        entry(
            "PyPI",
            "a",
            {"introduced": "4.0"},
            {"fixed": "4.3.0"},
            {"introduced": "5.0"},
            {"fixed": "5.2"},
        )
    )
    assert hits(told, "pypi", "3.9 4.0 4.2.9 4.3 5.0 5.1 5.2 6") == [
        "4.0 fixed 4.3.0",
        "4.2.9 fixed 4.3.0",
        "5.0 fixed 5.2",
        "5.1 fixed 5.2",
    ]


def test_several_entries_of_one_package_are_one() -> None:
    told = affected(
        entry("Go", "a", ZERO, {"fixed": "1.6.1"}, kind="SEMVER"),
        entry("Go", "a", {"introduced": "1.5.0"}, {"fixed": "1.7.0"}, kind="SEMVER"),
    )
    assert len(told) == 1
    assert hits(told, "golang", "v1.0.0 v1.6.5 v1.7.0") == [
        "v1.0.0 fixed 1.7.0",
        "v1.6.5 fixed 1.7.0",
    ]


def test_a_last_affected_version_names_no_fix() -> None:
    (one,) = affected(entry("npm", "a", ZERO, {"last_affected": "1.2.0"}))
    assert (one.status, one.fixed, one.reason) == ("open", None, "fix-not-named")
    assert hits((one,), "npm", "1.2.0 1.2.1") == ["1.2.0 open -"]
    (one,) = affected(entry("npm", "a", ZERO))
    assert (one.status, one.reason) == ("open", None)


def test_a_limit_ends_a_range_without_a_fix() -> None:
    told = affected(entry("npm", "a", ZERO, {"limit": "2.0.0"}))
    assert hits(told, "npm", "1.9.9 2.0.0") == ["1.9.9 open -"]


def test_listed_versions_count_beside_the_range() -> None:
    told = affected(
        entry(
            "PyPI", "a", {"introduced": "2.0"}, {"fixed": "2.2"}, versions=["1.0", "2.1", "2012-x"]
        )
    )
    assert hits(told, "pypi", "1.0 1.1 2.1 2.2") == ["1.0 open -", "2.1 fixed 2.2"]
    assert sum(len(one.ranges) for one in told) == 3


def test_of_a_distribution_the_list_only_counts_out_the_range() -> None:
    told = affected(entry("Debian:12", "a", ZERO, {"fixed": "2"}, versions=["1", "3"]))
    assert hits(told, "deb", "1 3") == ["1 fixed 2"]
    told = affected(entry("Debian:12", "a", versions=["1", "3"]))
    assert hits(told, "deb", "1 2 3") == ["1 open -", "3 open -"]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (entry("PyPI", "a", ZERO, {"fixed": "no version"}), "invalid-version"),
        (entry("PyPI", "a", {"fixed": "1"}), "invalid-version"),
        (entry("PyPI", "a", {"begun": "1"}), "invalid-version"),
        (entry("PyPI", "a", ZERO, {"fixed": "0abc"}, kind="GIT"), "commits-only"),
        (entry("PyPI", "a"), "no-versions"),
        (entry("npm", "a", ZERO, {"fixed": "1" * 100_000}), "invalid-version"),
    ],
)
def test_where_no_version_can_be_told_nobody_knows(said: Mapping[str, Any], reason: str) -> None:
    (one,) = affected(said)
    assert (one.status, one.ranges, one.reason) == ("undetermined", (), reason)


def test_a_list_of_versions_answers_where_the_range_does_not() -> None:
    told = affected(entry("PyPI", "a", {"fixed": "1"}, versions=["0.5"]))
    assert [one.status for one in told] == ["open"]
    assert hits(told, "pypi", "0.4 0.5") == ["0.5 open -"]


def test_one_broken_range_leaves_the_others_and_says_so() -> None:
    told = affected(
        entry("PyPI", "a", ZERO, {"fixed": "1"}), entry("PyPI", "a", ZERO, {"fixed": "none"})
    )
    assert {one.status for one in told} == {"fixed", "undetermined"}
    told = affected(entry("PyPI", "a", ZERO, {"fixed": "1"}), entry("PyPI", "b", {"fixed": "none"}))
    assert {(one.name, one.status) for one in told} == {("a", "fixed"), ("b", "undetermined")}


def test_commits_beside_versions_do_not_count() -> None:
    said = entry("PyPI", "a", ZERO, {"fixed": "1"})
    said["ranges"].append({"type": "GIT", "events": [{"introduced": "0"}]})
    assert [one.status for one in affected(said)] == ["fixed"]


def test_of_ubuntu_pro_only_what_has_no_other_fix() -> None:
    pro = entry("Ubuntu:Pro:18.04:LTS", "a", ZERO, {"fixed": "1+esm1"})
    (one,) = affected(entry("Ubuntu:18.04:LTS", "a", ZERO), pro)
    assert (one.scope, one.fixed) == ("ubuntu/bionic", "1+esm1")
    (one,) = affected(entry("Ubuntu:18.04:LTS", "a", ZERO, {"fixed": "1"}), pro)
    assert one.fixed == "1"
    (one,) = affected(pro)
    assert one.fixed == "1+esm1"


def test_only_the_ecosystem_that_is_wanted() -> None:
    said = record(entry("PyPI", "a", ZERO), entry("Debian:12", "b", ZERO))
    (part,) = read(said, ecosystem="Debian")
    assert [one.name for one in part.affected] == ["b"]
    assert part.digest != read(said)[0].digest


@pytest.mark.parametrize(
    ("name", "lists", "aliases", "covers"),
    [
        ("PYSEC-1", {"aliases": ["CVE-2026-1001", "GHSA-a"]}, ("CVE-2026-1001", "GHSA-a"), ()),
        ("DEBIAN-CVE-2026-1001", {"upstream": ["CVE-2026-1001"]}, ("CVE-2026-1001",), ()),
        (
            "UBUNTU-CVE-2026-1001",
            {"upstream": ["CVE-2026-1001", "CVE-2026-1002"], "related": ["USN-1"]},
            ("CVE-2026-1001",),
            (),
        ),
        ("CGA-1", {"upstream": ["CVE-2026-1001", "GHSA-a"]}, ("CVE-2026-1001",), ()),
        ("DSA-1-1", {"upstream": ["CVE-2026-1001"]}, (), ("CVE-2026-1001",)),
        ("USN-1-1", {"related": ["CVE-2026-1001", "USN-2-1"]}, (), ("CVE-2026-1001",)),
        ("ALSA-2026:1", {"related": ["CVE-2026-1001"]}, (), ("CVE-2026-1001",)),
        ("RHSA-2026:1", {"aliases": ["CVE-2026-1001"]}, (), ("CVE-2026-1001",)),
        ("openSUSE-SU-2026:1", {"upstream": ["CVE-2026-1001"]}, (), ("CVE-2026-1001",)),
        ("X-1", {"aliases": ["X-1", "\0", "", "CVE-2026-1001"]}, ("CVE-2026-1001",), ()),
        (
            "X-1",
            {"upstream": ["CVE-2026-1001", "CVE-2026-1002"]},
            (),
            ("CVE-2026-1001", "CVE-2026-1002"),
        ),
        ("X-1", {"related": ["CVE-2026-1001"]}, (), ()),
        ("X-1", {"aliases": None}, (), ()),
    ],
)
def test_other_names(
    name: str, lists: Mapping[str, Any], aliases: tuple[str, ...], covers: tuple[str, ...]
) -> None:
    one = advisory(name=name, **lists)
    assert (one.name, one.aliases, one.covers) == (name, aliases, covers)


def test_ratings() -> None:
    high = {"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}
    low = {"type": "CVSS_V3", "score": "CVSS:3.1/AV:P/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N"}
    four = {
        "type": "CVSS_V4",
        "score": "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N",
    }
    two = {"type": "CVSS_V2", "score": "AV:N/AC:L/Au:N/C:P/I:P/A:P"}
    bad = {"type": "CVSS_V3", "score": "high"}
    said = advisory(
        severity=[bad, low, high, four, two],
        database_specific={"severity": "MODERATE"},
    )
    told = {one.system: (one.score, one.severity) for one in said.ratings}
    assert told == {
        "CVSS_V2": (7.5, "high"),
        "CVSS_V3": (9.8, "critical"),
        "CVSS_V4": (9.3, "critical"),
        "word": (None, "medium"),
    }


@pytest.mark.parametrize(
    ("said", "severity"),
    [
        ({"name": "ALSA-2026:1", "summary": "Important: openssl update"}, "high"),
        ({"name": "USN-1-1", "summary": "Important: openssl update"}, None),
        ({"severity": [{"type": "Ubuntu", "score": "negligible"}]}, "negligible"),
        ({"database_specific": {"severity": 7}}, None),
        ({"database_specific": ["HIGH"]}, None),
    ],
)
def test_words_of_databases(said: Mapping[str, Any], severity: str | None) -> None:
    assert [one.severity for one in advisory(**said).ratings] == [severity] * bool(severity)


def test_urgencies_are_kept_as_they_are_told() -> None:
    said = entry("Debian:12", "a", ZERO, ecosystem_specific={"urgency": "end-of-life"})
    (one,) = affected(said)
    assert (one.urgency, one.reason) == ("end-of-life", "end-of-life")
    said = entry("crates.io", "a", ZERO, database_specific={"informational": "unmaintained"})
    (part,) = read(record(said))
    assert part.affected[0].urgency == "unmaintained"
    assert [one.severity for one in part.advisories[0].ratings] == ["negligible"]


def test_a_withdrawn_record_says_nothing_but_that() -> None:
    said = record(
        entry("PyPI", "a", ZERO),
        withdrawn="2026-02-10T20:15:00Z",
        summary="A fault.",
        aliases=["CVE-2026-1001"],
    )
    (part,) = read(said)
    assert part.affected == ()
    (one,) = part.advisories
    assert (one.aliases, one.description) == ((), "Withdrawn on 2026-02-10. A fault.")
    (part,) = read(said | {"withdrawn": "9999-12-31T23:59:59-23:00"})
    assert part.affected == ()


def test_texts_and_times() -> None:
    one = advisory(
        published="2026-02-10T20:15:00.123+02:00",
        modified="9999-12-31T23:59:59-12:00",
        details="Long.\n\nLonger.\0",
    )
    assert one.published == datetime(2026, 2, 10, 18, 15, 0, 123000, UTC)
    assert (one.modified, one.description) == (None, "Long.")
    assert advisory(summary="a\0b" * 1000).description == ("a\ufffdb" * 1000)[:1000]
    for wrong in ("", "0001-01-01T00:00:00Z", "9999-01-01T00:00:00Z", "yesterday", "2026-13-01"):
        assert advisory(published=wrong).published is None


def bad_records() -> list[bytes]:
    deep = b"[" * 100_000 + b"]" * 100_000
    return [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"id": 7}',
        b'{"id": ""}',
        b'{"id": "a b"}',
        b'{"id": "' + b"a" * 300 + b'"}',
        b'{"id": "X-1", "affected": {}}',
        b'{"id": "X-1", "affected": [{"ranges": [{"events": [7]}]}]}',
        b'{"id": "X-1", "aliases": [1]}',
        b'{"id": "X-1", "summary": "\xff"}',
        b'{"id": "X-1", "database_specific": ' + deep + b"}",
        b'{"id": "X-1", "other": ' + deep + b"}",
        b'{"id": "X-1", "aliases": [' + b",".join(b'"A-%d"' % n for n in range(10_001)) + b"]}",
        json.dumps(
            record(entry("npm", "a", versions=[f"1.0.{n}" for n in range(20_001)]))
        ).encode(),
    ]


@pytest.mark.parametrize("body", bad_records(), ids=lambda body: str(body[:40]))
def test_a_broken_record_spoils_no_other_and_keeps_what_it_said(body: bytes) -> None:
    good = Record("good", json.dumps(record(name="GOOD-1")).encode())
    faults = Faults()
    parts = list(read_osv([Record("X-1", body), good], faults))
    assert [part.name for part in parts] == ["GOOD-1"]
    assert faults.count == 1
    faults = Faults({"X-1": b"digest"})
    parts = list(read_osv([Record("X-1", body), good], faults))
    kept = parts[0]
    assert (kept.name, kept.digest) == ("X-1", b"digest") or b'"id": "X-1"' not in body
    assert parts[-1].name == "GOOD-1"


def test_a_record_that_could_not_be_unpacked_is_a_fault() -> None:
    faults = Faults({"X-1": b"digest"})
    (part,) = read_osv([Record("X-1", b"", "it is encrypted")], faults)
    assert (part.digest, str(faults)) == (b"digest", "X-1 (it is encrypted)")


def test_what_has_not_changed_is_not_read() -> None:
    said = record(entry("PyPI", "a", ZERO))
    (part,) = read(said)
    (again,) = read(said, faults=Faults({"X-1": part.digest}))
    assert (again.name, again.digest, again.affected) == ("X-1", part.digest, ())


def test_of_two_records_with_one_id_the_first_counts() -> None:
    faults = Faults()
    first, second = record(summary="first"), record(summary="second")
    (part,) = read(first, second, faults=faults)
    assert part.advisories[0].description == "first"
    assert str(faults) == "X-1 (it is there twice)"


def test_a_feed_that_is_mostly_broken_is_not_believed() -> None:
    faults = Faults()
    list(read_osv([Record("a", b"{")], faults))
    with pytest.raises(BadDocument, match="1 of 1 records"):
        faults.check("x.zip")
    faults = Faults()
    bodies = [Record("", json.dumps({"id": f"X-{n}"}).encode()) for n in range(50)]
    list(read_osv([*bodies, *[Record(str(n), b"{") for n in range(10)]], faults))
    faults.check("x.zip")
    list(read_osv([Record("z", b"{")], faults))
    with pytest.raises(BadDocument, match="and 6 more"):
        faults.check("x.zip")
    Faults().check("x.zip")


def test_an_id_is_guessed_where_a_record_is_broken() -> None:
    assert guess_id(b'{"schema": 1, "id" : "GHSA-a", ') == "GHSA-a"
    assert guess_id(b"{") == ""


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ["modified", "published", "withdrawn", "aliases", "upstream", "summary", "severity", "affected"]
)


@settings(max_examples=200)
@given(st.dictionaries(FIELDS, JSON, max_size=4), st.lists(st.text(max_size=6), max_size=4))
def test_any_record_is_read_or_is_a_fault(fields: dict[str, Any], texts: list[str]) -> None:
    events = [{"introduced": "0"}, *({"fixed": text} for text in texts)]
    whole = record(entry("PyPI", "a", *events), entry("Maven", "b", *events, versions=texts))
    faults = Faults()
    parts = read(whole | fields, faults=faults)
    assert len(parts) + faults.count == 1
