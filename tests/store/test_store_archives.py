"""Each set-up is judged by the archives that its own sources mean."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from tests_store import NOON, PutImage, package

from imagecatalog.config import Settings
from imagecatalog.domain.apt import AptSetup, AptSource
from imagecatalog.formats.apt_sources import parse_sources
from imagecatalog.jobs.refresh import refresh
from imagecatalog.planning.verdicts import judge_images
from imagecatalog.store import updates
from imagecatalog.store.engine import Catalog

SITE = "https://apt.example.org/tools"


def publish(folder: Path, version: str, architecture: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = f"Package: ssl\nVersion: {version}\nArchitecture: {architecture}\n"
    (folder / "Packages").write_text(text)


def setup(architecture: str, **options: object) -> AptSetup:
    source = AptSource(trusted=True, **options)  # type: ignore[arg-type]
    return AptSetup((architecture,), (source,))


@pytest.mark.parametrize(
    ("options", "folder"),
    [
        ({"uri": f"{SITE}/$(ARCH)", "suite": "./"}, "{arch}"),
        ({"uri": SITE, "suite": "$(ARCH)/"}, "{arch}"),
        (
            {
                "uri": SITE,
                "suite": "sid",
                "components": ("main",),
                "added": ("s390x",),
                "removed": ("arm64",),
            },
            "dists/sid/main/binary-{arch}",
        ),
    ],
)
def test_the_architecture_is_that_of_the_image(
    catalog: Catalog, put_image: PutImage, tmp_path: Path, options: dict[str, str], folder: str
) -> None:
    candidates = {"amd64": "1.0-2", "arm64": "1.0-3"}
    settings = Settings(apt_mirrors={SITE: tmp_path.as_uri()})
    numbers = {}
    with catalog.write() as c:
        for architecture, version in candidates.items():
            publish(tmp_path / folder.format(arch=architecture), version, architecture)
            mine = options
            if "removed" in options and architecture == "arm64":
                mine = {k: v for k, v in options.items() if k not in ("added", "removed")}
            installed = package("ssl", arch=architecture)
            numbers[architecture] = put_image(
                c, architecture, [installed], setup=setup(architecture, **mine)
            )
    refresh(catalog, settings, ["apt"], now=lambda: NOON)
    with catalog.read() as c:
        found = judge_images(c, numbers.values(), now=NOON)
        listed = updates.list_updates(c, [item.pair for item in found.values() if item.pair])
    for architecture, version in candidates.items():
        item = found[numbers[architecture]]
        assert item.pair is not None
        assert [update.candidate for update in listed[item.pair]] == [version], architecture
        expected = "s390x" if "removed" in options and architecture == "amd64" else None
        assert (item.verdict.reason is None) == (expected is None), item.verdict.reason


def test_zeros_in_what_an_image_or_an_archive_says_stop_nobody(
    catalog: Catalog, put_image: PutImage, tmp_path: Path
) -> None:
    lines = (
        b"deb [trusted=yes] https://apt.example.org/tools ./\n"
        b"deb [trusted=yes] https://apt.example.org/tools s\0id m\0ain\n"
        b"deb [trusted=yes,arch=am\0d64] https://apt.example.org/tools sid%00 main\n"
        b"deb [trusted=yes arch=am\0d64] https://apt.example.org/tools sid main\n"
    )
    sources, problems = parse_sources({"etc/apt/sources.list": lines})
    publish(tmp_path, "1.0-2", "amd64")
    packages = tmp_path / "Packages"
    hashed = f"{hashlib.sha256(packages.read_bytes()).hexdigest()} {packages.stat().st_size}"
    (tmp_path / "Release").write_text(
        f"Origin: o\0ur\nLabel: \0\nSuite: s\0\nSHA256:\n {hashed} Packages\n"
    )
    with catalog.write() as c:
        mine = AptSetup(("amd64",), sources, problems=problems)
        number = put_image(c, "one", [package("ssl")], setup=mine)
    settings = Settings(apt_mirrors={SITE: tmp_path.as_uri()})
    refresh(catalog, settings, ["apt"], now=lambda: NOON)
    with catalog.read() as c:
        found = judge_images(c, [number], now=NOON)[number]
        assert found.pair is not None
        [item] = updates.list_updates(c, [found.pair])[found.pair]
    assert item.candidate == "1.0-2"
    assert len(problems) == 3
