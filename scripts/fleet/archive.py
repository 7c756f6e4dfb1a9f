"""The Debian archive as this machine's apt knows it, and apt's own solver over parts of it.

The archive is never named here: its URIs come from ``apt-get indextargets``, so ``apt-get update``
must have been run once. Other releases are asked for under the same URIs.
"""

from __future__ import annotations

import functools
import re
import subprocess
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

RELEASES: Mapping[str, tuple[str, ...]] = {
    "bookworm": ("amd64", "arm64"),
    "trixie": ("amd64",),
}
"""The releases that the fleet is built of, and the architectures taken of each."""

ERAS = ("early", "point", "half", "now")
"""What an image's builder saw of the archive, oldest first (``Archive.choose``)."""

DROPPED = re.compile(
    r"^(?:Description|Description-md5|Tag|MD5sum|Homepage|Ruby-Versions|Python-Version):"
    r".*\n(?:[ \t].*\n)*",
    re.MULTILINE,
)
_FIELD = r"^{}: *(.*)$"


@dataclass(frozen=True)
class Stanza:
    """One paragraph of a Packages file, its descriptions cut out, ending in one newline."""

    name: str
    version: str
    text: str

    @property
    def source(self) -> str:
        """The source package's name."""
        return self.field("Source", self.name).split(" ")[0]

    def field(self, name: str, default: str = "") -> str:
        """A one-line field's value."""
        found = re.search(_FIELD.format(re.escape(name)), self.text, re.MULTILINE)
        return found[1] if found else default


@dataclass
class Suite:
    """One suite: the head of its Release file, and its packages by architecture."""

    name: str
    site: str
    """``debian`` or ``debian-security``: the folder under the sample mirror."""
    head: str
    packages: dict[str, dict[str, list[Stanza]]] = field(default_factory=dict)
    """Architecture, then name, then every version."""


def run(*command: str) -> str:
    """The program's standard output; its failure ends the script with what it said."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


@functools.cache
def is_newer(a: str, b: str) -> bool:
    """Whether dpkg sorts version ``a`` above ``b``."""
    return not subprocess.run(["dpkg", "--compare-versions", a, "gt", b], check=False).returncode


def read_stanzas(text: str) -> Iterator[Stanza]:
    """The paragraphs of a Packages file."""
    for paragraph in text.split("\n\n"):
        if paragraph.strip():
            kept = DROPPED.sub("", paragraph.strip("\n") + "\n")
            stanza = Stanza("", "", kept)
            yield Stanza(stanza.field("Package"), stanza.field("Version"), kept)


class AptRoot:
    """An apt of its own, apart from the machine's: lists, status and caches under one folder."""

    def __init__(self, folder: Path, architecture: str, lines: Iterable[str]) -> None:
        for name in (
            "etc/apt/preferences.d",
            "etc/apt/sources.list.d",
            "var/lib/apt/lists/partial",
            "var/cache/apt/archives/partial",
        ):
            (folder / name).mkdir(parents=True, exist_ok=True)
        self.status = folder / "status"
        self.status.touch()
        self.folder = folder
        (folder / "etc/apt/sources.list").write_text("".join(f"{line}\n" for line in lines))
        self.options = [
            f"-oDir={folder}",
            f"-oDir::State::status={self.status}",
            "-oDir::Etc::trusted=/dev/null",
            "-oDir::Etc::trustedparts=/dev/null",
            f"-oAPT::Architecture={architecture}",
            f"-oAPT::Architectures={architecture}",
            "-oAPT::Sandbox::User=root",
            "-oAPT::Install-Recommends=false",
            "-oAcquire::Languages=none",
            "-oAcquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
        ]

    def get(self, *arguments: str) -> str:
        """What ``apt-get`` prints."""
        return run("apt-get", *self.options, *arguments)


class Archive:
    """All suites of ``RELEASES``, and one solver for each release, architecture and era."""

    def __init__(self, folder: Path, keyring: str) -> None:
        self._folder = folder
        self._solvers: dict[tuple[str, str, str], AptRoot] = {}
        self.suites = {
            name: suite for release in RELEASES for name, suite in self._read(release, keyring)
        }

    def _read(self, release: str, keyring: str) -> Iterator[tuple[str, Suite]]:
        sites = {
            "debian": (_configured_uri("Debian"), (release, f"{release}-updates")),
            "debian-security": (_configured_uri("Debian-Security"), (f"{release}-security",)),
        }
        architectures = RELEASES[release]
        lines = [
            f"deb [signed-by={keyring} arch={','.join(architectures)}] {uri} {suite} main"
            for uri, suites in sites.values()
            for suite in suites
        ]
        root = AptRoot(self._folder / release, architectures[0], lines)
        root.get("update")
        for site, (_, suites) in sites.items():
            for name in suites:
                yield name, _read_suite(root, name, site, architectures)

    def versions(self, release: str, architecture: str, name: str) -> list[Stanza]:
        """Every version of the package in the release's suites, main first."""
        return [
            stanza
            for suite in (release, f"{release}-updates", f"{release}-security")
            for stanza in self.suites[suite].packages[architecture].get(name, ())
        ]

    def choose(self, release: str, architecture: str, era: str) -> Iterator[Stanza]:
        """The one version of each package that a build of that era saw.

        ``early``: the oldest that any suite still has; ``point``: the last point release;
        ``half``: security updates of every second source package; ``now``: the newest.
        """
        main = self.suites[release].packages[architecture]
        for name, own in main.items():
            found = self.versions(release, architecture, name)
            newest = functools.reduce(
                lambda a, b: b if is_newer(b.version, a.version) else a, found
            )
            oldest = functools.reduce(
                lambda a, b: b if is_newer(a.version, b.version) else a, found
            )
            fresh = zlib.crc32(newest.source.encode()) % 2 == 0
            yield {
                "early": oldest,
                "point": own[0],
                "half": newest if fresh else own[0],
                "now": newest,
            }[era]

    def solver(self, release: str, architecture: str, era: str) -> AptRoot:
        """An apt that sees the archive as builds of that era did."""
        key = (release, architecture, era)
        if key not in self._solvers:
            folder = self._folder / "-".join(key)
            folder.mkdir()
            with (folder / "Packages").open("w") as file:
                for stanza in self.choose(*key):
                    file.write(f"{stanza.text}\n")
            root = AptRoot(folder / "apt", architecture, [f"deb [trusted=yes] file:{folder} ./"])
            root.get("update")
            self._solvers[key] = root
        return self._solvers[key]


def _configured_uri(label: str) -> str:
    """Where this machine's apt gets the archive of that label from."""
    found = run(
        "apt-get", "indextargets", "--format", "$(REPO_URI)",
        "Created-By: Packages", "Origin: Debian", f"Label: {label}",
    ).split()  # fmt: skip
    if not found:
        raise SystemExit(f"apt knows no archive labelled {label}: run apt-get update first")
    return found[0]


def _read_suite(root: AptRoot, name: str, site: str, architectures: Iterable[str]) -> Suite:
    """The suite's head and packages out of the lists that apt fetched."""
    lists = root.folder / "var/lib/apt/lists"
    release = next(lists.glob(f"*_dists_{name}_InRelease")).read_text()
    head = release.split("\n\n", 1)[1].split("\nMD5Sum:", 1)[0].split("\nSHA256:", 1)[0] + "\n"
    suite = Suite(name, site, head)
    for architecture in architectures:
        index = next(lists.glob(f"*_dists_{name}_main_binary-{architecture}_Packages*"))
        by_name: dict[str, list[Stanza]] = {}
        for stanza in read_stanzas(run("/usr/lib/apt/apt-helper", "cat-file", str(index))):
            by_name.setdefault(stanza.name, []).append(stanza)
        suite.packages[architecture] = by_name
    return suite
