"""What a question is about: an advisory, or a range of versions of a package, as package versions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import unquote

from msgspec import Struct

from imagecatalog.domain.advisories import Affected, AffectedRange
from imagecatalog.domain.packages import Package
from imagecatalog.domain.scopes import canonical_name, type_of
from imagecatalog.errors import BadName, NotFound
from imagecatalog.formats.purl import SYSTEM_TYPES, package_name, parse_purl
from imagecatalog.store import advisories, affected
from imagecatalog.store.engine import Connection
from imagecatalog.versions import key, sort_key

_RANGE = re.compile(r"(<=|>=|<|>|=)?(.+)")
_ADVISORY = re.compile(r"[A-Za-z][A-Za-z0-9]*-[A-Za-z0-9]+(?:[-:.][A-Za-z0-9]+)*")

_HOLDS: Mapping[str, Callable[[bytes, bytes], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "=": lambda a, b: a == b,
}


class Release(Struct, frozen=True):
    """A release of a distribution; an empty codename means any."""

    distro: str
    codename: str


class BadRange(Struct, frozen=True, kw_only=True):
    """Versions of a package that are bad; without ``sign`` all of them are."""

    type: str | None
    """None: any."""
    name: str
    """A source package, or with ``or_binary`` a binary one too."""
    or_binary: bool = False
    distro: str | None = None
    release: str | None = None
    """Codename; None: any."""
    sign: str | None = None
    version: str = ""
    within: tuple[AffectedRange, ...] = ()
    """Instead of a sign, which versions a feed says are bad."""
    fixed: str | None = None
    """The first good version, where it is known."""
    reason: str | None = None
    """Why no fix is out, where somebody says so."""

    def covers(self, package: Package, version: str) -> bool:
        """Whether that version, of the package's source or its own, is bad."""
        if self.type not in {None, package.type}:
            return False
        kind = package.type
        if self.within:
            return any(one.contains(sort_key(kind, version)) for one in self.within)
        if self.sign is None:
            return True
        return _HOLDS[self.sign](sort_key(kind, version), sort_key(kind, self.version))

    def is_about(self, package: Package) -> bool:
        """Whether the package, in whatever version, is the one meant."""
        return self.type in {None, package.type} and (
            self._names_source(package) or (self.or_binary and package.name == self.name)
        )

    def _names_source(self, package: Package) -> bool:
        """Of a language's package in whatever spelling."""
        return self.name in {package.source, canonical_name(package.type, package.source)}

    def hits(self, package: Package) -> bool:
        """Whether this very package is bad."""
        if not self.is_about(package):
            return False
        if self._names_source(package):
            return self.covers(package, package.source_version)
        return self.covers(package, package.version)

    def is_of(self, release: Release) -> bool:
        """Whether it speaks of this release."""
        return self.distro in {None, release.distro} and (
            self.release is None or self.release == release.codename
        )


class Subject(Struct, frozen=True, kw_only=True):
    """An advisory or a range, with all that is bad by it."""

    id: str
    aliases: tuple[str, ...] = ()
    """Faults that it bundles, and notices that bundle it."""
    description: str | None = None
    ranges: tuple[BadRange, ...]
    undetermined: tuple[str, ...] = ()
    """``source in release`` of which nobody knows yet."""

    @property
    def names(self) -> frozenset[str]:
        """The packages that it is about."""
        return frozenset(one.name for one in self.ranges)

    @property
    def is_endless(self) -> bool:
        """Whether it is about all versions of a package, so that none is better than another."""
        return any(one.or_binary and one.sign is None for one in self.ranges)

    def is_bad(self, package: Package, release: Release) -> bool:
        """Whether that version of a package is bad in a release."""
        return any(one.is_of(release) and one.hits(package) for one in self.ranges)


def read_subject(c: Connection, text: str) -> Subject:
    """What ``CVE-…``, ``DSA-…`` or ``pkg:deb/debian/openssl@<3.0.15`` means.

    Raises BadName for what is neither, and NotFound for an advisory that no feed tells of.
    """
    if text.startswith("pkg:"):
        return Subject(id=text, ranges=(_read_range(text),))
    if not _ADVISORY.fullmatch(text):
        raise BadName(
            f"{text[:80]!r} names no advisory and no package",
            hint="write CVE-2026-12345, DSA-5865-1, or pkg:deb/debian/openssl@<3.0.15",
        )
    found = affected.find_affected(c, text)
    if found is None:
        hint = "imagecatalog refresh debian-tracker reads Debian's"
        if advisories.has_advisories(c):
            hint = "is it written right? imagecatalog refresh brings the feeds up to date"
        raise NotFound(f"no feed tells of {text}", hint=hint)
    told = affected.describe(c, text)
    return Subject(
        id=told.name,
        aliases=told.aliases + told.covers,
        description=told.description,
        ranges=tuple(_range_of(one) for one in found if one.status in {"fixed", "open"}),
        undetermined=tuple(
            f"{one.name} in {one.scope.partition('/')[2] or one.scope}"
            for one in found
            if one.status == "undetermined"
        ),
    )


def _range_of(one: Affected) -> BadRange:
    distro, _, release = one.scope.partition("/")
    return BadRange(
        type=type_of(one.scope),
        name=one.name,
        distro=distro if release else None,
        release=release or None,
        within=one.ranges,
        fixed=one.fixed,
        reason=one.reason,
    )


def name_package(name: str) -> Subject:
    """All versions of a package of whatever type, binary or source."""
    return Subject(id=name, ranges=(BadRange(type=None, name=name, or_binary=True),))


def _read_range(text: str) -> BadRange:
    named, _, rest = text.partition("@")
    purl = parse_purl(named)
    rest = unquote(rest.partition("?")[0].partition("#")[0])
    found = _RANGE.fullmatch(rest)
    if "@" in text and found is None:
        raise BadName(f"{text!r} names no version", hint="write pkg:deb/debian/openssl@<3.0.15")
    version = found[2] if found else None
    if version is not None:
        key(purl.type, version)  # no range tells of one that its ecosystem does not allow
    sign = (found[1] or "=") if found else None
    return BadRange(
        type=purl.type,
        name=package_name(purl),
        or_binary=True,
        distro=purl.namespace if purl.type in SYSTEM_TYPES else None,
        sign=sign,
        version=version or "",
        fixed=version if sign == "<" else None,
    )


def find_bad(
    subject: Subject, packages: Mapping[int, Package], release: Release
) -> dict[int, BadRange]:
    """Those of the package versions that are bad in a release, each by the range that says so."""
    ranges = [one for one in subject.ranges if one.is_of(release)]
    found: dict[int, BadRange] = {}
    for number, package in packages.items():
        hit = _first(one for one in ranges if one.hits(package))
        if hit is not None:
            found[number] = hit
    return found


def _first(ranges: Iterable[BadRange]) -> BadRange | None:
    return next(iter(ranges), None)
