"""Packages of a distribution and the distribution itself."""

from __future__ import annotations

from msgspec import Struct


class Package(Struct, frozen=True, order=True, cache_hash=True, gc=False):
    """One version of one binary package for one architecture (deb-control(5)).

    ``source_version`` is the source package's own: a binNMU's ``+bN`` is not in it.
    """

    type: str
    """``deb``; later ``apk``, ``rpm`` and the language ecosystems (purl types)."""
    name: str
    version: str
    arch: str
    source: str
    source_version: str


class Distro(Struct, frozen=True):
    """What ``/etc/os-release`` says (os-release(5)); ``id`` in lower case."""

    id: str
    version_id: str | None = None
    codename: str | None = None
    pretty: str | None = None

    def __str__(self) -> str:
        return " ".join(part for part in (self.id, self.version_id or self.codename) if part)


class Unknown(Struct, frozen=True):
    """Why something could not be told: a stable ``code`` and a sentence."""

    code: str
    reason: str
