"""The order of versions: for each ecosystem a byte key that sorts as the ecosystem does.

Ecosystems are named by the types of package URLs. Those without an order of their own here have the
plain one of ``versions.plain``. docs/reference/versions.md says what each order takes for valid.
"""

from __future__ import annotations

from imagecatalog.errors import BadName
from imagecatalog.versions import apk, deb, gem, golang, maven, nuget, pep440, plain, rpm, semver
from imagecatalog.versions.digits import INVALID, invalid_key

__all__ = ["ORDERED", "is_invalid", "key", "sort_key"]

_KEYS = {
    "apk": apk.key,
    "cargo": semver.key,
    "deb": deb.key,
    "gem": gem.key,
    "golang": golang.key,
    "maven": maven.key,
    "npm": semver.key,
    "nuget": nuget.key,
    "pypi": pep440.key,
    "rpm": rpm.key,
}

ORDERED = frozenset(_KEYS)
"""The ecosystems with an order of their own."""


def key(ecosystem: str, version: str) -> bytes:
    """The byte key of a version; raises BadName for one that its ecosystem does not allow."""
    return _KEYS.get(ecosystem, plain.sort_key)(version)


def sort_key(ecosystem: str, version: str) -> bytes:
    """As ``key``, but an invalid version gets a key too, below those of all valid ones."""
    try:
        return key(ecosystem, version)
    except BadName:
        return invalid_key(version)


def is_invalid(ecosystem: str, sort_key: bytes) -> bool:
    """Whether this is the key of a version that its ecosystem does not allow: no range tells of it."""
    return ecosystem in ORDERED and sort_key.startswith(INVALID)
