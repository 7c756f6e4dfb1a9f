"""Which findings do not count, by whose word: statements of VEX documents, then our own deferrals.

Of what an author says of one product and fault the latest counts. Of several statements about a
package the one about the most exactly named product counts, then the latest. A finding is
suppressed where all of its installed packages are; a statement or deferral that names the source
package, or no package, is about all of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import lru_cache

from msgspec import Struct, structs

from imagecatalog.domain.findings import Suppression
from imagecatalog.domain.scopes import canonical_name, type_of
from imagecatalog.errors import BadName
from imagecatalog.store import suppressions
from imagecatalog.store.engine import Connection
from imagecatalog.store.suppressions import DeferralRow, ImageNames, StatementRow
from imagecatalog.store.vex import is_suppressing
from imagecatalog.versions import sort_key
from imagecatalog.versions.ranges import contains, parse_vers

RANGE = "vers:"
"""With which a range of versions begins."""
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


class Held(Struct, frozen=True, cache_hash=True):
    """A finding of an image, as it is asked about."""

    image: int
    """Our number of it."""
    advisory: int
    """The number of any name of the fault."""
    scope: str
    name: str
    """Source package, or a language's package."""
    version: str
    packages: tuple[tuple[str, str], ...] = ()
    """Name and version of each installed package of it; none: the name and version themselves."""

    @property
    def installed(self) -> tuple[tuple[str, str], ...]:
        """The same, never empty."""
        return self.packages or ((self.name, self.version),)


class _Said(Struct):
    """What is said of a fault: of each author the latest statements, and deferrals."""

    statements: list[StatementRow]
    deferrals: list[DeferralRow]

    is_of_images: bool = False
    """Whether any of it is about some images alone."""


def suppressions_of(
    c: Connection, wanted: Collection[Held], *, now: datetime
) -> dict[Held, Suppression]:
    """Why these do not count; those that do are left out."""
    if not wanted or not suppressions.is_anything_said(c):
        return {}
    packages = {name for held in wanted for name, _ in (*held.installed, (held.name, ""))}
    about = _list_said(c, {held.advisory for held in wanted}, packages, now)
    asked = [held for held in wanted if held.advisory in about]
    images = suppressions.list_image_names(c, {held.image for held in asked})
    found = {}
    alike: dict[Held, Suppression | None] = {}
    for held in asked:
        said, image = about[held.advisory], images[held.image]
        # As a rule no image is named: then one answer is that of thousands of images.
        key = held if said.is_of_images else structs.replace(held, image=0)
        if key not in alike:
            alike[key] = _find_statement(held, image, said.statements) or _find_deferral(
                held, image, said.deferrals
            )
        if (why := alike[key]) is not None:
            found[held] = why
    return found


def _list_said(
    c: Connection, advisories: Collection[int], packages: Collection[str], now: datetime
) -> dict[int, _Said]:
    """What is said of each of these advisories by any name; those without are left out."""
    names = suppressions.list_names_of(c, advisories)
    every = {number for known in names.values() for number in known}
    statements, deferrals = suppressions.list_said(c, every, packages, now=now)
    by_name: dict[int, _Said] = defaultdict(lambda: _Said([], []))
    for row in statements:
        by_name[row.advisory_id].statements.append(row)
    for one in deferrals:
        by_name[one.advisory_id].deferrals.append(one)
    found = {}
    for number, known in names.items():
        said = [by_name[name] for name in sorted(known) if name in by_name]
        if said:
            told = _keep_latest(row for one in said for row in one.statements)
            deferrals = [row for one in said for row in one.deferrals]
            found[number] = _Said(told, deferrals, _is_of_images(told, deferrals))
    return found


def _is_of_images(statements: Iterable[StatementRow], deferrals: Iterable[DeferralRow]) -> bool:
    named = (row.image_digest or row.repository is not None for row in statements)
    return any(named) or any(row.image is not None for row in deferrals)


def _keep_latest(rows: Iterable[StatementRow]) -> list[StatementRow]:
    """Of what an author says of one product the last."""
    latest: dict[tuple[str | None, ...], StatementRow] = {}
    for row in sorted(rows, key=_when):
        latest[row.author, *_product(row)] = row
    return list(latest.values())


def _when(row: StatementRow) -> tuple[datetime, int]:
    return row.issued or _NEVER, row.id


def _product(row: StatementRow) -> tuple[str | None, ...]:
    image = (row.image_digest, row.repository, row.tag)
    return (*image, row.type, row.namespace, row.name, row.version, row.scope)


def _find_statement(
    held: Held, image: ImageNames, rows: Sequence[StatementRow]
) -> Suppression | None:
    """The statement that makes a finding not count, where every installed package has one."""
    fit = [row for row in rows if _is_of_image(row, image) and _is_of_scope(row, held.scope)]
    deciding = []
    for package in held.installed:
        about = [row for row in fit if _is_of_package(row, held, package)]
        best = max(about, key=lambda row: (_exactness(row), _when(row)), default=None)
        if best is None or not is_suppressing(best):
            return None
        deciding.append(best)
    best = max(deciding, key=_when)
    ends = [row.expires for row in deciding if row.expires is not None]
    return Suppression(
        by="vex",
        status=best.status,
        why=": ".join(filter(None, (best.justification, best.statement))) or None,
        who=best.author,
        since=best.issued,
        until=min(ends, default=None),
    )


def _exactness(row: StatementRow) -> tuple[int, int, bool]:
    """How exactly a statement names its product: the image first, then the package."""
    image = 3 if row.image_digest else 2 if row.tag else 1 if row.repository else 0
    package = int(row.name is not None)
    if row.version:
        package = 2 if row.version.startswith(RANGE) else 3
    return image, package, row.scope is not None


def _is_of_image(row: StatementRow, image: ImageNames) -> bool:
    """By its digest alone where one is told: the same image lies in many places."""
    if row.image_digest:
        return row.image_digest in image.digests
    if row.repository is None:
        return True
    homes = [home for home in image.repositories if _is_home(row.repository, home)]
    if row.tag is None:
        return bool(homes)
    return any(f"{home}:{row.tag}" in image.tagged for home in homes)


def _is_home(named: str, home: str) -> bool:
    return home == named or ("/" not in named and home.rpartition("/")[2] == named)


def _is_of_scope(row: StatementRow, scope: str) -> bool:
    if row.type and row.type != type_of(scope):
        return False
    if row.scope and row.scope != scope:
        return False
    return not row.namespace or row.namespace == scope.partition("/")[0]


def _is_of_package(row: StatementRow, held: Held, package: tuple[str, str]) -> bool:
    """Whether it is about the source package, or this one of those installed."""
    if row.name is None:
        return True
    named = [held.version] if row.name == held.name else []
    named += [package[1]] if row.name == package[0] else []
    if not row.version or not named:
        return bool(named)
    return any(_is_version(type_of(held.scope), row.version, version) for version in named)


def _is_version(kind: str, wanted: str, version: str) -> bool:
    if not wanted.startswith(RANGE):
        return wanted == version or sort_key(kind, wanted) == sort_key(kind, version)
    try:
        ecosystem, intervals = _parse_range(wanted)
    except BadName:
        return False
    return ecosystem == kind and contains(intervals, sort_key(kind, version))


_parse_range = lru_cache(maxsize=4096)(parse_vers)


def _find_deferral(
    held: Held, image: ImageNames, rows: Sequence[DeferralRow]
) -> Suppression | None:
    """The deferral that makes a finding not count, where every installed package has one."""
    fit = [row for row in rows if row.image is None or _is_meant(row.image, image)]
    kind = type_of(held.scope)
    deciding = []
    for package, _ in held.installed:
        about = [
            row
            for row in fit
            if row.package is None or canonical_name(kind, row.package) in (held.name, package)
        ]
        if not about:
            return None
        deciding.append(max(about, key=lambda row: (row.expires, row.id)))
    first = min(deciding, key=lambda row: (row.expires, row.id))
    return Suppression(
        by="deferral",
        status="deferred",
        why=first.why,
        who=first.made_by,
        since=first.made_at,
        until=first.expires,
    )


def _is_meant(glob: str, image: ImageNames) -> bool:
    """A glob without a tag means all of a repository; the registry may be left out."""
    names = {*image.tagged, *image.repositories, *(f"{home}:" for home in image.repositories)}
    return any(fnmatchcase(text, glob) for name in names for text in (name, name.partition("/")[2]))
