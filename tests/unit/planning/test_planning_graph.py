"""Plans on random graphs: in order, with no step too many, with nothing forgotten."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping

from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import Struct

from imagecatalog.matching.lines import LineKey
from imagecatalog.planning.graph import (
    Newest,
    Rebuilds,
    Spot,
    Want,
    arrange,
    find_followers,
    find_rebuilds,
)

PACKAGES = tuple("abc")


def line(number: int) -> LineKey:
    return LineKey(f"registry.example.org/image-{number}", "version")


def spot(number: int) -> Spot:
    return Spot(line(number), "linux/amd64")


class Fleet(Struct, frozen=True):
    """Lines by number, and the demands of what runs."""

    newest: dict[Spot, Newest]
    demands: tuple[Want, ...]


@st.composite
def fleets(draw: st.DrawFn) -> Fleet:
    """Lines whose newest images are built on any others, circles included."""
    size = draw(st.integers(1, 9))
    newest = {}
    for number in range(size):
        waiting = draw(st.frozensets(st.sampled_from(PACKAGES)))
        base = draw(st.none() | st.integers(0, size - 1))
        inherited = draw(st.frozensets(st.sampled_from(sorted(waiting)))) if waiting else waiting
        newest[spot(number)] = Newest(
            name=f"image-{number}:1",
            waiting=draw(st.sampled_from([waiting] * 8 + [None])),
            inherited=inherited if base is not None else frozenset(),
            base=None if base is None else spot(base),
            dead_end=draw(st.sampled_from([None] * 8 + ["its base is not in the catalog"])),
            obstacle=draw(st.sampled_from([None] * 6 + ["not built here"])),
        )
    newest = {at: one if one.waiting is not None else _unknown(one) for at, one in newest.items()}
    chosen = draw(st.sets(st.sampled_from(sorted(newest))))
    demands = [Want(at, package) for at in chosen for package in newest[at].waiting or ()]
    return Fleet(newest, tuple(draw(st.permutations(demands))))


def _unknown(one: Newest) -> Newest:
    return Newest(name=one.name, waiting=None, obstacle="its packages are not known")


def _carry_out(fleet: Fleet, waves: Collection[Collection[LineKey]]) -> dict[Spot, set[str]]:
    """What waits in each newest image once all is rebuilt, as builds really go.

    A rebuild brings all packages of its own anew, and holds of its base what that holds by then.
    """
    now = {at: set(one.waiting or ()) for at, one in fleet.newest.items()}
    for wave in waves:
        before = {at: set(waiting) for at, waiting in now.items()}
        for one in wave:
            at = Spot(one, "linux/amd64")
            image = fleet.newest[at]
            if image.dead_end is not None:
                now[at] = set(image.inherited)
            elif image.base is not None:
                below = fleet.newest[image.base]
                old = before[image.base] if below.waiting is not None else set(PACKAGES)
                now[at] = set(image.inherited) & old
            else:
                now[at] = set()
    return now


def _in_waves(rebuilds: Rebuilds, max_parallel: int | None = None) -> list[list[LineKey]]:
    return [list(wave) for wave in arrange(rebuilds.after, {}, max_parallel=max_parallel).waves]


SELF = Fleet(
    {spot(0): Newest(name="a", waiting=frozenset("a"), inherited=frozenset("a"), base=spot(0))},
    (Want(spot(0), "a"),),
)


@given(fleets())
@example(SELF)
def test_what_is_not_said_to_stay_is_really_brought(fleet: Fleet) -> None:
    rebuilds = find_rebuilds(fleet.demands, fleet.newest)
    then = _carry_out(fleet, _in_waves(rebuilds))
    for want in fleet.demands:
        assert (want.package in then[want.spot]) == (want in rebuilds.blocked)


@given(fleets())
def test_no_step_can_be_left_out(fleet: Fleet) -> None:
    rebuilds = find_rebuilds(fleet.demands, fleet.newest)
    waves = _in_waves(rebuilds)
    met = [want for want in fleet.demands if want not in rebuilds.blocked]
    for left_out in rebuilds.brings:
        then = _carry_out(fleet, [[one for one in wave if one != left_out] for wave in waves])
        assert any(want.package in then[want.spot] for want in met)


@given(fleets(), st.integers(1, 3))
def test_what_must_be_before_is_in_an_earlier_wave(fleet: Fleet, size: int) -> None:
    rebuilds = find_rebuilds(fleet.demands, fleet.newest)
    waves = _in_waves(rebuilds, max_parallel=size)
    place = {one: number for number, wave in enumerate(waves) for one in wave}
    assert place.keys() == rebuilds.brings.keys()
    assert sum(map(len, waves)) == len(place)
    assert all(0 < len(wave) <= size for wave in waves)
    for one, before in rebuilds.after.items():
        assert all(place[other] < place[one] for other in before)


@given(fleets(), st.randoms(use_true_random=False))
def test_the_answer_is_the_same_in_any_order(fleet: Fleet, chance: random.Random) -> None:
    demands, newest = list(fleet.demands), list(fleet.newest.items())
    chance.shuffle(demands)
    chance.shuffle(newest)
    first = find_rebuilds(fleet.demands, fleet.newest)
    second = find_rebuilds(demands, dict(newest))
    assert first == second
    assert arrange(first.after, {}) == arrange(dict(sorted(second.after.items())), {})


@given(fleets())
def test_what_cannot_be_rebuilt_is_no_step(fleet: Fleet) -> None:
    rebuilds = find_rebuilds(fleet.demands, fleet.newest)
    for at, one in fleet.newest.items():
        if one.obstacle is not None:
            assert at.line not in rebuilds.brings
    assert not rebuilds.circles.keys() & rebuilds.brings.keys()


def test_a_circle_is_named_and_what_lies_below_it_stays() -> None:
    # x of a comes from b, y of b comes from a: either would have to be rebuilt twice.
    fleet = {
        spot(0): Newest(
            name="a:1", waiting=frozenset("xy"), inherited=frozenset("x"), base=spot(1)
        ),
        spot(1): Newest(
            name="b:1", waiting=frozenset("xy"), inherited=frozenset("y"), base=spot(0)
        ),
        spot(2): Newest(
            name="c:1", waiting=frozenset("xz"), inherited=frozenset("x"), base=spot(1)
        ),
    }
    demands = [Want(spot(0), "x"), Want(spot(1), "y"), Want(spot(2), "x"), Want(spot(2), "z")]
    rebuilds = find_rebuilds(demands, fleet)
    assert list(rebuilds.brings) == [line(2)]
    assert rebuilds.brings[line(2)] == (Want(spot(2), "z"),)
    assert rebuilds.circles[line(0)].endswith("a:1 → b:1 → a:1")
    assert rebuilds.circles[line(1)].endswith("b:1 → a:1 → b:1")
    assert rebuilds.blocked[Want(spot(2), "x")].endswith("b:1 → a:1 → b:1")


def test_a_line_built_on_itself_is_rebuilt_for_what_is_its_own() -> None:
    fleet = {
        spot(0): Newest(name="a:2", waiting=frozenset("xy"), inherited=frozenset("x"), base=spot(0))
    }
    rebuilds = find_rebuilds([Want(spot(0), "x"), Want(spot(0), "y")], fleet)
    assert rebuilds.brings == {line(0): (Want(spot(0), "y"),)}
    assert rebuilds.blocked[Want(spot(0), "x")].endswith("a:2 → a:2")


def test_a_helper_waits_where_it_may_and_never_for_itself() -> None:
    after: Mapping[LineKey, frozenset[LineKey]] = {
        line(0): frozenset(),
        line(1): frozenset({line(0)}),
        line(2): frozenset(),
    }
    # 0 is built with 1, which is built on it; 2 is built with 1.
    order = arrange(after, {line(0): {line(1)}, line(2): {line(1), line(2)}})
    assert order.waves == ((line(0),), (line(1),), (line(2),))
    assert order.loose == {line(0): frozenset({line(1)})}
    assert order.before[line(2)] == {line(1)}


def test_in_narrow_waves_the_longest_way_goes_first() -> None:
    after = {
        line(0): frozenset[LineKey](),
        line(1): frozenset[LineKey](),
        line(2): frozenset({line(1)}),
        line(3): frozenset({line(2)}),
    }
    waves = arrange(after, {}, max_parallel=1).waves
    assert waves[0] == (line(1),)
    assert len(arrange(after, {}, max_parallel=2).waves) == 3


@st.composite
def families(draw: st.DrawFn) -> tuple[dict[LineKey, set[LineKey]], dict[LineKey, set[LineKey]]]:
    """Which line is built on which, and with which; circles included."""
    size = draw(st.integers(1, 9))
    numbers = st.integers(0, size - 1)
    bases = {line(n): {line(m) for m in draw(st.sets(numbers, max_size=1))} for n in range(size)}
    uses = {line(n): {line(m) for m in draw(st.sets(numbers, max_size=2))} for n in range(size)}
    return bases, uses


@given(
    families(), st.sets(st.integers(0, 8)), st.sets(st.integers(1, 8), max_size=2), st.booleans()
)
def test_followers_are_what_leads_from_the_root_to_a_goal(
    family: tuple[dict[LineKey, set[LineKey]], dict[LineKey, set[LineKey]]],
    running: set[int],
    barred: set[int],
    has_goals: bool,
) -> None:
    bases, uses = family
    goals = {line(number) for number in running} if has_goals else None
    obstacles = {line(number): "not built here" for number in barred}
    names = {one: one.repository for one in bases}
    found = find_followers(line(0), bases, uses, obstacles=obstacles, names=names, goals=goals)
    parents = {one: bases[one] | uses[one] for one in bases}
    order = arrange(found.after, uses)
    place = {one: number for number, wave in enumerate(order.waves) for one in wave}
    assert place.keys() == found.after.keys()
    assert not found.after.keys() & found.stopped.keys()
    for one in found.after:
        assert one == line(0) or parents[one] & found.after.keys()
        assert all(place[base] < place[one] for base in (bases[one] & place.keys()) - {one})
    if goals is None:
        for one in parents.keys() - found.after.keys() - found.stopped.keys():
            assert not parents[one] & found.after.keys()
    else:
        for one in found.after.keys() - {line(0)}:
            assert _below(one, parents, found.after.keys()) & goals


def _below(
    one: LineKey, parents: Mapping[LineKey, set[LineKey]], among: Collection[LineKey]
) -> set[LineKey]:
    found = {one}
    while more := {child for child in among if parents[child] & found} - found:
        found |= more
    return found
