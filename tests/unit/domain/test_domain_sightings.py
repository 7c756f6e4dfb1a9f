"""What one look saw: in whatever order, each container once, and its digest of all of it."""

from __future__ import annotations

import random
import tracemalloc

import msgspec

from imagecatalog.domain.runs import RunningContainer
from imagecatalog.domain.sightings import NOTHING, Sighting

ONE = RunningContainer(
    "web", "Deployment/x", "x-1", "main", "container", "app:1", "", "ops", "running", ""
)


def _many(count: int) -> list[RunningContainer]:
    return [
        msgspec.structs.replace(
            ONE, workload=f"Deployment/x{n % 7}", pod_name=f"p{n}", image=f"app:{n % 5}"
        )
        for n in range(count)
    ]


def test_it_gives_back_what_it_was_told() -> None:
    told = _many(50)
    seen = Sighting(told[:20])
    seen.add(told[20:])
    seen.add(told[:5])
    assert list(seen) == told
    assert len(seen) == 50


def test_the_digest_is_of_all_and_of_no_order() -> None:
    told = _many(50)
    whole = Sighting(told).digest()
    random.Random(1).shuffle(told)
    assert Sighting(told).digest() == whole
    assert Sighting(told[1:]).digest() != whole
    for field in RunningContainer.__struct_fields__:
        other = msgspec.structs.replace(told[0], **{field: "waiting"})
        assert Sighting([other, *told[1:]]).digest() != whole, field
    assert Sighting().digest() == NOTHING


def test_each_pod_has_a_digest_of_its_own() -> None:
    told = _many(3)
    before = Sighting(told).pod_digests()
    told[1] = msgspec.structs.replace(told[1], state="waiting")
    after = Sighting(told).pod_digests()
    assert before.keys() == after.keys() == {("web", "p0"), ("web", "p1"), ("web", "p2")}
    assert {pod for pod in before if before[pod] != after[pod]} == {("web", "p1")}


def test_the_same_container_told_twice_has_one_state_whichever_came_first() -> None:
    twice = [ONE, msgspec.structs.replace(ONE, state="waiting", reason="CrashLoopBackOff")]
    assert list(Sighting(twice)) == list(Sighting(twice[::-1])) == [twice[1]]


def test_thirty_thousand_containers_take_little_memory() -> None:
    tracemalloc.start()
    try:
        seen = Sighting(
            RunningContainer(
                f"team-{n % 50}",
                f"Deployment/app-{n % 900}",
                f"app-{n % 900}-7f9c8d6b5-{n:05}",
                "main",
                "container",
                f"registry.example.org/team/app-{n % 300}:1",
                f"registry.example.org/team/app-{n % 300}@sha256:{n % 300:064x}",
            )
            for n in range(30_000)
        )
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(seen) == 30_000
    assert held < 12 << 20
