"""Debian's security tracker: where its files lie."""

from __future__ import annotations

from msgspec import Struct

TRACKER = "https://security-tracker.debian.org/tracker/data/json"
LISTS = "https://salsa.debian.org/security-tracker-team/security-tracker/-/raw/master/data/"


class TrackerFile(Struct, frozen=True):
    """A file of the tracker; ``kind`` is ``json``, ``DSA`` or ``DLA``."""

    kind: str
    address: str


def list_files(setting: str | bool | None) -> tuple[TrackerFile, ...]:
    """The files that a setting of ``debian-tracker`` names; without one the public ones.

    A folder (its address ends in a slash) has ``json``, ``DSA/list`` and ``DLA/list``; any other
    address is that of the JSON alone.
    """
    if not isinstance(setting, str):
        base, json = LISTS, TRACKER
    elif setting.endswith("/"):
        base, json = setting, f"{setting}json"
    else:
        return (TrackerFile("json", setting),)
    lists = (TrackerFile(kind, f"{base}{kind}/list") for kind in ("DSA", "DLA"))
    return (TrackerFile("json", json), *lists)
