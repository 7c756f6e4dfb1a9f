"""Which packages a plan is to move: all with an update, or those that the question names."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from operator import itemgetter

from msgspec import Struct, structs

from imagecatalog.domain.packages import Distro, Package
from imagecatalog.domain.plans import PlanQuestion
from imagecatalog.domain.scopes import NOWHERE, scope_of
from imagecatalog.errors import NotFound
from imagecatalog.formats.os_release import DEBIAN_CODENAMES
from imagecatalog.planning.beside import list_beside, package_of
from imagecatalog.planning.subjects import Release, Subject, name_package, read_subject
from imagecatalog.store import exposed, exposure, plans, updates
from imagecatalog.store.engine import Connection
from imagecatalog.store.fixes import Fix
from imagecatalog.store.plans import Fixable
from imagecatalog.store.updates import Pair, Sum

_BINARY_REBUILD = re.compile(r"\+b[0-9]+$")


_Asked = tuple[Pair, str | None]
"""What apt judges, and the distribution that it is of."""


class Judgeable(Struct, frozen=True, gc=False):
    """What of an image leads to its packages and their updates."""

    pair: Pair | None
    """None: no apt judges it."""
    set_id: int
    distro: str | None
    """As ``debian 12``."""
    scope_id: int | None
    """The scope of its distribution; None where it has none."""
    is_mended: bool = False
    """No advisory tells of a fix for what it holds."""


class Targets:
    """The packages that a question is about, and which of them have an update, in any images.

    Raises BadName for a question that cannot be understood, and NotFound for a package or an
    advisory that the catalog knows nothing of. ``sums`` are those of the updates that were read.
    """

    def __init__(
        self,
        c: Connection,
        ask: PlanQuestion,
        *,
        now: datetime,
        sums: Mapping[Pair, Sum] | None = None,
    ) -> None:
        self._c = c
        self._sums = sums
        self._now = now
        self._security = ask.security
        self._bad = None if ask.advisory is None else _read_subject(c, ask.advisory)
        self._faults = _find_faults(c, ask.advisory)
        self._matters: list[Subject] = [] if self._bad is None else [self._bad]
        if ask.package is not None:
            self._matters.append(name_package(ask.package))
        self._known = _find_packages(c, self._matters)
        self._waiting: dict[_Asked, dict[str, Fixable]] = {}
        self._beside: dict[int, dict[str, Fixable]] = {}
        self._spared: dict[int, frozenset[str]] = {}

    @property
    def is_particular(self) -> bool:
        """Whether some packages are asked about, and not any."""
        return bool(self._matters)

    @property
    def is_of_versions(self) -> bool:
        """Whether some versions are asked about, which are bad whatever else there is."""
        return self._bad is not None and not self._bad.is_endless

    def find_waiting(self, images: Mapping[int, Judgeable]) -> dict[int, dict[str, Fixable]]:
        """The packages of each image that are to be moved and can be, in the order of ``name:arch``."""
        self._look_beside(images)
        asked = {(one.pair, one.distro) for one in images.values() if one.pair is not None}
        self._look_at_updates(asked - self._waiting.keys())
        found = {}
        for number, one in images.items():
            more = self._beside.get(number)
            items = self._waiting.get((one.pair, one.distro), {}) if one.pair else {}
            found[number] = dict(sorted((items | more).items())) if more else items
        return found

    def _look_beside(self, images: Mapping[int, Judgeable]) -> None:
        new = images.keys() - self._beside.keys()
        places = {
            number: (images[number].scope_id, images[number].set_id)
            for number in sorted(new)
            if not images[number].is_mended
        }

        def is_wanted(number: int, fix: Fix) -> bool:
            return self._is_asked(fix, images[number].distro)

        self._beside |= {number: {} for number in new}
        found, spared = list_beside(self._c, places, is_wanted, now=self._now)
        self._beside |= found
        self._spared |= spared

    def _is_asked(self, fix: Fix, distro: str | None) -> bool:
        """Whether a fix that advisories tell of is asked for."""
        before, after = package_of(fix), package_of(fix, fix.fixed)
        release = _release(distro)
        for matter in self._matters:
            if matter is self._bad and self._faults:
                is_meant = fix.fault in self._faults
            elif not matter.is_bad(before, release):
                is_meant = False
            else:
                is_meant = matter.is_endless or not matter.is_bad(after, release)
            if not is_meant:
                return False
        return True

    def _look_at_updates(self, new: Collection[_Asked]) -> None:
        sums = updates.sum_up(self._c, {pair for pair, _ in new}, self._sums)
        by_setup: dict[int, set[int]] = {}
        for (setup_id, _), found in sums.items():
            by_setup.setdefault(setup_id, set()).update(self._chosen(found.members))
        fixable = plans.list_fixable(self._c, by_setup)
        for pair, distro in new:
            items = (fixable.get((pair[0], number)) for number in sums[pair].members)
            wanted = {
                f"{item.package.name}:{item.package.arch}": item
                for item in items
                if item is not None and self._is_wanted(item, distro)
            }
            self._waiting[pair, distro] = dict(sorted(wanted.items(), key=itemgetter(0)))

    def find_affected(self, images: Mapping[int, Judgeable]) -> dict[int, dict[str, bool]]:
        """Of a particular question: what each image holds of it by ``name:arch``, affected or not.

        What is suppressed there is not. After ``find_waiting`` of the same images.
        """
        if not self._matters:
            return {}
        sets = {one.set_id for one in images.values()}
        held = plans.list_holding(self._c, sets, self._known.keys())
        found: dict[int, dict[str, bool]] = {}
        for number, image in images.items():
            inside = found.setdefault(number, {})
            for package in sorted(self._known[one] for one in held.get(image.set_id, ())):
                key = f"{package.name}:{package.arch or package.type}"
                is_bad = self._is_affected(package, image.distro)
                is_spared = key in self._spared.get(number, ())
                inside[key] = inside.get(key, False) or (is_bad and not is_spared)
        return {number: inside for number, inside in found.items() if inside}

    def _chosen(self, members: Iterable[int]) -> Iterable[int]:
        return (one for one in members if one in self._known) if self._matters else members

    def _is_affected(self, package: Package, distro: str | None) -> bool:
        release = _release(distro)
        return all(matter.is_bad(package, release) for matter in self._matters)

    def _is_wanted(self, item: Fixable, distro: str | None) -> bool:
        if (self._security and not item.fix.security) or not self._is_affected(
            item.package, distro
        ):
            return False
        if self._bad is None or self._bad.is_endless:
            return True
        version = item.source_version or _BINARY_REBUILD.sub("", item.fix.candidate)
        then = structs.replace(item.package, version=item.fix.candidate, source_version=version)
        return not self._bad.is_bad(then, _release(distro))


def _find_faults(c: Connection, text: str | None) -> frozenset[int]:
    """The numbers of an advisory's faults; none for a range of versions."""
    is_advisory = text is not None and not text.startswith("pkg:")
    return frozenset(exposed.find_faults(c, text or "")) if is_advisory else frozenset()


def _find_packages(c: Connection, matters: Iterable[Subject]) -> dict[int, Package]:
    """Every version of the packages that all of these are about; raises NotFound where one has none."""
    common: dict[int, Package] | None = None
    for matter in matters:
        names = matter.names | plans.list_spellings(c, matter.names)
        found = exposure.list_packages_named(c, names)
        if not found:
            raise NotFound(
                f"no image is known to hold a package {', '.join(sorted(matter.names))}",
                hint="name a binary or a source package; imagecatalog search finds them",
            )
        common = found if common is None else {n: common[n] for n in common.keys() & found.keys()}
    return common or {}


def _read_subject(c: Connection, text: str) -> Subject:
    subject = read_subject(c, text)
    if not subject.ranges:
        raise NotFound(f"{text} affects no package in any release", hint="there is nothing to plan")
    return subject


@lru_cache(1000)
def _release(distro: str | None) -> Release:
    name, _, version = (distro or "").partition(" ")
    scope = scope_of(Distro(name, version or None, None))
    if scope != NOWHERE:
        where, _, release = scope.partition("/")
        return Release(where, release)
    return Release(name, DEBIAN_CODENAMES.get(version, version))
