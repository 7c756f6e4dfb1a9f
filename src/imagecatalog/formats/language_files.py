"""Where in an image the packages of languages lie, by the names of files and folders alone."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["gem", "java", "npm", "python"]

ARCHIVES = (".jar", ".war", ".ear", ".par", ".sar", ".nar", ".kar", ".hpi", ".jpi", ".lpkg")
"""Java archives by their endings: of Java itself, of application servers, of Jenkins and Liferay."""
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
_UNREAD = {
    "/.pnp.cjs": "packages that Yarn keeps in archives are not looked into",
    "/.pnp.js": "packages that Yarn keeps in archives are not looked into",
    "/conda-meta/history": "packages of Conda are not read",
    "/vendor/composer/installed.json": "packages of Composer (PHP) are not read",
    ".deps.json": "packages of .NET are not read",
}
"""Ends of paths that say that there are packages which nobody here reads."""
_STORED = re.compile(
    r"(?:.*/)?(?:store/v\d+/files/[0-9a-f]{2}/[0-9a-f]+|\.bun/install/cache/.+/package\.json)"
)
"""Where pnpm and Bun keep files to which those of ``node_modules`` are hard links."""
_PROGRAMS = ("bin", "sbin", "libexec")
_NO_PROGRAMS = ("etc/", "usr/share/", "var/")


def is_dull(path: str) -> bool:
    """Whether nothing is installed below, so that not even what goes from there matters."""
    return path.startswith(_DULL)


def hides_packages(path: str) -> bool:
    """Whether a file or link at this path stands where packages of a language may have been."""
    name = path.rpartition("/")[2]
    return name in _FOLDERS or name.endswith(_EGGS)


def find_kind(path: str) -> Kind | None:
    """The language of which the file at this path tells a package, if it is one of those."""
    folder, _, name = path.rpartition("/")
    if name in ("METADATA", "PKG-INFO"):
        return "python" if folder.endswith((*_EGGS, "EGG-INFO")) else None
    if name == "package.json":
        above, _, _ = folder.rpartition("/")
        scope = above.rpartition("/")[2]
        above = above.rpartition("/")[0] if scope.startswith("@") else above
        return "npm" if above.rpartition("/")[2] == "node_modules" else None
    if name.endswith(".gemspec"):
        return "gem" if "specifications" in folder.split("/") else None
    if name.endswith(".egg-info"):
        return "python"
    return "java" if name.endswith(ARCHIVES) else None


def is_stored(path: str) -> bool:
    """Whether a file at this path may be a ``package.json`` that others are hard links to."""
    return _STORED.fullmatch(path) is not None


def find_unread(path: str) -> str | None:
    """Why what a file at this path tells of is not known, if it tells of packages that are not read."""
    return next((why for end, why in _UNREAD.items() if f"/{path}".endswith(end)), None)


def may_tell(path: str) -> bool:
    """Whether the file at this path tells of a package, or may be a program that does."""
    if is_dull(path):
        return False
    if find_kind(path) or find_unread(path):
        return True
    folder, _, name = path.rpartition("/")
    is_program = "." not in name or folder.rpartition("/")[2] in _PROGRAMS
    return is_program and not path.startswith(_NO_PROGRAMS)
