"""os-release as distributions and distroless images write it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagecatalog.domain.packages import Distro
from imagecatalog.formats.os_release import parse_debian_version, parse_os_release


@pytest.mark.parametrize(
    ("text", "distro"),
    [
        (
            'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\nVERSION="12 (bookworm)"\nVERSION_CODENAME=bookworm\nID=debian\n',
            Distro("debian", "12", "bookworm", "Debian GNU/Linux 12 (bookworm)"),
        ),
        (
            'PRETTY_NAME="Distroless"\nID="debian"\nVERSION_ID="11"\n',
            Distro("debian", "11", "bullseye", "Distroless"),
        ),
        (
            'ID=debian\nVERSION="9 (stretch)"\nVERSION_ID=9',
            Distro("debian", "9", "stretch"),
        ),
        (
            'PRETTY_NAME="Debian GNU/Linux trixie/sid"\nVERSION_CODENAME=trixie\nID=debian',
            Distro("debian", None, "trixie", "Debian GNU/Linux trixie/sid"),
        ),
        (
            "ID=ubuntu\nVERSION_ID='24.04'\nUBUNTU_CODENAME=noble\n",
            Distro("ubuntu", "24.04", "noble"),
        ),
        ("ID=alpine\nVERSION_ID=3.20.1\n", Distro("alpine", "3.20.1")),
        ("", Distro("linux")),
        ("# ID=x\nID=a\nID=b\nno assignment\n", Distro("b")),
        (
            r"ID=a" + "\n" + r'PRETTY_NAME="a \"b\" \$c \\ d"',
            Distro("a", None, None, 'a "b" $c \\ d'),
        ),
        ('ID="DEBIAN"\r\nVERSION="("\r\n', Distro("debian")),
        ("ID=a\nVERSION_ID=\x00\x1b[31m1\n", Distro("a", "[31m1")),
    ],
)
def test_os_release(text, distro):
    assert parse_os_release(text.encode()) == distro


@pytest.mark.parametrize(
    ("text", "distro"),
    [
        ("12.8\n", Distro("debian", "12", "bookworm", "Debian 12.8")),
        ("trixie/sid\n", Distro("debian", None, "trixie", "Debian trixie/sid")),
        ("\n", None),
    ],
)
def test_debian_version(text, distro):
    assert parse_debian_version(text.encode()) == distro


@given(st.binary(max_size=200))
def test_any_bytes_give_a_distribution(data):
    assert parse_os_release(data).id
    parse_debian_version(data)
