"""A body read by packages met before says what a whole reading of it says, faults and all."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagecatalog.domain.builds import Build
from imagecatalog.errors import InvalidBody
from imagecatalog.web.api import builds, known
from imagecatalog.web.api.known import KnownPackages

Pairs = list[tuple[str, str]]
"""Keys and what is told of each, as JSON; a key may be there twice."""

DIGEST = "sha256:" + 64 * "a"


def write(pairs: Pairs, gap: str = "") -> str:
    return "{" + ",".join(f"{gap}{key}:{gap}{value}" for key, value in pairs) + gap + "}"


def one(name: str = "vim", version: str = "1-1", **more: object) -> str:
    return json.dumps({"name": name, "version": version, "arch": "amd64"} | more)


_NAMES = st.sampled_from(['"vim"', '"libc6"', '"a"', '"v\\u0069m"', '"ü"', '"a b"', '""', "1"])
_VERSIONS = st.sampled_from(
    ['"1-1"', '"1:2-3+b1"', '"1:2:3-4"', '"1-1\\n"', '"no_version"', '"\\/"', "null", '"\ud800"']
)
_ARCHES = st.sampled_from(['"amd64"', '"all"', "null", '""'])
_TYPES = st.sampled_from(['"deb"', '"npm"', '"NPM"', "null"])
_PACKAGE = st.builds(
    write,
    st.builds(
        lambda sound, odd: [*sound, *odd],
        st.tuples(
            st.tuples(st.just('"name"'), _NAMES),
            st.tuples(st.just('"version"'), _VERSIONS),
            st.tuples(st.just('"arch"'), _ARCHES),
        ),
        st.lists(
            st.one_of(
                st.tuples(st.just('"type"'), _TYPES),
                st.tuples(st.just('"name"'), _NAMES),
                st.tuples(st.sampled_from(['"source"', '"source_version"']), _VERSIONS),
                st.just(('"colour"', "1")),
            ),
            max_size=2,
        ),
    ),
    st.sampled_from(["", "", "", " ", "\n", "\x00"]),
)
_SOUND = st.builds(
    one,
    st.sampled_from(["vim", "libc6", "bash", "a"]),
    st.sampled_from(["1-1", "1-1+b2", "2:3"]),
    type=st.sampled_from(["deb", "deb", "deb", "npm"]),
)
_LISTS = st.lists(st.one_of(_SOUND, _SOUND, _SOUND, _PACKAGE), max_size=5).map(
    lambda items: f"[{','.join(items)}]"
)
_PACKAGES = st.one_of(
    _LISTS, _LISTS, st.sampled_from(["null", "[]", "{}", "[1]", "[[[]]]", "1", '"[]"', "[1,]"])
)
_OTHERS = st.sampled_from(
    [
        ('"digest"', f'"{DIGEST}"'),
        ('"digest"', '"no"'),
        ('"image"', '"registry.example.org/app:1"'),
        ('"parents"', "[]"),
        ('"parents"', f'[{{"digest":"{DIGEST}"}}]'),
        ('"labels"', '{"a":"\\u0000"}'),
        ('"labels"', '{"\\ud83d\\ude00":"ü"}'),
        ('"reason"', '"\\ud800"'),
        ('"reason"', "1"),
        ('"finished"', '"2026-11-20T10:00:00Z"'),
        ('"started"', '"2026-11-20T11:00:00Z"'),
        ('"colour"', "[]"),
    ]
)


@st.composite
def _bodies(draw: st.DrawFn) -> bytes:
    packages = draw(_PACKAGES)
    pairs: Pairs = [('"digest"', f'"{DIGEST}"'), ('"packages"', packages)]
    pairs += draw(st.lists(_OTHERS, max_size=2))
    again = st.tuples(
        st.sampled_from(['"packages"', '"parents"', '"p\\u0061ckages"']),
        st.one_of(st.just(packages), _PACKAGES),
    )
    pairs += draw(st.one_of(st.just([]), st.lists(again, max_size=1)))
    text = write(draw(st.permutations(pairs)), draw(st.sampled_from(["", "", " "])))
    return (text + draw(st.sampled_from(["", "", "", "\n", "x"]))).encode(errors="surrogatepass")


def outcome(read: Callable[[bytes], Build], body: bytes) -> Any:
    try:
        return read(body)
    except InvalidBody as error:
        return error.faults


@settings(max_examples=200)
@given(body=_bodies())
def test_both_readings_say_the_same(body: bytes) -> None:
    whole = outcome(builds._read_whole, body)
    assert outcome(builds.read_build, body) == whole
    assert outcome(builds.read_build, body) == whole


def body_of(*packages: str) -> bytes:
    return write([('"digest"', f'"{DIGEST}"'), ('"packages"', f"[{','.join(packages)}]")]).encode()


def test_what_was_met_is_not_judged_again() -> None:
    asked: list[bytes] = []

    def judge(listed: bytes) -> Any:
        asked.append(listed)
        return builds._judge_list(listed)

    met = KnownPackages(judge)
    first = met.split(body_of(one("vim"), one("bash")), 9)
    second = met.split(body_of(one("bash"), one("libc6"), one("vim")), 9)

    assert asked == [
        f"[{one('vim')},{one('bash')}]".encode(),
        f"[{one('libc6')}]".encode(),
    ]
    assert first is not None
    assert second is not None
    assert first[0] == second[0] == body_of()
    assert [package.name for package in second[1]] == ["bash", "libc6", "vim"]
    assert second[1][2] is first[1][0]


@pytest.mark.parametrize(
    "body",
    [
        body_of(one("vim"), one("vim", "2-1")),
        body_of(one("vim", "no_version")),
        body_of(one("vim", arch=None)),
        body_of(one("v\\im")),
        body_of(*(one(f"lib{n}") for n in range(10))),
        write([('"packages"', f"[{one()}]"), ('"parents"', f"[{one()}]")]).encode(),
        b"[" * 100_000,
        b'{"packages":' + b"[" * 100_000,
        b'{"packages":[{"name":"\xff"}]}',
        b"",
    ],
)
def test_what_is_not_plain_is_left_to_a_whole_reading(body: bytes) -> None:
    assert KnownPackages(builds._judge_list).split(body, 9) is None


def test_packages_of_other_ecosystems_may_be_there_in_several_versions() -> None:
    met = KnownPackages(builds._judge_list)
    several = [one("left-pad", version, type="npm") for version in ("1.0", "2.0")]
    nowhere = one("left-pad", "1.0", type="npm", arch=None)

    assert met.split(body_of(*several, nowhere, nowhere), 9) is not None
    assert met.split(body_of(*several, several[0]), 9) is None


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "KNOWN_LIMIT", 10)
    met = KnownPackages(builds._judge_list)
    for start in range(0, 30, 3):
        assert met.split(body_of(*(one(f"lib{start + n}") for n in range(3))), 99) is not None
        assert len(met._known) <= 10
    assert met.split(body_of(*(one(f"lib{n}") for n in range(20))), 99) is not None
    assert met.split(body_of(one("long", "1" * 250, source="s" * 250)), 99) is not None
    assert len(met._known) <= 10
