"""What the sample fleet is made of: an invented mail-order company's images, oldest first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any

from fleet.archive import ERAS

REGISTRY = "registry.example.org"
BOTH = ("amd64", "arm64")
ONE = ("amd64",)

PIN = "Package: libssl3 openssl\nPin: release l=Debian-Security\nPin-Priority: -1\n"
MAIN_ONLY = (
    "Types: deb\nURIs: https://apt.example.org/debian\nSuites: {release}\nComponents: main\n"
    "Signed-By: /usr/share/keyrings/example-archive-keyring.gpg\n"
)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How one image is built; ``parent`` names an earlier one as ``repository:tag``."""

    repository: str
    tag: str
    created: str
    """The day of the build, at 06:00 UTC."""
    era: str = "now"
    release: str = "bookworm"
    parent: str | None = None
    kind: str = "debian"
    """``debian``, ``distroless`` (status.d, no apt) or ``scratch`` (nothing but files)."""
    architectures: tuple[str, ...] = ONE
    packages: tuple[str, ...] = ()
    upgrade: bool = False
    remove: tuple[str, ...] = ()
    hold: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    """The topmost layer; a name ``.wh.…`` is a whiteout."""
    latest: bool = False
    """Whether the tag ``latest`` names it too."""

    @property
    def name(self) -> str:
        """The name that a ``parent`` gives."""
        return f"{self.repository}:{self.tag}"


def _bases() -> Iterator[Recipe]:
    for release, tag, era in (
        ("bookworm", "20250915", "early"),
        ("trixie", "20260921", "early"),
        ("bookworm", "20260712", "point"),
        ("bookworm", "20261019", "half"),
        ("bookworm", "20261122", "now"),
        ("trixie", "20261122", "now"),
    ):
        yield Recipe(
            repository=release,
            tag=tag,
            created=f"{tag[:4]}-{tag[4:6]}-{tag[6:]}",
            era=era,
            release=release,
            architectures=BOTH if release == "bookworm" and era != "early" else ONE,
            latest=era == "now",
        )


_RUNTIMES: tuple[tuple[str, str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("python3-11", "bookworm", ("python3", "python3-requests", "python3-yaml"), ONE),
    ("python3-13", "trixie", ("python3", "python3-requests", "python3-yaml"), ONE),
    ("nodejs18", "bookworm", ("nodejs",), ONE),
    ("openjdk-17-jre", "bookworm", ("openjdk-17-jre-headless",), ONE),
    ("php8-2", "bookworm", ("php8.2-fpm", "php8.2-mysql", "php8.2-xml"), ONE),
    ("nginx", "bookworm", ("nginx-light", "libnginx-mod-http-lua"), BOTH),
)


def _runtimes() -> Iterator[Recipe]:
    """Each runtime on each base of its release, the day after the base."""
    for base in _bases():
        for name, release, packages, architectures in _RUNTIMES:
            early = base.era == "early" and release == "bookworm"
            if release != base.release or (early and name != "python3-11"):
                continue
            day = f"{base.created[:-2]}{int(base.created[-2:]) + 1:02}"
            yield Recipe(
                repository=name,
                tag=f"0.0.{1 + ERAS.index(base.era)}-{day.replace('-', '')}",
                created=day,
                era=base.era,
                release=release,
                parent=base.name,
                architectures=architectures,
                packages=packages,
                latest=base.era == "now",
            )


def _of(runtime: str, era: str) -> str:
    """The image of that runtime or base of that era."""
    return next(
        r.name for r in (*_bases(), *_runtimes()) if (r.repository, r.era) == (runtime, era)
    )


def _version(
    service: str,
    runtime: str,
    day: str,
    era: str,
    *,
    base: str | None = None,
    files: Mapping[str, str] = MappingProxyType({}),
    **more: Any,
) -> Recipe:
    """One version of a service, built on the runtime of era ``base`` (its own if left out)."""
    repository = service if "/" in service else f"services/{service}"
    return Recipe(
        repository=repository,
        tag=f"{day}-1",
        created=day,
        era=era,
        release="trixie" if runtime in {"trixie", "python3-13"} else "bookworm",
        parent=_of(runtime, base or era),
        files={f"srv/{PurePosixPath(repository).name}/VERSION": f"{day}\n", **files},
        **more,
    )


def _web() -> Iterator[Recipe]:
    yield _version("storefront", "nodejs18", "2026-07-20", "point")
    yield _version("storefront", "nodejs18", "2026-10-26", "half")
    yield _version("storefront", "nodejs18", "2026-11-23", "now", latest=True)
    yield _version("checkout", "openjdk-17-jre", "2026-07-28", "point")
    yield _version("checkout", "openjdk-17-jre", "2026-09-08", "point")
    yield _version("checkout", "openjdk-17-jre", "2026-10-28", "half")
    yield _version("checkout", "openjdk-17-jre", "2026-11-23", "now", latest=True)
    pin = {"etc/apt/preferences.d/openssl": PIN}
    yield _version("product-search", "openjdk-17-jre", "2026-08-04", "point", files=pin)
    unpinned = {"etc/apt/preferences.d/.wh.openssl": ""}
    yield _version("product-search", "openjdk-17-jre", "2026-11-02", "half", files=pin)
    yield Recipe(
        repository="services/product-search",
        tag="2026-11-23-1",
        created="2026-11-23",
        era="now",
        parent="services/product-search:2026-11-02-1",
        upgrade=True,
        files=unpinned,
        latest=True,
    )
    for day, era in (("2026-07-21", "point"), ("2026-10-27", "half"), ("2026-11-23", "now")):
        yield _version("edge-proxy", "nginx", day, era, architectures=BOTH, latest=era == "now")
    yield _version("intranet", "php8-2", "2026-07-30", "point", packages=("php8.2-gd",))
    yield _version("intranet", "php8-2", "2026-11-23", "now", packages=("php8.2-gd",))


def _workers() -> Iterator[Recipe]:
    ledger = ("python3-psycopg2",)
    yield _version("ledger", "python3-11", "2026-08-11", "point", packages=ledger)
    yield _version("ledger", "python3-11", "2026-10-22", "half", packages=ledger, hold=("libpq5",))
    upgraded: dict[str, Any] = {"packages": ledger, "hold": ("libssl3", "openssl"), "upgrade": True}
    yield _version("ledger", "python3-11", "2026-11-20", "now", base="point", **upgraded)
    main_only = {
        "etc/apt/sources.list.d/.wh..wh..opq": "",
        "etc/apt/sources.list.d/main.sources": MAIN_ONLY.format(release="bookworm"),
    }
    yield _version("legacy-reports", "python3-11", "2025-09-22", "early", files=main_only)
    yield _version("legacy-reports", "python3-11", "2026-11-16", "point", files=main_only)
    mailer = ("python3-jinja2", "python3-redis")
    for day, era in (("2026-07-22", "point"), ("2026-10-29", "half"), ("2026-11-23", "now")):
        removed = ("e2fsprogs", "logsave") if era != "point" else ()
        yield _version("mailer", "python3-11", day, era, packages=mailer, remove=removed)
    for day, era in (("2026-09-28", "early"), ("2026-11-12", "early"), ("2026-11-23", "now")):
        yield _version("recommender", "python3-13", day, era, packages=("python3-numpy",))
    yield _version("forecast", "python3-13", "2026-10-05", "early", packages=("python3-numpy",))
    yield _version("forecast", "python3-13", "2026-11-23", "now", packages=("python3-numpy",))
    labels = ("poppler-utils", "ghostscript")
    yield _version("shipping-labels", "trixie", "2026-10-01", "early", packages=labels)
    yield _version("shipping-labels", "trixie", "2026-11-23", "now", packages=labels)
    media = ("ffmpeg", "imagemagick", "libimage-exiftool-perl")
    yield _version("thumbnails", "bookworm", "2026-07-24", "point", packages=media)
    yield _version("thumbnails", "bookworm", "2026-11-23", "now", packages=media, latest=True)


def _stores() -> Iterator[Recipe]:
    for day, era in (("2026-07-16", "point"), ("2026-10-21", "half"), ("2026-11-23", "now")):
        yield _version("session-cache", "bookworm", day, era, packages=("redis-server",))
    for day, era in (("2026-07-17", "point"), ("2026-11-23", "now")):
        yield _version("orders-db", "bookworm", day, era, packages=("postgresql-15",))
    shell = ("curl", "bind9-dnsutils", "openssh-client", "jq")
    yield _version("tools/debug-shell", "trixie", "2026-09-24", "early", packages=shell)
    yield _version("tools/debug-shell", "trixie", "2026-11-23", "now", packages=shell)


def _bare() -> Iterator[Recipe]:
    """Images without dpkg: distroless ones, and one that holds a single static program."""
    inside = ("base-files", "ca-certificates", "libc6", "libssl3", "netbase", "openssl", "tzdata")
    for tag, era in (("20260714", "point"), ("20261123", "now")):
        yield Recipe(
            repository="distroless/base",
            tag=tag,
            created=f"{tag[:4]}-{tag[4:6]}-{tag[6:]}",
            era=era,
            kind="distroless",
            packages=inside,
        )
    for day, tag in (("2026-08-20", "20260714"), ("2026-11-23", "20261123")):
        yield Recipe(
            repository="services/webhooks",
            tag=f"{day}-1",
            created=day,
            kind="distroless",
            parent=f"distroless/base:{tag}",
            files={"usr/bin/webhooks": "\x7fELF webhooks\n"},
        )
    for day in ("2026-06-02", "2026-10-13"):
        yield Recipe(
            repository="tools/health-probe",
            tag=f"{day}-1",
            created=day,
            kind="scratch",
            files={"health-probe": f"\x7fELF health-probe {day}\n"},
        )


def all_recipes() -> list[Recipe]:
    """Every image, each after its parent."""
    parts = (_bases, _runtimes, _web, _workers, _stores, _bare)
    return [recipe for part in parts for recipe in part()]
