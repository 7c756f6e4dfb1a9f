"""The files of a docker-pkg tree, good, odd and hostile."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import UTC, datetime

import pytest

from imagecatalog.domain.builds import Role
from imagecatalog.errors import BadDocument, ConfigError, TooLarge
from imagecatalog.formats import docker_pkg
from imagecatalog.formats.docker_pkg import (
    Release,
    TreeImage,
    next_version,
    parse_changelog,
    parse_config,
    parse_control,
    read_image,
    read_uses,
    split_nightly,
    updated_with,
)

CHANGELOG = """\

nodejs20-slim (0.0.3-s1) wikimedia; urgency=high

   Refresh for update in parent image bookworm:
   Security update

 -- Jane Doe <jane@example.org>  Mon, 23 Nov 2026 15:24:49 +0100

nodejs20-slim (0.0.3) wikimedia; urgency=medium, binary-only=yes

  * First thing
  * Second thing,
    explained

 -- Jane Doe <jane@example.org>  Mon,  2 Nov 2026 10:00:00 +0000
"""


OVER_IT = """\
registry: Registry.example.org
namespace: /team/
base_images: [a:1, {x: y}]
seed: 12
nested: {a: b}
update_id: null
"""


def image(name: str, version: str = "1.0", *depends: str, template: str = "") -> TreeImage:
    """An image's folder with one release."""
    release = Release(package=name, version=version, changes="")
    return TreeImage(path=name, releases=(release,), depends=depends, template=template)


def test_a_changelog_is_read_newest_first() -> None:
    newest, first = parse_changelog(CHANGELOG, "changelog")
    assert (newest.package, newest.version) == ("nodejs20-slim", "0.0.3-s1")
    assert newest.changes == "Refresh for update in parent image bookworm:\nSecurity update"
    assert newest.date == datetime(2026, 11, 23, 14, 24, 49, tzinfo=UTC)
    assert first.changes == "First thing\nSecond thing,\nexplained"
    assert first.version == "0.0.3"


def test_an_entry_without_its_trailer_is_still_one() -> None:
    found = parse_changelog("a (1) x; urgency=low\n  * Begun\n", "changelog")
    assert [(one.version, one.changes, one.date) for one in found] == [("1", "Begun", None)]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "holds no entry"),
        ("\0\0\0", "holds no entry"),
        ("not a changelog\n", "holds no entry"),
        ("A-Team (1.0) x; urgency=low\n", "names no image"),
        ("x+y (1.0) x; urgency=low\n", "names no image"),
        ("x (1.0~rc1) x; urgency=low\n", "names no image"),
        ("x (1:1.0) x; urgency=low\n", "names no image"),
        ("x (" + "1" * 200 + ") x; urgency=low\n", "names no image"),
        ("../../etc/passwd (1.0) x; urgency=low\n", "holds no entry"),
    ],
)
def test_a_changelog_that_names_no_image_is_refused(text: str, why: str) -> None:
    with pytest.raises(BadDocument, match=why) as caught:
        parse_changelog(text, "web/changelog")
    assert caught.value.where == "web/changelog"


def test_a_long_reason_is_cut() -> None:
    (release,) = parse_changelog("a (1) x; u=l\n" + "  * word\n" * 9000, "changelog")
    assert len(release.changes) <= docker_pkg.REASON_LIMIT


@pytest.mark.parametrize(
    "text",
    [
        "a (1) " + "x " * 500_000,
        "a (" * 500_000,
        " -- " + "a" * 1_000_000 + "<",
        (" -- " + "<" * 3000 + "\n") * 300,
        "a (1) x;\n" * 100_000,
        "\n" * 1_000_000,
    ],
)
def test_a_hostile_changelog_takes_little_time(text: str) -> None:
    began = time.process_time()
    with suppress(BadDocument):
        parse_changelog(text, "changelog")
    assert time.process_time() - began < 5


def test_control_names_what_is_built_before() -> None:
    text = (
        "Package: x\nDepends: a, b ,\n c\nBuild-Depends: d\nDescription: says\n Depends: nothing\n"
        "# Depends: nobody\n\nPackage: y\ndepends: e, a\n"
    )
    assert parse_control(text) == ("a", "b", "c", "d", "e")
    assert parse_control("") == ()


def test_files_that_are_not_text_are_named() -> None:
    files = {"changelog": CHANGELOG.encode(), "Dockerfile.template": b"\xff\xfe"}
    with pytest.raises(BadDocument, match=r"web/Dockerfile\.template: is not UTF-8"):
        read_image("web", files)
    with pytest.raises(TooLarge, match="web/changelog"):
        read_image("web", files | {"changelog": b" " * (docker_pkg.FILE_LIMIT + 1)})


def test_the_configuration_of_the_user_lies_below_that_of_the_tree() -> None:
    config = parse_config(
        [
            ("own", "username: jane\npassword: sesame\nregistry: other.example.org\n"),
            ("tree", OVER_IT),
        ]
    )
    assert config.registry == "registry.example.org"
    assert config.repository("web") == "registry.example.org/team/web"
    assert (config.username, config.password) == ("jane", "sesame")
    assert config.base_images == ("a:1",)
    assert config.variables["seed"] == "12"
    assert "nested" not in config.variables
    assert config.update_id == ""
    assert "sesame" not in repr(config)
    assert parse_config([("x", "registry: r.example.org/deep\n")]).repository("a") == (
        "r.example.org/deep/a"
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "registry:\n",
        "- a\n",
        "just a text",
        "registry: [a\n",
        "{" * 900,
        "[" * 900_000,
        "a: &a [x, x]\nb: &b [*a, *a]\nregistry: *b\n",
        "registry: !!python/object/apply:os.system ['true']\n",
    ],
)
def test_a_configuration_without_a_registry_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"config\.yaml") as caught:
        parse_config([("config.yaml", text)])
    assert "password" not in str(caught.value)


def test_the_versions_that_an_image_was_built_on() -> None:
    config = parse_config([("c", "registry: r.example.org\nbase_images: [r.example.org/deb:12]\n")])
    template = (
        'FROM {{ "build" | image_tag }} AS b\nFROM {{ "base" | image_tag }}\n'
        'COPY --from={{ "deb" | image_tag }} /x /y\n'
    )
    tree = {
        "base": image("base", "1.0"),
        "build": image("build", "2.0"),
        "web": image("web", "3.0", template=template),
    }

    def named(suffix: str) -> list[tuple[str, Role]]:
        return [(use.image, use.role) for use in read_uses(tree["web"], tree, config, suffix).uses]

    assert named("") == [
        ("r.example.org/build:2.0", "stage"),
        ("r.example.org/base:1.0", "base"),
        ("r.example.org/deb:12", "copy"),
    ]
    assert named("-20261123") == [
        ("r.example.org/build:2.0-20261123", "stage"),
        ("r.example.org/base:1.0-20261123", "base"),
        ("r.example.org/deb:12", "copy"),
    ]


@pytest.mark.parametrize(
    ("tag", "split"),
    [
        ("1.0", ("1.0", "")),
        ("1.0-20261123", ("1.0", "-20261123")),
        ("1.0-20261123-101112", ("1.0", "-20261123-101112")),
        ("1.0-s1-20261123", ("1.0-s1", "-20261123")),
        ("2.0-20261101", ("2.0-20261101", "")),
        ("2.0-20261101-20261123", ("2.0-20261101", "-20261123")),
        ("latest", None),
        ("1.1", None),
        ("1.1-20261123", None),
        ("1.0-19991231", None),
        ("1.0-2026112", None),
    ],
)
def test_the_tags_that_docker_pkg_makes_of_a_version(
    tag: str, split: tuple[str, str] | None
) -> None:
    assert split_nightly(tag, {"1.0", "1.0-s1", "2.0-20261101"}) == split


@pytest.mark.parametrize(
    ("version", "following"),
    [
        ("1.0", "1.0-s1"),
        ("1.0-s9", "1.0-s10"),
        ("1.0-1-20261101", "1.0-1-20261101-s1"),
        ("1.17.0-wmf0", None),
        ("1.0-s1-20261123", None),
    ],
)
def test_the_version_that_an_update_gives(version: str, following: str | None) -> None:
    assert next_version(version, "s") == following


def test_an_update_takes_along_all_that_control_leads_to() -> None:
    tree = {
        one.name: one
        for one in (
            image("base"),
            image("run", "1", "base"),
            image("web", "1", "run", "build"),
            image("build", "1", "base"),
            image("lone"),
            image("a", "1", "b"),
            image("b", "1", "a"),
        )
    }
    assert updated_with("base", tree) == {"base", "run", "build", "web"}
    assert updated_with("build", tree) == {"build", "web"}
    assert updated_with("lone", tree) == {"lone"}
    assert updated_with("a", tree) == {"a", "b"}
