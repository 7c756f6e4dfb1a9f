"""Clair's word beside ours: what it says, why it says nothing, where and why the two differ."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from clair_house import fault, found, push, report
from tests_store import NOON, PutImage, digest

from imagecatalog.domain.findings import Finding, State, Suppression
from imagecatalog.domain.packages import Unknown
from imagecatalog.domain.second_opinions import Difference, FoundPackage, Statement
from imagecatalog.planning.second_opinions import compare, second_opinion
from imagecatalog.store import clair
from imagecatalog.store.engine import Catalog, Connection

URL = "http://clair.example.org:6060"
DAY = timedelta(days=1)
Claims = dict[FoundPackage, tuple[Statement, ...]]


def _put(
    c: Connection, put_image: PutImage, claims: Claims, *others: FoundPackage, **more: Any
) -> int:
    number = push(c, put_image, "app")["app"]
    server = clair.put_server(c, URL).id
    answer = {"index_state": "s1", "updates": "u1", "updated": NOON, "problem": None, "now": NOON}
    clair.note_answer(c, server, **answer | more)
    clair.note_wanted(c, server, [number], now=NOON)
    whole = report("app", claims, *others)
    clair.save_index(c, number, whole, state="s1", now=NOON)
    clair.save_report(c, number, whole, updates="u1", now=NOON)
    return number


def _ours(number: int, source: str, state: State, fixed: str | None = None, **more: Any) -> Finding:
    return Finding(
        **{
            "advisory": f"CVE-2026-{number:04}", "type": "deb", "source": source,
            "installed": "1.0-1", "state": state, "fixed": fixed, "feed": "debian-tracker",
        } | more
    )  # fmt: skip


def _compare(
    catalog: Catalog,
    put_image: PutImage,
    claims: Claims,
    ours: list[Finding],
    *others: FoundPackage,
) -> tuple[Difference, ...]:
    with catalog.write() as c:
        number = _put(c, put_image, claims, *others)
        return compare(c, number, ours)


def test_what_clair_says_worst_first(catalog: Catalog, put_image: PutImage) -> None:
    library = FoundPackage(
        type="deb", name="libssl3", version="1.0-1", arch="amd64", source="openssl",
        source_version="1.0-1", distro="debian 12",
    )  # fmt: skip
    program = FoundPackage(
        type="deb", name="openssl", version="1.0-1", arch="amd64", source="openssl",
        source_version="1.0-1", distro="debian 12",
    )  # fmt: skip
    bad = fault(1, "openssl", "1.0-2", severity="critical")
    unrated = fault(2, "openssl", severity=None, urgency="not yet assigned")
    with catalog.write() as c:
        number = _put(c, put_image, {library: (bad, unrated), program: (bad,)}, found("bash"))
        opinion = second_opinion(c, number, now=NOON)
    assert opinion is not None
    assert (opinion.source, opinion.unknown, opinion.packages) == ("clair", None, 3)
    assert (opinion.updated, opinion.reported) == (NOON, NOON)
    assert [
        (one.advisory, one.package, one.installed, one.binaries, one.severity, one.fixed, one.layer)
        for one in opinion.remarks
    ] == [
        ("CVE-2026-0001", "openssl", "1.0-1", ("libssl3 1.0-1", "openssl 1.0-1"), "critical", "1.0-2",
         digest("app")),
        ("CVE-2026-0002", "openssl", "1.0-1", ("libssl3 1.0-1",), None, None, digest("app")),
    ]  # fmt: skip


def test_without_a_clair_there_is_no_opinion(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        number = push(c, put_image, "app")["app"]
        assert second_opinion(c, number, now=NOON) is None
        assert compare(c, number, [_ours(1, "bash", "no-fix")]) == ()


def test_silence_is_unknown_and_says_why(catalog: Catalog, put_image: PutImage) -> None:
    """Whatever it said last is told on, as of then."""
    claims = {found("bash"): (fault(1, "bash"),)}

    def unknown(c: Connection, number: int, now: Any = NOON) -> str:
        opinion = second_opinion(c, number, now=now)
        assert opinion is not None
        assert [one.advisory for one in opinion.remarks] == ["CVE-2026-0001"]
        return opinion.unknown or ""

    with catalog.write() as c:
        number = _put(c, put_image, claims)
        server = clair.put_server(c, URL).id
        assert unknown(c, number) == ""
        assert "last heard on 2026-11-20" in unknown(c, number, NOON + 2 * DAY)
        clair.note_news(c, [digest("app")])
        assert "was not read yet" in unknown(c, number)
        why = Unknown("clair-refused", "Clair could not index it")
        clair.note_failure(c, number, why, now=NOON)
        assert unknown(c, number) == why.reason
        clair.note_failure(c, number, why, now=NOON, lost=True)
        clair.note_silence(c, server, Unknown("source-unavailable", "it is down"))
        assert unknown(c, number) == "it is down"
        never = Unknown("clair-never-updated", "Clair has never updated")
        clair.note_answer(
            c, server, index_state="s1", updates=None, updated=None, problem=never, now=NOON
        )
        assert unknown(c, number) == never.reason
        other = push(c, put_image, "other")["other"]
        opinion = second_opinion(c, other, now=NOON)
        assert opinion is not None
        clair.note_answer(
            c, server, index_state="s1", updates="u", updated=NOON, problem=None, now=NOON
        )
        opinion = second_opinion(c, other, now=NOON)
        assert opinion is not None
        assert "was not handed this image" in (opinion.unknown or "")
        clair.note_wanted(c, server, [other], now=NOON)
        opinion = second_opinion(c, other, now=NOON)
        assert opinion is not None
        assert "not indexed" in (opinion.unknown or "")
        assert compare(c, other, [_ours(1, "bash", "no-fix")]) == (), "no word, no difference"


def test_a_report_that_was_not_understood_whole_is_unknown(
    catalog: Catalog, put_image: PutImage
) -> None:
    with catalog.write() as c:
        number = _put(c, put_image, {})
        part = report("app", {found("bash"): ()})
        part = type(part)(manifest=part.manifest, found=part.found, unread=3)
        clair.save_report(c, number, part, updates="u1", now=NOON)
        opinion = second_opinion(c, number, now=NOON)
    assert opinion is not None
    assert opinion.unknown == "3 parts of Clair's report were not understood"


def test_the_same_is_no_difference(catalog: Catalog, put_image: PutImage) -> None:
    """By any of its names; a fault that nobody has determined is none that Clair should list."""
    notice = fault(3, "bash", "1.0-2", names=("RHSA-2026:1", "CVE-2026-0003"))
    claims = {found("bash"): (fault(1, "bash", "1.0-2"), fault(2, "bash"), notice)}
    ours = [
        _ours(1, "bash", "fix-out", "1.0-2"),
        _ours(9, "bash", "no-fix", aliases=("CVE-2026-0002", "DSA-1")),
        _ours(3, "bash", "fix-out", "1.0-2"),
        _ours(4, "bash", "undetermined"),
        _ours(5, "bash", "not-affected"),
    ]
    assert _compare(catalog, put_image, claims, ours) == ()


def test_python_packages_are_the_same_however_they_are_written(
    catalog: Catalog, put_image: PutImage
) -> None:
    package = FoundPackage(
        type="pypi", name="Zope.Interface", version="5.0", arch="", source="Zope.Interface",
        source_version="5.0", distro="",
    )  # fmt: skip
    claims = {package: (fault(1, "Zope.Interface", "5.1"),)}
    ours = [_ours(1, "zope-interface", "fix-out", "5.1", type="pypi")]
    assert _compare(catalog, put_image, claims, ours) == ()


REBUILT = found("bash", "5.2-2+b9", "5.2-2")


@pytest.mark.parametrize(
    ("claims", "ours", "others", "why"),
    [
        # only we
        ({}, [_ours(1, "bash", "fix-out", "2")], [], "finds no package of bash"),
        ({}, [_ours(1, "bash", "fix-out", "5.2-2+b3")], [REBUILT], "binary package bash, 5.2-2+b9"),
        ({}, [_ours(1, "bash", "no-fix")], [REBUILT], None),
        # only Clair
        ({REBUILT: (fault(1, "bash", "5.2-2+b3"),)}, [], [], None),
        ({found("x", "1:1", "2"): (fault(1, "x", "1:2"),)}, [], [], None),
        ({found("x", "1", "3"): (fault(1, "x", "2"),)}, [], [], "binary package x, 1"),
        ({found("x"): (fault(1, "x"),)}, [], [], None),
        # both, and not the same
        ({found("x"): (fault(1, "x"),)}, [_ours(1, "x", "undetermined")], [], "nobody has determined"),
        ({found("x"): (fault(1, "x"),)}, [_ours(1, "x", "unknown")], [], "nobody has determined"),
        ({found("x"): (fault(1, "x", "2"),)}, [_ours(1, "x", "fix-out", "3")], [], "first version"),
        ({found("x"): (fault(1, "x"),)}, [_ours(1, "x", "fix-out", "3")], [], "first version"),
    ],
)  # fmt: skip
def test_differences_and_why(
    catalog: Catalog,
    put_image: PutImage,
    claims: Claims,
    ours: list[Finding],
    others: list[FoundPackage],
    why: str | None,
) -> None:
    (difference,) = _compare(catalog, put_image, claims, ours, *others)
    assert difference.advisory == "CVE-2026-0001"
    assert difference.ours == (ours[0].state if ours else None)
    assert (difference.clair is not None) == bool(claims)
    assert (why or "") in (difference.why or "")
    assert (difference.why is None) == (why is None)


def test_what_is_suppressed_here_is_a_difference_with_its_reason(
    catalog: Catalog, put_image: PutImage
) -> None:
    suppressed = Suppression(
        by="vex",
        status="not_affected",
        why=None,
        who="security@example.org",
        since=None,
        until=None,
    )
    ours = [_ours(1, "bash", "fix-out", "2", suppressed=suppressed)]
    (difference,) = _compare(catalog, put_image, {found("bash"): (fault(1, "bash", "2"),)}, ours)
    assert "security@example.org" in (difference.why or "")


def test_a_distribution_that_clair_does_not_recognise(
    catalog: Catalog, put_image: PutImage
) -> None:
    strange = FoundPackage(
        type="deb", name="bash", version="1", arch="amd64", source="bash", source_version="1", distro=""
    )  # fmt: skip
    (difference,) = _compare(catalog, put_image, {}, [_ours(1, "bash", "no-fix")], strange)
    assert difference.why == "Clair did not recognise the distribution"
