"""What an image's files say of it: its distribution, its packages, its apt set-up."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from imagecatalog.domain.apt import AptSetup, AptSource, Keyring
from imagecatalog.domain.contents import FileProblem, ImageContents, LayerEntry, PackageDatabase
from imagecatalog.domain.overlay import Tree
from imagecatalog.domain.packages import Distro, Package, Unknown
from imagecatalog.domain.refs import Platform
from imagecatalog.errors import clean_text
from imagecatalog.formats.apt_preferences import parse_preferences
from imagecatalog.formats.apt_sources import parse_sources
from imagecatalog.formats.installed import APK_DATABASES, RPM_DATABASES, RPM_MANIFEST
from imagecatalog.formats.language_files import find_kind, is_stored
from imagecatalog.formats.layer import WANTED_FOLDERS, is_wanted
from imagecatalog.formats.os_release import parse_debian_version, parse_os_release

_STATUS = "var/lib/dpkg/status"
_STATUS_FOLDER = "var/lib/dpkg/status.d"
_ARCH = "var/lib/dpkg/arch"

_NONE = "no-package-database"
_PROBLEMS_SHOWN = 3
_PROBLEMS_KEPT = 100
_TEXT = 500
_BROKEN, _NOT_READ = "package-database-broken", "package-database-not-read"
_LANGUAGE = "language-package-not-read"

_ARCHITECTURE = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_DEBIAN_ARCHITECTURES = {
    "386": "i386",
    "arm64": "arm64",
    "arm/v5": "armel",
    "arm/v6": "armel",
    "arm/v7": "armhf",
    "arm": "armhf",
    "loong64": "loong64",
    "mips64le": "mips64el",
    "mipsle": "mipsel",
    "ppc64le": "ppc64el",
}
"""dpkg's names for platforms of another name (Debian's cputable)."""


def describe_root(tree: Tree, platform: Platform) -> ImageContents:
    """What the files of an image say, links followed; raises ``TooDeep`` for links in a circle."""
    distro = _find_distro(_Files(tree))
    problems: list[FileProblem] = []
    database, unknown = _find_packages(_Files(tree), problems)
    if languages := _find_languages(tree, problems):
        database, unknown = _join(database, languages, unknown, is_distro=distro is not None)
    packages = database.packages if database else None
    return ImageContents(
        distro=distro,
        packages=packages,
        held=database.held if database else (),
        apt=_find_apt(_Files(tree), [one for one in packages or () if one.type == "deb"], platform),
        unknown=unknown,
        problems=_limit(problems),
    )


def list_architectures(
    packages: Sequence[Package], platform: Platform, foreign: Sequence[str] = ()
) -> tuple[str, ...]:
    """The architectures as dpkg names them: the native one first, then the foreign ones.

    Native is that of the package ``dpkg`` itself, else the platform's; foreign are those told to
    dpkg, else all that packages are installed for.
    """
    native = next((package.arch for package in packages if package.name == "dpkg"), None)
    if native is None:
        name = platform.architecture
        variant = f"{name}/{platform.variant}"
        native = _DEBIAN_ARCHITECTURES.get(variant) or _DEBIAN_ARCHITECTURES.get(name, name)
    others = foreign or sorted({package.arch for package in packages} - {"all"})
    return tuple(dict.fromkeys((native, *others)))


class _Files:
    """The files of a tree, and a sentence for each that is there and was not read."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self.problems: list[str] = []

    def read(self, path: str) -> bytes | None:
        """A file's bytes, or None; a file that was not read is a problem besides."""
        entry = self._tree.find(path)
        if entry is None and not is_wanted(real := self._tree.resolve(path)):
            self.problems.append(f"{path}: is a link to {real[:200]!r}, which is not read")
        elif entry is not None and entry.data is None:
            self.problems.append(f"{path}: {_describe_unread(entry)}")
        return entry.data if entry else None

    def read_folder(self, path: str) -> Iterator[tuple[str, bytes]]:
        """Each file of a folder by its path, in the order of names."""
        if (real := self._tree.resolve(path)) not in WANTED_FOLDERS:
            self.problems.append(f"{path}: is a link to {real[:200]!r}, which is not read")
        for name in self._tree.names(path):
            below = f"{path}/{name}"
            if (data := self.read(below)) is not None:
                yield below, data

    def database(self, path: str) -> PackageDatabase | Unknown | None:
        """The package database that a status file holds, or why it was not read."""
        entry = self._tree.find(path)
        if entry is not None and entry.database is not None:
            return entry.database
        if entry is not None:
            return Unknown(_NOT_READ, f"{path}: {_describe_unread(entry)}")
        real = self._tree.resolve(path)
        if is_wanted(real):
            return None
        return Unknown(_NOT_READ, f"{path}: is a link to {real[:200]!r}, which is not read")

    def databases(self) -> Iterator[PackageDatabase | Unknown]:
        """Those of distroless images, a file for each package, then dpkg's own."""
        if self._tree.resolve(_STATUS_FOLDER) in WANTED_FOLDERS:
            for name in self._tree.names(_STATUS_FOLDER):
                if database := self.database(f"{_STATUS_FOLDER}/{name}"):
                    yield database
        if database := self.database(_STATUS):
            yield database

    def others(self) -> Iterator[tuple[str, PackageDatabase | Unknown]]:
        """The databases of other package managers: each of apk's, and the newest kind of RPM's."""
        seen: set[str] = set()
        for path in (*APK_DATABASES, *RPM_DATABASES, RPM_MANIFEST):
            if self.has(path) and (real := self._tree.resolve(path)) not in seen:
                seen.add(real)
                if database := self._complete(path):
                    yield path, database
                if path not in APK_DATABASES:
                    return

    def _complete(self, path: str) -> PackageDatabase | Unknown | None:
        """The database, unless more of it lies in a journal, which SQLite leaves when it is killed."""
        if self.has(journal := f"{path}-wal") and self.read(journal) is None:
            return Unknown(_NOT_READ, f"{journal}: has changes, and journals are not read")
        return self.database(path)

    def has(self, path: str) -> bool:
        """Whether there is a file."""
        return self._tree.find(path) is not None


def _describe_unread(entry: LayerEntry) -> str:
    if entry.target is not None:
        return f"is a hard link to {entry.target[:200]!r}, which is not read"
    return "is too large or no plain file, and is not read"


def _find_packages(
    files: _Files, problems: list[FileProblem]
) -> tuple[PackageDatabase | None, Unknown | None]:
    """All packages, and what makes the list incomplete.

    Beside packages of dpkg a broken database of another package manager is a problem and no more:
    the tools of others lie in Debian images too, and of theirs nothing is installed.
    """
    packages: dict[tuple[str, str, str], Package] = {}
    held: set[str] = set()
    unknown: Unknown | None = None
    for database in files.databases():
        if isinstance(database, Unknown):
            return None, database
        packages.update(_by_identity(database))
        held.update(database.held)
        unknown = unknown or _broken(database)
    is_debian = bool(packages) or unknown is not None
    for path, database in files.others():
        problem = database if isinstance(database, Unknown) else _broken(database)
        unknown = unknown or (None if is_debian else problem)
        if problem and is_debian:
            problems.append(_problem(path, problem.code, problem.reason))
        if isinstance(database, PackageDatabase):
            packages.update(_by_identity(database))
    if not packages:
        return None, unknown or _explain_none(files)
    return PackageDatabase(tuple(sorted(packages.values())), tuple(sorted(held))), unknown


def _find_languages(tree: Tree, problems: list[FileProblem]) -> PackageDatabase | None:
    """What languages installed, wherever it lies."""
    packages: set[Package] = set()
    broken = []
    for path, entry in tree.files():
        if is_wanted(path) or is_stored(path):
            continue
        why = None
        if entry.database is not None:
            packages.update(entry.database.packages)
            why = entry.database.problem
        elif entry.kind == "file" and find_kind(path):
            why = f"{path}: {_describe_unread(entry)}"
        if why:
            why = why.removeprefix(f"{entry.path}: ").removeprefix(f"{path}: ")
            broken.append(f"{path}: {why}")
            problems.append(_problem(path, _LANGUAGE, why))
    problem = "; ".join(sorted(broken)[:_PROBLEMS_SHOWN]) or None
    return PackageDatabase(tuple(packages), problem=problem) if packages or problem else None


def _problem(path: str, code: str, why: str) -> FileProblem:
    return FileProblem(
        clean_text(path[:_TEXT]), code, clean_text(why.removeprefix(f"{path}: ")[:_TEXT])
    )


def _limit(problems: list[FileProblem]) -> tuple[FileProblem, ...]:
    """The first, by path; the last says how many more there are."""
    problems.sort(key=lambda one: (one.path, one.code, one.reason))
    more = problems[_PROBLEMS_KEPT:]
    last = [FileProblem("", _LANGUAGE, f"{len(more)} more files could not be read")] if more else []
    return (*problems[:_PROBLEMS_KEPT], *last)


def _join(
    system: PackageDatabase | None,
    languages: PackageDatabase,
    unknown: Unknown | None,
    *,
    is_distro: bool,
) -> tuple[PackageDatabase | None, Unknown | None]:
    """All packages, and what makes the list incomplete.

    An image that is no distribution may well have packages of languages alone. One that is lacks
    its own then. Beside a distribution's packages broken ones of languages are let be.
    """
    if system is None and unknown and unknown.code == _NONE and not is_distro:
        unknown = _broken(languages)
    own, held = (system.packages, system.held) if system else ((), ())
    if not (own or languages.packages):
        return None, unknown
    return PackageDatabase(tuple(sorted({*own, *languages.packages})), held), unknown


def _by_identity(database: PackageDatabase) -> Iterator[tuple[tuple[str, str, str], Package]]:
    """Of dpkg's and apk's the later counts; of RPM several versions may be installed at once."""
    for package in database.packages:
        several = package.version if package.type == "rpm" else ""
        yield (package.name, package.arch, several), package


def _broken(database: PackageDatabase) -> Unknown | None:
    return Unknown(_BROKEN, database.problem) if database.problem else None


def _explain_none(files: _Files) -> Unknown:
    for path in (_STATUS, *APK_DATABASES, *RPM_DATABASES, RPM_MANIFEST):
        if files.has(path):
            return Unknown(_NONE, f"{path}: names no installed package")
    return Unknown(_NONE, f"the image has no package database: no {_STATUS}")


def _find_distro(files: _Files) -> Distro | None:
    for path in ("etc/os-release", "usr/lib/os-release"):
        if (data := files.read(path)) is not None:
            return parse_os_release(data)
    data = files.read("etc/debian_version")
    return parse_debian_version(data) if data is not None else None


def _foreign(files: _Files) -> tuple[str, ...]:
    lines = (files.read(_ARCH) or b"").decode(errors="replace").split()
    return tuple(line for line in lines if _ARCHITECTURE.fullmatch(line))


def _find_apt(files: _Files, packages: Sequence[Package], platform: Platform) -> AptSetup | None:
    architectures = list_architectures(packages, platform, _foreign(files))
    sources, bad_sources = parse_sources(_read_parts(files, "etc/apt/sources.list"))
    pins, bad_pins = parse_preferences(_read_parts(files, "etc/apt/preferences"))
    keyrings = tuple(_find_keyrings(files, sources))
    problems = (*files.problems, *bad_sources, *bad_pins)
    if not sources and not problems:
        return None
    return AptSetup(architectures, sources, pins, keyrings, tuple(dict.fromkeys(problems)))


def _read_parts(files: _Files, path: str) -> Mapping[str, bytes]:
    """A file of apt's and those of the folder beside it."""
    whole = files.read(path)
    parts = dict(files.read_folder(f"{path}.d"))
    return parts if whole is None else {path: whole, **parts}


def _find_keyrings(files: _Files, sources: Sequence[AptSource]) -> Iterator[Keyring]:
    """The keyrings that one of the sources may be signed by, each once, by path."""
    named: set[str] = set()
    for source in sources:
        paths = {key.lstrip("/") for key in source.signed_by if key.startswith("/")}
        for path in sorted(paths - named):
            data = files.read(path) if not source.trusted else None
            if data is not None:
                yield Keyring(path, data)
            elif not source.trusted:
                files.problems.append(
                    f"{path}: the keyring of {source.uri} {source.suite} is not in the image"
                )
        named |= paths
    if any(_needs_default_keyrings(source) for source in sources):
        whole = files.read("etc/apt/trusted.gpg")
        parts = files.read_folder("etc/apt/trusted.gpg.d")
        trusted = {**({} if whole is None else {"etc/apt/trusted.gpg": whole}), **dict(parts)}
        yield from (Keyring(path, data) for path, data in sorted(trusted.items()))


def _needs_default_keyrings(source: AptSource) -> bool:
    """Whether apt takes its trusted keyrings: no other is named, or only fingerprints are."""
    return not source.trusted and not any(
        key.startswith("/") or "\n" in key for key in source.signed_by
    )
