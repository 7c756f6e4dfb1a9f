"""Saved plans close if and only if the packages really moved."""

from __future__ import annotations

from datetime import timedelta

import pytest
from small_house import HOST, House
from tests_store import PutImage

from imagecatalog.config import Settings
from imagecatalog.domain.plans import Plan, PlanQuestion
from imagecatalog.errors import NotFound
from imagecatalog.planning.following import follow_plans, get_plan, list_plans, save_plan
from imagecatalog.store.engine import Catalog

OLD = {"libc": "1.0-1", "ssl": "1.0-1"}
NEW = {"libc": "1.0-1", "ssl": "1.0-2"}


@pytest.fixture
def house(catalog: Catalog, put_image: PutImage) -> House:
    """A base and a service on it, which runs; a fix is out."""
    house = House(catalog, put_image)
    house.push("base:1", OLD)
    house.push("service:1", OLD, "base:1")
    house.run(service="service:1")
    house.offer(ssl="1.0-2")
    return house


def save(house: House, **ask: object) -> Plan:
    house.now += timedelta(minutes=1)
    with house.catalog.write() as c:
        plan = save_plan(
            c,
            PlanQuestion(**ask),  # type: ignore[arg-type]
            settings=Settings(),
            saved_by=None,
            now=house.now,
        )
    house.now += timedelta(minutes=1)
    return plan


def follow(house: House, number: int | None = 1) -> Plan:
    house.now += timedelta(minutes=1)
    with house.catalog.write() as c:
        follow_plans(c, now=house.now)
    with house.catalog.read() as c:
        return get_plan(c, number or 0)


def states(plan: Plan) -> dict[str, str]:
    return {
        step.rebuild.removeprefix(f"{HOST}/"): step.state for wave in plan.waves for step in wave
    }


def test_a_plan_is_followed_until_all_has_moved(house: House) -> None:
    plan = save(house)
    assert (plan.id, plan.state, plan.followed) == (1, "open", None)
    assert states(follow(house)) == {"base:1": "waiting", "service:1": "waiting"}
    house.push("base:2", NEW)
    plan = follow(house)
    assert states(plan) == {"base:1": "proven", "service:1": "waiting"}
    assert plan.waves[0][0].detail == f"{HOST}/base:2"
    house.push("service:2", NEW, "base:2")
    plan = follow(house)
    assert states(plan) == {"base:1": "proven", "service:1": "proven"}
    assert (plan.state, [one.done for one in plan.redeploy]) == ("open", [False])
    house.run(service="service:2")
    plan = follow(house)
    assert states(plan) == {"base:1": "proven", "service:1": "deployed"}
    assert (plan.state, plan.closed) == ("closed", house.now)
    assert [one.done for one in plan.redeploy] == [True]
    house.run(service="service:1")
    assert follow(house) == plan


def test_a_rebuild_that_kept_the_old_package_is_named_and_a_better_one_heals_it(
    house: House,
) -> None:
    save(house)
    house.push("base:2", NEW)
    house.push("service:2", OLD | {"libc": "1.0-9"}, "base:1")
    house.run(service="service:2")
    plan = follow(house)
    assert states(plan)["service:1"] == "kept-old-package"
    assert plan.waves[1][0].detail == (
        f"{HOST}/service:2 still has ssl 1.0-1, not 1.0-2: a cached layer?"
    )
    assert (plan.state, plan.redeploy[0].done) == ("open", False)
    house.push("service:3", NEW, "base:2")
    assert states(follow(house))["service:1"] == "proven"
    house.run(service="service:3")
    assert follow(house).state == "closed"


def test_half_of_the_way_is_not_there(house: House) -> None:
    save(house)
    house.push("base:2", {"ssl": "1.0-1+deb12u1"})
    plan = follow(house)
    assert states(plan)["base:1"] == "kept-old-package"
    assert "still has ssl 1.0-1+deb12u1, not 1.0-2" in (plan.waves[0][0].detail or "")


def test_a_package_that_is_gone_or_newer_than_planned_has_moved(house: House) -> None:
    save(house)
    house.push("base:2", {"libc": "1.0-1"})
    house.push("service:2", {"ssl": "1:0.9-1"}, "base:2")
    assert states(follow(house)) == {"base:1": "proven", "service:1": "proven"}


def test_an_image_that_is_not_read_proves_nothing(house: House) -> None:
    save(house)
    house.push("base:2", None, setup=None)
    house.push("service:2", None, setup=None)
    house.run(service="service:2")
    plan = follow(house)
    assert states(plan) == {"base:1": "built", "service:1": "built"}
    assert "not known" in (plan.waves[0][0].detail or "")
    assert (plan.state, plan.redeploy[0].done) == ("open", False)


def test_the_same_image_under_a_new_name_is_no_rebuild(house: House) -> None:
    save(house)
    with house.catalog.write() as c:
        house.point(c, "base:2", house.tags["base"]["1"])
    plan = follow(house)
    assert states(plan)["base:1"] == "kept-old-package"


def test_an_older_image_that_becomes_the_newest_again_is_no_rebuild(house: House) -> None:
    house.push("base:2", OLD)
    save(house)
    house.drop("base:2")
    assert states(follow(house))["base:2"] == "waiting"


def test_a_workload_that_is_gone_need_not_be_redeployed(house: House) -> None:
    save(house)
    house.push("base:2", NEW)
    house.push("service:2", NEW, "base:2")
    house.running.clear()
    house.run(another="service:2")
    plan = follow(house)
    assert (plan.state, states(plan)["service:1"]) == ("closed", "deployed")


def test_one_container_of_many_that_runs_the_old_package_keeps_a_plan_open(house: House) -> None:
    house.run(service=["service:1", "service:1"])
    save(house)
    house.push("base:2", NEW)
    house.push("service:2", NEW, "base:2")
    house.run(service=["service:2", "service:1"])
    plan = follow(house)
    assert (plan.state, states(plan)["service:1"]) == ("open", "proven")
    house.run(service=["service:2", "service:2"])
    assert follow(house).state == "closed"


def test_what_a_plan_did_not_find_moved_is_not_undone_by_an_image_never_met(house: House) -> None:
    save(house)
    house.push("base:2", NEW)
    house.push("service:2", NEW, "base:2")
    house.run(service="service:never-met")
    assert follow(house).state == "open"


def test_a_redeploy_without_a_rebuild_closes_a_plan_too(house: House) -> None:
    house.push("base:2", NEW)
    house.push("service:2", NEW, "base:2")
    plan = save(house)
    assert (plan.waves, [one.built for one in plan.redeploy]) == ((), [True])
    assert follow(house).state == "open"
    house.run(service="service:2")
    assert follow(house).state == "closed"


def test_a_rebuild_for_its_own_sake_is_proven_by_what_it_is_built_on(house: House) -> None:
    save(house, image="base:1")
    house.push("base:2", OLD)
    house.push("service:2", OLD, "base:1")
    plan = follow(house)
    assert states(plan) == {"base:1": "proven", "service:1": "kept-old-package"}
    assert plan.waves[1][0].detail == f"{HOST}/service:2 is still built on {HOST}/base:1"
    house.push("service:3", OLD, "base:2")
    house.run(service="service:3")
    assert follow(house).state == "closed"


def test_a_plan_with_nothing_to_do_is_closed_at_once(house: House) -> None:
    plan = save(house, package="libc")
    assert (plan.state, plan.waves, plan.redeploy) == ("closed", (), ())


def test_saved_plans_are_listed_by_pages(house: House) -> None:
    for _ in range(3):
        save(house, security=True)
    house.push("base:2", NEW)
    follow(house)
    with house.catalog.read() as c:
        first = list_plans(c, limit=2)
        rest = list_plans(c, limit=2, after=first.next)
        assert [one.id for one in (*first.items, *rest.items)] == [3, 2, 1]
        assert rest.next is None
        one = first.items[0]
        assert (one.asked, one.steps, one.done) == ("imagecatalog plan --security", 2, 1)
        with pytest.raises(NotFound):
            get_plan(c, 99)


def test_looking_twice_changes_nothing(house: House) -> None:
    save(house)
    house.push("base:2", NEW)
    first = follow(house)
    second = follow(house)
    assert (first.waves, first.redeploy) == (second.waves, second.redeploy)


def test_one_platform_that_kept_the_old_package_is_named(house: House) -> None:
    house.running.clear()
    house.push_index("many:1", OLD)
    house.run(arch="arm64", many="many:1")
    house.offer(ssl="1.0-2")
    save(house)
    house.push_index("many:2", NEW, arm=OLD | {"libc": "1.0-2"})
    plan = follow(house)
    assert states(plan) == {"many:1": "kept-old-package"}
    house.push_index("many:3", OLD | {"libc": "1.0-3"}, arm=NEW)
    assert states(follow(house)) == {"many:1": "proven"}
    house.push_index("many:4", NEW)
    house.run(arch="arm64", many="many:4")
    assert follow(house).state == "closed"
