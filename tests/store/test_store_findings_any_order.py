"""Whatever comes in whatever order, findings are what a slow look at everything says they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import chain

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Struct
from sqlalchemy import select
from tests_store import NOON, digest

from imagecatalog.domain.advisories import Advisory, Affected, AffectedRange, FeedPart, Rating
from imagecatalog.domain.findings import SEVERITIES
from imagecatalog.domain.packages import Distro, Package
from imagecatalog.matching.match import match
from imagecatalog.store import components, findings, images, packages, schema
from imagecatalog.store.advisories import apply_feed
from imagecatalog.store.engine import Catalog, Connection
from imagecatalog.store.images import ImageFacts
from imagecatalog.store.run_rows import put_cluster, put_workloads
from imagecatalog.store.schema import advisory, component, finding, scope
from imagecatalog.store.shelf import Shelf
from imagecatalog.versions import key

VERSIONS = ("1.0~rc1-1", "1.0-1", "1.0-1+deb12u1", "1.0-2", "1:0.1-1")
"""Ascending."""
INVALID = "one and a half"
FEEDS = ("debian-tracker json", "debian-tracker DSA", "osv Debian")
DISTROS = {name: Distro("debian", None, name) for name in ("bookworm", "trixie")}
NAMES = ("ssl", "tar")
ADVISORIES = ("CVE-1", "CVE-2", "CVE-3", "GHSA-1", "DSA-1", "DSA-2", "OTHER-1")
FILLERS = 60
"""Parts that say nothing, so that no feed shrinks by a tenth."""


class Claim(Struct, frozen=True):
    """A row of a feed; versions by their place in ``VERSIONS``."""

    advisory: str
    release: str
    name: str
    status: str
    low: int | None
    high: int | None
    inclusive: bool
    is_fixed: bool
    urgency: str | None
    reason: str | None

    @property
    def fixed(self) -> str | None:
        limited = self.status == "fixed" and self.high is not None and self.is_fixed
        return VERSIONS[self.high] if limited else None  # type: ignore[index]


class Part(Struct, frozen=True):
    """What one part of a feed says."""

    claims: tuple[Claim, ...]
    aliases: tuple[tuple[str, str], ...]
    covers: tuple[tuple[str, str], ...]
    ratings: tuple[tuple[str, int], ...]


places = st.none() | st.integers(0, len(VERSIONS) - 1)
claims = st.builds(
    Claim,
    advisory=st.sampled_from(ADVISORIES),
    release=st.sampled_from(sorted(DISTROS)),
    name=st.sampled_from(NAMES),
    status=st.sampled_from(["fixed", "fixed", "fixed", "open", "not-affected", "undetermined"]),
    low=places,
    high=places,
    inclusive=st.booleans(),
    is_fixed=st.booleans(),
    urgency=st.sampled_from([None, None, "low**", "unimportant", "not yet assigned", "high"]),
    reason=st.sampled_from([None, None, "ignored", "postponed"]),
)
names = st.sampled_from(ADVISORIES)
parts = st.builds(
    Part,
    claims=st.lists(claims, max_size=4).map(tuple),
    aliases=st.lists(st.tuples(names, names), max_size=1).map(tuple),
    covers=st.lists(st.tuples(names, names), max_size=2).map(tuple),
    ratings=st.lists(
        st.tuples(names, st.integers(1, 5)), max_size=1, unique_by=lambda one: one[0]
    ).map(tuple),
)
feeds = st.tuples(
    st.sampled_from(FEEDS), st.dictionaries(st.sampled_from("abc"), parts, max_size=3)
)
installed = st.tuples(
    st.sampled_from(sorted(DISTROS)),
    st.sampled_from(NAMES),
    st.sampled_from((*VERSIONS, INVALID)),
)
steps = st.lists(feeds | installed | st.just("match"), min_size=2, max_size=8)


class _UndoneError(Exception):
    """Ends a transaction so that nothing of it stays."""


@pytest.mark.parametrize("examples", [40])
def test_findings_are_what_all_that_was_told_comes_to(catalog: Catalog, examples: int) -> None:
    @settings(max_examples=examples, suppress_health_check=list(HealthCheck))
    @given(steps)
    def check(history: list[object]) -> None:
        with suppress(_UndoneError), catalog.write() as c:
            _live_through(c, history)
            raise _UndoneError

    check()


def _live_through(c: Connection, history: Iterable[object]) -> None:
    shelf = Shelf()
    told: dict[str, Mapping[str, Part]] = {}
    held: set[tuple[str, str, str]] = set()
    for step in history:
        if isinstance(step, str):
            match(c, now=NOON)
        elif len(step) == 2:  # type: ignore[arg-type]
            feed, content = step  # type: ignore[misc]
            told[feed] = content
            apply_feed(c, feed, _write(content), where=feed)
        else:
            held.add(step)  # type: ignore[arg-type]
            _install(c, shelf, *step)  # type: ignore[misc]
    match(c, now=NOON)
    expected = evaluate(told, held)
    assert _read(c) == expected
    _check_standings(c)
    findings.mark_all(c)
    match(c, now=NOON)
    assert _read(c) == expected


def _install(c: Connection, shelf: Shelf, release: str, name: str, version: str) -> None:
    package = Package("deb", f"lib{name}", version, "amd64", name, version)
    (set_id,) = packages.put_sets(c, shelf, [packages.PackageList((package,))])
    distro = images.put_distro(c, shelf, DISTROS[release])
    components.enrol(c, shelf, [(distro, set_id)])
    _run(c, f"{release} {name} {version}", distro, set_id)


OWNER = ("web", "Deployment/app")


def _run(c: Connection, name: str, distro: int, set_id: int) -> None:
    """Have an image with these packages run."""
    facts = ImageFacts(
        digest=digest(name),
        media_type="application/vnd.oci.image.manifest.v1+json",
        layers=(),
        platform="linux/amd64",
        distro_id=distro,
        set_id=set_id,
    )
    images.put_images(c, Shelf(), [facts], now=NOON)
    north, _ = put_cluster(c, "north")
    number = c.scalar(select(schema.manifest.c.id).where(schema.manifest.c.digest == digest(name)))
    known = select(schema.run_image.c.id).where(schema.run_image.c.manifest_id == number)
    if c.scalar(known) is None:
        c.execute(schema.run_image.insert().values(image=name, image_id="", manifest_id=number))
        c.execute(
            schema.run.insert().values(
                cluster_id=north,
                workload_id=put_workloads(c, north, [OWNER])[OWNER],
                pod_name=name,
                container="app",
                kind="container",
                run_image_id=c.scalar(known),
                since=NOON,
                seen=NOON,
            )
        )


def _check_standings(c: Connection) -> None:
    """What is kept of the sets that run is what is added up anew, and so are their components."""
    members = select(schema.standing_component).order_by(*schema.standing_component.primary_key)
    sums = select(schema.standing).order_by(schema.standing.c.scope_id, schema.standing.c.set_id)
    kept = c.execute(sums).all(), c.execute(members).all()
    c.execute(schema.standing.delete())
    findings.keep_standings(c)
    assert (c.execute(sums).all(), c.execute(members).all()) == kept


def _write(content: Mapping[str, Part]) -> Iterable[FeedPart]:
    for number in range(FILLERS):
        yield FeedPart(name=f"filler {number}", digest=b"", advisories=(), affected=())
    for name, part in content.items():
        about = sorted({one for one, _ in chain(part.aliases, part.covers, part.ratings)})
        yield FeedPart(
            name=name,
            digest=repr(part).encode(),
            advisories=tuple(
                Advisory(
                    name=one,
                    aliases=tuple(b for a, b in part.aliases if a == one),
                    covers=tuple(b for a, b in part.covers if a == one),
                    ratings=tuple(
                        Rating(system="word", severity=SEVERITIES[rank])
                        for a, rank in part.ratings
                        if a == one
                    ),
                )
                for one in about
            ),
            affected=tuple(_affected(one) for one in part.claims),
        )


def _affected(one: Claim) -> Affected:
    low, high = (None if at is None else key("deb", VERSIONS[at]) for at in (one.low, one.high))
    return Affected(
        advisory=one.advisory,
        scope=f"debian/{one.release}",
        name=one.name,
        status=one.status,  # type: ignore[arg-type]
        ranges=(AffectedRange(low, high, one.inclusive, one.fixed),),
        urgency=one.urgency,
        reason=one.reason,
    )


def _read(c: Connection) -> dict[tuple[str, ...], tuple[object, ...]]:
    query = (
        select(
            scope.c.name,
            component.c.name,
            component.c.version,
            advisory.c.name,
            finding.c.state,
            finding.c.fixed,
            finding.c.reason,
            finding.c.severity,
            finding.c.feed,
            finding.c.counted,
        )
        .join(component, component.c.id == finding.c.component_id)
        .join(scope, scope.c.id == component.c.scope_id)
        .join(advisory, advisory.c.id == finding.c.advisory_id)
    )
    return {tuple(row[:4]): tuple(row[4:]) for row in c.execute(query)}


# --- the slow look ------------------------------------------------------------------------------


def evaluate(
    told: Mapping[str, Mapping[str, Part]], held: Iterable[tuple[str, str, str]]
) -> dict[tuple[str, ...], tuple[object, ...]]:
    """All findings, each version held against each claim on its own."""
    every = [part for content in told.values() for part in content.values()]
    groups = _join([pair for part in every for pair in part.aliases])
    covers = {
        (groups[a], groups[b])
        for part in every
        for a, b in part.covers
        if a != b and groups[a] != groups[b]
    }
    rated: dict[str, int] = {}
    for name, rank in chain.from_iterable(part.ratings for part in every):
        rated[groups[name]] = max(rank, rated.get(groups[name], 0))
    found: dict[tuple[str, ...], tuple[object, ...]] = {}
    for release, name, version in held:
        said = [
            (feed, one)
            for feed, content in told.items()
            for part in content.values()
            for one in part.claims
            if (one.release, one.name) == (release, name)
        ]
        for advisory_name, verdict in _judge(said, version, groups, covers, rated).items():
            found[f"debian/{release}", name, version, advisory_name] = verdict
    return found


def _join(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The best name of each advisory's group."""
    groups = {one: {one} for one in ADVISORIES}
    for a, b in pairs:
        joined = groups[a] | groups[b]
        for one in joined:
            groups[one] = joined
    return {one: min(group, key=_preference) for one, group in groups.items()}


def _preference(name: str) -> tuple[int, str]:
    kind = name.split("-", maxsplit=1)[0]
    return ({"CVE": 0, "GHSA": 1}.get(kind, 2), name)


def _judge(
    said: list[tuple[str, Claim]],
    version: str,
    groups: Mapping[str, str],
    covers: set[tuple[str, str]],
    rated: Mapping[str, int],
) -> dict[str, tuple[object, ...]]:
    faults = {groups[one.advisory] for _, one in said}
    faults |= {b for a, b in covers if a in faults}
    counting = {fault: _choose(said, fault, groups, covers) for fault in faults}
    severities = {fault: _rate(counting[fault], rated.get(fault, 0)) for fault in faults}
    notices = {a for a, _ in covers}
    found = {}
    for fault in faults:
        bundled = {b for a, b in covers if a == fault}
        hits = [hit for feed, one in counting[fault] for hit in _hold(feed, one, version)]
        if not hits:
            continue
        _, state, fixed, reason, feed = min(hits)
        severity = max(severities[one] for one in {fault, *bundled} if one in severities)
        counts = not (bundled & faults - notices)
        names = {one.advisory for _, one in said if groups[one.advisory] == fault}
        for name in names | {fault}:
            values = (
                state,
                fixed or None,
                reason or None,
                severity,
                feed,
                counts and name == fault,
            )
            found[name] = values
    return found


def _choose(
    said: list[tuple[str, Claim]],
    fault: str,
    groups: Mapping[str, str],
    covers: set[tuple[str, str]],
) -> list[tuple[str, Claim]]:
    about = [
        (feed, one)
        for feed, one in said
        if groups[one.advisory] == fault or (groups[one.advisory], fault) in covers
    ]
    best = min(FEEDS.index(feed) for feed, _ in about)
    return [(feed, one) for feed, one in about if feed == FEEDS[best]]


def _rate(about: list[tuple[str, Claim]], rated: int) -> int:
    words = {"unimportant": 1, "low**": 2, "high": 4}
    return max(words.get(one.urgency or "", 0) for _, one in about) or rated


def _hold(feed: str, one: Claim, version: str) -> list[tuple[object, ...]]:
    """What the claim says of the version, with what decides between two that say something."""
    if one.status == "not-affected":
        return []
    limited = one.low is not None or one.high is not None
    if version == INVALID:
        state = "undetermined" if limited else _state(one)
        reason = "invalid-version" if limited else one.reason
        fixed = None if limited else one.fixed
    else:
        at = VERSIONS.index(version)
        if one.low is not None and at < one.low:
            return []
        if one.high is not None and not (at < one.high or (one.inclusive and at == one.high)):
            return []
        state, fixed, reason = _state(one), one.fixed, one.reason
    order = ("fix-out", "wont-fix", "no-fix", "undetermined").index(_state(one))
    rank = (
        version == INVALID and limited,
        order,
        one.high is None,
        -(one.high or 0),
        feed,
        -1 if one.low is None else one.low,
        one.inclusive,
        one.fixed or "",
        one.reason or "",
    )
    return [(rank, state, fixed or "", reason or "", feed)]


def _state(one: Claim) -> str:
    if one.status == "undetermined":
        return "undetermined"
    if one.fixed:
        return "fix-out"
    return "wont-fix" if one.reason == "ignored" else "no-fix"
