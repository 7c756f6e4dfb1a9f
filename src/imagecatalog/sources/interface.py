"""What every place that holds images can be asked: a registry, a layout, an archive."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import BinaryIO, Protocol

from imagecatalog.domain.images import Descriptor, RawManifest
from imagecatalog.domain.refs import Digest


class ImageSource(Protocol):
    """A place that holds repositories of images.

    Repository names are whole, registry first (``registry.example:5000/team/app``). Every method
    may raise ``SourceUnavailable`` or ``BadDocument``; one repository's fault says nothing of another.
    """

    @property
    def name(self) -> str:
        """What a person calls it: the registry's host and port, or the path given."""

    def repositories(self) -> Iterator[str]:
        """Each repository once, in the source's order."""

    def tags(self, repository: str) -> Iterator[str]:
        """Each tag of the repository once; none for a repository without tags."""

    def resolve(self, repository: str, tag: str) -> Descriptor:
        """What the tag points to now, without reading it where the source allows (HEAD)."""

    def manifest(self, repository: str, digest: Digest) -> RawManifest:
        """The manifest's bytes, checked against the digest, at most 4 MiB."""

    def exists(self, repository: str, digest: Digest) -> bool:
        """Whether the repository still has the manifest."""

    def blob(self, repository: str, blob: Descriptor) -> AbstractContextManager[BinaryIO]:
        """The blob's bytes as a stream that raises at its end if digest or size differ."""

    def referrers(self, repository: str, digest: Digest) -> tuple[Descriptor, ...]:
        """What says that it speaks of a manifest; nothing where the source keeps no such list.

        Tags that stand in for such a list are tags like others here.
        """

    def close(self) -> None:
        """Give back connections and files."""
