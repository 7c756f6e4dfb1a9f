"""Root file systems from the machine's own Debian archive, as images, and apt's word on each.

Nothing here knows the name of an archive: URIs and suites come from the machine's apt
configuration. Building needs root (chroot) and takes a minute or two; the result is kept in the
user's cache for a day, and apt is asked anew in every session.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit

import pytest
from deb_repository import build_repositories

PROGRAMS = ("mmdebstrap", "umoci", "skopeo", "dpkg-deb", "apt-get", "chroot")
NOT_IN_IMAGES = re.compile(
    r"(dev|proc|sys|run|tmp|srv|var/lib/apt/lists|var/cache/apt|var/log|var/tmp)/.+"
    r"|etc/(resolv\.conf|hosts|hostname)|usr/sbin/policy-rc\.d|.*\.pyc"
)
ACME = "/srv/acme"
"""Where the repositories of our own lie, seen from inside a root file system."""


@dataclass(frozen=True)
class Archive:
    """What the machine's apt configuration says of its distribution's archive."""

    codename: str
    architecture: str
    main: tuple[str, str, str]
    """URI, suite, components."""
    updates: tuple[str, str, str]
    security: tuple[str, str, str]
    options: str
    """apt.conf(5) lines for proxies, certificates and dates, as this machine needs them."""

    @property
    def suites(self) -> tuple[tuple[str, str, str], ...]:
        """Main, updates and security."""
        return self.main, self.updates, self.security

    @property
    def stale(self) -> bool:
        """Whether this machine's apt takes a mirror that is no longer kept up to date."""
        return bool(re.search(r'Check-Valid-Until "(?:false|no|0)"', self.options))


@dataclass(frozen=True)
class Upgrade:
    """One line of ``apt list --upgradable``."""

    package: str
    arch: str
    installed: str
    candidate: str
    security: bool


def run(*command: str | Path, stdin: str | None = None) -> str:
    """Run a program and give its output; a failure shows what the program said."""
    done = subprocess.run(
        [str(word) for word in command], input=stdin, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.fail(f"{' '.join(map(str, command))} left with {done.returncode}:\n{done.stderr}")
    return done.stdout


@cache
def machine_archive() -> Archive:
    """Read the machine's own apt configuration."""
    codename = run("sh", "-c", '. /etc/os-release && printf %s "$VERSION_CODENAME"')
    architecture = run("dpkg", "--print-architecture").strip()
    rows = run(
        "apt-get", "indextargets", "--format", "$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(ARCHITECTURE)",
        "Created-By: Packages",
    )  # fmt: skip
    components: dict[str, tuple[str, list[str]]] = {}
    for row in rows.splitlines():
        uri, release, component, arch = row.split("|")
        if arch == architecture:
            components.setdefault(release, (uri.rstrip("/"), []))[1].append(component)
    found = {}
    for suite in (codename, f"{codename}-updates", f"{codename}-security"):
        if suite not in components:
            pytest.fail(f"apt knows no index of {suite}: configure it and run apt-get update")
        uri, names = components[suite]
        found[suite] = (uri, suite, " ".join(dict.fromkeys(names)))
    options = re.findall(
        r'^Acquire::(?:https?::|Check-|Retries).*".+";$', run("apt-config", "dump"), re.MULTILINE
    )
    return Archive(codename, architecture, *found.values(), options="\n".join(options))


@dataclass(frozen=True)
class Root:
    """One root file system on disk."""

    path: Path

    def call(self, *command: str) -> str:
        """Run a program inside and give its output."""
        return run(*self._inside(*command))

    def can(self, *command: str) -> bool:
        """Run a program inside and say whether it went well."""
        done = subprocess.run(self._inside(*command), capture_output=True, check=False)
        return done.returncode == 0

    def _inside(self, *command: str) -> list[str]:
        """The command with nothing of our environment but proxies."""
        kept = [f"{k}={v}" for k, v in os.environ.items() if k.lower().endswith("_proxy")]
        return [
            "chroot", str(self.path), "/usr/bin/env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
            "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8", *kept, *command,
        ]  # fmt: skip

    def apt(self, *words: str) -> str:
        """Run apt-get without questions and without what is only recommended."""
        return self.call("apt-get", "-qq", "--yes", "--no-install-recommends", *words)

    def write(self, name: str, text: str) -> None:
        """Write one file, its folder with it."""
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        (self.path / name).write_text(text)

    def packages(self) -> list[tuple[str, ...]]:
        """Name, architecture, version, source and its version of each installed package."""
        columns = ("Package", "Architecture", "Version", "source:Package", "source:Version")
        form = "|".join(f"${{{column}}}" for column in ("db:Status-Status", *columns))
        rows = self.call("dpkg-query", "--show", f"--showformat={form}\n").splitlines()
        return [tuple(row.split("|")[1:]) for row in rows if row.startswith("installed|")]

    def installed(self) -> dict[str, str]:
        """Version of each installed package, by ``name:arch``."""
        return {f"{name}:{arch}": version for name, arch, version, *_ in self.packages()}

    def upgradable(self) -> dict[tuple[str, str], Upgrade]:
        """What ``apt list --upgradable`` says after ``apt-get update``, by name and architecture."""
        self.call("apt-get", "-qq", "update")
        found = {}
        for row in self.call("apt", "-qq", "list", "--upgradable").splitlines():
            match = re.fullmatch(
                r"(\S+?)/(\S*) (\S+) (\S+) \[upgradable from: (\S+)\]", row.strip()
            )
            if not match:
                pytest.fail(f"apt list said something new: {row!r}")
            name, _, candidate, arch, installed = match.groups()
            found[name, arch] = (candidate, installed)
        tables = self._policies([f"{name}:{arch}" for name, arch in found]) if found else {}
        return {
            (name, arch): Upgrade(
                name, arch, installed, candidate,
                _is_security(tables[name, arch], installed, candidate),
            )
            for (name, arch), (candidate, installed) in found.items()
        }  # fmt: skip

    def _policies(self, names: list[str]) -> dict[tuple[str, str], list[tuple[str, str]]]:
        """(version, suite) of every version that apt knows, by name and architecture."""
        tables: dict[tuple[str, str], list[tuple[str, str]]] = {}
        native = self.call("dpkg", "--print-architecture").strip()
        key, version = ("", ""), ""
        for row in self.call("apt-cache", "policy", *names).splitlines():
            if head := re.fullmatch(r"(\S+):", row):
                name, _, arch = head[1].partition(":")
                key = (name, arch or native)
                tables[key] = []
                if not arch:
                    tables[name, "all"] = tables[key]
            elif line := re.fullmatch(r" (?:\*\*\*|   ) (\S+) -?\d+", row):
                version = line[1]
            elif line := re.fullmatch(r" +-?\d+ \S+ (\S+?)(?:/\S+)?(?: \S+)? Packages", row):
                tables[key].append((version, line[1]))
        return tables


def _is_security(table: list[tuple[str, str]], installed: str, candidate: str) -> bool:
    """Whether the way from installed to candidate passes a version of a ``-security`` suite."""
    assert any(version == candidate for version, _ in table), (table, candidate)
    return any(
        suite.endswith("-security")
        and is_newer(version, installed)
        and not is_newer(version, candidate)
        for version, suite in table
    )


def is_newer(version: str, other: str) -> bool:
    """Whether dpkg holds the first for newer."""
    done = subprocess.run(["dpkg", "--compare-versions", version, "gt", other], check=False)
    return done.returncode == 0


# What each root file system is, built on which, and how it comes about.


def one_line(archive: Archive, *suites: tuple[str, str, str]) -> str:
    """These suites as sources.list(5) has them, a line each; as lax on dates as the machine is."""
    option = "[check-valid-until=no] " if archive.stale else ""
    return "".join(f"deb {option}{' '.join(suite)}\n" for suite in suites)


def _deb822(archive: Archive) -> str:
    """All three suites as a modern ``.sources`` file, with the archive's own keyring."""
    stanzas = []
    for uri, suite, components in archive.suites:
        stanzas.append(
            f"Types: deb deb-src\nURIs: {uri}\nSuites: {suite}\nComponents: {components}\n"
            f"Architectures: {archive.architecture}\n"
            "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
            + ("Check-Valid-Until: no\n" if archive.stale else "")
        )
    return "# What this image installs from\n" + "\n".join(stanzas)


def _add_security(root: Root, archive: Archive) -> None:
    root.write("etc/apt/sources.list", one_line(archive, *archive.suites))
    root.apt("update")


def _pending(root: Root, archive: Archive) -> None:
    (root.path / "etc/apt/sources.list").unlink()
    root.write("etc/apt/sources.list.d/debian.sources", _deb822(archive).replace(" deb-src", ""))
    root.apt("update")


def _patched(root: Root, archive: Archive) -> None:
    root.apt("dist-upgrade")


def _large(root: Root, archive: Archive) -> None:
    root.apt(
        "install", "git", "curl", "imagemagick", "ghostscript", "graphviz", "openssh-client", "vim-tiny",
        "python3-cryptography", "python3-flask", "libcatalyst-perl", "ruby", "nginx-light", "gnupg",
    )  # fmt: skip


def _trimmed(root: Root, archive: Archive) -> None:
    """Remove (one with its configuration kept), upgrade one, add one."""
    root.apt("purge", "imagemagick", "git", "ruby")
    root.apt("remove", "nginx-light")
    root.apt("autoremove", "--purge", "-o", "APT::AutoRemove::SuggestsImportant=false")
    pending = sorted(name for name, arch in root.upgradable() if arch != "all")
    root.apt("install", "--only-upgrade", pending[0], "nano")


def _pinned(root: Root, archive: Archive) -> None:
    """Each way to pin, over what is pending: by version, by label, by a glob, a pattern, a site."""
    pending = sorted(root.upgradable().values(), key=lambda one: one.package)
    share = max(1, len(pending) // 5)
    names = [[one.package for one in pending[i * share : (i + 1) * share]] for i in range(4)]
    host = urlsplit(archive.main[0]).hostname
    by_version = "\n\n".join(
        f"Package: {one.package}\nPin: version {one.installed}\nPin-Priority: 1001"
        for one in pending[:share]
    )
    patterns = "|".join(map(re.escape, names[2]))
    root.write(
        "etc/apt/preferences.d/10-frozen",
        f"Explanation: tested with these\n{by_version}\n\n"
        f"Package: {' '.join(names[1])}\nPin: release l=*-Security\nPin-Priority: -1\n\n"
        f"Package: {pending[-1].package}\nPin: origin {host}\nPin-Priority: 50\n",
    )
    root.write(
        "etc/apt/preferences",
        f"Package: /^({patterns})$/\nPin: release n={archive.security[1]}\nPin-Priority: 90\n\n"
        f"Package: {names[3][0][:-1]}*\nPin: release a=*stable, l=Debian\nPin-Priority: 995\n\n"
        "Package: *\nPin: release n=*-updates\nPin-Priority: 400\n",
    )
    # A name that apt does not read, so what it says must not count (apt_preferences(5)).
    root.write(
        "etc/apt/preferences.d/20-frozen.disabled", "Package: *\nPin: version *\nPin-Priority: 1\n"
    )


def _held(root: Root, archive: Archive) -> None:
    pending = sorted(name for name, _ in root.upgradable())
    root.call("apt-mark", "hold", *pending[::3])


def _foreign(root: Root, archive: Archive) -> None:
    """Libraries of a second architecture: the first whose indices the archive serves whole."""
    plain = (root.path / "etc/apt/sources.list").read_text()
    for other in ("i386", "arm64", "amd64"):
        if other == archive.architecture:
            continue
        root.call("dpkg", "--add-architecture", other)
        root.write("etc/apt/sources.list", one_line(archive, *archive.suites))
        if root.can("apt-get", "-qq", "update"):
            break
        root.call("dpkg", "--remove-architecture", other)
    root.write("etc/apt/sources.list", plain)
    root.apt("update")
    root.apt("install", *(f"{name}:{other}" for name in ("libssl3", "libexpat1", "libgnutls30")))
    _add_security(root, archive)


def _acme(root: Root, archive: Archive) -> None:
    """Packages of our own, from repositories as companies write them: flat, and with suites."""
    build_repositories(root.path / ACME.lstrip("/"), installed=True)
    root.write("etc/apt/sources.list.d/acme.list", f"deb [trusted=yes] file:{ACME}/flat ./\n")
    root.apt("update")
    names = ("epoch", "rebuilt", "trial", "port", "gone", "own", "grown", "shrunk", "near", "back")
    root.apt("install", *(f"acme-{name}" for name in names))
    build_repositories(root.path / ACME.lstrip("/"), installed=False)
    root.write(
        "etc/apt/sources.list.d/acme.list",
        f"deb [trusted=yes] file:{ACME}/flat ./\n"
        f"deb [arch={archive.architecture} trusted=yes] file://{ACME}/suites stable main extra\n"
        f"deb [trusted=yes] file:{ACME}/suites trial main # not automatic\n"
        f"deb [trusted=yes] file:{ACME}/suites port main\n",
    )
    root.write(
        "etc/apt/preferences.d/acme.pref",
        'Package: acme-near\nPin: origin ""\nPin-Priority: -1\n\n'
        "Package: acme-back\nPin: version 1.*\nPin-Priority: 1001\n",
    )
    root.apt("update")


def _mixed(root: Root, archive: Archive) -> None:
    """A newer suite beside the image's own, kept low but for two packages."""
    uri, _, components = archive.main
    testing = one_line(archive, (uri, "testing", components))
    root.write("etc/apt/sources.list.d/testing.list", testing)
    root.write(
        "etc/apt/preferences.d/testing",
        "Package: *\nPin: release a=testing\nPin-Priority: 100\n\n"
        "Package: bash tar\nPin: release a=testing\nPin-Priority: 600\n",
    )
    root.apt("update")


RECIPES: dict[str, tuple[str, Callable[[Root, Archive], None]]] = {
    "pending": ("minimal", _pending),
    "patched": ("pending", _patched),
    "held": ("pending", _held),
    "mixed": ("pending", _mixed),
    "foreign": ("minimal", _foreign),
    "acme": ("minimal", _acme),
    "large": ("minimal", _large),
    "large-pending": ("large", _add_security),
    "pinned": ("large-pending", _pinned),
    "trimmed": ("large-pending", _trimmed),
}
"""Name: the root that it is built on, and what is done to that one."""


# From root file systems to layers.


def _tree(top: Path) -> dict[str, os.stat_result]:
    """Every path of a root file system that belongs into an image."""
    found = {}
    stack = [""]
    while stack:
        folder = stack.pop()
        with os.scandir(top / folder) as entries:
            for entry in entries:
                name = f"{folder}{entry.name}"
                if NOT_IN_IMAGES.fullmatch(name):
                    continue
                found[name] = entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    stack.append(f"{name}/")
    return found


def _same(one: os.stat_result, other: os.stat_result) -> bool:
    if stat.S_ISDIR(one.st_mode):
        return (one.st_mode, one.st_uid, one.st_gid) == (other.st_mode, other.st_uid, other.st_gid)
    fields = ("st_mode", "st_uid", "st_gid", "st_size", "st_mtime_ns")
    return all(getattr(one, field) == getattr(other, field) for field in fields)


def write_layer(parent: Path | None, child: Path, target: Path) -> None:
    """Write what ``child`` changes over ``parent`` as a layer (OCI image specification, layer.md)."""
    below, above = (_tree(parent) if parent else {}), _tree(child)
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as layer:
        gone = {name for name in below if name not in above}
        for name in sorted(gone):
            folder, _, base = name.rpartition("/")
            if folder not in gone:
                layer.addfile(tarfile.TarInfo(f"{folder}/.wh.{base}".lstrip("/")))
        for name in sorted(above):
            if name not in below or not _same(below[name], above[name]):
                layer.add(child / name, name, recursive=False)


def _build_minimal(archive: Archive, target: Path, scratch: Path) -> None:
    options = scratch / "apt.conf"
    options.write_text(
        archive.options + '\nAcquire::Languages "none";\nAcquire::GzipIndexes "true";\n'
    )
    small = [f"--dpkgopt=path-exclude=/usr/share/{x}/*" for x in ("doc", "man", "locale", "info")]
    uri, suite, components = archive.main
    run(
        "mmdebstrap", "--quiet", "--variant=apt", f"--aptopt={options}", *small,
        "--dpkgopt=force-unsafe-io", "--skip=cleanup/apt/lists", "--format=directory",
        suite, target, f"deb {uri} {suite} {components}",
    )  # fmt: skip
    root = Root(target)
    root.write("usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n")
    (target / "usr/sbin/policy-rc.d").chmod(0o755)


def _build_variant(folder: Path, name: str, archive: Archive) -> None:
    parent, change = RECIPES[name]
    root = Root(folder / "roots" / name)
    run("cp", "-a", "--reflink=auto", folder / "roots" / parent, root.path)
    shutil.copyfile("/etc/resolv.conf", root.path / "etc/resolv.conf")
    change(root, archive)
    root.apt("clean")


def _write_image_layer(folder: Path, name: str) -> None:
    parent = folder / "roots" / RECIPES[name][0] if name in RECIPES else None
    write_layer(parent, folder / "roots" / name, folder / f"{name}.tar")


def _add_image(folder: Path, name: str) -> None:
    """One more image in the layout: its parent's layers and one of its own."""
    layout, layer = folder / "layout", folder / f"{name}.tar"
    parent = RECIPES[name][0] if name in RECIPES else None
    if parent is None:
        run("umoci", "init", "--layout", layout)
        run("umoci", "new", "--image", f"{layout}:{name}")
    else:
        run("umoci", "tag", "--image", f"{layout}:{parent}", name)
    run("umoci", "raw", "add-layer", "--image", f"{layout}:{name}", layer)
    layer.unlink()


def _waves() -> Iterator[list[str]]:
    """The recipes in an order in which each comes after what it is built on."""
    done, left = {"minimal"}, dict(RECIPES)
    while left:
        wave = [name for name, (parent, _) in left.items() if parent in done]
        yield wave
        done.update(wave)
        left = {name: recipe for name, recipe in left.items() if name not in done}


def build(folder: Path) -> None:
    """Make every root file system and its image; about two minutes on two cores."""
    missing = [program for program in PROGRAMS if not shutil.which(program)]
    if missing:
        pytest.fail(f"these programs are missing: {', '.join(missing)}")
    if os.geteuid():
        pytest.fail("root file systems are made with chroot(8), which needs root")
    archive = machine_archive()
    (folder / "roots").mkdir(parents=True)
    _build_minimal(archive, folder / "roots" / "minimal", folder)
    with ThreadPoolExecutor(2) as pool:
        for wave in _waves():
            list(pool.map(lambda name: _build_variant(folder, name, archive), wave))
        names = ["minimal", *(name for wave in _waves() for name in wave)]
        list(pool.map(lambda name: _write_image_layer(folder, name), names))
    for name in names:
        _add_image(folder, name)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


_IN_USE: list[TextIO] = []
"""Kept open until this process ends, lest another session removes what we read."""


def _remove_unused(folder: Path) -> None:
    with (folder / "in-use").open("a") as in_use, suppress(BlockingIOError):
        fcntl.flock(in_use, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder)


def cached_fleet() -> Path:
    """The folder with ``roots/NAME`` and ``layout``: today's, or newly built."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    cache_folder = home / "imagecatalog-tests"
    cache_folder.mkdir(parents=True, exist_ok=True)
    sources = [Path(__file__), Path(build_repositories.__code__.co_filename)]
    recipe = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]
    today = datetime.now(UTC).date().isoformat()
    folder = cache_folder / f"roots-{machine_archive().codename}-{today}-{recipe}"
    with _locked(cache_folder / "lock"):
        if not folder.exists():
            for stale in cache_folder.glob("roots-*"):
                _remove_unused(stale)
            unfinished = cache_folder / "roots-unfinished"
            build(unfinished)
            unfinished.rename(folder)
        in_use = (folder / "in-use").open("a")
        fcntl.flock(in_use, fcntl.LOCK_SH)
        _IN_USE.append(in_use)
    return folder


def ask_apt(folder: Path) -> dict[str, dict[tuple[str, str], Upgrade]]:
    """apt's word on each root file system, now."""
    names = ["minimal", *RECIPES]
    with ThreadPoolExecutor(2) as pool:
        said = pool.map(lambda name: Root(folder / "roots" / name).upgradable(), names)
        return dict(zip(names, said, strict=True))
