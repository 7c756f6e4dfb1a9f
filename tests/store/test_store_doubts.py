"""What of an image is not known is told, each reason by itself; and where a fault is, who is unknown."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from sqlalchemy import update
from test_store_findings import HERE, JSON, tell
from test_store_unknown_not_clean import ALPINE, APK, GO, put
from test_store_updates import run
from tests_store import NOON, PutImage, digest, fixed_in, package

from imagecatalog.domain.contents import FileProblem
from imagecatalog.domain.packages import Distro, Package
from imagecatalog.matching.match import match
from imagecatalog.planning.exposure import affected
from imagecatalog.planning.findings import image_findings
from imagecatalog.planning.staleness import overview
from imagecatalog.planning.verdicts import judge_images
from imagecatalog.store import exposed
from imagecatalog.store.engine import Catalog, Connection
from imagecatalog.store.schema import component

SECDB = "alpine-secdb v3.18/main"
MUSL = fixed_in("CVE-2026-1", "alpine/3.18", "musl", "1.2.3-r1")


def doubts(c: Connection, name: str) -> tuple[str, ...]:
    return image_findings(c, str(digest(name)), now=NOON).unknown


def test_an_image_of_which_all_is_known_has_no_doubt(catalog: Catalog) -> None:
    with catalog.write() as c:
        tell(c, SECDB, [MUSL])
        put(c, "a", [APK], ALPINE)
        match(c, now=NOON)
        assert doubts(c, "a") == ()


def test_each_kind_of_which_no_feed_tells_is_named(catalog: Catalog) -> None:
    with catalog.write() as c:
        tell(c, SECDB, [MUSL])
        number = put(c, "a", [APK, GO, Package("deb", "x", "1", "amd64", "x", "1")], ALPINE)
        match(c, now=NOON)
        assert doubts(c, "a") == (
            "1 deb package: no feed tells of alpine/3.18 yet",
            "1 golang package: no feed tells of golang yet",
        )
        mark = judge_images(c, [number], now=NOON)[number].verdict.unjudged
        assert mark == "1 deb package, 1 golang package: no feed tells of them"


def test_a_distribution_that_is_not_understood_is_named(catalog: Catalog) -> None:
    with catalog.write() as c:
        put(c, "a", [APK], Distro("nobodys", "1", None, "Nobody's Linux"))
        match(c, now=NOON)
        (doubt,) = doubts(c, "a")
        assert doubt == "1 apk package: no feed is known for nobodys 1"


def test_what_waits_and_what_was_not_read_is_told(catalog: Catalog) -> None:
    problem = FileProblem("app/a.jar", "cut-short", "it is cut short")
    with catalog.write() as c:
        tell(c, SECDB, [MUSL])
        put(c, "a", [APK], ALPINE, (problem,))
        match(c, now=NOON)
        c.execute(update(component).values(pending=True))
        assert doubts(c, "a") == (
            "1 of its components are not judged yet: imagecatalog refresh",
            "app/a.jar could not be read: it is cut short",
        )


def test_the_front_page_counts_what_nobody_judges(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        put_image(c, "plain", [package("bash")])
        put_image(c, "mixed", [package("bash"), GO])
        put_image(c, "idle", [package("bash"), GO])
        run(c, "plain", "mixed")
        tell(c, JSON, [fixed_in("CVE-2026-1", HERE, "bash", "0.5")])
        match(c, now=NOON)
        assert overview(c, now=NOON).unjudged == 1
        tell(c, "osv Go", [fixed_in("GO-2026-1", "golang", "stdlib", "1.0")])
        match(c, now=NOON)
        assert overview(c, now=NOON).unjudged == 0


def test_running_images_of_a_release_that_no_feed_tells_of_are_unknown(
    catalog: Catalog, put_image: PutImage
) -> None:
    with catalog.write() as c:
        put_image(c, "a", [package("bash")])
        run(c, "a")
        match(c, now=NOON)
        assert exposed.count_unknown(c) == 1
        tell(c, JSON, [fixed_in("CVE-2026-1", HERE, "bash", "0.5")])
        match(c, now=NOON)
        assert exposed.count_unknown(c) == 0


@pytest.mark.parametrize("seed", range(3))
def test_where_a_fault_is_equals_a_look_at_each_image(
    catalog: Catalog, put_image: PutImage, seed: int
) -> None:
    luck = random.Random(seed)
    versions = ("1.0-1", "1.0-2", "1.0-3")
    held: dict[str, dict[str, str]] = {}
    with catalog.write() as c:
        for n in range(12):
            names = luck.sample(["ssl", "tar", "zlib"], luck.randrange(1, 4))
            held[f"a{n}"] = {name: luck.choice(versions) for name in names}
            inside = [package(*one) for one in held[f"a{n}"].items()]
            put_image(c, f"a{n}", inside, at=NOON + timedelta(seconds=n))
        running = luck.sample(sorted(held), 6)
        run(c, *running)
        told = [("ssl", luck.choice(versions)), ("zlib", luck.choice(versions))]
        tell(c, JSON, [fixed_in("CVE-2026-1", HERE, *one) for one in told])
        match(c, now=NOON)
        bad = {
            name
            for name, inside in held.items()
            if any(inside.get(source, versions[2]) < fixed for source, fixed in told)
        }
        found = affected(c, "CVE-2026-1", now=NOON, limit=100)
        assert {one.digest for one in found.images} == {str(digest(name)) for name in bad}
        runs = {one.digest for one in found.images if one.running}
        assert runs == {str(digest(name)) for name in bad & set(running)}
        assert found.containers == len(runs)
        assert (found.unknown, found.more_images) == (0, False)
        few = affected(c, "CVE-2026-1", now=NOON, limit=1)
        assert {one.digest for one in few.images if one.running} == runs
        assert few.more_images == (len(bad) > len(runs) + 1)
