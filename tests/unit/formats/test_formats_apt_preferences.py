"""Pins as apt reads them; what they do is judged by apt itself in tests/real/test_apt_policy.py."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagecatalog.domain.apt import AptPin
from imagecatalog.formats.apt_preferences import NEVER, compile_expression, parse_preferences

MAIN = "etc/apt/preferences"
TEXT = """\
Explanation: why
# a comment
Package: foo* /^bar$/ src:qux
Pin: release a=stable, l=Acme
Pin-Priority: 1001


Package: *
pin: ORIGIN "apt.example.org"
Pin-Priority: -1

Package: x
Pin: version 1.*
Pin-Priority: 600

Package: *
Pin: release n=sid
Pin-Priority: never
"""


def test_records() -> None:
    pins, problems = parse_preferences({MAIN: TEXT.encode()})
    assert problems == ()
    assert pins == (
        AptPin(("foo*", "/^bar$/", "src:qux"), "release", "a=stable, l=Acme", 1001),
        AptPin(("*",), "origin", '"apt.example.org"', -1),
        AptPin(("x",), "version", "1.*", 600),
        AptPin(("*",), "release", "n=sid", NEVER),
    )


def test_files_are_read_in_apts_order_by_its_rules_on_names() -> None:
    record = "Package: {}\nPin: version 1\nPin-Priority: 1\n"
    names = ["b", "a.pref", "c.bak", "d.pref.dpkg-old", ".e", "f g", "Z"]
    files = {f"{MAIN}.d/{name}": record.format(name[0]).encode() for name in names}
    files[MAIN] = record.format("first").encode()
    pins, _ = parse_preferences(files)
    assert [pin.packages[0] for pin in pins] == ["first", "Z", "a", "b"]


@pytest.mark.parametrize(
    "record",
    [
        "Pin: version 1\nPin-Priority: 1",
        "Package: a\nPin: nonsense 1\nPin-Priority: 1",
        "Package: *\nPin: version 1\nPin-Priority: 1",
        "Package: a\nPin: version 1",
        "Package: a\nPin: version 1\nPin-Priority: 0",
        "Package: a\nPin: version 1\nPin-Priority: 40000",
        "Package: a\nPin: version 1\nPin-Priority: high",
        "Package: a\nPin: version 1\nPin-Priority: never",
        "Package: /(/\nPin: version 1\nPin-Priority: 1",
        "Package: /(a+)+$/\nPin: version 1\nPin-Priority: 1",
        "Package: a\nPin: release n=/(x*)*/\nPin-Priority: 1",
    ],
)
def test_what_cannot_be_read_is_named(record: str) -> None:
    good = "Package: good\nPin: version 1\nPin-Priority: 1\n"
    pins, problems = parse_preferences({MAIN: f"{record}\n\n{good}".encode()})
    assert [pin.packages for pin in pins] == [("good",)]
    assert len(problems) == 1
    assert problems[0].startswith(f"{MAIN}: line 1: ")


@given(st.binary(max_size=300))
def test_never_raises(data: bytes) -> None:
    parse_preferences({MAIN: b"Package: a\nPin: " + data + b"\nPin-Priority: 1\n\n" + data})


@pytest.mark.parametrize(
    ("expression", "text", "matches"),
    [
        ("foo*", "foobar", True),
        ("foo*", "xfoobar", False),
        ("FOO", "foo", True),
        ("[^ab]c", "bc", False),
        ("/oba/", "foobar", True),
        ("/^[[:digit:]]+$/", "12", True),
        ("", "", True),
        ("", "x", False),
    ],
)
def test_expressions(expression: str, text: str, *, matches: bool) -> None:
    pattern = compile_expression(expression)
    assert pattern is not None
    assert bool(pattern.search(text)) is matches


def test_no_accepted_expression_takes_long() -> None:
    name = "a" * 200
    for expression in ("/a*a*a*b/", "/^(a|aa|a)b*$/", "*a*a*a*a*a*a*a*b"):
        started = time.process_time()
        pattern = compile_expression(expression)
        assert pattern is not None
        assert not pattern.search(name)
        assert time.process_time() - started < 2
