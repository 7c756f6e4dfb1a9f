"""How messages of a client add up, one after another."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagecatalog.domain.debmonitor import (
    ImageUpdate,
    InstalledPackage,
    ToldPackages,
    ToldUpgrade,
    UpgradablePackage,
    take,
)

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)


def installed(name: str, version: str = "1") -> InstalledPackage:
    return InstalledPackage(name, version, name)


def upgrade(name: str, to: str = "2", *, of: str = "1") -> UpgradablePackage:
    return UpgradablePackage(name, of, to, name)


def update(kind: str = "full", **lists: object) -> ImageUpdate:
    return ImageUpdate("registry.example.org/app:1", "Debian 12", kind, **lists)  # type: ignore[arg-type]


def told(*updates: ImageUpdate) -> ToldPackages:
    state = ToldPackages()
    for position, one in enumerate(updates):
        state = take(state, one, now=NOON + position * timedelta(hours=1))
    return state


def names(state: ToldPackages) -> tuple[list[str], list[str]]:
    return [one.name for one in state.installed or ()], [one.name for one in state.upgradable]


WHOLE = update(installed=(installed("b"), installed("a")), upgradable=(upgrade("a"),))


def test_a_whole_message_is_all_there_is() -> None:
    assert names(told(WHOLE)) == (["a", "b"], ["a"])
    assert names(told(WHOLE, update(installed=(installed("c"),)))) == (["c"], [])


def test_upgrades_alone_leave_the_packages() -> None:
    state = told(WHOLE, update("upgradable", upgradable=(upgrade("b"),)))
    assert names(state) == (["a", "b"], ["b"])


def test_a_hook_changes_what_it_names() -> None:
    hook = update("dpkg_hook", installed=(installed("a", "2"), installed("c")), uninstalled=("b",))
    state = told(WHOLE, hook)
    assert [(one.name, one.version) for one in state.installed or ()] == [("a", "2"), ("c", "1")]
    assert state.upgradable == ()


@pytest.mark.parametrize("kind", ["upgradable", "dpkg_hook"])
def test_before_the_whole_was_told_no_list_is_whole(kind: str) -> None:
    state = told(update(kind, installed=(installed("a"),), upgradable=(upgrade("b"),)))
    assert state.installed is None
    assert names(state) == ([], ["b"])


def test_an_upgrade_to_what_is_there_is_none() -> None:
    same = update(installed=(installed("a"),), upgradable=(upgrade("a", "1"),))
    assert told(same).upgradable == ()
    hook = update("dpkg_hook", upgradable=(upgrade("a", "1", of="0"),))
    assert told(WHOLE, hook).upgradable == ()


def test_since_when_an_upgrade_waits_is_kept() -> None:
    again = update(installed=(installed("a"),), upgradable=(upgrade("a"),))
    other = update(installed=(installed("a"),), upgradable=(upgrade("a", "3"),))
    assert told(WHOLE, again).upgradable == (ToldUpgrade("a", "1", "2", "a", NOON),)
    assert told(WHOLE, other).upgradable == (ToldUpgrade("a", "1", "3", "a", LATER),)


_NAMES = st.sampled_from(["a", "b", "c"])
_UPDATES = st.builds(
    update,
    st.sampled_from(["full", "upgradable", "dpkg_hook"]),
    installed=st.lists(st.builds(installed, _NAMES, st.sampled_from("12"))).map(tuple),
    uninstalled=st.lists(_NAMES).map(tuple),
    upgradable=st.lists(st.builds(upgrade, _NAMES, st.sampled_from("123"))).map(tuple),
)


@given(st.lists(_UPDATES, max_size=4), _UPDATES)
def test_the_very_same_again_changes_nothing(before: list[ImageUpdate], last: ImageUpdate) -> None:
    assert told(*before, last, last) == told(*before, last)


@given(st.lists(_UPDATES, max_size=4))
def test_each_package_is_told_once_and_in_order(updates: list[ImageUpdate]) -> None:
    for listed in names(told(*updates)):
        assert listed == sorted(set(listed))
