"""What is kept beside an image: how it is named and what its media types mean.

OCI image specification 1.1 (manifest.md, ``subject``), distribution specification 1.1 ("Listing
Referrers", "Referrers Tag Schema"), and what Cosign, ORAS, Syft, BuildKit and Notation make of them.
"""

from __future__ import annotations

import re
from typing import Literal

from imagecatalog.domain.refs import Digest

Content = Literal["statement", "sbom", "signature", "other"]
"""A statement is an in-toto one, in whatever envelope."""

_FALLBACK = re.compile(r"sha256-([0-9a-f]{64})(\.(?:att|sbom|sig))?")
"""Of other algorithms the schema cuts the digest, so that it no longer says of what it speaks."""
_STATEMENT = re.compile(r"vnd\.(?:in-toto|dsse|dev\.sigstore\.bundle|dev\.cosign\..*dsse)")
_SBOM = re.compile(r"spdx|cyclonedx|syft")
_SIGNATURE = re.compile(r"cosign|notary|signature|jose\+json|application/cose|pgp")
REFERENCE = "vnd.docker.reference.digest"
"""The annotation by which a member of an index names the image that it speaks of (BuildKit)."""


def read_tag(tag: str) -> tuple[Digest, bool] | None:
    """The image that a tag like ``sha256-…`` or ``sha256-….att`` speaks of; None for other tags.

    And whether it is Cosign's, which points to a manifest; the specification's points to an index.
    """
    found = _FALLBACK.fullmatch(tag)
    return None if found is None else (Digest(f"sha256:{found[1]}"), found[2] is not None)


def read_content(media_type: str, artifact_type: str = "") -> Content:
    """What a blob of this media type is; where that says nothing, the type of its artifact does."""
    for text in (media_type.lower(), artifact_type.lower()):
        if _STATEMENT.search(text):
            return "statement"
        if _SBOM.search(text):
            return "sbom"
        if _SIGNATURE.search(text):
            return "signature"
    return "other"
