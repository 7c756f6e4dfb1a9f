"""A build and what it was made from, as somebody tells of it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

from imagecatalog.domain.packages import Distro, Package
from imagecatalog.domain.refs import Digest

Role = Literal["base", "stage", "copy"]
"""What a parent was to the build: its last FROM, the base of another stage, a COPY --from."""

Evidence = Literal["registered", "provenance", "annotation", "layers"]
"""How a parent is known, best first."""

EVIDENCE_ORDER: tuple[Evidence, ...] = ("registered", "provenance", "annotation", "layers")

Signature = Literal["none", "unverified", "verified"]
"""What is known of a statement's signature; we say "unverified" of one that nobody checked."""


class Parent(Struct, frozen=True, kw_only=True):
    """An image that a build used; at least one of ``image`` and ``digest`` is there."""

    image: str | None = None
    digest: Digest | None = None
    role: Role = "base"


class Build(Struct, frozen=True, kw_only=True):
    """One build. ``image`` or ``digest`` says of what; all else is what its teller knows."""

    image: str | None = None
    """A whole name with its tag."""
    digest: Digest | None = None
    """Of the manifest or index that was published."""
    platform: str | None = None
    builder: str | None = None
    builder_version: str | None = None
    started: datetime | None = None
    finished: datetime | None = None
    source_repository: str | None = None
    source_revision: str | None = None
    source_path: str | None = None
    link: str | None = None
    """Page of the build, for people."""
    reason: str | None = None
    """Why it was built."""
    parents: tuple[Parent, ...] = ()
    distro: Distro | None = None
    packages: tuple[Package, ...] | None = None
    """None: its teller does not say; empty: it says that there are none."""
    labels: dict[str, str] = {}


class Inventory(Struct, frozen=True, kw_only=True):
    """A list of an image's packages that somebody tells, as an SBOM."""

    format: str
    """As ``CycloneDX 1.6`` or ``SPDX 2.3``."""
    tool: str | None
    distro: Distro | None
    packages: tuple[Package, ...]
    subjects: tuple[Digest, ...] = ()
    """The images it says it speaks of, where it says so."""
    problem: str | None = None
    """What of it was not understood, for a person."""


class Statement(Struct, frozen=True, kw_only=True):
    """An attestation taken out of its envelopes (in-toto Statement 0.1 and 1)."""

    subjects: tuple[Digest, ...]
    predicate_type: str
    signature: Signature
    build: Build | None = None
    """Of SLSA provenance; its ``digest`` is left for the reader to settle."""
    inventory: Inventory | None = None
    """Of an SPDX or CycloneDX predicate."""
