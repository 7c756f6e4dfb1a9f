"""Which findings do not count: whose word, of which product, until when."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event
from suppression_house import defer, held, put_faults, say, tell
from tests_store import NOON, PutImage, digest

from imagecatalog.domain.findings import Suppression
from imagecatalog.domain.runs import RunningContainer
from imagecatalog.domain.suppressions import VexItem
from imagecatalog.errors import BadName, NotFound
from imagecatalog.matching.suppress import suppressions_of
from imagecatalog.store import deferrals, images, repositories, runs, suppressions, vex
from imagecatalog.store.engine import Catalog, Connection
from imagecatalog.store.schema import advisory_cover, deferral, feed_part, vex_statement
from imagecatalog.store.shelf import Shelf

REPOSITORY = "registry.example.org/team/app"
INDEX = "application/vnd.oci.image.index.v1+json"


@pytest.fixture
def house(catalog: Catalog, put_image: PutImage) -> tuple[Catalog, int, int]:
    """A catalog with an image under a tag, and one nobody names; their numbers."""
    with catalog.write() as c:
        app, other = put_image(c, "app"), put_image(c, "other")
        home = repositories.put_repository(c, REPOSITORY)
        repositories.mark_present(c, home, [app])
        repositories.point_tags(c, home, {"1.0": app}, now=NOON)
        put_faults(c, "CVE-2026-1", "CVE-2026-2")
        put_faults(c, "GHSA-aaaa-bbbb-cccc", of="CVE-2026-1")
    return catalog, app, other


def why(c: Connection, image: int, fault: str = "CVE-2026-1", **more: Any) -> Suppression | None:
    asked = held(image, deferrals.find_fault(c, fault)[0], **more)
    return suppressions_of(c, [asked], now=more.pop("now", NOON)).get(asked)


def test_nothing_is_suppressed_where_nothing_was_said(house: tuple[Catalog, int, int]) -> None:
    catalog, app, _ = house
    with catalog.read() as c:
        assert why(c, app) is None
        assert suppressions.list_spoken_of(c, now=NOON) == frozenset()


@pytest.mark.parametrize(
    ("product", "of_app", "of_other"),
    [
        ({}, True, True),
        ({"image_digest": str(digest("app"))}, True, False),
        (
            {"image_digest": str(digest("app")), "repository": "elsewhere.example.org/x"},
            True,
            False,
        ),
        ({"repository": REPOSITORY}, True, False),
        ({"repository": "app"}, True, False),
        ({"repository": "ap"}, False, False),
        ({"repository": "team/app"}, False, False),
        ({"repository": REPOSITORY, "tag": "1.0"}, True, False),
        ({"repository": REPOSITORY, "tag": "1.1"}, False, False),
        ({"type": "deb", "name": "openssl"}, True, True),
        ({"type": "deb", "namespace": "debian", "name": "openssl"}, True, True),
        ({"type": "deb", "namespace": "ubuntu", "name": "openssl"}, False, False),
        ({"type": "rpm", "name": "openssl"}, False, False),
        ({"type": "deb", "name": "openssl", "version": "3.0.11-1"}, True, True),
        ({"type": "deb", "name": "openssl", "version": "3.0.11-2"}, False, False),
        ({"type": "deb", "name": "openssl", "version": "0:3.0.11-1"}, True, True),
        ({"type": "deb", "name": "openssl", "version": "vers:deb/<3.0.12"}, True, True),
        ({"type": "deb", "name": "openssl", "version": "vers:deb/>=3.0.12"}, False, False),
        ({"type": "deb", "name": "openssl", "version": "vers:rpm/<3.0.12"}, False, False),
        ({"type": "deb", "name": "openssl", "version": "vers:nonsense"}, False, False),
        ({"type": "deb", "name": "openssl", "scope": "debian/bookworm"}, True, True),
        ({"type": "deb", "name": "openssl", "scope": "debian/trixie"}, False, False),
        ({"type": "deb", "name": "openssl", "within": "some product"}, False, False),
        ({"type": "deb", "name": "libssl3"}, False, False),
        ({"type": "deb", "name": "openssl", "repository": REPOSITORY}, True, False),
        ({"type": "deb", "name": "curl", "repository": REPOSITORY}, False, False),
    ],
)
def test_a_statement_is_about_the_product_that_it_names(
    house: tuple[Catalog, int, int], product: dict[str, str], of_app: bool, of_other: bool
) -> None:
    catalog, app, other = house
    with catalog.write() as c:
        tell(c, say(**product))
        assert (why(c, app) is not None, why(c, other) is not None) == (of_app, of_other)


def test_a_finding_is_spared_where_all_of_its_packages_are(
    house: tuple[Catalog, int, int],
) -> None:
    catalog, app, _ = house
    alone: dict[str, Any] = {"name": "src", "packages": (("libssl3", "1"), ("openssl", "1"))}
    with catalog.write() as c:
        tell(c, say(type="deb", name="libssl3"))
        assert why(c, app, **alone) is None
        tell(c, say(type="deb", name="openssl"), name="b.json")
        assert why(c, app, **alone) is not None
        tell(c, say("affected", type="deb", name="openssl", version="1"), name="c.json")
        assert why(c, app, **alone) is None


def test_who_why_and_since_when_are_told(house: tuple[Catalog, int, int]) -> None:
    catalog, app, _ = house
    with catalog.write() as c:
        tell(c, say(justification="component_not_present", statement="It is not built in."))
        assert why(c, app) == Suppression(
            by="vex",
            status="not_affected",
            why="component_not_present: It is not built in.",
            who="vendor",
            since=NOON,
            until=None,
        )


def test_all_names_of_a_fault_and_its_notices_are_one(house: tuple[Catalog, int, int]) -> None:
    catalog, app, _ = house
    with catalog.write() as c:
        numbers = put_faults(c, "DSA-1-1")
        row = {"advisory_id": numbers["DSA-1-1"], "covered_id": numbers["CVE-2026-2"]}
        more = {name: "-" for name in ("feed", "part") if name in advisory_cover.c}
        c.execute(advisory_cover.insert(), row | more)
        tell(c, say(fault="GHSA-aaaa-bbbb-cccc"))
        assert why(c, app, "CVE-2026-1") is not None
        assert why(c, app, "CVE-2026-2") is None
        defer(c, "DSA-1-1")
        assert why(c, app, "CVE-2026-2") is not None
        spoken = suppressions.list_spoken_of(c, now=NOON)
        assert spoken == set(numbers.values())


def test_of_what_an_author_says_the_latest_counts(house: tuple[Catalog, int, int]) -> None:
    catalog, app, _ = house
    later, sooner = NOON - timedelta(days=1), NOON - timedelta(days=2)
    with catalog.write() as c:
        tell(c, say("affected", issued=later), name="later.json")
        tell(c, say("not_affected", issued=sooner), name="sooner.json")
        assert why(c, app) is None
        tell(c, say("not_affected", issued=NOON), name="last.json")
        assert why(c, app) is not None


def test_the_most_exactly_named_product_decides(house: tuple[Catalog, int, int]) -> None:
    catalog, app, other = house
    with catalog.write() as c:
        tell(c, say("not_affected"), author="vendor", name="a.json")
        tell(
            c,
            say("affected", repository=REPOSITORY, issued=NOON - timedelta(days=9)),
            author="team",
            name="b.json",
        )
        assert why(c, app) is None
        assert why(c, other) is not None
        tell(c, say("not_affected", image_digest=str(digest("app"))), name="c.json")
        assert why(c, app) is not None


def test_fixed_needs_a_version(house: tuple[Catalog, int, int]) -> None:
    catalog, app, _ = house
    with catalog.write() as c:
        tell(c, say("fixed", repository=REPOSITORY))
        assert why(c, app) is None
        tell(c, say("fixed", repository=REPOSITORY, tag="1.0"))
        assert why(c, app) == Suppression(
            by="vex", status="fixed", why=None, who="vendor", since=NOON, until=None
        )


def test_the_future_is_said_now(house: tuple[Catalog, int, int]) -> None:
    catalog, app, _ = house
    with catalog.write() as c:
        tell(c, say("not_affected", issued=NOON.replace(year=9999)), name="a.json")
        tell(c, say("affected"), name="b.json")
        assert why(c, app) is None


def test_an_image_is_known_by_its_index_and_by_what_runs(
    house: tuple[Catalog, int, int],
) -> None:
    catalog, app, other = house
    with catalog.write() as c:
        images.put_index(c, Shelf(), digest("index"), INDEX, [other], now=NOON)
        tell(c, say(image_digest=str(digest("index"))), name="a.json")
        assert why(c, other) is not None
        assert why(c, app) is None
        vex.drop_documents(c, "vex", ["a.json"])
        assert why(c, other) is None
        container = RunningContainer(
            "team", "Deployment/x", "x-1", "x", "container", "registry.example.org/other:7", "id"
        )
        runs.record_scan(c, "one", [container], at=NOON)
        [waiting] = runs.list_unmatched(c)
        runs.save_matches(c, {waiting.id: runs.Match(other, None, "manifest")})
        tell(c, say(repository="registry.example.org/other", tag="7"))
        assert why(c, other) is not None
        assert why(c, app) is None


@pytest.mark.parametrize(
    ("about", "of_app", "of_other"),
    [
        ({}, True, True),
        ({"image": f"{REPOSITORY}:*"}, True, False),
        ({"image": REPOSITORY}, True, False),
        ({"image": "team/*"}, True, False),
        ({"image": "team/app:1.*"}, True, False),
        ({"image": "team/app:2.*"}, False, False),
        ({"image": "*"}, True, False),
        ({"package": "openssl"}, True, True),
        ({"package": "libssl3"}, False, False),
        ({"package": "curl"}, False, False),
    ],
)
def test_a_deferral_is_about_what_it_names(
    house: tuple[Catalog, int, int], about: dict[str, Any], of_app: bool, of_other: bool
) -> None:
    catalog, app, other = house
    with catalog.write() as c:
        defer(c, **about)
        assert (why(c, app) is not None, why(c, other) is not None) == (of_app, of_other)


def test_a_deferral_ends_and_stays_listed(house: tuple[Catalog, int, int]) -> None:
    catalog, app, _ = house
    with catalog.write() as c:
        number = defer(c, days=10)
        gone = defer(c, "CVE-2026-2", days=10)
        told = why(c, app)
        assert told is not None
        assert (told.by, told.who, told.why, told.until) == (
            "deferral",
            "ann",
            "we live with it",
            NOON + timedelta(days=10),
        )
        assert deferrals.withdraw_deferral(c, gone, by="bob", now=NOON)[1]
        assert not deferrals.withdraw_deferral(c, gone, by="eve", now=NOON)[1]
        assert why(c, app, "CVE-2026-2") is None
        end = NOON + timedelta(days=10)
        asked = held(app, deferrals.find_fault(c, "CVE-2026-1")[0])
        assert suppressions_of(c, [asked], now=end - timedelta(seconds=1))
        assert not suppressions_of(c, [asked], now=end)
        states = {one.id: one.state for one in deferrals.list_deferrals(c, now=end)}
        assert states == {number: "expired", gone: "withdrawn"}
        later = end + timedelta(days=31)
        assert deferrals.list_deferrals(c, now=later) == ()
        every = deferrals.list_deferrals(c, now=later, all_states=True)
        assert {one.id for one in every} == {number, gone}
        assert {one.withdrawn_by for one in every} == {None, "bob"}


def test_a_statement_is_shown_before_a_deferral(house: tuple[Catalog, int, int]) -> None:
    catalog, app, _ = house
    with catalog.write() as c:
        defer(c)
        tell(c, say("affected"))
        told = why(c, app)
        assert told is not None
        assert told.by == "deferral"
        tell(c, say("not_affected"))
        told = why(c, app)
        assert told is not None
        assert told.by == "vex"


def test_only_faults_that_are_known_are_put_off(house: tuple[Catalog, int, int]) -> None:
    catalog, _, _ = house
    with catalog.write() as c:
        assert deferrals.find_fault(c, "cve-2026-1")[1] == "CVE-2026-1"
        assert deferrals.find_fault(c, "ghsa-AAAA-bbbb-cccc")[1] == "GHSA-aaaa-bbbb-cccc"
        with pytest.raises(NotFound):
            deferrals.find_fault(c, "CVE-2026-999")
        with pytest.raises(BadName):
            deferrals.find_fault(c, "openssl is old")
        for number in (0, -1, 7, 1 << 70):
            with pytest.raises(NotFound):
                deferrals.withdraw_deferral(c, number, by="ann", now=NOON)


def test_a_document_replaces_the_one_of_its_name(house: tuple[Catalog, int, int]) -> None:
    catalog, app, _ = house
    with catalog.write() as c:
        tell(c, say(), say(fault="CVE-2026-9", repository="app"))
        assert [one.advisory for one in vex.list_statements(c).items] == [
            "CVE-2026-1",
            "CVE-2026-9",
        ]
        tell(c, say("under_investigation"))
        [only] = vex.list_statements(c).items
        assert (only.status, only.applied, only.document) == (
            "under_investigation",
            False,
            "a.json",
        )
        assert why(c, app) is None
        assert list(vex.list_documents(c, "vex")) == ["a.json"]
        vex.drop_documents(c, "vex", ["a.json"])
        assert vex.list_statements(c).items == ()
        assert c.execute(feed_part.select()).all() == []


def test_statements_are_listed_page_by_page(house: tuple[Catalog, int, int]) -> None:
    catalog, _, _ = house
    with catalog.write() as c:
        tell(c, *(say(fault=f"CVE-2026-{n % 3}", repository=f"r{n}") for n in range(10)))
        seen: list[VexItem] = []
        after = None
        while True:
            page = vex.list_statements(c, limit=3, after=after)
            seen += page.items
            if page.next is None:
                break
            after = page.next
        assert sorted(one.product for one in seen) == [f"r{n}" for n in range(10)]
        assert tuple(seen) == vex.list_statements(c).items


def test_many_are_asked_in_a_few_statements(house: tuple[Catalog, int, int]) -> None:
    catalog, app, other = house
    counted: list[str] = []
    with catalog.write() as c:
        numbers = put_faults(c, *(f"CVE-2027-{n}" for n in range(300)))
        tell(c, say(fault="CVE-2027-7"))
        for n in range(5):
            defer(c, f"CVE-2027-{n}")
        asked = [held(image, number) for image in (app, other) for number in numbers.values()]

        def note(*args: Any) -> None:
            counted.append(args[2])

        event.listen(c.engine, "before_cursor_execute", note)
        found = suppressions_of(c, asked, now=NOON)
        event.remove(c.engine, "before_cursor_execute", note)
    assert len(found) == 12
    assert len(counted) <= 12


PRODUCTS = st.fixed_dictionaries(
    {},
    optional={
        "repository": st.sampled_from([REPOSITORY, "app", "nothing"]),
        "image_digest": st.sampled_from([str(digest("app")), str(digest("other"))]),
        "name": st.sampled_from(["openssl", "libssl3", "curl"]),
        "version": st.sampled_from(["3.0.11-1", "9", "vers:deb/*"]),
    },
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    statements=st.lists(
        st.tuples(
            st.sampled_from(["not_affected", "affected", "fixed", "under_investigation"]), PRODUCTS
        ),
        max_size=6,
    ),
    days=st.lists(st.integers(-3, 3), max_size=3),
)
def test_nothing_disappears(
    house: tuple[Catalog, int, int], statements: list[tuple[str, dict[str, str]]], days: list[int]
) -> None:
    """Whatever is said, each answer is of a finding asked about, and every row stays to be listed."""
    catalog, app, other = house
    with catalog.write() as c:
        c.execute(vex_statement.delete())
        c.execute(deferral.delete())
        tell(c, *(say(status, **product) for status, product in statements))
        made = {defer(c, days=ahead) for ahead in days}
        number = deferrals.find_fault(c, "CVE-2026-1")[0]
        asked = {held(app, number), held(other, number)}
        found = suppressions_of(c, asked, now=NOON)
        assert found.keys() <= asked
        assert all(
            one.who and one.status in {"not_affected", "fixed", "deferred"}
            for one in found.values()
        )
        assert len(vex.list_statements(c).items) == len(statements)
        every = deferrals.list_deferrals(c, now=NOON, all_states=True)
        assert {one.id for one in every} == made
        if any(ahead > 0 for ahead in days):
            assert found.keys() == asked
        if found:
            assert number in suppressions.list_spoken_of(c, now=NOON)
