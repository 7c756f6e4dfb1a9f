"""Which packages a plan is to move: all with an update, or those that the question names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import unquote

from msgspec import Struct

from imagecatalog.domain.packages import Package
from imagecatalog.domain.plans import PlanQuestion
from imagecatalog.errors import BadName, NotFound
from imagecatalog.formats.purl import parse_purl
from imagecatalog.store import plans, updates
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


class _Range(Struct, frozen=True):
    """Versions of a package, binary or source, of a distribution."""

    type: str
    name: str
    distro: str | None
    sign: str
    version: str | None

    def covers(self, package: Package, version: str) -> bool:
        """Whether that version of a package is in the range."""
        if package.type != self.type:
            return False
        if self.version is None:
            return True
        key = sort_key(self.type, self.version)
        return _HOLDS[self.sign](sort_key(self.type, version), key)


class Targets:
    """The packages that a question is about, and which of them have an update, in any images.

    Raises BadName for a question that cannot be understood, and NotFound for a package or an
    advisory that the catalog knows nothing of.
    """

    def __init__(self, c: Connection, ask: PlanQuestion) -> None:
        self._c = c
        self._security = ask.security
        self._range = None if ask.advisory is None else _read_range(ask.advisory)
        self._named: dict[int, Package] | None = None
        for name in (ask.package, self._range.name if self._range else None):
            if name is not None:
                found = plans.list_named(c, name)
                if not found:
                    raise NotFound(
                        f"no image is known to hold a package {name}",
                        hint="name a binary or a source package; imagecatalog search finds them",
                    )
                kept = found.keys() if self._named is None else found.keys() & self._named.keys()
                self._named = {number: found[number] for number in kept}
        self._waiting: dict[Pair, dict[str, Fixable]] = {}

    @property
    def is_particular(self) -> bool:
        """Whether some packages are asked about, and not any."""
        return self._named is not None

    @property
    def is_of_versions(self) -> bool:
        """Whether some versions are asked about, which are bad whatever else there is."""
        return self._range is not None

    def find_waiting(self, images: Mapping[int, Judgeable]) -> dict[int, dict[str, Fixable]]:
        """The packages of each image that are to be moved and can be, by ``name:arch``."""
        pairs = {image.pair for image in images.values()} - self._waiting.keys()
        sums = updates.sum_up(self._c, pairs)
        members = {pair: self._chosen(found.members) for pair, found in sums.items()}
        by_setup: dict[int, set[int]] = {}
        for (setup_id, _), numbers in members.items():
            by_setup.setdefault(setup_id, set()).update(numbers)
        fixable = plans.list_fixable(self._c, by_setup)
        kept = self._keep(fixable)
        for pair, numbers in members.items():
            items = (kept.get((pair[0], number)) for number in numbers)
            self._waiting[pair] = {
                f"{item.package.name}:{item.package.arch}": item for item in items if item
            }
        return {
            number: self._waiting[image.pair] if self._is_of(image) else {}
            for number, image in images.items()
        }

    def find_affected(self, images: Mapping[int, Judgeable]) -> dict[int, dict[str, bool]]:
        """Of a particular question: what each image holds of it by ``name:arch``, affected or not."""
        if self._named is None:
            return {}
        held = plans.list_holding(
            self._c, {image.pair[1] for image in images.values()}, self._named.keys()
        )
        found = {}
        for number, image in images.items():
            if not self._is_of(image):
                continue
            inside = [self._named[one] for one in held.get(image.pair[1], ())]
            if inside:
                found[number] = {f"{p.name}:{p.arch}": self._is_affected(p) for p in inside}
        return found

    def _chosen(self, members: Iterable[int]) -> list[int]:
        if self._named is None:
            return list(members)
        return [
            one for one in members if one in self._named and self._is_affected(self._named[one])
        ]

    def _is_of(self, image: Judgeable) -> bool:
        wanted = self._range.distro if self._range else None
        return wanted is None or (image.distro or "").partition(" ")[0] == wanted

    def _is_affected(self, package: Package) -> bool:
        if self._range is None:
            return True
        if package.source == self._range.name:
            return self._range.covers(package, package.source_version)
        return self._range.covers(package, package.version)

    def _keep(self, fixable: Mapping[Pair, Fixable]) -> Mapping[Pair, Fixable]:
        if self._security:
            fixable = {key: one for key, one in fixable.items() if one.security}
        if self._range is None or self._range.version is None:
            return fixable
        offers = {
            (one.package.name, one.candidate)
            for one in fixable.values()
            if one.package.source == self._range.name
        }
        sources = plans.list_source_versions(self._c, offers)
        kept = {}
        for key, one in fixable.items():
            version = one.candidate
            if one.package.source == self._range.name:
                offered = sources.get((one.package.name, version))
                version = offered or _BINARY_REBUILD.sub("", version)
            if not self._range.covers(one.package, version):
                kept[key] = one
        return kept


def _read_range(text: str) -> _Range:
    if not text.startswith("pkg:"):
        raise NotFound(
            f"nothing is known of {text}: no feed of advisories is read yet",
            hint="name the package: --package NAME, or --for 'pkg:deb/debian/NAME@<VERSION'",
        )
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
