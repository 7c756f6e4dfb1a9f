"""Advisories at rest: only what changed is written, and a broken feed changes nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest
from tests_store import fixed_in

from imagecatalog.domain.advisories import Advisory, Affected, FeedPart
from imagecatalog.errors import BadDocument
from imagecatalog.store.advisories import Applied, apply_feed, has_advisories
from imagecatalog.store.affected import find_affected
from imagecatalog.store.engine import Catalog, Connection


def part(source: str, fixed: str | None = "1.0-2", *names: str) -> FeedPart:
    names = names or (f"CVE-2026-{source.upper()}",)
    return FeedPart(
        name=source,
        digest=hashlib.sha256(f"{source} {fixed} {names}".encode()).digest(),
        advisories=tuple(Advisory(name=name, description="a fault") for name in names),
        affected=tuple(
            fixed_in(name, "debian/bookworm", source, fixed)
            if fixed
            else Affected(advisory=name, scope="debian/bookworm", name=source, status="open")
            for name in names
        ),
    )


def apply(c: Connection, *parts: FeedPart, feed: str = "tracker") -> Applied:
    return apply_feed(c, feed, parts, where="tracker.json")


def fixed(c: Connection, name: str) -> list[tuple[str, str | None]] | None:
    found = find_affected(c, name)
    return None if found is None else [(one.name, one.fixed) for one in found]


def test_what_changed_alone_is_written(catalog: Catalog) -> None:
    parts = [part(f"p{number:02}") for number in range(20)]
    with catalog.write() as c:
        assert not has_advisories(c)
        assert apply(c, *parts) == Applied(20, 20, 0)
        assert apply(c, *parts) == Applied(20, 0, 0)
        assert apply(c, part("p00", "1.0-3"), *parts[1:]) == Applied(20, 1, 0)
        assert fixed(c, "cve-2026-p00") == [("p00", "1.0-3")]
        assert fixed(c, "CVE-2026-P01") == [("p01", "1.0-2")]
        assert fixed(c, "CVE-2026-NONE") is None
        assert has_advisories(c)


def test_what_a_feed_no_longer_tells_is_retracted(catalog: Catalog) -> None:
    parts = [part(f"p{number:02}") for number in range(20)]
    with catalog.write() as c:
        apply(c, *parts)
        apply(c, part("p00"), feed="another")
        assert apply(c, *parts[1:]) == Applied(19, 0, 1)
        assert fixed(c, "CVE-2026-P00") == [("p00", "1.0-2")]  # the other feed still does
        assert apply(c, *parts[1:19]).gone == 1
        assert fixed(c, "CVE-2026-P19") == []


@pytest.mark.parametrize("left", [0, 17])
def test_a_feed_that_shrinks_is_refused(catalog: Catalog, left: int) -> None:
    parts = [part(f"p{number:02}") for number in range(20)]
    with catalog.write() as c:
        apply(c, *parts)
    with pytest.raises(BadDocument, match=r"tracker\.json"), catalog.write() as c:
        apply(c, *parts[:left])
    with catalog.read() as c:
        assert fixed(c, "CVE-2026-P19") == [("p19", "1.0-2")]


def test_a_feed_that_breaks_off_changes_nothing(catalog: Catalog) -> None:
    parts = [part(f"p{number:02}") for number in range(500)]

    def broken() -> Iterator[FeedPart]:
        yield from (part(one.name, "9.9-9") for one in parts[:450])
        raise BadDocument("tracker.json", "it ends within a member")

    with catalog.write() as c:
        apply(c, *parts)
    with pytest.raises(BadDocument), catalog.write() as c:
        apply_feed(c, "tracker", broken(), where="tracker.json")
    with catalog.read() as c:
        assert fixed(c, "CVE-2026-P00") == [("p00", "1.0-2")]


def test_a_notice_speaks_for_its_faults(catalog: Catalog) -> None:
    faults = part("ssl", "1.0-2", "CVE-2026-1", "CVE-2026-2")
    own = FeedPart(
        name="DSA-7-1",
        digest=b"1",
        advisories=(
            Advisory(name="DSA-7-1", description="ssl", covers=("CVE-2026-1", "CVE-2026-9")),
        ),
        affected=(fixed_in("DSA-7-1", "debian/bookworm", "ssl", "1.0-1"),),
    )
    bare = FeedPart(
        name="DSA-8-1",
        digest=b"2",
        advisories=(Advisory(name="DSA-8-1", description="ssl", covers=("CVE-2026-2",)),),
        affected=(),
    )
    with catalog.write() as c:
        apply(c, faults)
        apply(c, own, bare, feed="lists")
        assert fixed(c, "DSA-7-1") == fixed(c, "dsa-7") == [("ssl", "1.0-1")]
        assert fixed(c, "DSA-8-1") == [("ssl", "1.0-2")]
        assert fixed(c, "CVE-2026-9") == []
        assert fixed(c, "DSA-70") is None
