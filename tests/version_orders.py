"""Orders of versions once more: slow, written from each specification alone, and without keys."""

from __future__ import annotations

import re
from itertools import zip_longest

Parts = list[tuple[object, ...]]


def sign(left: object, right: object) -> int:
    return (left > right) - (left < right)  # type: ignore[operator]


def compare_semver(left: str, right: str) -> int:
    """Semantic Versioning 2.0.0, section 11."""
    sides = []
    for text in (left, right):
        core, _, labels = text.removeprefix("v").partition("+")[0].partition("-")
        sides.append(([int(number) for number in core.split(".")], labels.split(".")))
    (numbers, labels), (other_numbers, other_labels) = sides
    if numbers != other_numbers:
        return sign(numbers, other_numbers)
    if labels == [""] or other_labels == [""]:
        return (labels == [""]) - (other_labels == [""])
    for one, other in zip(labels, other_labels, strict=False):
        if one.isdigit() and other.isdigit():
            if int(one) != int(other):
                return sign(int(one), int(other))
        elif one.isdigit() or other.isdigit():
            return 1 if other.isdigit() else -1
        elif one != other:
            return sign(one, other)
    return sign(len(labels), len(other_labels))


def compare_golang(left: str, right: str) -> int:
    """golang.org/x/mod/semver: short forms are filled with zeros."""
    full = []
    for text in (left, right):
        core = re.split("[-+]", text.removeprefix("v"), maxsplit=1)[0]
        missing = ".0" * (2 - core.count("."))
        full.append(text.replace(core, core + missing, 1))
    return compare_semver(*full)


def compare_nuget(left: str, right: str) -> int:
    """NuGet's versioning reference: four numbers, labels in any case."""
    sides = []
    for text in (left, right):
        core, dash, labels = text.lower().partition("+")[0].partition("-")
        numbers = ([int(number) for number in core.split(".")] + [0, 0, 0])[:4]
        sides.append((numbers, f"0.0.0{dash}{labels}"))
    (numbers, rest), (other_numbers, other_rest) = sides
    return sign(numbers, other_numbers) or compare_semver(rest, other_rest)


def compare_rpm(left: str, right: str) -> int:
    """rpm-version(7) for one part: segments in turn, whatever stands between them."""
    while True:
        left, right = (re.sub("^[^A-Za-z0-9~^]+", "", text) for text in (left, right))
        if left[:1] == "~" or right[:1] == "~":
            if left[:1] != right[:1]:
                return -1 if left[:1] == "~" else 1
            left, right = left[1:], right[1:]
        elif left[:1] == "^" or right[:1] == "^":
            if left[:1] != right[:1]:
                if left[:1] == "^":
                    return 1 if not right else -1
                return -1 if not left else 1
            left, right = left[1:], right[1:]
        elif not left or not right:
            return bool(left) - bool(right)
        else:
            kind = "[0-9]*" if left[0].isdigit() else "[A-Za-z]*"
            one, other = (re.match(kind, text)[0] for text in (left, right))  # type: ignore[index]
            if not other:
                return 1 if left[0].isdigit() else -1
            order = sign(int(one), int(other)) if one.isdigit() else sign(one, other)
            if order:
                return order
            left, right = left[len(one) :], right[len(other) :]


def compare_evr(left: str, right: str) -> int:
    """Epoch, then version, then release."""
    sides = []
    for text in (left, right):
        epoch, _, rest = text.rpartition(":")
        version, dash, release = rest.rpartition("-")
        sides.append((epoch or "0", version if dash else rest, release if dash else ""))
    orders = (compare_rpm(one, other) for one, other in zip(*sides, strict=True))
    return next((order for order in orders if order), 0)


APK_KINDS = ["number", "letter", "suffix", "suffix number", "hash", "revision", "end"]
"""From the highest to the lowest where versions go on differently."""
APK_SUFFIXES = ["alpha", "beta", "pre", "rc", "", "cvs", "svn", "git", "hg", "p"]


def apk_parts(text: str) -> Parts:
    parts: Parts = []
    for found in re.finditer(
        r"_([a-z]+)([0-9]*)|~([0-9a-f]+)|-r([0-9]+)|\.?([0-9]+)|([a-z])", text
    ):
        suffix, suffix_number, commit, revision, number, letter = found.groups()
        if suffix:
            parts.append(("suffix", APK_SUFFIXES.index(suffix)))
            if suffix_number:
                parts.append(("suffix number", int(suffix_number)))
        elif commit:
            parts.append(("hash", commit))
        elif revision:
            parts.append(("revision", int(revision)))
        elif letter:
            parts.append(("letter", letter))
        else:
            parts.append(("number", number))
    return [*parts, ("end",)]


def compare_apk(left: str, right: str) -> int:
    """apk-package(5) and what apk-tools 3 does: the first part that differs decides."""
    for place, (one, other) in enumerate(zip(apk_parts(left), apk_parts(right), strict=False)):
        if one == other:
            continue
        if one[0] == other[0] == "number":
            pair = str(one[1]), str(other[1])
            as_text = place > 0 and "0" in (pair[0][0], pair[1][0])
            order = sign(*pair) if as_text else sign(int(pair[0]), int(pair[1]))
            if order:
                return order
            continue
        if one[0] == other[0]:
            return sign(one[1], other[1])
        early = [part[0] == "suffix" and part[1] < 4 for part in (one, other)]  # type: ignore[operator]
        if any(early):
            return -1 if early[0] else 1
        return sign(APK_KINDS.index(str(other[0])), APK_KINDS.index(str(one[0])))
    return 0


MAVEN_WORDS = ["alpha", "beta", "milestone", "rc", "snapshot", "", "sp"]
MAVEN_OTHERS = {"cr": "rc", "ga": "", "final": "", "release": ""}
MAVEN_LETTERS = {"a": "alpha", "b": "beta", "m": "milestone"}


def maven_parts(text: str) -> list[tuple[str, str]]:
    """Pairs of what stands before a token and the token, cut where the specification cuts them."""
    text = text.lower()
    text = re.sub(r"(?<=[0-9])(?=[^0-9.-])|(?<=[^0-9.-])(?=[0-9])", "#", text)
    pieces = re.split("([.#-])", text)
    pairs = [(".", pieces[0]), *zip(pieces[1::2], pieces[2::2], strict=True)]
    parts = []
    for place, (before, text) in enumerate(pairs):
        token = MAVEN_OTHERS.get(text, text) if text else "0"
        if place + 1 < len(pairs) and pairs[place + 1][0] == "#":
            token = MAVEN_LETTERS.get(token, token)
        word = not token.isdigit()
        parts.append(("-" if word or before == "#" else before, token))
    kept: list[tuple[str, str]] = []
    for before, token in reversed(parts):
        if token.strip("0") or (kept and kept[-1][0] == "."):
            kept.append((before, token))
    return kept[::-1]


def compare_maven(left: str, right: str) -> int:
    """The version order specification of Maven's POM reference."""

    def rank(before: str, token: str) -> tuple[object, ...]:
        if token.isdigit():
            return (3 if before == "." else 2, int(token))
        known = token in MAVEN_WORDS
        return (1, (0, MAVEN_WORDS.index(token)) if known else (1, token))

    nothing = {".": (".", "0"), "-": ("-", "")}
    for one, other in zip_longest(maven_parts(left), maven_parts(right)):
        # The shorter one goes on with as many of what says nothing.
        sides = one or nothing[other[0]], other or nothing[one[0]]
        if order := sign(rank(*sides[0]), rank(*sides[1])):
            return order
    return 0


def gem_parts(text: str) -> list[int | str]:
    found = re.findall("[0-9]+|[A-Za-z]+", text.replace("-", ".pre."))
    parts = [int(part) if part.isdigit() else part for part in found]
    first = next((place for place, part in enumerate(parts) if isinstance(part, str)), len(parts))
    kept: list[int | str] = []
    for some in (parts[:first], parts[first:]):
        while some and some[-1] == 0:
            some.pop()
        kept += some
    return kept


def compare_gem(left: str, right: str) -> int:
    """Gem::Version: a word is below a number, and what is missing is 0."""
    for one, other in zip_longest(gem_parts(left), gem_parts(right), fillvalue=0):
        if one != other:
            if isinstance(one, str) != isinstance(other, str):
                return -1 if isinstance(one, str) else 1
            return sign(one, other)
    return 0
