"""apt is the judge: from a registry to a verdict, what we say is what apt says inside the image."""

from __future__ import annotations

import io
import json
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from command_line import imagecatalog
from debian_roots import ACME, RECIPES, Root, Upgrade, machine_archive, one_line, run
from registry_server import PASSWORD, USER, DockerRegistry

pytestmark = pytest.mark.real

Words = dict[str, dict[tuple[str, str], Upgrade]]
NAMES = ["minimal", *RECIPES]


def catalog(*words: str | Path, config: Path) -> str:
    """Run the command line with our settings and give what it printed."""
    return imagecatalog("--config", config, *words).stdout


def write_config(folder: Path, fleet: Path, registry: str = "") -> Path:
    """Settings that send the images' own repository to where it lies on this machine."""
    archive = machine_archive()
    release = dict(
        row.split("=", 1) for row in Path("/etc/os-release").read_text().splitlines() if "=" in row
    )
    lines = one_line(archive, *archive.suites).splitlines()
    keyrings = sorted(
        str(path) for path in Path("/usr/share/keyrings").glob("*-archive-keyring.gpg")
    )
    config = folder / "config.toml"
    config.write_text(
        f'database = "{folder}/catalog.sqlite"\n{registry}\n'
        f"[apt]\nkeyrings = {json.dumps(keyrings)}\n"
        f'[apt.mirrors]\n"file:{ACME}" = "file://{fleet}/roots/acme{ACME}"\n'
        f"[apt.sources]\n{json.dumps(release['ID'] + ' ' + release['VERSION_ID'].strip(chr(34)))}"
        f" = {json.dumps(lines)}\n"
    )
    return config


def add_distroless(layout: Path, root: Path, scratch: Path) -> None:
    """An image as distroless ones are: ``status.d``, os-release, and no apt at all."""
    paragraphs = (root / "var/lib/dpkg/status").read_text().strip().split("\n\n")
    layer = scratch / "distroless.tar"
    with tarfile.open(layer, "w") as out:

        def add(name: str, data: bytes) -> None:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            out.addfile(member, io.BytesIO(data))

        add("./usr/lib/os-release", (root / "usr/lib/os-release").read_bytes())
        for paragraph in paragraphs:
            fields = [row for row in paragraph.split("\n") if not row.startswith("Status:")]
            name = re.search(r"^Package: (.+)$", paragraph, re.MULTILINE)
            assert name
            add(f"./var/lib/dpkg/status.d/{name[1]}", "\n".join(fields).encode() + b"\n")
    run("umoci", "init", "--layout", layout)
    run("umoci", "new", "--image", f"{layout}:distroless")
    run("umoci", "raw", "add-layer", "--image", f"{layout}:distroless", layer)


@dataclass(frozen=True)
class Judged:
    """A catalog after a first sync and refresh, and its items of ``outdated --all`` by name."""

    config: Path
    prefix: str
    items: dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def judged(
    apt_words: Words, debian_fleet: Path, tmp_path_factory: pytest.TempPathFactory
) -> Judged:
    """All images, through a plain registry."""
    folder = tmp_path_factory.mktemp("judge")
    add_distroless(folder / "layout", debian_fleet / "roots/pending", folder)
    registry = DockerRegistry(folder / "registry")
    registry.start()
    try:
        for name in NAMES:
            form = ("--format", "v2s2") if name == "large" else ()
            registry.push(f"oci:{debian_fleet}/layout:{name}", f"debian/{name}:1.0", *form)
        registry.push(f"oci:{folder}/layout:distroless", "debian/distroless:1.0")
        config = write_config(folder, debian_fleet)
        catalog("init", config=config)
        catalog("sync", registry.url, config=config)
    finally:
        registry.stop()
    catalog("refresh", "apt", config=config)
    listed = json.loads(catalog("outdated", "--all", "--format", "json", config=config))
    prefix = f"{registry.host}/debian/"
    found = {item["image"].removeprefix(prefix).removesuffix(":1.0"): item for item in listed}
    assert len(found) == len(listed)
    return Judged(config, prefix, found)


@pytest.fixture
def items(judged: Judged) -> dict[str, dict[str, Any]]:
    """The items alone."""
    return judged.items


def agrees(item: dict[str, Any], word: dict[tuple[str, str], Upgrade]) -> None:
    """Check an item package for package, version for version, and its verdict."""
    ours = {
        (one["package"], one["arch"]): (one["installed"], one["candidate"], one["security"])
        for one in item["updates"]
    }
    apts = {key: (one.installed, one.candidate, one.security) for key, one in word.items()}
    assert ours == apts
    assert len(item["updates"]) == len(ours)
    wanted = "current"
    if word:
        wanted = "security-update" if any(one.security for one in word.values()) else "update"
    assert (item["status"], item["reason"]) == (wanted, None)


@pytest.mark.parametrize("name", NAMES)
def test_updates_are_what_apt_says(
    name: str, items: dict[str, dict[str, Any]], apt_words: Words
) -> None:
    agrees(items[name], apt_words[name])


@pytest.mark.parametrize("name", NAMES)
def test_packages_are_what_dpkg_says(name: str, judged: Judged, debian_fleet: Path) -> None:
    """Whatever layers add, upgrade and remove: each package, with the source it was built from."""
    shown = json.loads(
        catalog("show", f"{judged.prefix}{name}:1.0", "--format", "json", config=judged.config)
    )
    keys = ("package", "arch", "installed", "source", "source_version")
    ours = [tuple(one[key] for key in keys) for one in shown["packages"] if one["type"] == "deb"]
    assert sorted(ours) == sorted(Root(debian_fleet / "roots" / name).packages())


def test_nothing_more_and_nothing_less_is_listed(items: dict[str, dict[str, Any]]) -> None:
    assert set(items) == {*NAMES, "distroless"}


def test_an_image_without_apt_is_judged_by_the_configured_sources(
    items: dict[str, dict[str, Any]], apt_words: Words
) -> None:
    agrees(items["distroless"], apt_words["pending"])


def test_a_held_package_says_so(items: dict[str, dict[str, Any]], debian_fleet: Path) -> None:
    held = set(Root(debian_fleet / "roots/held").call("apt-mark", "showhold").split())
    assert held
    assert {one["package"] for one in items["held"]["updates"] if one["held"]} == held


def test_a_registry_with_tls_and_a_password_gives_the_same(
    apt_words: Words, debian_fleet: Path, secure_registry: DockerRegistry, tmp_path: Path
) -> None:
    registry, names = secure_registry, ["pending", "held"]
    for name in names:
        registry.push(f"oci:{debian_fleet}/layout:{name}", f"debian/{name}:1.0")
    (tmp_path / "password").write_text(PASSWORD)
    setting = (
        f'[[registry]]\nurl = "{registry.url}"\nca = "{registry.ca}"\n'
        f'username = "{USER}"\npassword_file = "{tmp_path}/password"\n'
    )
    config = write_config(tmp_path, debian_fleet, setting)
    catalog("init", config=config)
    catalog("sync", config=config)
    catalog("refresh", "apt", config=config)
    listed = json.loads(catalog("outdated", "--all", "--format", "json", config=config))
    assert sorted(item["image"] for item in listed) == [
        f"{registry.host}/debian/{name}:1.0" for name in sorted(names)
    ]
    for item in listed:
        agrees(item, apt_words[item["image"].split("/")[-1].removesuffix(":1.0")])


def test_the_root_file_systems_hold_what_is_to_be_judged(
    apt_words: Words, debian_fleet: Path
) -> None:
    """Or the agreement above would say little."""
    packages = {name: Root(debian_fleet / "roots" / name).installed() for name in NAMES}
    assert len(packages["minimal"]) < 120
    assert len(packages["large"]) >= 300
    assert not apt_words["minimal"]
    assert not apt_words["patched"]
    security = [one for one in apt_words["large-pending"].values() if one.security]
    assert len(security) >= 5
    assert any(":" in one.candidate for one in security), "no epoch among the updates"
    assert any(re.search(r"\+b\d+$", version) for version in packages["minimal"].values())
    assert apt_words["pinned"].keys() < apt_words["large-pending"].keys()
    assert packages["trimmed"].keys() < packages["large"].keys() | {"nano:amd64", "nano:arm64"}
    assert apt_words["trimmed"]
    native = machine_archive().architecture
    assert {one.arch for one in apt_words["foreign"].values()} - {native, "all"}
    assert {one.package for one in apt_words["acme"].values()} >= {
        "acme-epoch",
        "acme-rebuilt",
        "acme-port",
    }
    mixed = {one.package for one in apt_words["mixed"].values()}
    assert mixed >= {"bash", "tar"}
