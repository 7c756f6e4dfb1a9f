"""Whatever is said of an image's findings, the very same are listed; only what counts changes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from suppression_house import defer, say, tell
from tests_store import NOON, PutImage, digest, fixed_in, package

from imagecatalog.domain.advisories import Advisory, FeedPart
from imagecatalog.domain.findings import ImageFindings
from imagecatalog.matching.match import match
from imagecatalog.planning.findings import image_findings
from imagecatalog.store import repositories
from imagecatalog.store.advisories import apply_feed
from imagecatalog.store.engine import Catalog, Connection
from imagecatalog.store.schema import deferral, vex_statement

FAULTS = [f"CVE-2026-{n}" for n in range(1, 6)]
SOURCES = ["ssl", "tar"]


@pytest.fixture
def judged(catalog: Catalog, put_image: PutImage) -> Catalog:
    """A catalog with an image in which two packages have five faults each."""
    with catalog.write() as c:
        number = put_image(c, "app", [package(name, "1.0-1") for name in SOURCES])
        home = repositories.put_repository(c, "registry.example.org/team/app")
        repositories.mark_present(c, home, [number])
        repositories.point_tags(c, home, {"1.0": number}, now=NOON)
        parts = [
            FeedPart(
                name=fault,
                digest=fault.encode(),
                advisories=(Advisory(name=fault),),
                affected=tuple(
                    fixed_in(fault, "debian/bookworm", source, "2.0-1") for source in SOURCES
                ),
            )
            for fault in FAULTS
        ]
        apply_feed(c, "debian-tracker json", parts, where="here")
        match(c, now=NOON)
    return catalog


def ask(c: Connection) -> ImageFindings:
    return image_findings(c, str(digest("app")), now=NOON)


def listed(found: ImageFindings) -> set[tuple[str, str, str]]:
    return {(one.advisory, one.source, one.state) for one in found.items}


def test_a_statement_about_one_package_spares_that_alone(judged: Catalog) -> None:
    with judged.write() as c:
        before = ask(c)
        assert (before.counts.fixable, before.counts.suppressed) == (5, 0)
        tell(c, say(type="deb", namespace="debian", name="ssl"))
        defer(c, "CVE-2026-2", image="team/app:1.*")
        after = ask(c)
        why = {(one.advisory, one.source): one.suppressed for one in after.items if one.suppressed}
        assert why.keys() == {
            ("CVE-2026-1", "ssl"),
            ("CVE-2026-2", "ssl"),
            ("CVE-2026-2", "tar"),
        }
        told = why["CVE-2026-2", "tar"]
        assert told is not None
        assert (told.by, told.who, told.until) == ("deferral", "ann", NOON + timedelta(days=30))
        assert listed(after) == listed(before)
        # one fault is suppressed in both packages, the other in one of two
        assert (after.counts.fixable, after.counts.suppressed) == (4, 1)


PRODUCTS = st.fixed_dictionaries(
    {},
    optional={
        "repository": st.sampled_from(["registry.example.org/team/app", "app", "nothing"]),
        "name": st.sampled_from(SOURCES),
        "version": st.sampled_from(["1.0-1", "9"]),
    },
)
WORDS = st.sampled_from(["not_affected", "affected", "fixed", "under_investigation"])


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    statements=st.lists(st.tuples(WORDS, st.sampled_from(FAULTS), PRODUCTS), max_size=6),
    put_off=st.lists(st.tuples(st.sampled_from(FAULTS), st.sampled_from([*SOURCES, None]))),
)
def test_nothing_disappears(
    judged: Catalog,
    statements: list[tuple[str, str, dict[str, str]]],
    put_off: list[tuple[str, str | None]],
) -> None:
    with judged.write() as c:
        c.execute(vex_statement.delete())
        c.execute(deferral.delete())
        before = ask(c)
        tell(c, *(say(status, fault, **product) for status, fault, product in statements))
        for fault, source in put_off[:4]:
            defer(c, fault, days=30, **({"package": source} if source else {}))
        after = ask(c)
        assert listed(after) == listed(before)
        assert all(one.suppressed is None for one in before.items)
        counts = after.counts
        assert counts.fixable + counts.suppressed == before.counts.fixable == len(FAULTS)
        spared = {
            fault
            for fault in FAULTS
            if all(one.suppressed for one in after.items if one.advisory == fault)
        }
        assert counts.suppressed == len(spared)
