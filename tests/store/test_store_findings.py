"""Findings: each component held against what the feeds say, by the rules and nothing else."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import structs
from sqlalchemy import delete, insert, select, update
from test_store_updates import run
from tests_store import NOON, PutImage, fixed_in, package

from imagecatalog.domain.advisories import Advisory, Affected, FeedPart, Rating
from imagecatalog.domain.packages import Distro, Package
from imagecatalog.matching.match import judge_some, match
from imagecatalog.store import components, findings, images, judging, packages
from imagecatalog.store.advisories import apply_feed
from imagecatalog.store.engine import Catalog, Connection
from imagecatalog.store.schema import (
    advisory,
    component,
    component_package,
    distro,
    finding,
    manifest,
    scope_chunk,
    standing,
    unenrolled,
)
from imagecatalog.store.shelf import Shelf

JSON, LISTS, OSV = "debian-tracker json", "debian-tracker DSA", "osv Debian"
HERE = "debian/bookworm"


def said(name: str, source: str, status: str, reason: str | None = None, **more: str) -> Affected:
    return Affected(
        advisory=name,
        scope=more.pop("scope", HERE),
        name=source,
        status=status,  # type: ignore[arg-type]
        reason=reason,
        **more,  # type: ignore[arg-type]
    )


def tell(
    c: Connection, feed: str, told: Iterable[Affected], about: Iterable[Advisory] = ()
) -> None:
    """All that a feed says, a part for each advisory."""
    advisories = {one.name: one for one in about}
    parts: dict[str, list[Affected]] = {name: [] for name in advisories}
    for one in told:
        parts.setdefault(one.advisory, []).append(one)
    apply_feed(
        c,
        feed,
        [
            FeedPart(
                name=name,
                digest=repr((name, many, advisories.get(name))).encode(),
                advisories=(advisories.get(name, Advisory(name=name)),),
                affected=tuple(many),
            )
            for name, many in parts.items()
        ],
        where=feed,
    )


def found(c: Connection) -> dict[tuple[str, str, str], tuple[object, ...]]:
    """By name, version and advisory: state, fixed, reason, severity, feed, whether it counts."""
    query = (
        select(
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
        .join(advisory, advisory.c.id == finding.c.advisory_id)
    )
    return {tuple(row[:3]): tuple(row[3:]) for row in c.execute(query)}


def states(c: Connection) -> dict[tuple[str, str, str], object]:
    return {key: values[0] for key, values in found(c).items()}


def test_each_status_of_the_tracker_is_a_state_of_its_own(
    catalog: Catalog, put_image: PutImage
) -> None:
    with catalog.write() as c:
        put_image(c, "app", [package("ssl", "1.0-2"), package("tar", "1.0-2")])
        tell(
            c,
            JSON,
            [
                fixed_in("CVE-2026-1", HERE, "ssl", "1.0-3"),
                fixed_in("CVE-2026-2", HERE, "ssl", "1.0-2"),
                said("CVE-2026-3", "ssl", "open", "postponed"),
                said("CVE-2026-4", "ssl", "open", "ignored"),
                said("CVE-2026-5", "ssl", "open", "end-of-life"),
                said("CVE-2026-6", "ssl", "undetermined"),
                said("CVE-2026-7", "ssl", "not-affected"),
                said("CVE-2026-8", "ssl", "open", urgency="unimportant"),
                said("CVE-2026-9", "ssl", "open", scope="debian/trixie"),
            ],
        )
        assert match(c, now=NOON)
        one = ("ssl", "1.0-2")
        assert found(c) == {
            (*one, "CVE-2026-1"): ("fix-out", "1.0-3", None, 0, JSON, True),
            (*one, "CVE-2026-3"): ("no-fix", None, "postponed", 0, JSON, True),
            (*one, "CVE-2026-4"): ("wont-fix", None, "ignored", 0, JSON, True),
            (*one, "CVE-2026-5"): ("wont-fix", None, "end-of-life", 0, JSON, True),
            (*one, "CVE-2026-6"): ("undetermined", None, None, 0, JSON, True),
            (*one, "CVE-2026-8"): ("no-fix", None, None, 1, JSON, True),
        }
        assert match(c, now=NOON) == 0


def test_lists_speak_where_the_json_is_silent_and_the_higher_fix_counts(
    catalog: Catalog, put_image: PutImage
) -> None:
    with catalog.write() as c:
        put_image(c, "app", [package("ssl", "1.0-1")])
        tell(c, JSON, [fixed_in("CVE-2026-1", HERE, "ssl", "1.0-1")])
        first = Advisory(name="DSA-1-1", covers=("CVE-2026-1", "CVE-2026-2"))
        second = Advisory(name="DSA-2-1", covers=("CVE-2026-2",))
        tell(
            c,
            LISTS,
            [
                fixed_in("DSA-1-1", HERE, "ssl", "1.0-2"),
                fixed_in("DSA-2-1", HERE, "ssl", "1.0-3"),
                fixed_in("DSA-1-2", HERE, "ssl", "1.0-4"),  # a regression update: of no CVE
            ],
            [first, second],
        )
        tell(c, OSV, [fixed_in("CVE-2026-2", HERE, "ssl", "1.0-9")])
        match(c, now=NOON)
        told = {key[2]: (values[1], values[4], values[5]) for key, values in found(c).items()}
        assert told == {
            "CVE-2026-2": ("1.0-3", LISTS, True),
            "DSA-1-1": ("1.0-2", LISTS, False),
            "DSA-2-1": ("1.0-3", LISTS, False),
            "DSA-1-2": ("1.0-4", LISTS, True),
        }


def test_one_fault_counts_once_under_its_best_name(catalog: Catalog, put_image: PutImage) -> None:
    library = Package("pypi", "Flask_Login", "1.0", "", "Flask_Login", "1.0")
    ratings = (
        Rating(system="CVSS_V3", score=5.0, severity="medium"),
        Rating(system="word", severity="high"),
    )
    ghsa = Advisory(name="GHSA-1", aliases=("CVE-2026-1",), ratings=ratings)
    pysec = Advisory(name="PYSEC-1", aliases=("CVE-2026-1",))
    told = [
        fixed_in("GHSA-1", "pypi", "flask-login", "1.1"),
        fixed_in("PYSEC-1", "pypi", "flask-login", "1.2"),
    ]
    with catalog.write() as c:
        put_image(c, "app", [library])
        tell(c, "osv PyPI", told, [ghsa, pysec])
        match(c, now=NOON)
        counted = {key[2]: values for key, values in found(c).items() if values[-1]}
        assert counted == {"CVE-2026-1": ("fix-out", "1.2", None, 4, "osv PyPI", True)}
        assert set(states(c)) == {
            ("flask-login", "1.0", name) for name in ("CVE-2026-1", "GHSA-1", "PYSEC-1")
        }
        tell(c, "osv PyPI", told, [ghsa, Advisory(name="PYSEC-1")])  # they are two after all
        match(c, now=NOON)
        counted = {key[2]: values[1:4] for key, values in found(c).items() if values[-1]}
        assert counted == {"CVE-2026-1": ("1.1", None, 4), "PYSEC-1": ("1.2", None, 0)}


def test_an_invalid_version_is_not_spared(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        put_image(c, "app", [package("ssl", "one and a half")])
        tell(
            c,
            JSON,
            [
                fixed_in("CVE-2026-1", HERE, "ssl", "1.0-3"),
                said("CVE-2026-2", "ssl", "open", "ignored"),
                said("CVE-2026-3", "ssl", "not-affected"),
            ],
        )
        match(c, now=NOON)
        one = ("ssl", "one and a half")
        assert found(c) == {
            (*one, "CVE-2026-1"): ("undetermined", None, "invalid-version", 0, JSON, True),
            (*one, "CVE-2026-2"): ("wont-fix", None, "ignored", 0, JSON, True),
        }


def test_a_signed_kernel_and_a_rebuild_are_what_they_were_built_from(
    catalog: Catalog, put_image: PutImage
) -> None:
    kernel = Package(
        "deb", "linux-image-amd64", "6.1.170-3", "amd64", "linux-signed-amd64", "6.1.170+3"
    )
    newer = Package(
        "deb", "linux-image-x", "6.12.1-1~deb12u1", "amd64", "linux-signed-6.12-amd64", "6.12.1+1~x"
    )
    rebuilt = Package("deb", "ssl", "1.0-1+b7", "amd64", "ssl", "1.0-1+b7")
    with catalog.write() as c:
        put_image(c, "app", [kernel, newer, rebuilt])
        tell(
            c,
            JSON,
            [
                fixed_in("CVE-2026-1", HERE, "linux", "6.1.170-3"),
                fixed_in("CVE-2026-2", HERE, "linux", "6.1.170-4"),
                fixed_in("CVE-2026-3", HERE, "linux-6.12", "6.12.2-1"),
                fixed_in("CVE-2026-4", HERE, "ssl", "1.0-1+a1"),
            ],
        )
        match(c, now=NOON)
        assert set(states(c)) == {
            ("linux", "6.1.170-3", "CVE-2026-2"),
            ("linux-6.12", "6.12.1-1~x", "CVE-2026-3"),
            ("ssl", "1.0-1", "CVE-2026-4"),
        }


def test_a_derived_distribution_is_judged_by_whose_advisories_the_settings_name(
    catalog: Catalog, put_image: PutImage
) -> None:
    raspbian = Distro("raspbian", "12", "bookworm")
    with catalog.write() as c:
        put_image(c, "pi", [package("ssl", "1.0-1")])
        c.execute(update(manifest).values(distro_id=images.put_distro(c, Shelf(), raspbian)))
        for table in (component_package, component, scope_chunk):
            c.execute(delete(table))
        components.enrol(c, Shelf(), c.execute(select(manifest.c.distro_id, manifest.c.set_id)))
        tell(c, JSON, [fixed_in("CVE-2026-1", HERE, "ssl", "1.0-2")])
        match(c, now=NOON)
        assert states(c) == {}
        match(c, now=NOON, derived={"raspbian": "debian"})
        assert states(c) == {("ssl", "1.0-1", "CVE-2026-1"): "fix-out"}


def test_what_was_there_before_there_were_findings_is_enrolled(
    catalog: Catalog, put_image: PutImage
) -> None:
    with catalog.write() as c:
        put_image(c, "first", [package("ssl", "1.0-1")])
        last = put_image(c, "last", [package("tar", "1.0-1")])
        for table in (component_package, component, scope_chunk):
            c.execute(delete(table))
        c.execute(update(distro).values(scope_id=None))
        c.execute(insert(unenrolled).values(distro_id=components.NO_DISTRO, manifest_id=last))
        tell(c, JSON, [fixed_in(f"CVE-2026-{n}", HERE, n, "1.0-2") for n in ("ssl", "tar")])
        assert components.settle_scopes(c, {}) == 1
        assert components.enrol_backlog(c, Shelf(), images=1) == last - 1  # and is killed here
        match(c, now=NOON)
        assert set(states(c)) == {
            ("ssl", "1.0-1", "CVE-2026-ssl"),
            ("tar", "1.0-1", "CVE-2026-tar"),
        }
        assert c.execute(select(unenrolled)).all() == []


def test_an_image_of_no_known_distribution_has_its_languages_judged(
    catalog: Catalog, put_image: PutImage
) -> None:
    library = Package("npm", "left-pad", "1.0.0", "", "left-pad", "1.0.0")
    with catalog.write() as c:
        (set_id,) = packages.put_sets(
            c, Shelf(), [packages.PackageList((package("ssl", "1.0-1"), library))]
        )
        components.enrol(c, Shelf(), [(None, set_id)])
        tell(c, JSON, [fixed_in("CVE-2026-1", HERE, "ssl", "1.0-2")])
        tell(c, OSV, [fixed_in("CVE-2026-2", "npm", "left-pad", "1.0.1")])
        match(c, now=NOON)
        assert set(states(c)) == {("left-pad", "1.0.0", "CVE-2026-2")}


def test_an_unchanged_feed_and_a_full_match_write_nothing(
    catalog: Catalog, put_image: PutImage
) -> None:
    told = [fixed_in("CVE-2026-1", HERE, "ssl", "1.0-2"), said("CVE-2026-2", "ssl", "open")]
    with catalog.write() as c:
        put_image(c, "app", [package("ssl", "1.0-1")])
        tell(c, JSON, told)
        match(c, now=NOON)
        ids = list(c.scalars(select(component.c.id)))
        assert judging.judge(c, ids) is False
        assert judging.judge(c, ids, [1, 2]) is False
        tell(c, JSON, told)
        assert not findings.has_waiting(c)


def test_what_runs_is_added_up_and_again_when_its_packages_change(
    catalog: Catalog, put_image: PutImage
) -> None:
    told = [
        fixed_in("CVE-2026-1", HERE, "ssl", "1.0-2"),
        fixed_in("CVE-2026-1", HERE, "old-ssl", "1.0-2"),  # the same fault in another source
        said("CVE-2026-2", "ssl", "fixed", urgency="unimportant"),
        said("CVE-2026-3", "ssl", "undetermined"),
        said("CVE-2026-4", "ssl", "open"),
    ]
    with catalog.write() as c:
        put_image(c, "app", [package("ssl", "1.0-1"), package("old-ssl", "1.0-1")])
        put_image(c, "other", [package("tar", "1.0-1")])
        run(c, "app", "other")
        tell(c, JSON, told)
        match(c, now=NOON)
        sums = c.execute(select(standing).order_by(standing.c.unfixed)).all()
        assert [tuple(row[2:7]) for row in sums] == [(0, 0, 0, 0, 0), (1, 2, 1, 0, 0)]
        ((_, pair),) = [(row.unfixed, (row.scope_id, row.set_id)) for row in sums if row.unfixed]
        tell(c, JSON, [fixed_in("CVE-2026-1", HERE, "ssl", "1.0-1"), *told[2:]])
        while judge_some(c):
            pass
        stale = select(standing.c.set_id).where(standing.c.stale)
        assert c.scalars(stale).all() == [pair[1]]  # the other one's stands
        kept = findings.Standing(0, 2, 1, None, 0, kinds=(("deb", 2),))
        assert findings.list_standings(c, [pair]) == {pair: kept}
        findings.keep_standings(c)
        assert len(c.execute(select(standing)).all()) == 2
        assert findings.list_standings(c, [pair]) == {pair: kept}


def test_a_release_that_the_tracker_no_longer_names_keeps_its_faults(
    catalog: Catalog, put_image: PutImage
) -> None:
    def part(name: str, *told: Affected) -> FeedPart:
        about = tuple(Advisory(name=one.advisory) for one in told)
        return FeedPart(name=name, digest=repr(told).encode(), advisories=about, affected=told)

    here = [said("CVE-2026-1", "ssl", "open"), said("CVE-2026-2", "ssl", "open")]
    later = fixed_in("CVE-2026-1", "debian/trixie", "ssl", "2.0-1")
    with catalog.write() as c:
        put_image(c, "app", [package("ssl", "1.0-2"), package("tar", "1.0-2")])
        tar = said("CVE-2026-3", "tar", "open")
        first = [part("ssl", *here, later), part("tar", tar), *(part(f"p{n}") for n in range(20))]
        apply_feed(c, JSON, first, where=JSON, keeps_scopes=True)
        match(c, now=NOON)
        before = found(c)
        assert {name for *_, name in before} == {"CVE-2026-1", "CVE-2026-2", "CVE-2026-3"}

        # One fault less while the release is looked after: it is gone.
        second = [part("ssl", here[0], later), *first[1:]]
        apply_feed(c, JSON, second, where=JSON, keeps_scopes=True)
        match(c, now=NOON)
        assert {name for *_, name in found(c)} == {"CVE-2026-1", "CVE-2026-3"}

        # A part that has not changed names its scopes alone: the release is looked after still.
        same = structs.replace(part("tar", tar), affected=(), scopes=frozenset({HERE}))
        apply_feed(c, JSON, [part("ssl", later), same, *first[2:]], where=JSON, keeps_scopes=True)
        match(c, now=NOON)
        assert {name for *_, name in found(c)} == {"CVE-2026-3"}
        apply_feed(c, JSON, second, where=JSON, keeps_scopes=True)

        # Its support has ended, and with it all that is told of it; a source is gone altogether.
        third = [part("ssl", later), *first[2:]]
        apply_feed(c, JSON, third, where=JSON, keeps_scopes=True)
        match(c, now=NOON)
        assert {name for *_, name in found(c)} == {"CVE-2026-1", "CVE-2026-3"}
