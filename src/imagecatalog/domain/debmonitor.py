"""What DebMonitor and its clients say to each other of an image's packages (its API's v1).

A package is named as python3-apt names it: ``libssl3``, or ``libssl3:i386`` where it is not of the
native architecture. Neither architecture nor source version are told.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct

ORIGIN = "DebMonitor"
"""The origin of updates that its clients told of."""
WHOLE = "full"
"""The ``update_type`` that tells everything."""
UPGRADES_ONLY = "upgradable"
"""The ``update_type`` that tells every upgrade and no package."""


class InstalledPackage(Struct, frozen=True):
    """A package that is there, or no longer there."""

    name: str
    version: str
    source: str
    """Name of its source package."""


class UpgradablePackage(Struct, frozen=True):
    """A package that apt would upgrade."""

    name: str
    version_from: str
    version_to: str
    source: str


class ImageUpdate(Struct, frozen=True):
    """One message of a client."""

    image: str
    """The name of the image with its registry spelt out."""
    os: str
    """Such as ``Debian 12``."""
    update_type: str
    """``full``; all others change what was told before."""
    installed: tuple[InstalledPackage, ...] = ()
    uninstalled: tuple[str, ...] = ()
    """Names."""
    upgradable: tuple[UpgradablePackage, ...] = ()


class ToldUpgrade(Struct, frozen=True):
    """An upgrade, with the moment at which it was first told."""

    name: str
    version_from: str
    version_to: str
    source: str
    since: datetime


class ToldPackages(Struct, frozen=True):
    """All that is told of an image by now, by name of package."""

    installed: tuple[InstalledPackage, ...] | None = None
    """None: nobody told the whole of it yet."""
    upgradable: tuple[ToldUpgrade, ...] = ()


def take(told: ToldPackages, update: ImageUpdate, *, now: datetime) -> ToldPackages:
    """What is told once this message was taken, as DebMonitor takes it.

    Packages that a message adds before the whole was told are left out. An upgrade to the version
    that is installed is none: clients send those of packages that apt would remove.
    """
    known = {one.name: one for one in told.installed or ()}
    if update.update_type == WHOLE:
        known = {}
    if told.installed is not None or update.update_type == WHOLE:
        known |= {one.name: one for one in update.installed}
    for name in update.uninstalled:
        known.pop(name, None)
    is_whole = update.update_type in (WHOLE, UPGRADES_ONLY)
    upgrades = {} if is_whole else {one.name: one for one in told.upgradable}
    gone = {*update.uninstalled, *(one.name for one in update.installed)}
    upgrades = {name: one for name, one in upgrades.items() if name not in gone}
    upgrades |= _since(told.upgradable, update.upgradable, now)
    is_listed = told.installed is not None or update.update_type == WHOLE
    return ToldPackages(
        tuple(known[name] for name in sorted(known)) if is_listed else None,
        tuple(
            upgrades[name]
            for name in sorted(upgrades)
            if not (name in known and known[name].version == upgrades[name].version_to)
        ),
    )


def _since(
    before: Iterable[ToldUpgrade], told: Iterable[UpgradablePackage], now: datetime
) -> dict[str, ToldUpgrade]:
    first = {(one.name, one.version_to): one.since for one in before}
    return {
        one.name: ToldUpgrade(
            one.name,
            one.version_from,
            one.version_to,
            one.source,
            first.get((one.name, one.version_to), now),
        )
        for one in told
        if one.version_from != one.version_to
    }
