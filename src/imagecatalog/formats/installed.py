"""Which files of a layer tell of installed packages besides dpkg's, and who reads each.

Package databases lie at known paths. What languages install lies anywhere, many small files of
known names; each is read as it passes, and only its packages are kept.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from imagecatalog.domain.contents import PackageDatabase
from imagecatalog.formats.apkdb import parse_installed
from imagecatalog.formats.gemspec import parse_gemspec
from imagecatalog.formats.jar import ENDINGS, parse_jar
from imagecatalog.formats.node_modules import parse_package
from imagecatalog.formats.python_dist import parse_metadata
from imagecatalog.formats.rpmdb import parse_rpmdb

Parse = Callable[[bytes, str], PackageDatabase]

APK_DATABASES = ("lib/apk/db/installed", "usr/lib/apk/db/installed")
RPM_DATABASES = tuple(
    f"{folder}/rpm/{name}"
    for name in ("rpmdb.sqlite", "Packages.db", "Packages")
    for folder in ("var/lib", "usr/lib/sysimage", "usr/share")
)
"""The newest kind first: an older one beside it is what a conversion left behind."""
RPM_JOURNALS = tuple(f"{path}-wal" for path in RPM_DATABASES if path.endswith(".sqlite"))
"""Changes that are not in the database yet; mostly empty files."""

DATABASES: dict[str, Parse] = {
    **dict.fromkeys(APK_DATABASES, parse_installed),
    **dict.fromkeys(RPM_DATABASES, parse_rpmdb),
}
"""Each path of a package database with its parser; dpkg's are apart, as apt's files belong to them."""


class Language(Struct, frozen=True):
    """How the files of one language's packages are read."""

    parse: Parse
    limit: int
    """Bytes of a file that are read."""
    whole: bool = True
    """Whether a larger file tells nothing; else its beginning is enough."""


_PYTHON = Language(parse_metadata, 64 << 10, whole=False)
_NODE = Language(parse_package, 1 << 20)
_RUBY = Language(parse_gemspec, 64 << 10, whole=False)
_JAVA = Language(parse_jar, 64 << 20)

_EGGS = (".dist-info", ".egg-info")
_FOLDERS = frozenset({"dist-packages", "node_modules", "site-packages", "specifications"})
_DULL = (
    "dev/",
    "proc/",
    "sys/",
    "usr/share/doc/",
    "usr/share/locale/",
    "usr/share/man/",
    "var/cache/",
    "var/lib/apt/",
    "var/lib/dpkg/info/",
)


def is_dull(path: str) -> bool:
    """Whether nothing is installed below, so that not even what goes from there matters."""
    return path.startswith(_DULL)


def hides_packages(path: str) -> bool:
    """Whether a file or link at this path stands where packages of a language may have been."""
    name = path.rpartition("/")[2]
    return name in _FOLDERS or name.endswith(_EGGS)


def find_language(path: str) -> Language | None:
    """The language of which the file at this path tells a package, if it is one of those."""
    folder, _, name = path.rpartition("/")
    if name in ("METADATA", "PKG-INFO"):
        is_egg = folder.endswith((*_EGGS, "EGG-INFO"))
        return _PYTHON if is_egg else None
    if name == "package.json":
        above, _, _ = folder.rpartition("/")
        scope = above.rpartition("/")[2]
        above = above.rpartition("/")[0] if scope.startswith("@") else above
        return _NODE if above.rpartition("/")[2] == "node_modules" else None
    if name.endswith(".gemspec"):
        above = folder.removesuffix("/default")
        return _RUBY if above.rpartition("/")[2] == "specifications" else None
    if name.endswith(".egg-info"):
        return _PYTHON
    return _JAVA if name.endswith(ENDINGS) else None
