"""The order of versions: for each ecosystem a byte key that sorts as the ecosystem does."""

from __future__ import annotations

from imagecatalog.versions import deb, plain

__all__ = ["sort_key"]

_KEYS = {"deb": deb.sort_key}


def sort_key(ecosystem: str, version: str) -> bytes:
    """The byte key of a version; an invalid one sorts below all valid ones of its ecosystem.

    Ecosystems without an order of their own here have the plain one of ``versions.plain``.
    """
    return _KEYS.get(ecosystem, plain.sort_key)(version)
