"""Takes what registries push: which of the configured registries it is, and what to look at there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from urllib.parse import urlsplit

from imagecatalog.config import RegistrySetting
from imagecatalog.domain.refs import Reference
from imagecatalog.errors import BadName
from imagecatalog.formats.registry_events import Ignored, Touched
from imagecatalog.store import sync_requests
from imagecatalog.store.engine import Connection


def take_touched(
    c: Connection,
    registries: Sequence[RegistrySetting],
    touched: Iterable[Touched],
    *,
    may: Callable[[str], bool],
    now: datetime,
) -> tuple[int, list[Ignored]] | None:
    """Have what a registry told of looked at: how many events count, and why the others do not.

    ``may`` tells whether who told it may speak of a repository. None where too many wait already.
    """
    homes = _list_homes(registries)
    wanted: set[tuple[str, str]] = set()
    ignored: list[Ignored] = []
    count = 0
    for event in touched:
        name, why = _find_repository(event, homes)
        if name and not may(name):
            why = f"who tells it may not speak of {name}"
        if why:
            ignored.append(Ignored(event.event, why))
        else:
            wanted.update((name, reference) for reference in event.references)
            count += 1
    if wanted and not sync_requests.ask(c, wanted, now=now):
        return None
    return count, ignored


def _list_homes(registries: Iterable[RegistrySetting]) -> dict[str, list[RegistrySetting]]:
    """The settings of each host, by all of its names."""
    homes: dict[str, list[RegistrySetting]] = {}
    for setting in registries:
        for host in {urlsplit(setting.url).netloc, *setting.aliases}:
            homes.setdefault(_bare(host), []).append(setting)
    return homes


def _find_repository(
    event: Touched, homes: Mapping[str, Sequence[RegistrySetting]]
) -> tuple[str, str]:
    """The repository's whole name, or why it is none of ours."""
    settings = next((homes[_bare(host)] for host in event.hosts if _bare(host) in homes), None)
    if settings is None:
        return "", f"no [[registry]] of the configuration has {event.hosts[0]!r} as url or alias"
    for setting in settings:
        if setting.covers(event.path):
            name = f"{urlsplit(setting.url).netloc.lower()}/{event.path}"
            try:
                return Reference.parse(name).name, ""
            except BadName as error:
                return "", error.message
    return "", f"the configuration leaves {event.path} of {event.hosts[0]!r} out"


def _bare(host: str) -> str:
    """The host without a port that goes without saying."""
    return host.lower().removesuffix(":443").removesuffix(":80")
