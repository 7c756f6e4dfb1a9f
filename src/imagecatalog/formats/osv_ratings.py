"""How bad an OSV record says that its fault is: CVSS vectors, and the words of each database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from msgspec import Struct

from imagecatalog.domain import findings
from imagecatalog.domain.advisories import Rating
from imagecatalog.errors import BadName, clean_text
from imagecatalog.formats.cvss import base_score, severity_of

_WORD_LENGTH = 40
_RATINGS_LIMIT = 1000
"""Vectors of one record that are looked at."""

WORDS: dict[str, findings.Severity] = {
    "critical": "critical",
    "high": "high",
    "important": "high",
    "medium": "medium",
    "moderate": "medium",
    "low": "low",
    "low**": "low",
    "medium**": "medium",
    "high**": "high",
    "minor": "low",
    "negligible": "negligible",
    "unimportant": "negligible",
    "unmaintained": "negligible",
    "notice": "negligible",
}
"""What the words of GitHub, Red Hat and its kin, Ubuntu, Debian and RustSec come to."""

_URGENCIES = ("urgency", "ubuntu_priority", "priority", "informational", "severity")
"""Members of ``ecosystem_specific`` and ``database_specific`` that hold a word, the best first."""


class Severity(Struct):
    """One entry of ``severity``."""

    type: str = ""
    score: str = ""


def rate(
    name: str,
    severities: Sequence[Severity],
    specifics: Iterable[object],
    summary: str | None,
) -> tuple[Rating, ...]:
    """The ratings of a record, one a system: of several the worst.

    Red Hat and those who rebuild it write the word before the summary, as ``Important: …``.
    """
    found: dict[str, Rating] = {}
    for one in severities[:_RATINGS_LIMIT]:
        rating = _rate_vector(one.score) if one.type.startswith("CVSS") else _rate_word(one.score)
        if rating is not None:
            _keep_worst(found, rating)
    words = [word for one in specifics if (word := word_of(one))]
    if summary and ":" in summary and name[:2] in {"AL", "RH", "RL", "RX", "EL"}:
        words.append(summary.partition(":")[0])
    for word in words:
        if (rating := _rate_word(word)) is not None:
            _keep_worst(found, rating)
    return tuple(found.values())


def word_of(*specifics: object) -> str | None:
    """The word of a database for how bad or how urgent it is, as it has it."""
    for one in specifics:
        if isinstance(one, dict):
            for member in _URGENCIES:
                word = one.get(member)
                if isinstance(word, str) and word:
                    return clean_text(word)[:_WORD_LENGTH]
    return None


def _rate_vector(vector: str) -> Rating | None:
    system: Literal["CVSS_V2", "CVSS_V3", "CVSS_V4"] = "CVSS_V2"
    if vector.startswith("CVSS:"):
        system = "CVSS_V4" if vector.startswith("CVSS:4") else "CVSS_V3"
    try:
        score = base_score(vector)
    except BadName:
        return None
    severity = severity_of(score, int(system[-1]))
    return Rating(system=system, vector=vector, score=score, severity=severity)


def _rate_word(word: str) -> Rating | None:
    severity = WORDS.get(word.strip().lower())
    return severity and Rating(system="word", vector=word.strip(), severity=severity)


def _keep_worst(found: dict[str, Rating], rating: Rating) -> None:
    other = found.get(rating.system)
    if other is None or _rank(rating) > _rank(other):
        found[rating.system] = rating


def _rank(rating: Rating) -> tuple[float, int]:
    return rating.score or 0, findings.SEVERITIES.index(rating.severity)
