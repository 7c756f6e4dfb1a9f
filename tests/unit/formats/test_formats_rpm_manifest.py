"""The list of RPM packages that images of Mariner and Azure Linux have instead of a database."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagecatalog.domain.packages import Package
from imagecatalog.formats.rpm_manifest import parse_manifest


def line(name="vim", version="9.0-1.cm2", vendor="Microsoft Corporation", epoch="0", source=None):
    source = source or f"{name}-{version}.src.rpm"
    fields = (name, version, "1", "2", vendor, "(none)", "3", "x86_64", epoch, source)
    return "\t".join(fields).encode() + b"\n"


def test_packages_with_epoch_and_source():
    listed = [
        line(epoch="2"),
        line("openssl-libs", "1.1.1k-15.cm2", source="openssl-1.1.1k-15.cm2.src.rpm"),
        line("gpg-pubkey", "abc-def"),
        line("agent", "1-1", vendor="Datadog", source="(none)"),
    ]
    database = parse_manifest(b"".join(listed) + b"\n", "list")
    agent = Package("rpm", "agent", "1-1", "x86_64", "agent", "1-1")
    assert database.problem is None
    assert database.foreign == (agent,)
    assert database.packages == (
        agent,
        Package("rpm", "openssl-libs", "1.1.1k-15.cm2", "x86_64", "openssl", "1.1.1k-15.cm2"),
        Package("rpm", "vim", "2:9.0-1.cm2", "x86_64", "vim", "2:9.0-1.cm2"),
    )


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        (b"vim\t9\n", "line 2 has 2 fields: 'vim'"),
        (line(version=""), "'vim' has no version"),
        (line(name=""), "a package has no name"),
        (line(name="a\0b"), "cannot be kept"),
    ],
)
def test_a_broken_line_is_told_and_spoils_no_other(broken, sentence):
    database = parse_manifest(line("a") + broken + line("b"), "list")
    assert [one.name for one in database.packages] == ["a", "b"]
    assert sentence in database.problem


@settings(max_examples=100)
@given(
    st.binary(max_size=200)
    | st.builds(lambda end: (line() + line("b"))[:end], st.integers(0, 200))
    | st.builds(
        lambda at, one: line()[:at] + one + line()[at + 1 :],
        st.integers(0, 90),
        st.binary(max_size=3),
    )
)
def test_any_bytes_give_packages_or_a_problem(data):
    assert all(one.name and one.version for one in parse_manifest(data, "list").packages)
