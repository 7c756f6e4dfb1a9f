"""Which version apt would install over the one installed (apt_preferences(5), as apt 1.1 and later do).

A version's priority is that of the first pin of its package that matches it, or else the highest of
the archives that have it. The highest priority wins, then the highest version; a lower version than
the one installed only from 1000 on. Like ``apt list --upgradable`` an update is a newer version: what
a pin would downgrade is none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from imagecatalog.domain.apt import AptPin, ReleaseFacts
from imagecatalog.domain.packages import Package
from imagecatalog.formats.apt_preferences import NEVER, compile_expression
from imagecatalog.versions.deb import apt_key

_INSTALLED = 100
_DOWNGRADE = 1000
"""From here on a priority lets a version in that is lower than the installed one."""


class Available(Struct, frozen=True):
    """A version of a package in one archive's index."""

    version: str
    key: bytes
    """``versions.deb.apt_key`` of the version."""
    release: ReleaseFacts
    component: str = ""
    site: str = ""
    """The host of the URI as the image's source has it; empty for ``file:``."""
    source: str = ""
    source_version: str = ""
    index_architecture: str = ""
    """That of the index, for ``b=`` in pins."""


class Choice(Struct, frozen=True):
    """The update of one package."""

    candidate: str
    security: bool
    """An archive of security updates has a version above the installed, up to the candidate."""
    origin: str
    """Label and codename of the archive that has the candidate, a security one if any has."""
    source_version: str
    """Of the candidate's source package."""


class _File(Struct, frozen=True):
    """What pins can ask of the place that a version comes from."""

    release: ReleaseFacts
    component: str
    site: str | None
    """None for the list of installed packages."""
    architecture: str


_STATUS = _File(ReleaseFacts(), "now", None, "")
"""The list of installed packages, as apt calls it in pins."""


class _Version(Struct, frozen=True):
    text: str
    source: str
    source_version: str
    files: tuple[_File, ...]


class _NamePin(Struct, frozen=True):
    """A pin of some packages with one of its names compiled."""

    matches_name: Callable[[str], bool]
    by_source: bool
    architecture: str
    """A dpkg architecture, or ``any``."""
    matches: Callable[[_Version], bool]
    priority: int


class Policy:
    """The pins of one apt set-up, ready to judge its packages one after another.

    ``native`` is the architecture of dpkg; packages of the architecture ``all`` count as its own.
    It remembers what it found out, so keep it no longer than for one round.
    """

    def __init__(self, pins: Sequence[AptPin], native: str) -> None:
        self._native = native
        self._general = [
            (pin.priority, _file_matcher(pin)) for pin in pins if pin.packages == ("*",)
        ]
        self._specific = [
            _name_pin(name, pin, native)
            for pin in pins
            if pin.packages != ("*",)
            for name in pin.packages
        ]
        self._by_file: dict[_File, int] = {}

    def choose(
        self, installed: Package, available: Iterable[Available], key: bytes | None = None
    ) -> Choice | None:
        """What apt would install over this package; None if it is up to date.

        ``available`` are the versions of the package's name, of its own architecture or ``all``
        (for a package of ``all``: of the native one or ``all``), each once an index, in any order.
        ``key`` is that of the installed version, made here if it is left out.
        """
        current = apt_key(installed.version) if key is None else key
        offers: dict[bytes, list[Available]] = {current: []}
        for offer in available:
            offers.setdefault(offer.key, []).append(offer)
        best, highest = current, -1
        if max(offers) == current:
            return None
        for at in sorted(offers, reverse=True):
            priority = self._priority(installed, offers[at], is_current=at == current)
            if priority > highest and (at >= current or priority >= _DOWNGRADE):
                best, highest = at, priority
        return _describe(current, best, offers) if best > current else None

    def _priority(
        self, installed: Package, offers: Sequence[Available], *, is_current: bool
    ) -> int:
        version = _version(installed, offers, is_current=is_current)
        priorities = [self._file_priority(file) for file in version.files]
        if any(priority != NEVER for priority in priorities):
            for pin in self._pins_of(installed, version.source):
                if pin.matches(version):
                    return pin.priority
        return max(priorities)

    def _pins_of(self, installed: Package, source: str) -> tuple[_NamePin, ...]:
        """The pins that name this package or its source, in order."""
        if not self._specific:
            return ()
        arch = self._native if installed.arch == "all" else installed.arch
        return tuple(
            pin
            for pin in self._specific
            if pin.architecture in {arch, "any"}
            and pin.matches_name(source if pin.by_source else installed.name)
        )

    def _file_priority(self, file: _File) -> int:
        """The priority of an archive by the general pins, or by what its Release file says."""
        known = self._by_file.get(file)
        if known is None:
            known = self._by_file[file] = self._judge_file(file)
        return known

    def _judge_file(self, file: _File) -> int:
        matching = [priority for priority, matches in self._general if matches(file)]
        if NEVER in matching:
            return NEVER
        if matching:
            return matching[0]
        if file is _STATUS or file.release.but_automatic_upgrades:
            return _INSTALLED
        return 1 if file.release.not_automatic else 500


def _version(installed: Package, offers: Sequence[Available], *, is_current: bool) -> _Version:
    files = tuple(
        _File(offer.release, offer.component, offer.site, offer.index_architecture)
        for offer in offers
    )
    if is_current:
        files = (*files, _STATUS)
        return _Version(installed.version, installed.source, installed.source_version, files)
    first = offers[0]
    return _Version(first.version, first.source, first.source_version, files)


def _describe(current: bytes, best: bytes, offers: dict[bytes, list[Available]]) -> Choice:
    security = any(
        offer.release.is_security
        for key, at in offers.items()
        if current < key <= best
        for offer in at
    )
    chosen = min(offers[best], key=lambda offer: not offer.release.is_security)
    release = chosen.release
    parts = (release.label or release.origin, release.codename or release.suite)
    origin = "/".join(part for part in parts if part) or chosen.site or "local"
    return Choice(chosen.version, security, origin, chosen.source_version)


def _name_pin(name: str, pin: AptPin, native: str) -> _NamePin:
    bare = name.removeprefix("src:")
    bare, colon, architecture = bare.rpartition(":") if ":" in bare else (bare, "", "")
    return _NamePin(
        _name_matcher(bare),
        name.startswith("src:"),
        architecture if colon else native,
        _version_matcher(pin),
        pin.priority,
    )


def _name_matcher(name: str) -> Callable[[str], bool]:
    if name[:1] == name[-1:] == "/" or set(name) & set("*[?"):
        pattern = compile_expression(name)
        known: dict[str, bool] = {}

        def matches(text: str) -> bool:
            found = known.get(text)
            if found is None:
                found = known[text] = pattern is not None and bool(pattern.search(text))
            return found

        return matches
    return lambda text: text == name


def _version_matcher(pin: AptPin) -> Callable[[_Version], bool]:
    if pin.kind == "version":
        matches = _text_matcher(pin.value)
        return lambda version: matches(version.text)
    if pin.kind == "source-version":
        matches = _text_matcher(pin.value)
        return lambda version: matches(version.source_version)
    of_file = _file_matcher(pin)
    return lambda version: any(of_file(file) for file in version.files)


def _text_matcher(value: str) -> Callable[[str], bool]:
    """A version: whole, or with ``*`` at its end by its beginning, or as an expression."""
    prefix = value.endswith("*")
    bare = value[:-1] if prefix else value
    lower, pattern = bare.lower(), compile_expression(bare)

    def matches(text: str) -> bool:
        start = text.lower().startswith(lower)
        if start and (prefix or len(text) == len(bare)):
            return True
        return pattern is not None and bool(pattern.search(text))

    return matches


def _file_matcher(pin: AptPin) -> Callable[[_File], bool]:
    if pin.kind == "origin":
        return _origin_matcher(pin.value)
    if pin.kind != "release":
        return lambda _: False
    if pin.value == "*":
        return lambda _: True
    if "=" not in pin.value:
        return _short_release_matcher(pin.value)
    tests = [test for part in pin.value.split(",")[:20] if (test := _field_test(part.strip()))]
    # A pin that names no known field matches the installed packages, of all things.
    return lambda file: all(test(file) for test in tests) if tests else file is _STATUS


def _origin_matcher(value: str) -> Callable[[_File], bool]:
    quoted = len(value) >= 2 and value[0] == value[-1] == '"'
    pattern = compile_expression(value[1:-1] if quoted else value)

    def matches(file: _File) -> bool:
        return file.site is not None and bool(pattern and pattern.search(file.site))

    return matches


def _short_release_matcher(value: str) -> Callable[[_File], bool]:
    """``Pin: release bookworm``: a version if it begins with a digit, else a suite or codename."""
    if value[:1].isdigit():
        matches = _text_matcher(value)
        return lambda file: file is not _STATUS and matches(file.release.version)
    pattern = compile_expression(value)
    return lambda file: any(bool(pattern and pattern.search(text)) for text in _suites(file))


def _suites(file: _File) -> tuple[str, ...]:
    return ("now",) if file is _STATUS else (file.release.suite, file.release.codename)


_FIELDS: dict[str, Callable[[_File], str]] = {
    "o": lambda file: file.release.origin,
    "a": lambda file: _suites(file)[0],
    "n": lambda file: file.release.codename,
    "l": lambda file: file.release.label,
    "c": lambda file: file.component,
    "b": lambda file: file.architecture,
    "v": lambda file: file.release.version,
}


def _field_test(part: str) -> Callable[[_File], bool] | None:
    """The test of ``n=bookworm``; None for what apt passes over."""
    letter, value = part[:1].lower(), part[2:]
    if part[1:2] != "=" or not value or letter not in _FIELDS:
        return None
    read, of_status = _FIELDS[letter], letter in "acb"
    pattern: re.Pattern[str] | None = compile_expression(value)
    matches = _text_matcher(value) if letter == "v" else None

    def test(file: _File) -> bool:
        if file is _STATUS and not of_status:
            return False
        text = read(file)
        return matches(text) if matches else bool(pattern and pattern.search(text))

    return test
