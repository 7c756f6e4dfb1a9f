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
from imagecatalog.formats.jar import parse_jar
from imagecatalog.formats.language_files import Kind, find_kind
from imagecatalog.formats.node_modules import parse_package
from imagecatalog.formats.python_dist import parse_metadata
from imagecatalog.formats.rpm_manifest import parse_manifest
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
RPM_MANIFEST = "var/lib/rpmmanifest/container-manifest-2"
"""What images of CBL-Mariner and Azure Linux have that carry no database."""

DATABASES: dict[str, Parse] = {
    **dict.fromkeys(APK_DATABASES, parse_installed),
    **dict.fromkeys(RPM_DATABASES, parse_rpmdb),
    RPM_MANIFEST: parse_manifest,
}
"""Each path of a package database with its parser; dpkg's are apart, as apt's files belong to them."""


class Language(Struct, frozen=True):
    """How the files of one language's packages are read."""

    parse: Parse
    limit: int
    """Bytes of a file that are read."""
    whole: bool = True
    """Whether a larger file tells nothing; else its beginning is enough."""


_LANGUAGES: dict[Kind, Language] = {
    "python": Language(parse_metadata, 64 << 10, whole=False),
    "npm": Language(parse_package, 1 << 20),
    "gem": Language(parse_gemspec, 64 << 10, whole=False),
    "java": Language(parse_jar, 64 << 20),
}


def find_language(path: str) -> Language | None:
    """How the file at this path is read, if it tells of a package of a language."""
    kind = find_kind(path)
    return _LANGUAGES[kind] if kind else None
