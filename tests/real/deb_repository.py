"""Small Debian repositories of our own: packages by dpkg-deb, indices by hand."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path


@dataclass(frozen=True)
class Deb:
    """One package to build; it holds nothing but its control file."""

    name: str
    version: str
    arch: str = "all"
    source: str = ""

    def build(self, folder: Path) -> Path:
        """Build it into ``folder`` and give the file."""
        fields = {
            "Package": self.name,
            "Version": self.version,
            "Architecture": self.arch,
            "Maintainer": "Acme <acme@example.org>",
            "Description": f"what {self.name} does",
        }
        if self.source:
            fields["Source"] = self.source
        target = folder / f"{self.name}_{self.version.replace(':', '%3a')}_{self.arch}.deb"
        tree = folder / "tree"
        (tree / "DEBIAN").mkdir(parents=True, exist_ok=True)
        text = "".join(f"{key}: {value}\n" for key, value in fields.items())
        (tree / "DEBIAN" / "control").write_text(text)
        subprocess.run(
            ["dpkg-deb", "--build", "--root-owner-group", "-Znone", tree, target],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        (tree / "DEBIAN" / "control").unlink()
        return target


def paragraph(deb: Path, top: Path) -> str:
    """The package's paragraph in a Packages file whose paths begin at ``top``."""
    control = subprocess.run(
        ["dpkg-deb", "--field", deb], check=True, capture_output=True, text=True
    ).stdout
    data = deb.read_bytes()
    return (
        f"{control}Filename: {deb.relative_to(top)}\nSize: {len(data)}\n"
        f"SHA256: {hashlib.sha256(data).hexdigest()}\n\n"
    )


def write_release(folder: Path, fields: dict[str, str], indices: list[Path]) -> None:
    """Write ``Release`` over the indices, unsigned."""
    rows = [
        f" {hashlib.sha256(path.read_bytes()).hexdigest()} {path.stat().st_size} "
        f"{path.relative_to(folder)}\n"
        for path in indices
    ]
    head = {"Date": format_datetime(datetime.now(UTC), usegmt=True), **fields}
    text = "".join(f"{key}: {value}\n" for key, value in head.items())
    (folder / "Release").write_text(f"{text}SHA256:\n{''.join(rows)}")


def write_index(folder: Path, paragraphs: list[str], form: str = "gz") -> list[Path]:
    """Write ``Packages`` in ``folder``, plain and compressed (apt wants the plain one listed)."""
    folder.mkdir(parents=True, exist_ok=True)
    data = "".join(paragraphs).encode()
    plain, packed = folder / "Packages", folder / f"Packages.{form}"
    plain.write_bytes(data)
    packed.write_bytes({"gz": gzip.compress, "xz": lzma.compress}[form](data))
    return [plain, packed]


def _write_suite(
    top: Path, suite: str, fields: dict[str, str], debs: dict[str, list[Deb]], arch: str
) -> None:
    """One suite with its components; ``all`` packages stand in the native index, as in Debian."""
    dists, indices = top / "dists" / suite, []
    for component, members in debs.items():
        pool = top / "pool" / suite / component
        pool.mkdir(parents=True, exist_ok=True)
        paragraphs = [paragraph(deb.build(pool), top) for deb in members]
        form = "xz" if component == "main" else "gz"
        indices += write_index(dists / component / f"binary-{arch}", paragraphs, form)
    write_release(
        dists,
        {
            **fields,
            "Suite": suite,
            "Codename": suite,
            "Components": " ".join(debs),
            "Architectures": arch,
        },
        indices,
    )


def _write_flat(top: Path, members: list[Deb]) -> None:
    top.mkdir(parents=True, exist_ok=True)
    paragraphs = [paragraph(deb.build(top), top) for deb in members]
    write_release(top, {"Label": "Acme flat"}, write_index(top, paragraphs))


def build_repositories(top: Path, *, installed: bool) -> None:
    """Repositories ``flat`` and ``suites`` under ``top``.

    With ``installed``, ``flat`` holds what an image installs at first; without, it and the suites
    ``stable``, ``trial`` (not automatic) and ``port`` (not automatic, but upgrades are) hold what
    came later: across an epoch, rebuilt, of another architecture, older, or withdrawn.
    """
    arch = subprocess.run(
        ["dpkg", "--print-architecture"], check=True, capture_output=True, text=True
    ).stdout.strip()
    if installed:
        first = [
            Deb("acme-epoch", "9.0-1"),
            Deb("acme-rebuilt", "1.0-1", arch),
            Deb("acme-trial", "1.0~rc1-1"),
            Deb("acme-port", "1.0-1~port12+1"),
            Deb("acme-gone", "3.0"),
            Deb("acme-own", "2:1.0-1acme1", arch, source="acme-tools (0.9-3)"),
            Deb("acme-grown", "1.0"),
            Deb("acme-shrunk", "1.0", arch),
            Deb("acme-near", "1.0"),
            Deb("acme-back", "2.0"),
        ]
        _write_flat(top / "flat", first)
        return
    _write_flat(
        top / "flat",
        [
            Deb("acme-epoch", "1:0.1-1"),
            Deb("acme-rebuilt", "1.0-1+b2", arch, source="acme-rebuilt (1.0-1)"),
            Deb("acme-own", "1:99-1", arch),
            Deb("acme-grown", "1.1", arch),
            Deb("acme-shrunk", "1.1"),
            Deb("acme-near", "1.1"),
            Deb("acme-back", "1.0"),
        ],
    )
    suites = {
        "stable": (
            {"Label": "Acme", "Origin": "Acme"},
            {
                "main": [Deb("acme-trial", "1.0~rc1-1")],
                "extra": [Deb("acme-rebuilt", "1.0-1+b1", arch)],
            },
        ),
        "trial": (
            {"Label": "Acme", "NotAutomatic": "yes"},
            {"main": [Deb("acme-trial", "1.0-1"), Deb("acme-epoch", "1:0.2-1")]},
        ),
        "port": (
            {"Label": "Acme ports", "NotAutomatic": "yes", "ButAutomaticUpgrades": "yes"},
            {"main": [Deb("acme-port", "1.0-2~port12+1"), Deb("acme-epoch", "1:0.3-1")]},
        ),
    }
    for suite, (fields, debs) in suites.items():
        _write_suite(top / "suites", suite, fields, debs, arch)
