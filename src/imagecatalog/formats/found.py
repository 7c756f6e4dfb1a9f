"""Packages as the files of an image tell of them, and what of those files could not be read."""

from __future__ import annotations

from imagecatalog.domain.contents import PackageDatabase
from imagecatalog.domain.packages import Package
from imagecatalog.errors import BadDocument, BadName
from imagecatalog.formats.purl import check_package

_PROBLEMS_SHOWN = 3
FILES_LIMIT = 200_000
"""Files that are noted of a package database: of what lies beyond, packages within are told twice."""


class Found:
    """Gathers what one file holds; a broken package is told of and spoils no other."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._packages: set[Package] = set()
        self._foreign: set[Package] = set()
        self._files: list[str] = []
        self._problems: list[str] = []

    def add(
        self,
        kind: str,
        name: str,
        version: str,
        *,
        arch: str = "",
        source: tuple[str, str] | None = None,
        foreign: bool = False,
    ) -> None:
        """Take a package; ``source`` is its source's name and version, else it is its own.

        ``foreign``: the distribution did not build it.
        """
        source_name, source_version = source or (name, version)
        package = Package(kind, name, version, arch, source_name, source_version)
        try:
            if not name:
                raise BadName("a package has no name")
            check_package(package)
        except BadName as error:
            self.fail(error.message)
        else:
            self._packages.add(package)
            if foreign:
                self._foreign.add(package)

    def own(self, path: str) -> None:
        """Take a file that a package of the distribution brought."""
        if len(self._files) < FILES_LIMIT:
            self._files.append(path)

    def fail(self, problem: str | BadDocument) -> None:
        """Note what could not be read."""
        text = problem if isinstance(problem, str) else problem.message
        self._problems.append(text.removeprefix(f"{self._where}: "))

    def database(self) -> PackageDatabase:
        """All of it, sorted, with a sentence for what is missing."""
        problem = None
        if self._problems:
            more = len(self._problems) - _PROBLEMS_SHOWN
            shown = "; ".join(one[:200] for one in self._problems[:_PROBLEMS_SHOWN])
            problem = f"{self._where}: {shown}" + (f"; and {more} more" if more > 0 else "")
        return PackageDatabase(
            tuple(sorted(self._packages)),
            problem=problem,
            foreign=tuple(sorted(self._foreign)),
            files=tuple(self._files),
        )
