"""What was read out of layers, and what an image holds once they lie on one another."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from imagecatalog.domain.apt import AptSetup
from imagecatalog.domain.packages import Distro, Package, Unknown
from imagecatalog.domain.refs import Digest


class PackageDatabase(Struct, frozen=True):
    """A dpkg status file as read: packages sorted, and what in it could not be read."""

    packages: tuple[Package, ...]
    held: tuple[str, ...] = ()
    """``name:arch`` of packages whose selection is ``hold``, sorted."""
    problem: str | None = None
    """A sentence, if a paragraph was broken: the list is then incomplete."""
    foreign: tuple[Package, ...] = ()
    """Those of ``packages`` that the distribution did not build."""
    files: tuple[str, ...] = ()
    """Files of the distribution's packages that may tell of others within: only while a layer is read."""


class LayerEntry(Struct, frozen=True):
    """One path of a layer that matters to us; paths are relative, without a leading ``./``.

    ``whiteout`` removes ``path`` of the layers below; ``opaque`` removes all that they hold
    under ``path``, the root's being empty (OCI image specification 1.1, layer.md, "Whiteouts").
    """

    path: str
    kind: Literal["file", "link", "directory", "whiteout", "opaque"]
    data: bytes | None = None
    """A file's bytes, except a dpkg status file's, which stands parsed in ``database``; None for
    a file that is there but was not read: a device, one too large, a hard link."""
    target: str | None = None
    """A symbolic link's target as written; a hard link's (kind ``file``) as a path like ``path``."""
    database: PackageDatabase | None = None


class LayerReading(Struct, frozen=True):
    """A layer read once; equal digests and reader versions give equal readings."""

    digest: Digest
    reader: int
    entries: tuple[LayerEntry, ...]
    """In the order of the archive, where a later one replaces an earlier one."""
    problem: Unknown | None = None
    """Why the layer could not be read to its end; its entries are then not to be trusted."""


class FileProblem(Struct, frozen=True):
    """A file of an image that tells of packages and could not be read, or not all of it."""

    path: str
    code: str
    reason: str


class ImageContents(Struct, frozen=True):
    """What an image holds; when ``unknown`` says why, ``packages`` is None or incomplete."""

    distro: Distro | None = None
    packages: tuple[Package, ...] | None = None
    held: tuple[str, ...] = ()
    apt: AptSetup | None = None
    """None when the image carries no apt sources."""
    unknown: Unknown | None = None
    problems: tuple[FileProblem, ...] = ()
    """What does not make the packages of its distribution unknown, by path; the first hundred."""
