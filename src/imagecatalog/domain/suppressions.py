"""What makes a finding not count: statements of VEX documents, and deferrals of our own."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Literal

from msgspec import Struct

from imagecatalog.errors import BadName

VexStatus = Literal["not_affected", "affected", "fixed", "under_investigation"]
"""As OpenVEX names them; the other formats are read into these."""
VexState = Literal["in-force", "withdrawn"]
DeferralState = Literal["active", "expired", "withdrawn"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-:][A-Za-z0-9][A-Za-z0-9._:-]{0,90})")


class VexStatement(Struct, frozen=True, kw_only=True):
    """What a document says of a fault in one product.

    A part of the product that is None is any. With a digest the image alone is meant, wherever it
    lies; else its repository and tag. A package is meant in whatever image is named.
    """

    names: tuple[str, ...]
    """Of the fault."""
    status: VexStatus
    justification: str | None = None
    """In the format's own word."""
    statement: str | None = None
    """The author's words."""
    issued: datetime | None = None
    image_digest: str | None = None
    repository: str | None = None
    """``registry/path``; a word without a slash is the last part of it, in any registry."""
    tag: str | None = None
    type: str | None = None
    namespace: str | None = None
    """Of a distribution's package: the distribution."""
    name: str | None = None
    version: str | None = None
    """One, or a range of them as ``vers:…``."""
    scope: str | None = None
    """The distribution's release that is meant, as ``debian/bookworm``."""
    within: str | None = None
    """What else it is meant in, which the packages of an image do not tell: such a statement is
    kept and shown, and never applied."""


class VexDocument(Struct, frozen=True, kw_only=True):
    """A VEX document; who wrote it is what it says itself, for no signature is verified."""

    name: str
    """Its own: what a later version of it replaces."""
    format: str
    """``OpenVEX``, ``CSAF 2.0``, ``CycloneDX 1.6`` and the like."""
    author: str
    issued: datetime | None
    statements: tuple[VexStatement, ...]


class VexItem(Struct, frozen=True, kw_only=True):
    """One item of ``vex``: a statement as it is kept."""

    advisory: str
    status: VexStatus
    author: str
    product: str
    """The image, the package, or both."""
    justification: str | None
    statement: str | None
    issued: datetime | None
    expires: datetime | None
    applied: bool
    """Whether it may suppress: it says so, of a product that an image tells, and is in force."""
    document: str
    feed: Literal["vex", "upload"]
    document_id: int | None = None
    """Our number of the document, by which one that was uploaded is withdrawn."""
    state: VexState = "in-force"
    withdrawn_by: str | None = None
    withdrawn: datetime | None = None


class VexDocumentItem(Struct, frozen=True, kw_only=True):
    """A VEX document as it is kept."""

    id: int
    document: str
    """Its name; of one that was uploaded that of the token stands before it."""
    feed: Literal["vex", "upload"]
    author: str
    format: str
    statements: int
    applied: int
    """How many of them may suppress a finding, were it not withdrawn."""
    received: datetime
    """When it was new, or last another."""
    state: VexState = "in-force"
    withdrawn_by: str | None = None
    withdrawn: datetime | None = None


class VexReceipt(Struct, frozen=True, kw_only=True):
    """What became of an uploaded document."""

    document: str
    author: str
    format: str
    statements: int
    created: bool
    """False: the very same document was told before."""


class DeferralWish(Struct, frozen=True, kw_only=True):
    """What somebody wants to put off."""

    advisory: str
    until: datetime
    """From then on it counts again."""
    why: str
    package: str | None = None
    image: str | None = None


class DeferralItem(Struct, frozen=True, kw_only=True):
    """One item of ``deferrals``: a fault that somebody decided to live with for a while."""

    id: int
    advisory: str
    package: str | None
    """Binary or source package; None: any."""
    image: str | None
    """Glob of images' names; None: any."""
    why: str
    by: str
    since: datetime
    until: datetime
    state: DeferralState
    withdrawn_by: str | None = None
    withdrawn: datetime | None = None
    note: str | None = None
    """What is odd about it, told to who makes it: it is taken all the same."""


def check_fault(text: str) -> str:
    """The name of an advisory as feeds write it; raises ``BadName``.

    Identifiers are in upper case but for what follows ``GHSA-``.
    """
    name = text.strip()
    if not _NAME.fullmatch(name):
        raise BadName(
            f"{name[:100]!r} does not name an advisory",
            hint="write CVE-2026-1234, DSA-5678 or GHSA-…",
        )
    if name.upper().startswith("GHSA-"):
        return "GHSA-" + name[5:].lower()
    return name.upper()
