"""The order of Go's versions: of modules as in ``golang.org/x/mod/semver``, of Go itself as released.

Pseudo-versions are pre-releases like others. ``+incompatible`` and other metadata does not count.
"""

from __future__ import annotations

import re

from imagecatalog.errors import BadName
from imagecatalog.versions import semver
from imagecatalog.versions.digits import MAX_LENGTH

_NUMBER = r"(0|[1-9][0-9]*)"
_METADATA = r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
_MODULE = re.compile(
    rf"v?{_NUMBER}(?:\.{_NUMBER}(?:\.{_NUMBER}(?:-([0-9A-Za-z.-]+))?{_METADATA})?)?"
)
_RELEASE = re.compile(
    rf"go{_NUMBER}(?:\.{_NUMBER})?(?:\.{_NUMBER})?(?:(beta|rc)([0-9]+))?(?:[- ].*)?"
)


def key(version: str) -> bytes:
    """The key of ``v1.2.3``, of ``1.2.3`` as advisories write it, or of ``go1.22rc1``, a Go release.

    ``v1`` and ``v1.2`` are ``v1.0.0`` and ``v1.2.0``. What a builder of Go adds behind a hyphen or a
    space is left out. Raises BadName for what is none of these, as ``(devel)``.
    """
    if len(version) <= MAX_LENGTH:
        if found := _MODULE.fullmatch(version):
            if found[4] is None or semver.PRE_RELEASE.fullmatch(found[4]):
                return semver.precedence(_numbers(found), found[4])
        elif found := _RELEASE.fullmatch(version):
            pre_release = f"{found[4]}.{found[5]}" if found[4] else None
            return semver.precedence(_numbers(found), pre_release)
    raise BadName(f"{version[:80]!r} is not a version of a Go module")


def _numbers(found: re.Match[str]) -> list[str]:
    return [found[1], found[2] or "0", found[3] or "0"]
