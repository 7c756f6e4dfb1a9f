"""Which files of a layer the distribution's packages brought: what is in them is theirs.

A tracker of a distribution speaks of its own build of a library, with its own fixes; the same library
told once more as a package of its language would be held against versions that were never built.
"""

from __future__ import annotations

from msgspec import structs

from imagecatalog.domain.contents import PackageDatabase
from imagecatalog.formats.found import FILES_LIMIT
from imagecatalog.formats.language_files import may_tell

LIST_LIMIT = 8 << 20
"""Bytes of a package's list of files that are read; the largest real ones have two megabytes."""


class Brought:
    """Gathers the lists of a layer; they may come before or after the files."""

    def __init__(self, folders: tuple[str, ...], sums: tuple[str, ...]) -> None:
        self._folders, self._sums = folders, sums
        self._lists: dict[str, list[str]] = {}
        self._foreign: set[str] = set()
        self._files: set[str] = set()
        self._count = 0

    def is_list(self, path: str) -> bool:
        """Whether the file at this path lists the files of one of dpkg's packages."""
        folder, _, name = path.rpartition("/")
        return (folder in self._folders and name.endswith(".list")) or (
            folder in self._sums and name.endswith(".md5sums")
        )

    def take_list(self, path: str, data: bytes) -> None:
        """Take a list: paths, or, as in distroless images, sums with a path behind each."""
        folder, _, name = path.rpartition("/")
        lines = data.decode(errors="replace").splitlines()
        if folder in self._sums:
            lines = [line.partition("  ")[2] for line in lines]
        paths = [_bare(line) for line in lines if may_tell(line.lstrip("/"))]
        package = name.rpartition(".")[0].partition(":")[0]
        self._count += len(paths)
        if self._count <= FILES_LIMIT:
            self._lists.setdefault(package, []).extend(paths)

    def take_database(self, database: PackageDatabase) -> PackageDatabase:
        """Take what a database tells of files; it is given back without."""
        self._files.update(map(_bare, database.files))
        self._foreign.update(package.name for package in database.foreign)
        return structs.replace(database, files=()) if database.files else database

    def settle(self) -> frozenset[str]:
        """All of the files, once the layer was read; those of third parties tell for themselves."""
        for package, paths in self._lists.items():
            if package not in self._foreign:
                self._files.update(paths)
        return frozenset(self._files)


def is_brought(path: str, files: frozenset[str]) -> bool:
    """Whether the file at this path of the layer is one of those that were settled."""
    return _bare(path) in files


def _bare(path: str) -> str:
    """A path from the root; ``usr`` does not count, as distributions merged it."""
    return path.lstrip("/").removeprefix("usr/")
