"""Which files of a layer tell of installed packages besides dpkg's, and who reads each.

Package databases lie at known paths. What languages install lies anywhere, many small files of
known names; each is read as it passes, and only its packages are kept.
"""

from __future__ import annotations

from collections.abc import Callable

from imagecatalog.domain.contents import PackageDatabase
from imagecatalog.formats.apkdb import parse_installed
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
