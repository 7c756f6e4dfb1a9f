"""Intervals of versions against the evaluations that the specifications word, version by version."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagecatalog.errors import BadName
from imagecatalog.versions import key, sort_key
from imagecatalog.versions.ranges import (
    LIMIT,
    Interval,
    contains,
    parse_events,
    parse_vers,
    parse_versions,
    unite,
)

VERSIONS = [f"{major}.{minor}" for major in range(4) for minor in range(4)]
SOME_VERSIONS = st.sampled_from(VERSIONS)
KEYS = {version: key("deb", version) for version in VERSIONS}
EVENTS = st.lists(
    st.tuples(st.sampled_from(["introduced", "fixed", "last_affected"]), SOME_VERSIONS)
    | st.tuples(st.just("introduced"), st.just("0"))
    | st.tuples(st.just("limit"), st.sampled_from(["*", "2.1", "3.0"])),
    max_size=6,
)


def is_affected(version: str, events: list[tuple[str, str]]) -> bool:
    """The evaluation of the OSV schema, in its words: the events in order, each up to the version."""
    at = KEYS[version]
    limits = [told for kind, told in events if kind == "limit"]
    if limits and not any(limit == "*" or at < key("deb", limit) for limit in limits):
        return False
    ranks = ["introduced", "last_affected", "fixed"]
    ordered = {
        (b"" if (kind, told) == ("introduced", "0") else key("deb", told), ranks.index(kind))
        for kind, told in events
        if kind != "limit"
    }
    # The schema leaves open what comes first of one version; both together change nothing here.
    ordered -= {
        (moment, rank) for moment, _ in ordered for rank in (0, 2)
        if {(moment, 0), (moment, 2)} <= ordered
    }  # fmt: skip
    affected = False
    for moment, rank in sorted(ordered):
        if rank == 0 and at >= moment:
            affected = True
        elif (rank == 1 and at > moment) or (rank == 2 and at >= moment):
            affected = False
    return affected


def is_apart(intervals: tuple[Interval, ...]) -> bool:
    """Whether they ascend and leave something between each other."""
    return all(
        one.high is not None
        and other.low is not None
        and (one.high < other.low and not (one.high_inclusive and other.low == one.high + b"\x00"))
        for one, other in pairwise(intervals)
    )


@settings(max_examples=400)
@given(EVENTS)
def test_events_are_read_as_the_schema_evaluates_them(events: list[tuple[str, str]]) -> None:
    told = [{kind: version} for kind, version in events]
    if not any(kind == "introduced" for kind, _ in events):
        with pytest.raises(BadName, match="introduces"):
            parse_events("deb", told)
        return
    intervals = parse_events("deb", told)
    assert is_apart(intervals)
    for version, at in KEYS.items():
        assert contains(intervals, at) == is_affected(version, events), version


def test_an_introduction_at_zero_is_below_every_version() -> None:
    (one,) = parse_events("deb", [{"introduced": "0"}, {"fixed": "1.0"}])
    assert one == Interval(None, key("deb", "1.0"))
    assert contains([one], key("deb", "0~~"))
    assert parse_events("npm", [{"introduced": "0"}]) == (Interval(None, None),)
    assert parse_events("npm", [{"introduced": "0"}, {"limit": "*"}]) == (Interval(None, None),)


def test_two_spans_that_meet_are_one() -> None:
    # PYSEC-2022-236
    told = "introduced 0, fixed 3.1.1, introduced 3.2.0, fixed 3.2.2, introduced 3.1.1, fixed 3.1.3"
    intervals = parse_events("pypi", [dict([one.split()]) for one in told.split(", ")])  # type: ignore[list-item]
    ends = [(one.low, one.high) for one in intervals]
    assert ends == [(None, key("pypi", "3.1.3")), (key("pypi", "3.2"), key("pypi", "3.2.2"))]
    nothing = parse_events("pypi", [{"introduced": "1.0"}, {"fixed": "1.0"}])
    assert nothing == ()


def test_the_last_affected_version_is_the_last() -> None:
    intervals = parse_events("npm", [{"introduced": "1.0.0"}, {"last_affected": "1.2.0"}])
    assert contains(intervals, key("npm", "1.2.0+build"))
    assert contains(intervals, key("npm", "1.2.0-rc.1"))
    assert not contains(intervals, key("npm", "1.2.1-0"))
    assert not contains(intervals, key("npm", "1.0.0-rc.1"))


@pytest.mark.parametrize(
    "events",
    [[{"introduced": "0"}, {"fixed": "1_0"}], [{"introduced": "0"}, {"mended": "1.0"}], []],
)
def test_a_range_that_says_nothing_clear_is_refused(events: list[dict[str, str]]) -> None:
    with pytest.raises(BadName):
        parse_events("deb", events)


@given(st.lists(SOME_VERSIONS | st.sampled_from(["not valid", "1_0"]), max_size=5))
def test_lists_of_versions(versions: list[str]) -> None:
    intervals = parse_versions("deb", [*versions, "2.2"])
    assert is_apart(intervals)
    for version in [*VERSIONS, "not valid", "1_0"]:
        assert contains(intervals, sort_key("deb", version)) == (version in [*versions, "2.2"])


INTERVALS = st.builds(
    Interval,
    st.none() | SOME_VERSIONS.map(KEYS.__getitem__),
    st.none() | SOME_VERSIONS.map(KEYS.__getitem__),
    st.booleans(),
).filter(lambda one: one.high is not None or not one.high_inclusive)


@settings(max_examples=200)
@given(st.lists(INTERVALS, max_size=5))
def test_uniting_changes_no_answer(intervals: list[Interval]) -> None:
    united = unite(intervals)
    assert is_apart(united)
    assert unite(united) == united
    for at in [*KEYS.values(), b"\x00?", *(at + b"\x00" for at in KEYS.values())]:
        assert contains(united, at) == contains(intervals, at)


def is_within(version: str, constraints: list[tuple[str, str]]) -> bool:
    """The containment check of the vers specification, step by step."""
    at = KEYS[version]
    ordered = sorted((KEYS[told], sign) for sign, told in constraints)
    if any(at == other and sign in ("=", "<=", ">=") for other, sign in ordered):
        return True
    if any(at == other and sign == "!=" for other, sign in ordered):
        return False
    bounds = [one for one in ordered if one[1] not in ("=", "!=")]
    if not bounds:
        return all(sign == "!=" for _, sign in ordered)
    if bounds[0][1][0] == "<" and at < bounds[0][0]:
        return True
    if bounds[-1][1][0] == ">" and at > bounds[-1][0]:
        return True
    return any(
        low[1][0] == ">" and high[1][0] == "<" and low[0] < at < high[0]
        for low, high in pairwise(bounds)
    )


@settings(max_examples=400)
@given(
    st.lists(
        st.tuples(st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), SOME_VERSIONS),
        min_size=1, max_size=6, unique_by=lambda one: one[1],
    )
)  # fmt: skip
def test_range_specifiers_are_read_as_their_specification_checks_them(
    constraints: list[tuple[str, str]],
) -> None:
    text = "vers:deb/" + "|".join(sign.removeprefix("=") + told for sign, told in constraints)
    signs = [sign[0] for _, sign in sorted((KEYS[told], sign) for sign, told in constraints)]
    bounds = [sign for sign in signs if sign in "<>"]
    if any(one == other for one, other in pairwise(bounds)):
        with pytest.raises(BadName, match="in turn"):
            parse_vers(text)
        return
    ecosystem, intervals = parse_vers(text)
    assert ecosystem == "deb"
    assert is_apart(intervals)
    for version, at in KEYS.items():
        assert contains(intervals, at) == is_within(version, constraints), version


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("vers:npm/1.2.3|>=2.0.0|<5.0.0", "1.2.3 2.0.0 4.9.9 5.0.0-rc.1", "1.2.4 5.0.0 0.1.0"),
        ("vers:gem/>=2.2.0|!=2.2.1|<2.3.0", "2.2.0 2.2.2 2.2.1.1", "2.2.1 2.3.0 2.3.0.0"),
        ("vers:pypi/0.0.2|0.0.6|>=3.0.0|0.0.1", "0.0.1 0.0.6 3.0 4", "2.0.3 0.0.3"),
        ("VERS:pypi/!=1.0", "0.9 1.0.1 1.0.post1", "1.0 1.0.0"),
        ("vers:maven/>1.0-alpha|<=1.0", "1.0-beta 1.0-GA", "1.0-alpha 1.0.1"),
        ("vers:deb/*", "1 0~~", ""),
        ("vers:none/*", "", "1"),
        ("vers:rpm/<1%3A1.0-1", "9.0-1 0:1 1:0.9-5", "1:1.0-1 2:0"),
        ("vers:golang/>=v1.0.0|<v1.2.0", "v1.0.0 1.1.9+incompatible", "v1.2.0 v0.1.0"),
        ("vers:alpine/<1.2.3-r1", "1.2.3-r0 1.2.3_rc1-r9", "1.2.3-r1"),
    ],
)
def test_range_specifiers(text: str, inside: str, outside: str) -> None:
    ecosystem, intervals = parse_vers(text)
    for version in inside.split():
        assert contains(intervals, key(ecosystem, version)), version
    for version in outside.split():
        assert not contains(intervals, key(ecosystem, version)), version


@pytest.mark.parametrize(
    "text",
    [
        *("", "vers:", "vers:npm", "vers:npm/", "npm/1.0.0", "vers:npm/|1.0.0", "vers:npm/1.0.0|"),
        *("vers:npm/1.0.0||2.0.0", "vers:npm/1.0.0|*", "vers:npm/>", "vers:npm/>= 1.0.0"),
        *("vers:npm/1.0.0|1.0.0+a", "vers:npm/>=1.0.0|>2.0.0", "vers:npm/<1.0", "vers:npm/1%2"),
        *("vers:npm/>1.0.0|<\n2.0.0", "vers:npm/=>1.0.0", "vers:deb/" + "1|" * LIMIT + "2"),
    ],
)
def test_what_is_no_range_specifier_is_refused(text: str) -> None:
    with pytest.raises(BadName):
        parse_vers(text)
