"""The order of tags: which of them follow one another, and which is the newest.

Tags follow one another when they are of the same kind (dates, or else versions) and have the same
words in them: ``3.11-slim`` is followed by ``3.12-slim``, not by ``3.12``. Their order is that of
Debian versions, which is also that of dates and, but for pre-releases, of semantic versions.
"""

from __future__ import annotations

import re
from functools import lru_cache

from msgspec import Struct

from imagecatalog.versions import deb

_COMMIT = re.compile(r"(?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{7,64}|[0-9a-f]{40}|[0-9a-f]{64}")
_DATE = re.compile(r"(?:19|20)[0-9]{2}(?:-?)(?:0[1-9]|1[0-2])(?:-?)(?:0[1-9]|[12][0-9]|3[01])")
_PART = re.compile(r"[A-Za-z0-9]+")
_WORD = re.compile(r"[A-Za-z]{2,}")
_PRERELEASE = re.compile(
    r"[-._]?(alpha|beta|rc|pre|preview|dev|snapshot|nightly)(?=[^a-z]|$)", re.I
)
_BUILD_DAY = re.compile(r"-(?=(?:19|20)[0-9]{6}(?![0-9]))")
_LEADING_V = re.compile(r"^v(?=[0-9])")


class TagVersion(Struct, frozen=True):
    """What a tag says; of two with the same ``line`` the one with the greater ``key`` is newer."""

    line: str
    key: bytes
    is_prerelease: bool = False
    """It comes before the version without that suffix, and is not offered as newer to others."""


@lru_cache(200_000)
def read_tag(tag: str) -> TagVersion | None:
    """The version that a tag is; None for one that names no version, as ``latest`` or a commit."""
    text = _LEADING_V.sub("", tag)
    number = re.search("[0-9]+", text)
    if number is None or _COMMIT.fullmatch(tag):
        return None
    text, prereleases = _PRERELEASE.subn(r"~\1", text)
    parts = [part for part in _PART.findall(text) if not _COMMIT.fullmatch(part.removeprefix("g"))]
    words = [
        word.lower()
        for part in parts
        for word in _WORD.findall(part)
        if not _PRERELEASE.fullmatch(word)
    ]
    kind = "date" if _DATE.match(text, number.start()) else "version"
    # With a revision of our own no dash of the tag begins one: 1.0-2-20261101 comes before 1.0-3, and
    # a day of building before whatever else may follow the same version.
    key = deb.sort_key(_BUILD_DAY.sub("+", text.replace("_", ".")) + "-0")
    return TagVersion("-".join([kind, *words]), key, bool(prereleases))


def read_tag_by(pattern: re.Pattern[str], tag: str) -> TagVersion | None:
    """The same by a rule: the group ``version`` is what grows, all else of the tag is its line."""
    found = pattern.fullmatch(tag)
    if found is None or not found["version"]:
        return None
    start, end = found.span("version")
    return TagVersion(f"{tag[:start]}*{tag[end:]}", deb.sort_key(found["version"]))
