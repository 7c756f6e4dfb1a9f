"""Status files: the machine's own against dpkg, states as apt takes them, and broken ones."""

import io
import subprocess
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagecatalog.domain.packages import Package
from imagecatalog.formats.dpkg import parse_status


def parse(text: str | bytes, *, with_status: bool = True):
    data = text.encode() if isinstance(text, str) else text
    return parse_status(io.BytesIO(data), "var/lib/dpkg/status", with_status=with_status)


def paragraph(name="bash", version="5.2.15-2", status="install ok installed", **more) -> str:
    fields = {"Package": name, "Status": status, "Architecture": "amd64", "Version": version}
    return "".join(f"{key}: {value}\n" for key, value in (fields | more).items() if value) + "\n"


def test_this_machines_database_as_dpkg_query_tells_it():
    form = "${db:Status-Status}\t${Package}\t${Version}\t${Architecture}\t${source:Package}\t${source:Version}\n"
    answer = subprocess.run(
        ["dpkg-query", "-W", "-f", form], check=True, capture_output=True, text=True
    )
    rows = [line.split("\t") for line in answer.stdout.splitlines()]
    expected = sorted(
        Package("deb", *row[1:]) for row in rows if row[0] not in ("not-installed", "config-files")
    )
    with Path("/var/lib/dpkg/status").open("rb") as stream:
        database = parse_status(stream, "var/lib/dpkg/status")
    assert len(expected) > 50
    assert list(database.packages) == expected
    assert database.problem is None


@pytest.mark.parametrize(
    ("status", "is_installed", "is_held"),
    [
        ("install ok installed", True, False),
        ("hold ok installed", True, True),
        ("Hold OK Installed", True, True),
        ("deinstall ok installed", True, False),
        ("install reinstreq half-installed", True, False),
        ("install ok unpacked", True, False),
        ("install ok half-configured", True, False),
        ("install ok triggers-awaited", True, False),
        ("install ok triggers-pending", True, False),
        ("deinstall ok config-files", False, False),
        ("hold ok config-files", False, False),
        ("purge ok not-installed", False, False),
    ],
)
def test_states_count_as_apt_counts_them(status, is_installed, is_held):
    database = parse(paragraph(status=status))
    assert [package.name for package in database.packages] == ["bash"] * is_installed
    assert database.held == ("bash:amd64",) * is_held
    assert database.problem is None


def test_without_status_only_status_d_counts_it_as_installed():
    text = paragraph(status="")
    assert parse(text).packages == ()
    assert [package.name for package in parse(text, with_status=False).packages] == ["bash"]


def test_sources_of_binaries():
    text = (
        paragraph("a", "1:2.0-1+b7", Source="src (1:2.0-1)")
        + paragraph("b", "3", Source="src")
        + paragraph("c", "4")
        + paragraph("gcc", "4:12.2.0-3", Source="gcc-defaults (1.203)")
    )
    assert [(p.source, p.source_version) for p in parse(text).packages] == [
        ("src", "1:2.0-1"),
        ("src", "3"),
        ("c", "4"),
        ("gcc-defaults", "1.203"),
    ]


def test_the_last_of_two_paragraphs_counts_and_architectures_are_apart():
    text = paragraph("a", "1") + paragraph("a", "1", Architecture="i386") + paragraph("a", "2")
    assert [(p.version, p.arch) for p in parse(text).packages] == [("1", "i386"), ("2", "amd64")]
    gone = paragraph("a", "1", "hold ok installed") + paragraph("a", "1", "purge ok config-files")
    assert parse(gone) == parse("")


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ("Status: install ok installed\nVersion: 1\nArchitecture: all\n", "no Package"),
        (paragraph(version=""), "Debian version"),
        (paragraph(version="1 2"), "Debian version"),
        (paragraph(version="1\u00e42"), "Debian version"),
        (paragraph(name="../x"), "Package '../x'"),
        (paragraph(name="b\u00e4sh"), "Package"),
        (paragraph(Architecture=""), "no Architecture"),
        (paragraph(Architecture="AMD 64"), "Architecture"),
        (paragraph(Source="a b"), "Source 'a b'"),
        (paragraph(Source="a (1\u00e42)"), "Debian version"),
        (paragraph(status="install ok"), "Status"),
        (paragraph(status="install ok splendid"), "Status"),
        (paragraph().replace("Version: ", "Version "), "without a colon"),
        (paragraph().replace("Status: ", "Status "), "without a colon"),
        (paragraph().strip() + "\nVersion: 9\n", "two fields Version"),
        (paragraph(Version="1" * 2000), "Debian version"),
        (paragraph(Version="1" + " " * 5000 + "2"), "an endless Version"),
    ],
)
def test_a_broken_paragraph_is_named_and_the_others_are_kept(broken, why):
    database = parse(paragraph("aa", "1") + broken.strip() + "\n\n" + paragraph("zz", "2"))
    assert [package.name for package in database.packages] == ["aa", "zz"]
    assert database.problem is not None
    assert why in database.problem
    assert "var/lib/dpkg/status: line 6" in database.problem


@pytest.mark.parametrize("version", ["1_2", "a:1", "_", "1-", "-", "bad"])
def test_a_version_that_is_none_is_taken_as_it_is(version):
    database = parse(paragraph("aa", version) + paragraph("bb", Source=f"b ({version})"))
    assert database.problem is None
    assert [(one.name, one.version, one.source_version) for one in database.packages] == [
        ("aa", version, version),
        ("bb", "5.2.15-2", version),
    ]


def test_many_broken_paragraphs_make_one_sentence():
    problem = parse(paragraph(version="1 2") * 500).problem
    assert problem is not None
    assert "497 more" in problem
    assert len(problem) < 1000


def test_invalid_utf8_where_it_does_no_harm():
    data = paragraph(Maintainer="M\u00e4x").encode("latin-1") + paragraph("b", "1").encode()
    assert [package.name for package in parse(data).packages] == ["b", "bash"]
    assert parse(data).problem is None


def test_a_huge_field_is_not_held():
    class Endless(io.RawIOBase):
        left = 200

        def readable(self):
            return True

        def readinto(self, buffer):
            if not self.left:
                return 0
            self.left -= 1
            buffer[:] = b"x" * len(buffer)
            return len(buffer)

    stream = io.BufferedReader(Endless(), buffer_size=1 << 20)
    tracemalloc.start()
    database = parse_status(stream, "status")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert database.problem is not None
    assert peak < 4 << 20


def test_a_long_description_hides_no_field():
    text = paragraph().strip() + f"\nDescription: {'y' * 9000}\n {'z' * 4096}\nSource: other\n\n"
    assert [package.source for package in parse(text).packages] == ["other"]
    exact = f"Description: {'y' * (4096 - 14)}\n"
    assert len(exact) == 4096
    assert [p.source for p in parse(exact + "Source: other\n" + paragraph()).packages] == ["other"]


def test_time_grows_with_size_alone():
    text = paragraph() * 20_000
    start = time.process_time()
    parse(text)
    assert time.process_time() - start < 5


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=400)
    | st.lists(
        st.sampled_from(
            b"Package: a\n|Version: 1\n|Version: \xff\n|Architecture: all\n|\n| x\n|:\n"
            b"|Status: install ok installed\n|Status:\n|Source: (\n".split(b"|")
        )
    ).map(b"".join)
)
def test_any_bytes_give_a_database(data):
    database = parse(data)
    assert list(database.packages) == sorted(database.packages)
    for package in database.packages:
        assert package.name.isascii()
        assert package.version.isascii()
