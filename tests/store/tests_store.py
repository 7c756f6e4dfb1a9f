"""Small images to put into a catalog."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from imagecatalog.domain.advisories import Affected, AffectedRange
from imagecatalog.domain.apt import AptSetup, AptSource
from imagecatalog.domain.images import Descriptor
from imagecatalog.domain.packages import Distro, Package
from imagecatalog.domain.refs import Digest
from imagecatalog.domain.scopes import type_of
from imagecatalog.versions import key

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
BOOKWORM = Distro("debian", "12", "bookworm", "Debian GNU/Linux 12 (bookworm)")
SETUP = AptSetup(
    ("amd64",), (AptSource("https://apt.example.org/debian", "bookworm", ("main",), trusted=True),)
)


def package(name: str, version: str = "1.0-1", arch: str = "amd64") -> Package:
    """A package whose source is of its own name and version."""
    return Package("deb", name, version, arch, name, version)


def digest(text: str) -> Digest:
    """A digest that differs for each text."""
    return Digest.of(text.encode())


def layer(text: str) -> Descriptor:
    """A layer that differs for each text."""
    return Descriptor("application/vnd.oci.image.layer.v1.tar+gzip", digest(text), 1000)


def fixed_in(advisory: str, scope: str, name: str, version: str) -> Affected:
    """All versions below that one have the fault."""
    ranges = (AffectedRange(None, key(type_of(scope), version), fixed=version),)
    return Affected(advisory=advisory, scope=scope, name=name, status="fixed", ranges=ranges)


PutImage = Callable[..., int]
