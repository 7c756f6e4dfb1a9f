"""What whoever registers something is answered."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import quote

from msgspec import Struct


def image_page(reference: str) -> str:
    """Path of the page of an image, by digest or name."""
    return f"/image/{quote(reference, safe='/:@')}"


class BuildReceipt(Struct, frozen=True, kw_only=True):
    """A build as it was registered."""

    id: int
    image: str | None
    """The name it was given."""
    digest: str | None
    """Of what was built; null while nobody knows what the name means."""
    created: bool
    """False: the very same was registered before."""
    pending: tuple[str, ...]
    """Names that stand for no image yet; a later sync settles them."""
    url: str
    """Path of the image's page."""


class SbomReceipt(Struct, frozen=True, kw_only=True):
    """A list of packages as it was taken in."""

    digest: str
    format: str
    tool: str | None
    packages: int
    created: bool
    """False: the very same was told before."""
    problem: str | None
    """What of it was not understood."""
    url: str
    """Path of the image's page."""


class ImageError(Struct, frozen=True, kw_only=True):
    """What of a cluster's update was not taken."""

    image: str
    cluster: str
    namespace: str
    """Empty: it is about the image as a whole."""
    error: str
    pointer: str
    """Its place in the body (RFC 6901)."""


class ClusterReceipt(Struct, frozen=True, kw_only=True):
    """What became of an update of what runs in a cluster, as DebMonitor answers it."""

    missing: list[str]
    """Names of images that nobody told of yet and no sync met; they run all the same."""
    errors: list[ImageError]
    """What was not taken; at most 100 are told."""
    success: bool


class ScanReceipt(Struct, frozen=True, kw_only=True):
    """What became of a scan of a cluster that was told."""

    cluster: str
    at: datetime
    """When it was made, to the second; what differences that follow name as their `base`."""
    running: int
    """Containers that ran then."""
    appeared: int
    ended: int
    created: bool
    """False: something was told of this very moment before, or that the scan failed."""
