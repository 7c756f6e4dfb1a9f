"""What apt cannot be asked about a choice: security, origin, and rules in the small.

Which version is chosen apt itself judges, in tests/real/test_apt_policy.py.
"""

from __future__ import annotations

import time

import pytest

from imagecatalog.domain.apt import AptPin, ReleaseFacts
from imagecatalog.domain.packages import Package
from imagecatalog.matching.candidates import Available, Choice, Policy
from imagecatalog.versions.deb import sort_key

MAIN = ReleaseFacts(origin="Debian", label="Debian", suite="stable", codename="bookworm")
SECURITY = ReleaseFacts(
    origin="Debian", label="Debian-Security", suite="stable-security", codename="bookworm-security"
)
UPDATES = ReleaseFacts(
    origin="Debian", label="Debian", suite="stable-updates", codename="bookworm-updates"
)
BACKPORTS = ReleaseFacts(
    label="Debian Backports",
    codename="bookworm-backports",
    not_automatic=True,
    but_automatic_upgrades=True,
)
EXPERIMENTAL = ReleaseFacts(codename="rc-buggy", not_automatic=True)


def installed(version: str, arch: str = "amd64") -> Package:
    return Package("deb", "foo", version, arch, "src-foo", version)


def offer(version: str, release: ReleaseFacts = MAIN, site: str = "") -> Available:
    return Available(version, sort_key(version), release, "main", site, "src-foo", version, "amd64")


def choose(version: str, *offers: Available, pins: tuple[AptPin, ...] = ()) -> Choice | None:
    return Policy(pins, "amd64").choose(installed(version), offers)


def test_security_and_origin() -> None:
    assert choose("1", offer("1")) is None
    assert choose("1", offer("2")) == Choice(
        "2", security=False, origin="Debian/bookworm", source_version="2"
    )
    both = choose("1", offer("2"), offer("2", SECURITY))
    assert both == Choice(
        "2", security=True, origin="Debian-Security/bookworm-security", source_version="2"
    )


def test_a_security_update_below_the_candidate_counts() -> None:
    choice = choose("1", offer("2", SECURITY), offer("3", UPDATES))
    assert choice == Choice(
        "3", security=True, origin="Debian/bookworm-updates", source_version="3"
    )


def test_a_security_update_that_is_installed_or_not_reached_does_not_count() -> None:
    choice = choose("2", offer("2", SECURITY), offer("3"))
    assert choice == Choice("3", security=False, origin="Debian/bookworm", source_version="3")
    pin = AptPin(("*",), "release", "l=Debian-Security", -1)
    assert choose("1", offer("3", SECURITY), offer("2"), pins=(pin,)) == Choice(
        "2", security=False, origin="Debian/bookworm", source_version="2"
    )


def test_an_archive_that_does_not_name_itself() -> None:
    choice = choose("1", offer("2", ReleaseFacts(), "apt.example.org"))
    assert choice == Choice("2", security=False, origin="apt.example.org", source_version="2")
    local = choose("1", offer("2", ReleaseFacts()))
    assert local == Choice("2", security=False, origin="local", source_version="2")


@pytest.mark.parametrize(
    ("version", "offers", "candidate"),
    [
        ("1", [], None),
        ("2", [offer("1")], None),
        ("1", [offer("2~bpo12+1", BACKPORTS)], "2~bpo12+1"),
        ("1", [offer("1"), offer("2~bpo12+1", BACKPORTS)], None),
        ("1", [offer("2", EXPERIMENTAL)], None),
        ("1.0", [offer("1.0-0")], None),
        ("1", [offer("0:2"), offer("1:0")], "1:0"),
        ("bad_version", [offer("0")], None),
        ("1.0_1", [offer("1.1")], "1.1"),
        ("2.0_rc1", [offer("1.5"), offer("2.0-1")], None),
    ],
)
def test_defaults(version: str, offers: list[Available], candidate: str | None) -> None:
    choice = choose(version, *offers)
    assert (choice and choice.candidate) == candidate


def test_a_downgrade_is_no_update() -> None:
    pin = AptPin(("foo",), "version", "1", 1001)
    assert choose("2", offer("1"), offer("3"), pins=(pin,)) is None


def test_pins_without_architecture_are_of_the_native_one() -> None:
    pin = AptPin(("foo",), "version", "2", -1)
    policy = Policy((pin,), "amd64")
    assert policy.choose(installed("1"), [offer("2")]) is None
    assert policy.choose(installed("1", "all"), [offer("2")]) is None
    assert policy.choose(installed("1", "i386"), [offer("2")]) is not None


def test_source_version_pins() -> None:
    pin = AptPin(("src:src-foo",), "source-version", "2*", -1)
    assert choose("1", offer("2.1"), pins=(pin,)) is None
    assert choose("1", offer("3"), pins=(pin,)) is not None


def test_many_packages_are_judged_in_no_time() -> None:
    pins = (
        AptPin(("*",), "release", "n=bookworm-backports", 200),
        AptPin(("lib*", "/^python3/"), "release", "l=Debian", 600),
    )
    policy = Policy(pins, "amd64")
    offers = [offer("1"), offer("2", SECURITY), offer("3~bpo12+1", BACKPORTS)]
    package, key = installed("1"), sort_key("1")
    started = time.process_time()
    for _ in range(20_000):
        assert policy.choose(package, offers, key)
    assert time.process_time() - started < 3
