"""Package URLs: their parts, and the packages and distributions that they name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagecatalog.domain.packages import Distro, Package
from imagecatalog.errors import BadName
from imagecatalog.formats.purl import Purl, distro_of, make_package, parse_purl


def _package(text: str, version: str | None = None, source: str | None = None) -> Package:
    return make_package(parse_purl(text), version, source)


def test_a_long_one_is_refused() -> None:
    with pytest.raises(BadName, match="longer than 4096"):
        parse_purl("pkg:npm/" + "a" * 5000)


def test_parts_are_decoded() -> None:
    assert parse_purl(
        "pkg:npm/%40angular/core@12.0.0?vcs_url=git%2Bhttps%3A%2F%2Fx.org#src"
    ) == Purl("npm", "@angular", "core", "12.0.0", {"vcs_url": "git+https://x.org"})


@pytest.mark.parametrize(
    "text",
    ["", "pkg:", "pkg:deb", "npm/a@1", "pkg:a b/c@1", "pkg:deb/d/a@1?arch", "http://[::1"],
)
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadName):
        parse_purl(text)


@pytest.mark.parametrize(
    ("text", "package"),
    [
        (
            "pkg:deb/debian/bsdutils@1:2.38.1-5%2Bb3?arch=amd64&upstream=util-linux%402.38.1-5",
            Package(
                "deb",
                "bsdutils",
                "1:2.38.1-5+b3",
                "amd64",
                "util-linux",
                "2.38.1-5",
            ),
        ),
        (
            "pkg:deb/debian/libssl3@3.0.15-1~deb12u1?arch=amd64&upstream=openssl",
            Package("deb", "libssl3", "3.0.15-1~deb12u1", "amd64", "openssl", "3.0.15-1~deb12u1"),
        ),
        (
            "pkg:deb/ubuntu/libcrypt1@4.4.27-1?arch=amd64&epoch=1",
            Package("deb", "libcrypt1", "1:4.4.27-1", "amd64", "libcrypt1", "1:4.4.27-1"),
        ),
        (
            "pkg:deb/debian/a@1:2-1?arch=all&epoch=1",
            Package("deb", "a", "1:2-1", "all", "a", "1:2-1"),
        ),
        (
            "pkg:rpm/rhel/bash@5.1.8-6.el9?arch=x86_64&upstream=bash-5.1.8-6.el9.src.rpm&epoch=0",
            Package("rpm", "bash", "5.1.8-6.el9", "x86_64", "bash", "5.1.8-6.el9"),
        ),
        (
            "pkg:rpm/rhel/vim@9.0-1?arch=x86_64&upstream=vim-9.0-1.src.rpm&epoch=2",
            Package("rpm", "vim", "2:9.0-1", "x86_64", "vim", "2:9.0-1"),
        ),
        (
            "pkg:rpm/rhel/nodejs-docs@18-1?arch=noarch&upstream=nodejs-18-1.src.rpm&epoch=1&rpmmod=nodejs:18:9:rhel9",
            Package("rpm", "nodejs-docs", "1:18-1", "noarch", "nodejs:18/nodejs", "1:18-1"),
        ),
        (
            "pkg:rpm/rhel/perl-Carp@1.42-1?arch=noarch&upstream=perl-5.26-4.src.rpm&epoch=2",
            Package("rpm", "perl-Carp", "2:1.42-1", "noarch", "perl", "5.26-4"),
        ),
        (
            "pkg:apk/alpine/libcrypto3@3.1.4-r5?arch=x86_64&upstream=openssl",
            Package("apk", "libcrypto3", "3.1.4-r5", "x86_64", "openssl", "3.1.4-r5"),
        ),
        (
            "pkg:alpine/musl@1.1.24-r2?arch=x86_64",
            Package("apk", "musl", "1.1.24-r2", "x86_64", "musl", "1.1.24-r2"),
        ),
        (
            "pkg:maven/org.slf4j/slf4j-api@2.0.7?type=jar",
            Package("maven", "org.slf4j:slf4j-api", "2.0.7", "", "org.slf4j:slf4j-api", "2.0.7"),
        ),
        (
            "pkg:npm/%40angular/core@12.0.0",
            Package("npm", "@angular/core", "12.0.0", "", "@angular/core", "12.0.0"),
        ),
        (
            "pkg:golang/github.com/moby/buildkit@v0.16.0?type=package#solver",
            Package(
                "golang",
                "github.com/moby/buildkit",
                "v0.16.0",
                "",
                "github.com/moby/buildkit",
                "v0.16.0",
            ),
        ),
        *(
            (
                text,
                Package(
                    "golang",
                    "github.com/go-git/go-git/v5",
                    "v5.4.2",
                    "",
                    "github.com/go-git/go-git/v5",
                    "v5.4.2",
                ),
            )
            for text in (
                "pkg:golang/github.com/go-git/go-git/v5@v5.4.2",
                "pkg:golang/github.com/go-git/go-git@v5.4.2#v5",
                "pkg:golang/github.com%2Fgo-git%2Fgo-git%2Fv5@v5.4.2?type=module",
            )
        ),
        (
            "pkg:golang/cloud.google.com/go/compute@v0.3.0#Metadata/x",
            Package(
                "golang",
                "cloud.google.com/go/compute/Metadata/x",
                "v0.3.0",
                "",
                "cloud.google.com/go/compute/Metadata/x",
                "v0.3.0",
            ),
        ),
        (
            "pkg:golang/stdlib@1.22.1",
            Package("golang", "stdlib", "1.22.1", "", "stdlib", "1.22.1"),
        ),
        (
            "pkg:pypi/Zope.Interface@6",
            Package("pypi", "zope-interface", "6", "", "zope-interface", "6"),
        ),
        (
            "pkg:gem/nokogiri@1.15.4?platform=x86_64-linux",
            Package("gem", "nokogiri", "1.15.4", "", "nokogiri", "1.15.4"),
        ),
        (
            "pkg:cargo/Inflector@0.11.4",
            Package("cargo", "Inflector", "0.11.4", "", "Inflector", "0.11.4"),
        ),
        (
            "pkg:pypi/Flask_Login@0.6",
            Package("pypi", "flask-login", "0.6", "", "flask-login", "0.6"),
        ),
    ],
)
def test_a_package_is_named_as_its_ecosystem_does(text: str, package: Package) -> None:
    assert _package(text) == package


def test_what_others_told_fills_the_gaps() -> None:
    assert _package("pkg:apk/alpine/musl", "1.2.3-r0").version == "1.2.3-r0"
    told = _package("pkg:deb/debian/libc6@2.36-9?arch=amd64", source="glibc 2.36-9")
    assert (told.source, told.source_version) == ("glibc", "2.36-9")


@pytest.mark.parametrize(
    "text",
    [
        "pkg:npm/left-pad",
        "pkg:deb/debian/a@not%20a%20version",
        "pkg:deb/debian/a%2Fb@1",
        "pkg:deb/debian/a@1?upstream=b%20%21",
        "pkg:npm/a%00b@1",
        "pkg:npm/a%0Ab@1",
        "pkg:npm/a@%FF",
        "pkg:npm/a@" + "1" * 401,
        "pkg:npm/" + "%C3%A9" * 201 + "@1",
    ],
)
def test_packages_that_cannot_be_kept_are_refused(text: str) -> None:
    with pytest.raises(BadName):
        _package(text)


@pytest.mark.parametrize(
    ("text", "distro"),
    [
        ("pkg:deb/debian/a@1?distro=debian-12", Distro("debian", "12", "bookworm")),
        ("pkg:deb/debian/a@1?distro=debian-12.5", Distro("debian", "12", "bookworm")),
        ("pkg:deb/debian/a@1?distro=bookworm", Distro("debian", "12", "bookworm")),
        ("pkg:deb/debian/a@1?distro=sid", Distro("debian", None, "sid")),
        ("pkg:deb/ubuntu/a@1?distro=ubuntu-22.04", Distro("ubuntu", "22.04")),
        ("pkg:apk/alpine/a@1?distro=3.16.0", Distro("alpine", "3.16.0")),
        ("pkg:rpm/opensuse/a@1?distro=opensuse-leap-15.3", Distro("opensuse-leap", "15.3")),
        ("pkg:deb/debian/a@1", None),
        ("pkg:npm/a@1?distro=debian-12", None),
    ],
)
def test_the_distribution_of_a_package(text: str, distro: Distro | None) -> None:
    assert distro_of(parse_purl(text)) == distro


@given(st.text(max_size=80), st.booleans())
def test_no_text_does_harm(text: str, with_start: bool) -> None:
    try:
        package = _package(("pkg:deb/" if with_start else "") + text)
    except BadName:
        return
    assert "\\x00" not in repr(package)
    assert package.name
    assert package.version
