"""Versions as each ecosystem writes them, made up: few different parts, so that many begin alike."""

from __future__ import annotations

from hypothesis import strategies as st

NUMBERS = ["0", "1", "2", "9", "10", "127", "128", "255", "256", "20240131", "9" * 25]


def some(*texts: str) -> st.SearchStrategy[str]:
    return st.sampled_from(texts)


def joined(
    separator: str, parts: st.SearchStrategy[str], least: int, most: int
) -> st.SearchStrategy[str]:
    return st.lists(parts, min_size=least, max_size=most).map(separator.join)


def added(before: str, parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.just("") | parts.map(lambda text: before + text)


NUMBER = some(*NUMBERS)
ZEROED = some(*NUMBERS, "00", "01", "010")
LABEL = NUMBER | some("alpha", "beta", "rc", "rc1", "a", "B", "-", "x-1", "0a")
SEMVER = st.builds(
    "{}{}{}".format,
    some("1.0.0", "1.0.1", "0.10.0", "0.9.0") | joined(".", NUMBER, 3, 3),
    added("-", joined(".", LABEL, 1, 3)),
    added("+", some("a", "001", "incompatible")),
)
RPM = st.lists(some(*"0129abzB~^.._+", "01", "el", "git", "rc"), min_size=1, max_size=7).map(
    "".join
)
APK = st.builds(
    "{}{}{}{}{}".format,
    joined(".", ZEROED, 1, 3),
    some("", "", "a", "b"),
    joined(
        "",
        st.builds("_{}{}".format, some("alpha", "pre", "rc", "git", "p"), some("", "0", "1", "01")),
        0,
        2,
    ),
    added("~", some("a", "ab", "0f", "1")),
    added("-r", ZEROED),
)
MAVEN_WORD = some(
    "alpha",
    "beta",
    "M",
    "milestone",
    "rc",
    "CR",
    "SNAPSHOT",
    "Final",
    "ga",
    "sp",
    "jre",
    "a",
    "foo",
)
MAVEN = st.lists(st.builds("{}{}".format, some(".", "-", ""), ZEROED | MAVEN_WORD), max_size=5).map(
    lambda parts: "1" + "".join(parts)
)
GEM = st.builds(
    "{}{}{}".format,
    ZEROED,
    added(".", joined(".", ZEROED | some("0", "a", "b", "rc1", "pre", "B", "a1b", "0a"), 1, 4)),
    added("-", some("1", "beta", "a.1", "x-1")),
)
PYPI = st.builds(
    "{}{}{}{}{}{}".format,
    some("", "", "0!", "1!", "v"),
    joined(".", ZEROED, 1, 4),
    some("", "", "a1", ".b2", "rc1", "c", "-preview-3", "_alpha"),
    some("", "", ".post1", "-1", "post", ".r4"),
    some("", "", ".dev1", "dev", "-dev-10"),
    some("", "", "+a", "+1", "+a.1", "+1.a", "+A-2", "+01", "+ab"),
)
EVR = st.builds("{}{}{}".format, some("", "0:", "1:", "12:"), RPM, added("-", RPM))
GO = SEMVER.map("v{}".format) | some("v1", "v1.0", "v1.1", "v0")
NUGET = st.builds(
    "{}{}{}".format,
    joined(".", ZEROED, 1, 4),
    added("-", joined(".", LABEL, 1, 3)),
    added("+", some("a", "001")),
)
