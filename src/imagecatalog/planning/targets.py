"""Which packages a plan is to move: all with an update, or those that the question names."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Protocol
from urllib.parse import unquote

from msgspec import Struct, structs

from imagecatalog.domain.packages import Package
from imagecatalog.domain.plans import PlanQuestion
from imagecatalog.errors import BadName, NotFound
from imagecatalog.formats.os_release import DEBIAN_CODENAMES
from imagecatalog.formats.purl import parse_purl
from imagecatalog.store import advisories, plans, updates
from imagecatalog.store.engine import Connection
from imagecatalog.store.plans import Fixable
from imagecatalog.store.updates import Pair
from imagecatalog.versions import deb, sort_key

_RANGE = re.compile(r"(<=|>=|<|>|=)?(.+)")
_BINARY_REBUILD = re.compile(r"\+b[0-9]+$")

_HOLDS: Mapping[str, Callable[[bytes, bytes], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "=": lambda a, b: a == b,
}


class Judgeable(Struct, frozen=True):
    """What of an image leads to its packages and their updates."""

    pair: Pair
    distro: str | None
    """As ``debian 12``."""


class _Matter(Protocol):
    """What a question is about."""

    @property
    def names(self) -> Collection[str]:
        """The packages that it is about, binary or source."""

    @property
    def is_endless(self) -> bool:
        """Whether it is about all versions, so that none is better than another."""

    def is_bad(self, package: Package, distro: str | None) -> bool:
        """Whether it is about that version of a package, in that distribution."""


class _Range(Struct, frozen=True):
    """Versions of a package, binary or source, of a distribution."""

    type: str
    name: str
    distro: str | None
    sign: str
    version: str | None

    @property
    def names(self) -> Collection[str]:
        return {self.name}

    @property
    def is_endless(self) -> bool:
        return self.version is None

    def is_bad(self, package: Package, distro: str | None) -> bool:
        if package.type != self.type or self.name not in (package.name, package.source):
            return False
        if self.distro is not None and (distro or "").partition(" ")[0] != self.distro:
            return False
        if self.version is None:
            return True
        version = package.source_version if package.source == self.name else package.version
        return _HOLDS[self.sign](sort_key(self.type, version), sort_key(self.type, self.version))


class _Faults(Struct, frozen=True):
    """What an advisory affects: by release and source the version that ends it; None: none yet."""

    fixed: Mapping[tuple[str, str], str | None]

    @property
    def names(self) -> Collection[str]:
        return {source for _, source in self.fixed}

    @property
    def is_endless(self) -> bool:
        return False

    def is_bad(self, package: Package, distro: str | None) -> bool:
        key = _codename(distro), package.source
        if package.type != "deb" or key not in self.fixed:
            return False
        fixed = self.fixed[key]
        return fixed is None or sort_key("deb", package.source_version) < sort_key("deb", fixed)


class _Named(Struct, frozen=True):
    """All versions of a package, binary or source."""

    name: str

    @property
    def names(self) -> Collection[str]:
        return {self.name}

    @property
    def is_endless(self) -> bool:
        return True

    def is_bad(self, package: Package, _distro: str | None) -> bool:
        return self.name in (package.name, package.source)


class Targets:
    """The packages that a question is about, and which of them have an update, in any images.

    Raises BadName for a question that cannot be understood, and NotFound for a package or an
    advisory that the catalog knows nothing of.
    """

    def __init__(self, c: Connection, ask: PlanQuestion) -> None:
        self._c = c
        self._security = ask.security
        self._bad = None if ask.advisory is None else _read_matter(c, ask.advisory)
        self._matters: list[_Matter] = [] if self._bad is None else [self._bad]
        if ask.package is not None:
            self._matters.append(_Named(ask.package))
        self._known = _find_packages(c, self._matters)
        self._waiting: dict[Judgeable, dict[str, Fixable]] = {}

    @property
    def is_particular(self) -> bool:
        """Whether some packages are asked about, and not any."""
        return bool(self._matters)

    @property
    def is_of_versions(self) -> bool:
        """Whether some versions are asked about, which are bad whatever else there is."""
        return self._bad is not None and not self._bad.is_endless

    def find_waiting(self, images: Mapping[int, Judgeable]) -> dict[int, dict[str, Fixable]]:
        """The packages of each image that are to be moved and can be, by ``name:arch``."""
        new = set(images.values()) - self._waiting.keys()
        sums = updates.sum_up(self._c, {one.pair for one in new})
        by_setup: dict[int, set[int]] = {}
        for (setup_id, _), found in sums.items():
            by_setup.setdefault(setup_id, set()).update(self._chosen(found.members))
        fixable = plans.list_fixable(self._c, by_setup)
        for one in new:
            items = (fixable.get((one.pair[0], number)) for number in sums[one.pair].members)
            self._waiting[one] = {
                f"{item.package.name}:{item.package.arch}": item
                for item in items
                if item is not None and self._is_wanted(item, one.distro)
            }
        return {number: self._waiting[one] for number, one in images.items()}

    def find_affected(self, images: Mapping[int, Judgeable]) -> dict[int, dict[str, bool]]:
        """Of a particular question: what each image holds of it by ``name:arch``, affected or not."""
        if not self._matters:
            return {}
        sets = {one.pair[1] for one in images.values()}
        held = plans.list_holding(self._c, sets, self._known.keys())
        found = {}
        for number, image in images.items():
            inside = [self._known[one] for one in held.get(image.pair[1], ())]
            if inside:
                found[number] = {
                    f"{package.name}:{package.arch}": self._is_affected(package, image.distro)
                    for package in inside
                }
        return found

    def _chosen(self, members: Iterable[int]) -> Iterable[int]:
        return (one for one in members if one in self._known) if self._matters else members

    def _is_affected(self, package: Package, distro: str | None) -> bool:
        return all(matter.is_bad(package, distro) for matter in self._matters)

    def _is_wanted(self, item: Fixable, distro: str | None) -> bool:
        if (self._security and not item.fix.security) or not self._is_affected(
            item.package, distro
        ):
            return False
        if self._bad is None or self._bad.is_endless:
            return True
        version = item.source_version or _BINARY_REBUILD.sub("", item.fix.candidate)
        then = structs.replace(item.package, version=item.fix.candidate, source_version=version)
        return not self._bad.is_bad(then, distro)


def _find_packages(c: Connection, matters: Iterable[_Matter]) -> dict[int, Package]:
    """Every version of the packages that all of these are about; raises NotFound where one has none."""
    common: dict[int, Package] | None = None
    for matter in matters:
        found: dict[int, Package] = {}
        for name in sorted(matter.names):
            found |= plans.list_named(c, name)
        if not found:
            raise NotFound(
                f"no image is known to hold a package {', '.join(sorted(matter.names))}",
                hint="name a binary or a source package; imagecatalog search finds them",
            )
        common = found if common is None else {n: common[n] for n in common.keys() & found.keys()}
    return common or {}


def _read_matter(c: Connection, text: str) -> _Matter:
    if text.startswith("pkg:"):
        return _read_range(text)
    found = advisories.find_affected(c, text)
    if found is None:
        why = "" if advisories.has_advisories(c) else ": no feed of advisories was read yet"
        raise NotFound(
            f"nothing is known of {text}{why}",
            hint="run imagecatalog refresh, or ask by version: --for 'pkg:deb/debian/NAME@<VERSION'",
        )
    fixed: dict[tuple[str, str], str | None] = {}
    for one in found:
        if one.status not in ("fixed", "open"):
            continue
        key = one.release, one.source
        before = fixed.get(key, "0")
        if one.fixed is None or before is None:
            fixed[key] = None
        else:
            fixed[key] = max(before, one.fixed, key=lambda version: sort_key("deb", version))
    if not fixed:
        raise NotFound(f"{text} affects no package in any release", hint="there is nothing to plan")
    return _Faults(fixed)


def _read_range(text: str) -> _Range:
    named, _, rest = text.partition("@")
    purl = parse_purl(named)
    rest = unquote(rest.partition("?")[0].partition("#")[0])
    found = _RANGE.fullmatch(rest)
    if "@" in text and found is None:
        raise BadName(f"{text!r} names no version", hint="write pkg:deb/debian/openssl@<3.0.15")
    version = found[2] if found else None
    if version is not None and purl.type == "deb":
        deb.key(version)
    return _Range(purl.type, purl.name, purl.namespace, (found and found[1]) or "=", version)


def _codename(distro: str | None) -> str:
    name, _, version = (distro or "").partition(" ")
    return DEBIAN_CODENAMES.get(version, version) if name == "debian" else ""
