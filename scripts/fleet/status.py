"""A dpkg database that apt's own solver grows: what an image has installed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from fleet.archive import AptRoot, Archive, Stanza

_INSTALL = re.compile(r"^Inst ([^ :]+)\S* (?:\[[^]]*\] )?\(([^ ]+) ", re.MULTILINE)
_REMOVE = re.compile(r"^(?:Remv|Purg) ([^ :]+)", re.MULTILINE)
_ONLY_IN_INDEX = re.compile(r"^(?:Filename|Size|SHA256): .*\n", re.MULTILINE)
INSTALLED = "install ok installed"
REMOVED = "deinstall ok config-files"


@dataclass(frozen=True)
class Installed:
    """A package and what dpkg is told of it (``Status``)."""

    stanza: Stanza
    state: str = INSTALLED

    def paragraph(self, *, state: bool = True) -> str:
        """The paragraph of ``/var/lib/dpkg/status``; without ``Status`` as distroless has it."""
        text = _ONLY_IN_INDEX.sub("", self.stanza.text)
        first, rest = text.split("\n", 1)
        return f"{first}\nStatus: {self.state}\n{rest}" if state else text


Database = dict[str, Installed]
"""What is installed, by package name."""


def write_status(database: Database) -> bytes:
    """``/var/lib/dpkg/status``, by name as dpkg writes it."""
    return "".join(f"{database[name].paragraph()}\n" for name in sorted(database)).encode()


def smallest(archive: Archive, release: str, architecture: str) -> list[str]:
    """The names of a minimal system: what is essential or required, apt and certificates."""
    packages = archive.suites[release].packages[architecture].values()
    chosen = [
        versions[0].name
        for versions in packages
        if versions[0].field("Essential") == "yes" or versions[0].field("Priority") == "required"
    ]
    return [*chosen, "apt", "ca-certificates", "debian-archive-keyring", "tzdata"]


def _apply(before: Database, printed: str, known: dict[tuple[str, str], Stanza]) -> Database:
    after = dict(before)
    for name in _REMOVE.findall(printed):
        after[name] = replace(after[name], state=REMOVED)
    for name, version in _INSTALL.findall(printed):
        after[name] = Installed(known[name, version])
    return after


class Builder:
    """Installs, upgrades and removes as ``apt-get`` would, on databases in memory."""

    def __init__(self, archive: Archive, release: str, architecture: str, era: str) -> None:
        self._apt: AptRoot = archive.solver(release, architecture, era)
        self._known = {
            (stanza.name, stanza.version): stanza
            for stanza in archive.choose(release, architecture, era)
        }

    def get(self, before: Database, *command: str) -> Database:
        """The database after ``apt-get COMMAND``."""
        self._apt.status.write_bytes(write_status(before))
        printed = self._apt.get("--simulate", "--allow-remove-essential", *command)
        return _apply(before, printed, self._known)

    def install(self, before: Database, names: Iterable[str]) -> Database:
        """The database after ``apt-get install``."""
        return self.get(before, "install", *names)
