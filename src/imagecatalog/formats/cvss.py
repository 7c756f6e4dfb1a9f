"""Base scores of CVSS vectors: versions 2, 3.0, 3.1 and 4.0, as FIRST's specifications say.

Metrics that are not of the base (threat, environment, supplement) are read past: what they say holds
for one place and time. Scores are in tenths within, so that no rounding of binary fractions counts.
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from functools import lru_cache
from math import ceil

from imagecatalog.domain.findings import Severity
from imagecatalog.errors import BadName

LIMIT = 512
"""Characters of a vector; one with all metrics of 4.0 has 233."""

_METRIC = re.compile(r"([A-Za-z]{1,4}):([A-Za-z]{1,8})")
_BASES = {
    2: {
        "AV": {"L": "0.395", "A": "0.646", "N": "1"},
        "AC": {"H": "0.35", "M": "0.61", "L": "0.71"},
        "Au": {"M": "0.45", "S": "0.56", "N": "0.704"},
        "C": {"N": "0", "P": "0.275", "C": "0.660"},
        "I": {"N": "0", "P": "0.275", "C": "0.660"},
        "A": {"N": "0", "P": "0.275", "C": "0.660"},
    },
    3: {
        "AV": {"N": "0.85", "A": "0.62", "L": "0.55", "P": "0.2"},
        "AC": {"L": "0.77", "H": "0.44"},
        "PR": {"N": "0.85", "L": "0.62", "H": "0.27"},
        "UI": {"N": "0.85", "R": "0.62"},
        "S": {"U": "0", "C": "1"},
        "C": {"H": "0.56", "L": "0.22", "N": "0"},
        "I": {"H": "0.56", "L": "0.22", "N": "0"},
        "A": {"H": "0.56", "L": "0.22", "N": "0"},
    },
    4: {
        "AV": {"N": "0", "A": "1", "L": "2", "P": "3"},
        "AC": {"L": "0", "H": "1"},
        "AT": {"N": "0", "P": "1"},
        "PR": {"N": "0", "L": "1", "H": "2"},
        "UI": {"N": "0", "P": "1", "A": "2"},
        "VC": {"H": "0", "L": "1", "N": "2"},
        "VI": {"H": "0", "L": "1", "N": "2"},
        "VA": {"H": "0", "L": "1", "N": "2"},
        "SC": {"H": "1", "L": "2", "N": "3"},
        "SI": {"H": "1", "L": "2", "N": "3"},
        "SA": {"H": "1", "L": "2", "N": "3"},
    },
}
"""The values of the base metrics by version; of 4.0 the levels of its severity distances."""

_CHANGED_PRIVILEGES = {"N": Decimal("0.85"), "L": Decimal("0.68"), "H": Decimal("0.5")}


@lru_cache(maxsize=65_536)
def base_score(vector: str) -> float:
    """The base score, from 0.0 to 10.0; raises BadName for what is no whole vector.

    A vector without the prefix ``CVSS:`` is one of version 2, in parentheses or not.
    """
    if len(vector) > LIMIT:
        raise BadName(f"{vector[:80]!r}… is longer than {LIMIT} characters")
    text = vector.strip().removesuffix("/")
    if not text.startswith("CVSS:"):
        return _score_2(_read(text.strip("()"), 2))
    version, _, rest = text.removeprefix("CVSS:").partition("/")
    if version in ("3.0", "3.1"):
        return _score_3(_read(rest, 3), version)
    if version == "4.0":
        return _score_4(_read(rest, 4))
    raise BadName(f"{vector[:80]!r} is a CVSS vector of a version that is not known")


def severity_of(score: float, version: int = 3) -> Severity:
    """The qualitative rating of a score, as its version (2, 3 or 4) has it; 0.0 is negligible."""
    if score <= 0:
        return "negligible"
    if score < 4:
        return "low"
    if score < 7:
        return "medium"
    return "high" if score < 9 or version == 2 else "critical"


def _read(text: str, version: int) -> dict[str, str]:
    """The letters of the base metrics; each is there once."""
    known = _BASES[version]
    found: dict[str, str] = {}
    for part in text.split("/"):
        metric = _METRIC.fullmatch(part)
        if metric is None or metric[1] in found:
            raise BadName(f"{text[:80]!r} is no CVSS vector: {part[:20]!r}")
        found[metric[1]] = metric[2]
    letters = {name: found[name] for name in known if name in found}
    if len(letters) < len(known) or any(known[name].get(v) is None for name, v in letters.items()):
        raise BadName(f"{text[:80]!r} is no whole CVSS vector of version {version}")
    return letters


def _weights(letters: dict[str, str], version: int) -> dict[str, Decimal]:
    return {name: Decimal(_BASES[version][name][letter]) for name, letter in letters.items()}


def _score_2(letters: dict[str, str]) -> float:
    """CVSS version 2, section 3.2.1."""
    w = _weights(letters, 2)
    impact = Decimal("10.41") * (1 - (1 - w["C"]) * (1 - w["I"]) * (1 - w["A"]))
    exploitability = 20 * w["AV"] * w["AC"] * w["Au"]
    factor = Decimal("1.176") if impact else Decimal(0)
    score = (Decimal("0.6") * impact + Decimal("0.4") * exploitability - Decimal("1.5")) * factor
    return float(score.quantize(Decimal("0.1"), ROUND_HALF_UP)) + 0.0  # never minus nought


def _score_3(letters: dict[str, str], version: str) -> float:
    """CVSS version 3, section 7.1 (3.1) and 8.1 (3.0); they differ in how is rounded up."""
    w = _weights(letters, 3)
    changed = letters["S"] == "C"
    loss = 1 - (1 - w["C"]) * (1 - w["I"]) * (1 - w["A"])
    if changed:
        power = (loss - Decimal("0.02")) ** 15
        impact = Decimal("7.52") * (loss - Decimal("0.029")) - Decimal("3.25") * power
    else:
        impact = Decimal("6.42") * loss
    if impact <= 0:
        return 0.0
    privileges = _CHANGED_PRIVILEGES[letters["PR"]] if changed else w["PR"]
    exploitability = Decimal("8.22") * w["AV"] * w["AC"] * privileges * w["UI"]
    score = min(Decimal(10), (impact + exploitability) * (Decimal("1.08") if changed else 1))
    # 3.1 (appendix A) looks at five decimal places, 3.0 at all of them.
    exact = score.quantize(Decimal("0.00001"), ROUND_HALF_UP) if version == "3.1" else score
    return ceil(exact * 10) / 10


_BY_MACRO = {
    # what is reached (EQ1), how easily (EQ2): by loss (EQ3 and EQ6) the score of subsequent
    # systems' loss (EQ4) high, and not high; in tenths
    (0, 0): {"00": (100, 93), "01": (96, 90), "10": (93, 88), "11": (92, 80), "21": (79, 69)},
    (0, 1): {"00": (95, 92), "01": (91, 81), "10": (92, 84), "11": (82, 70), "21": (71, 63)},
    (1, 0): {"00": (94, 87), "01": (89, 75), "10": (86, 72), "11": (76, 57), "21": (65, 53)},
    (1, 1): {"00": (90, 77), "01": (77, 66), "10": (74, 61), "11": (59, 52), "21": (58, 23)},
    (2, 0): {"00": (86, 70), "01": (74, 54), "10": (72, 53), "11": (57, 36), "21": (47, 24)},
    (2, 1): {"00": (73, 54), "01": (55, 43), "10": (61, 46), "11": (51, 18), "21": (24, 10)},
}
"""Scores of the MacroVectors that base metrics reach, and of the next lower ones (CVSS 4.0, 8.2)."""

_LOWER_LOSS = {"00": ("01", "10"), "10": ("11",), "21": ()}
_REACH_TOPS = (((0, 0, 0),), ((1, 0, 0), (0, 1, 0), (0, 0, 1)), ((3, 0, 0), (1, 1, 1)))
_EASE_TOPS = (((0, 0),), ((1, 0), (0, 1)))
_LOSS_TOPS = {"00": ((0, 0, 0),), "10": ((1, 0, 0), (0, 1, 0)), "21": ((1, 1, 1),)}
_OTHER_TOPS = (((1, 1, 1),), ((2, 2, 2),))
"""The highest severity vectors of each set, as levels (CVSS 4.0, 8.3)."""
_REACH_DEPTH, _EASE_DEPTH, _OTHER_DEPTH = (1, 4, 5), (1, 2), (5, 4)
_LOSS_DEPTH = {"00": 7, "10": 8, "21": 10}


def _score_4(letters: dict[str, str]) -> float:
    """CVSS version 4.0, section 8: the score of its MacroVector, less the mean of its distances."""
    level = {name: int(_BASES[4][name][letter]) for name, letter in letters.items()}
    reach_levels = (level["AV"], level["PR"], level["UI"])
    ease_levels = (level["AC"], level["AT"])
    loss_levels = (level["VC"], level["VI"], level["VA"])
    other_levels = (level["SC"], level["SI"], level["SA"])
    if loss_levels == (2, 2, 2) and other_levels == (3, 3, 3):
        return 0.0
    reach = _reach(reach_levels)
    ease = int(any(ease_levels))
    loss = "00" if loss_levels[:2] == (0, 0) else "10" if 0 in loss_levels else "21"
    other = int(1 not in other_levels)
    score = _BY_MACRO[reach, ease][loss][other]
    # (score of the next lower set, distance from the highest vector, depth); EQ5 has one, at no distance
    steps = [(0, 0, 1)]
    if reach < 2:
        lower = _BY_MACRO[reach + 1, ease][loss][other]
        steps.append((lower, _distance(reach_levels, _REACH_TOPS[reach]), _REACH_DEPTH[reach]))
    if ease < 1:
        lower = _BY_MACRO[reach, 1][loss][other]
        steps.append((lower, _distance(ease_levels, _EASE_TOPS[ease]), _EASE_DEPTH[ease]))
    if _LOWER_LOSS[loss]:
        lower = max(_BY_MACRO[reach, ease][name][other] for name in _LOWER_LOSS[loss])
        steps.append((lower, _distance(loss_levels, _LOSS_TOPS[loss]), _LOSS_DEPTH[loss]))
    if other < 1:
        lower = _BY_MACRO[reach, ease][loss][1]
        steps.append((lower, _distance(other_levels, _OTHER_TOPS[other]), _OTHER_DEPTH[other]))
    less = sum(Fraction((score - lower) * distance, depth) for lower, distance, depth in steps)
    return max(0, int(score - less / len(steps) + Fraction(1, 2))) / 10


def _reach(levels: tuple[int, int, int]) -> int:
    """EQ1: network, nobody's privileges and no user; some of it; none of it, or physical access."""
    if not any(levels):
        return 0
    return 1 if 0 in levels and levels[0] < 3 else 2


def _distance(levels: tuple[int, ...], tops: tuple[tuple[int, ...], ...]) -> int:
    """How far below the first highest vector that is above in every metric."""
    for top in tops:
        if all(one >= high for one, high in zip(levels, top, strict=True)):
            return sum(levels) - sum(top)
    return 0
