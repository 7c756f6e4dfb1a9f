"""Bodies read faster: what stands of a package in one body mostly stood so in another before.

What no body had before is judged as ever, and a body with anything wrong is not read here at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import msgspec
from msgspec import Raw, Struct

from imagecatalog.domain.packages import Package

KNOWN_LIMIT = 20_000
"""Packages that are remembered."""
_LONGEST = 500
"""Bytes of what is told of one."""
_LEFT_OUT = b"[]"
_BEGINNING = 60


class _Body(Struct):
    packages: Raw = Raw(b"null")


_BODY = msgspec.json.Decoder(_Body)
_LIST = msgspec.json.Decoder(list[Raw])

Judge: TypeAlias = Callable[[bytes], Sequence[Package] | None]
"""The packages of a JSON list; None if anything is wrong with it."""


class KnownPackages:
    """Packages by the very bytes that told them. Safe to share between threads."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._known: dict[bytes, tuple[Package, str]] = {}

    def split(self, body: bytes, limit: int) -> tuple[bytes, tuple[Package, ...]] | None:
        """The body with an empty list for its packages, and these, all of them sound.

        None where they are not, or where only a whole reading of the body can tell.
        """
        try:
            told = memoryview(_BODY.decode(body).packages)
            items = [*map(bytes, _LIST.decode(told))]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        whole = bytes(told)
        # Taken out of the text itself, for a key that is there twice to be seen by who reads it.
        # What is escaped may be no character.
        places = [*_find_all(body, whole)]
        if len(items) > limit or len(places) != 1 or b"\\" in whole:
            return None
        found = self._find(items)
        if found is None:
            return None
        names = [name for _, name in found if name]
        if len(set(names)) != len(names):
            return None
        rest = _LEFT_OUT.join((body[: places[0]], body[places[0] + len(whole) :]))
        return rest, tuple([package for package, _ in found])

    def _find(self, items: Sequence[bytes]) -> list[tuple[Package, str]] | None:
        found: list[Any] = [*map(self._known.get, items)]
        places = [at for at, one in enumerate(found) if one is None]
        if not places:
            return found
        packages = self._judge(b"[" + b",".join([items[at] for at in places]) + b"]")
        if packages is None:
            return None
        for at, package in zip(places, packages, strict=True):
            found[at] = package, _identity(package)
        self._remember({items[at]: found[at] for at in places if len(items[at]) <= _LONGEST})
        return found

    def _remember(self, new: dict[bytes, tuple[Package, str]]) -> None:
        if len(self._known) + len(new) > KNOWN_LIMIT:
            self._known.clear()
        if len(new) <= KNOWN_LIMIT:
            self._known.update(new)


def _find_all(body: bytes, part: bytes) -> Iterator[int]:
    """Where a part stands; its beginning is looked for, which is quicker than to look for a long part."""
    beginning = part[:_BEGINNING]
    at = body.find(beginning)
    while at >= 0:
        if body.startswith(part, at):
            yield at
        at = body.find(beginning, at + 1)


def _identity(package: Package) -> str:
    """What no other package of an image has; empty where that cannot be told."""
    if package.type == "deb":
        return f"deb {package.name} {package.arch}"
    version = f" {package.version}" if package.arch else ""
    return version and f"{package.type} {package.name} {package.arch}{version}"
