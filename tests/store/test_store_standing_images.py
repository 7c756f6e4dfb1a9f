"""Where a fault runs is the same whatever was kept of what runs, and when: nothing kept is trusted
that may have changed since."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from test_store_at_once import at_once
from test_store_findings import HERE, JSON, tell
from tests_store import NOON, PutImage, digest, fixed_in, package

from imagecatalog.catalog import timeline
from imagecatalog.domain.advisories import Exposure
from imagecatalog.domain.runs import RunningContainer
from imagecatalog.matching.match import match
from imagecatalog.planning.exposure import affected
from imagecatalog.planning.running_faults import list_running_faults
from imagecatalog.store import findings, standing_images
from imagecatalog.store.components import settle_scopes
from imagecatalog.store.engine import Catalog, Connection
from imagecatalog.store.schema import standing

BAD, GOOD = package("openssl", "3.0.1-1"), package("openssl", "3.0.9-1")
FAULT = "CVE-2026-1"


def observe(c: Connection, *names: str, minutes: int = 0) -> None:
    containers = [
        RunningContainer(
            "web",
            f"Deployment/{name}",
            f"{name}-{number}",
            "main",
            "container",
            f"registry.example.org/{name}:{tag}",
            f"registry.example.org/{name}@{digest(name)}",
        )
        for name in names
        for number, tag in enumerate(("1", "1", "latest"))
    ]
    at = NOON.replace(minute=minutes)
    timeline.observe(c, "north", containers, at=at)


@pytest.fixture
def house(catalog: Catalog, put_image: PutImage) -> Catalog:
    """A bad image and a good one that run, and one that does not; all of it judged."""
    with catalog.write() as c:
        put_image(c, "bad", [BAD])
        put_image(c, "good", [GOOD])
        put_image(c, "idle", [BAD])
        observe(c, "bad", "good")
        tell(c, JSON, [fixed_in(FAULT, HERE, "openssl", "3.0.2-1")])
        match(c, now=NOON)
    return catalog


def ask(c: Connection) -> Exposure:
    found = affected(c, FAULT, now=NOON)
    slow = _ask_without_what_is_kept(c)
    assert found == slow
    return found


def _ask_without_what_is_kept(c: Connection) -> Exposure:
    with c.begin_nested() as before:
        standing_images.forget_all(c)
        found = affected(c, FAULT, now=NOON)
        before.rollback()
    return found


def running(found: Exposure) -> dict[str, int]:
    return {one.image: sum(p.containers for p in one.running) for one in found.images}


def test_an_image_is_named_as_most_of_its_containers_name_it(house: Catalog) -> None:
    with house.write() as c:
        found = ask(c)
    assert running(found) == {"registry.example.org/bad:1": 3, str(digest("idle")): 0}
    assert found.containers == 3
    assert (found.unknown, found.more_images) == (0, False)
    assert found.images[0].packages == ("openssl 3.0.1-1",)


def test_an_image_with_other_packages_is_not_answered_from_what_was_kept(
    house: Catalog, put_image: PutImage
) -> None:
    with house.write() as c:
        put_image(c, "bad", [GOOD])
        put_image(c, "good", [BAD])
        found = ask(c)
        assert running(found)["registry.example.org/good:1"] == 3
        assert "registry.example.org/bad:1" not in running(found)
        match(c, now=NOON)
        assert ask(c) == found


def test_an_image_of_which_nothing_is_known_any_more_is_unknown(
    house: Catalog, put_image: PutImage
) -> None:
    with house.write() as c:
        put_image(c, "bad", None)
        found = ask(c)
    assert (running(found), found.unknown) == ({str(digest("idle")): 0}, 1)


def test_what_began_to_run_since_is_found_by_packages_that_run_anyhow(
    house: Catalog, put_image: PutImage
) -> None:
    with house.write() as c:
        put_image(c, "other", [package("other-1")])
        observe(c, "bad", "idle", "other", "never-met", minutes=1)
        found = ask(c)
        assert running(found) == {
            "registry.example.org/bad:1": 3,
            "registry.example.org/idle:1": 3,
        }
        assert found.unknown == 3  # nobody looked at one, and one was never met, under two names
        match(c, now=NOON)
        assert (running(ask(c)), ask(c).unknown) == (running(found), 2)


def test_what_stopped_runs_no_more_though_it_is_kept(house: Catalog) -> None:
    with house.write() as c:
        observe(c, "good", minutes=1)
        assert set(running(ask(c)).values()) == {0}
        assert list_running_faults(c, now=NOON).running == 1


def test_a_distribution_that_counts_as_another_is_judged_as_that(house: Catalog) -> None:
    with house.write() as c:
        assert settle_scopes(c, {"debian 12": "ubuntu 24.04"}) == 1
        assert ask(c).unknown == 2
        assert not any(one.running for one in ask(c).images)


def test_the_sums_of_what_runs_are_the_same_without_what_is_kept(house: Catalog) -> None:
    with house.write() as c:
        fast = list_running_faults(c, now=NOON)
        standing_images.forget_all(c)
        assert list_running_faults(c, now=NOON) == fast
        findings.drop_standings(c)
        standing_images.keep_images(c)
        assert list_running_faults(c, now=NOON) == fast


def keep(c: Connection) -> None:
    findings.keep_standings(c)
    standing_images.keep_images(c)


def settle(c: Connection) -> None:
    settle_scopes(c, {"debian 12": "ubuntu 24.04"})


@pytest.mark.parametrize("is_kept", [True, False])
@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("other", [keep, settle])
def test_an_image_written_while_others_are_kept_or_moved_is_answered_right(
    house: Catalog,
    put_image: PutImage,
    other: Callable[[Connection], None],
    is_first: bool,
    is_kept: bool,
) -> None:
    def write(c: Connection) -> None:
        put_image(c, "good", [BAD])
        put_image(c, "bad", [GOOD])

    if not is_kept:
        with house.write() as c:
            standing_images.forget_all(c)
    at_once(house, *((write, other) if is_first else (other, write)))
    with house.write() as c:
        ask(c)
        match(c, now=NOON)
        assert set(running(ask(c))) >= {"registry.example.org/good:1"}


def test_sums_that_are_dropped_make_their_images_unknown(house: Catalog) -> None:
    with house.write() as c:
        c.execute(standing.delete())
        found = ask(c)
        assert (found.unknown, found.containers) == (2, 0)
        keep(c)
        assert (ask(c).unknown, ask(c).containers) == (0, 3)
