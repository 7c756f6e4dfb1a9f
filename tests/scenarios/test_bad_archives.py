"""apt archives that lie or break: the last good index stays, the verdict says so, others go on."""

from __future__ import annotations

import hashlib
import lzma
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pysequoia
import pytest
from bad_registry import BadRegistry, debian, serve
from bad_shop import CommandLine

KEY = pysequoia.Tsk.generate("archive <archive@example.org>")
OTHER = pysequoia.Tsk.generate("other <other@example.org>")
PACKAGES = "main/binary-amd64/Packages.xz"


def write_archive(suite: Path, version: str, *, key: pysequoia.Tsk = KEY, more: str = "") -> None:
    """An archive of one package, signed."""
    body = f"Package: app\nVersion: {version}\nArchitecture: amd64\nSize: {len(version)}\n"
    packed = lzma.compress(body.encode())
    release = (
        f"Origin: Debian\nSuite: stable\nCodename: bookworm\nArchitectures: amd64\n{more}"
        f"Components: main\nSHA256:\n {hashlib.sha256(packed).hexdigest()} {len(packed)} {PACKAGES}\n"
    )
    (suite / PACKAGES).parent.mkdir(parents=True, exist_ok=True)
    (suite / PACKAGES).write_bytes(packed)
    signed = pysequoia.sign(key.signer(), release.encode(), mode=pysequoia.SignatureMode.CLEAR)
    (suite / "InRelease").write_bytes(signed)


def alter(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    """Publish a new version, and then change a file of it."""

    def spoil(suite: Path) -> None:
        write_archive(suite, "1.0-3")
        (suite / name).write_bytes(change((suite / name).read_bytes()))

    return spoil


SPOILT: dict[str, tuple[Callable[[Path], object], str]] = {
    "wrong key": (lambda suite: write_archive(suite, "1.0-3", key=OTHER), "sign"),
    "forged": (alter("InRelease", lambda b: b.replace(b"stable", b"stolen")), "sign"),
    "unsigned": (alter("InRelease", lambda _: b"Suite: stable\n"), "sign"),
    "cut short": (alter("InRelease", lambda b: b[: len(b) // 2]), "InRelease"),
    "not text": (alter("InRelease", lambda _: b"\xff\0" * 999), "InRelease"),
    "too large": (alter("InRelease", lambda b: b + b"\n" * (40 << 20)), "more than"),
    "expired": (
        lambda suite: write_archive(
            suite, "1.0-3", more="Valid-Until: Sat, 01 Jan 2022 00:00:00 UTC\n"
        ),
        "valid only until",
    ),
    "wrong hash": (alter(PACKAGES, lambda b: b[:-9] + b"x" * 9), ""),
    "longer": (alter(PACKAGES, lambda b: b + b"x"), "longer than"),
    "cut index": (alter(PACKAGES, lambda b: b[:-9]), ""),
    "no index": (alter(PACKAGES, lambda _: b""), ""),
    "gone": (shutil.rmtree, "not there"),
}


@pytest.fixture
def registry() -> Iterator[BadRegistry]:
    with serve() as registry:
        yield registry


def test_a_bad_archive_keeps_what_was_good(
    command: CommandLine, registry: BadRegistry, tmp_path: Path
) -> None:
    mirror = tmp_path / "mirror"
    config = tmp_path / "config.toml"
    config.write_text(f'[apt.mirrors]\n"https://apt.example.org" = "file://{mirror}"\n')
    key = str(KEY.extract_certificate()).encode()
    cases = [*SPOILT, "good"]
    for case in cases:
        name = case.replace(" ", "-")
        line = f"deb https://apt.example.org/{name} bookworm main\n".encode()
        files = {"etc/apt/sources.list": line, "etc/apt/trusted.gpg.d/a.asc": key}
        registry.tag(name, registry.add_image(debian(files, app="1.0-1")))
        write_archive(mirror / name / "dists/bookworm", "1.0-2")
    command.run("sync", registry.url)
    command.run("refresh", "apt", "--config", config)
    for case, (spoil, _) in SPOILT.items():
        spoil(mirror / case.replace(" ", "-") / "dists/bookworm")
    # A version of its own: an index that another archive offers too is known by its hash.
    write_archive(mirror / "good/dists/bookworm", "1.0-9")

    said = command.run("refresh", "apt", "--config", config, expect=1)
    for case in cases:
        name = case.replace(" ", "-")
        found = command.show(f"{registry.host}/{name}:1")
        [update] = found["updates"]
        told = [line for line in said.err.splitlines() if f"apt.example.org/{name} " in line]
        if case == "good":
            assert (update["candidate"], found["verdict"]["reason"], told) == ("1.0-9", None, [])
        else:
            assert update["candidate"] == "1.0-2", case
            assert len(told) == 1, case
            assert SPOILT[case][1] in told[0]
            assert found["verdict"]["reason"], case

    for case in SPOILT:  # put right, all is read
        write_archive(mirror / case.replace(" ", "-") / "dists/bookworm", "1.0-4")
    command.run("refresh", "apt", "--config", config)
    for case in SPOILT:
        found = command.show(f"{registry.host}/{case.replace(' ', '-')}:1")
        assert [update["candidate"] for update in found["updates"]] == ["1.0-4"]
        assert found["verdict"]["reason"] is None
