"""What advisories ask for beside apt's updates: packages of apk, RPM and languages with a fix out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime

from imagecatalog.domain.packages import Package
from imagecatalog.domain.plans import PlannedFix
from imagecatalog.domain.scopes import type_of
from imagecatalog.planning.hidden import list_hidden
from imagecatalog.store import fixes
from imagecatalog.store.engine import Connection
from imagecatalog.store.fixes import Fix, Place
from imagecatalog.store.plans import Fixable
from imagecatalog.store.running_faults import RunningImage
from imagecatalog.versions import sort_key


def list_beside(
    c: Connection,
    places: Mapping[int, Place],
    is_wanted: Callable[[int, Fix], bool],
    *,
    now: datetime,
) -> tuple[dict[int, dict[str, Fixable]], dict[int, frozenset[str]]]:
    """The packages of each image that a fix is out for and no apt brings, by ``name:arch``.

    Of a language's package, which has no architecture, by ``name:type``. What is suppressed in the
    image is left out, and what is not ``is_wanted`` there. Images without any are left out. Also the
    names of the packages whose fixes are suppressed.
    """
    fixed = fixes.list_fixes(c, set(places.values()), with_debian=False)
    asked = [
        RunningImage(number, scope_id or 0, set_id, 0)
        for number, (scope_id, set_id) in places.items()
        if (scope_id, set_id) in fixed
    ]
    hidden = list_hidden(c, asked, now=now) if asked else {}
    found, spared = {}, {}
    for one in asked:
        apart = hidden.get(one.id, set())
        wanted = [fix for fix in fixed[places[one.id]] if is_wanted(one.id, fix)]
        chosen = [fix for fix in wanted if (fix.component, fix.fault) not in apart]
        if chosen:
            found[one.id] = _name(_join(chosen))
        if len(chosen) < len(wanted):
            spared[one.id] = frozenset(_key(package_of(fix)) for fix in wanted)
    return found, spared


def _join(chosen: Iterable[Fix]) -> list[Fixable]:
    """One for each package, with the version that has all its fixes."""
    by_package: dict[int, list[Fix]] = {}
    for one in chosen:
        by_package.setdefault(one.number, []).append(one)
    return [_make(many) for many in by_package.values()]


def _make(many: Collection[Fix]) -> Fixable:
    last = max(many, key=lambda one: sort_key(type_of(one.scope), one.fixed))
    package = package_of(last)
    fix = PlannedFix(
        package=package.name,
        arch=package.arch,
        installed=package.version,
        candidate=last.fixed,
        security=True,
        type=package.type,
    )
    faults = tuple(sorted({one.advisory for one in many}))
    return Fixable(last.number, package, fix, last.feed, last.fixed, faults)


def package_of(fix: Fix, version: str | None = None) -> Package:
    """The package that a fix is for; with ``version`` in that one."""
    version = version or fix.version
    return Package(fix.type, fix.name, version, fix.arch, fix.source, version)


def _name(found: Iterable[Fixable]) -> dict[str, Fixable]:
    """By name; of several versions of one package that lie side by side the first has it alone."""
    named: dict[str, Fixable] = {}
    for one in sorted(found, key=lambda one: sort_key(one.package.type, one.package.version)):
        key = _key(one.package)
        again = 1
        while (name := key if again == 1 else f"{key}#{again}") in named:
            again += 1
        named[name] = one
    return dict(sorted(named.items()))


def _key(package: Package) -> str:
    return f"{package.name}:{package.arch or package.type}"
