"""Images, runs and reports for what is kept of Clair."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from tests_store import NOON, PutImage, digest

from imagecatalog.catalog import ingest, timeline
from imagecatalog.domain.packages import Package
from imagecatalog.domain.runs import RunningContainer
from imagecatalog.domain.second_opinions import ForeignReport, FoundPackage, Statement
from imagecatalog.store.engine import Connection

HOST = "registry.example.org"


def found(name: str, version: str = "1.0-1", source_version: str | None = None) -> FoundPackage:
    """A package of its own source in Debian 12."""
    return FoundPackage(
        type="deb", name=name, version=version, arch="amd64", source=name,
        source_version=source_version or version, distro="debian 12",
    )  # fmt: skip


def fault(number: int, package: str, fixed: str | None = None, **more: object) -> Statement:
    """A fault of a package, as the Debian updater has it."""
    name = f"CVE-2026-{number:04}"
    return Statement(
        **{
            "updater": "debian/updater", "name": name, "names": (name,), "package": package,
            "severity": "high", "urgency": None, "fixed": fixed,
        } | more  # type: ignore[arg-type]
    )  # fmt: skip


def report(
    image: str, claims: dict[FoundPackage, tuple[Statement, ...]], *others: FoundPackage
) -> ForeignReport:
    """A report of an image; every package came with its own layer."""
    layer = digest(image)
    return ForeignReport(
        manifest=digest(image),
        found=dict.fromkeys((*claims, *others), layer),
        claims={package: held for package, held in claims.items() if held},
    )


def push(
    c: Connection,
    put_image: PutImage,
    *names: str,
    host: str = HOST,
    packages: Sequence[Package] = (),
) -> dict[str, int]:
    """Put images, each the only one of a repository that a registry has."""
    numbers = {}
    for name in names:
        numbers[name] = put_image(c, name, packages)
        ingest.record_repository(
            c, f"{host}/{name}", {"1": numbers[name]}, [numbers[name]], [], now=NOON
        )
    return numbers


def run(c: Connection, names: Sequence[str], *, at: datetime, host: str = HOST) -> None:
    """Scan the one cluster: these images run, each in a container."""
    containers = [
        RunningContainer(
            "web", f"Deployment/{name}", name, "main", "container", f"{host}/{name}:1",
            f"{host}/{name}@{digest(name)}",
        )
        for name in names
    ]  # fmt: skip
    timeline.observe(c, "north", containers, at=at)
