"""The order of Maven's versions: the version order specification of the POM reference.

A version is numbers and words. ``alpha`` < ``beta`` < ``milestone`` < ``rc`` < ``snapshot`` < the
release < ``sp`` < other words < a number behind a hyphen < a number behind a dot. What says nothing,
as ``0`` and ``final``, does not count at the end, before a hyphen and before a word.
Maven's own code finds some odd versions both higher and lower than a third one; here they have one
place (docs/reference/versions.md).
"""

from __future__ import annotations

import re

from imagecatalog.errors import BadName
from imagecatalog.versions.digits import number_key

_LONGEST = 800
"""Characters of a version; a key can be two and a half times as long."""

_RANKS = {"alpha": 1, "beta": 2, "milestone": 3, "rc": 4, "cr": 4, "snapshot": 5, "sp": 7}
_RANKS |= dict.fromkeys(("ga", "final", "release"), 6)
_SHORT = {"a": "alpha", "b": "beta", "m": "milestone"}
"""What one letter directly before a number means."""
_END, _OTHER, _HYPHEN = b"\x06", b"\x08", b"\x09"
_WORD_END = b"\x01"
_NOTHING = frozenset({_END, number_key("0"), _HYPHEN + number_key("0")})

_PRINTABLE = re.compile(r"[!-~]+")
_TOKEN = re.compile(r"([.-]?)(?:([0-9]+)|([^0-9.-]+)|(?=[.-]))")
_SHORT_WORD = re.compile(r"(?<![^0-9.-])[abm](?=[0-9])")


def key(version: str) -> bytes:
    """The key of a version: equal for two that Maven calls equal, as ``1``, ``1.0`` and ``1.0-ga``.

    Maven itself takes any text. Raises BadName for an empty one and for characters that are not
    printable ASCII.
    """
    if len(version) > _LONGEST or not _PRINTABLE.fullmatch(version):
        raise BadName(f"{version[:80]!r} is not a version of a Maven artifact")
    tokens = []
    is_last = True  # of the numbers that dots join
    for token in reversed(_tokens(_SHORT_WORD.sub(_lengthen, version.lower()))):
        if is_last and token in _NOTHING:
            continue
        tokens.append(token)
        is_last = token[0] <= _HYPHEN[0]
    return b"".join(reversed(tokens)) + _END


def _tokens(text: str) -> list[bytes]:
    tokens: list[bytes] = []
    for separator, number, word in _TOKEN.findall(text):
        if word:
            tokens.append(_word(word))
        else:
            joined = separator == "." or not tokens
            tokens.append((b"" if joined else _HYPHEN) + number_key(number))
    return tokens


def _lengthen(match: re.Match[str]) -> str:
    return _SHORT[match[0]]


def _word(word: str) -> bytes:
    rank = _RANKS.get(word)
    return bytes((rank,)) if rank else _OTHER + word.encode() + _WORD_END
