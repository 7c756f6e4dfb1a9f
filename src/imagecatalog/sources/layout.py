"""OCI layouts on disk: ``oci:DIR``, one layout or a folder of them (image-layout.md of OCI 1.1).

An image is named by ``io.containerd.image.name`` or by a full reference in
``org.opencontainers.image.ref.name``; a bare tag there is joined to the folder's name, which for
a folder of layouts is the path below it. An entry without a name gets the tag ``latest``, or its
short digest if there are several.
"""

from __future__ import annotations

import io
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from imagecatalog.domain.images import Descriptor, ImageIndex, RawManifest
from imagecatalog.domain.refs import Digest, Reference
from imagecatalog.errors import (
    BadDocument,
    BadName,
    ConfigError,
    Missing,
    SourceUnavailable,
    TooDeep,
    TooLarge,
    TooManyEntries,
    clean_text,
)
from imagecatalog.formats.oci import (
    MANIFEST_LIMIT,
    OCI_INDEX,
    is_attestation,
    parse_manifest,
)
from imagecatalog.sources.bodies import open_chunks, read_chunks, verify_bytes, verify_chunks

NAME_ANNOTATION = "io.containerd.image.name"
REF_ANNOTATION = "org.opencontainers.image.ref.name"
LAYOUTS_LIMIT = 10_000
DEPTH_LIMIT = 6

Tags = dict[str, dict[str, Descriptor]]
"""Repository name to tag to what it points to."""


class StoredImages(ABC):
    """An ``ImageSource`` over files: what tags there are, and how a blob is opened."""

    def __init__(self, name: str) -> None:
        self._name = clean_text(name)

    @abstractmethod
    def _load(self) -> tuple[Tags, tuple[str, ...]]:
        """Everything that is named, and a sentence for each thing that cannot be."""

    @abstractmethod
    def _open(self, repository: str, digest: Digest) -> io.BufferedReader:
        """The bytes that should have the digest; raises ``Missing``."""

    @cached_property
    def _loaded(self) -> tuple[Tags, tuple[str, ...]]:
        return self._load()

    @property
    def name(self) -> str:
        """The address as given."""
        return self._name

    def repositories(self) -> Iterator[str]:
        """Each repository once; ``BadDocument`` after the last if some images could not be named."""
        tags, problems = self._loaded
        yield from tags
        if problems:
            raise BadDocument(self._name, "; ".join(problems[:5]))

    def tags(self, repository: str) -> Iterator[str]:
        """Each tag once, in the order of the index."""
        yield from self._tags_of(repository)

    def resolve(self, repository: str, tag: str) -> Descriptor:
        """What the tag points to."""
        try:
            return self._tags_of(repository)[tag]
        except KeyError:
            raise Missing(f"{self._name} has no {repository}:{tag}") from None

    def manifest(self, repository: str, digest: Digest) -> RawManifest:
        """The manifest's bytes, checked; of no media type if the index does not tell."""
        where = f"manifest {repository}@{digest}"
        with self._open(repository, digest) as file:
            body = file.read(MANIFEST_LIMIT + 1)
        if len(body) > MANIFEST_LIMIT:
            raise TooLarge(where, f"more than the {MANIFEST_LIMIT} bytes that we read")
        verify_bytes(body, digest, where)
        known = (d.media_type for d in self._tags_of(repository).values() if d.digest == digest)
        return RawManifest(digest, next(known, ""), body)

    def exists(self, repository: str, digest: Digest) -> bool:
        """Whether the bytes are still there."""
        try:
            self._open(repository, digest).close()
        except Missing:
            return False
        return True

    @contextmanager
    def blob(self, repository: str, blob: Descriptor) -> Iterator[BinaryIO]:
        """The blob's bytes, checked while they are read."""
        where = f"blob {repository}@{blob.digest}"
        with (
            self._open(repository, blob.digest) as file,
            closing(verify_chunks(read_chunks(file), blob, where)) as verified,
            open_chunks(verified) as stream,
        ):
            yield stream

    def referrers(self, repository: str, digest: Digest) -> tuple[Descriptor, ...]:  # noqa: ARG002
        """None: whatever speaks of an image is named by the index as images are."""
        return ()

    def close(self) -> None:
        """Forget what was read; no file is kept open."""
        self.__dict__.pop("_loaded", None)

    def _tags_of(self, repository: str) -> dict[str, Descriptor]:
        try:
            return self._loaded[0][repository]
        except KeyError:
            raise Missing(f"{self._name} has no repository {repository}") from None


class Layout(StoredImages):
    """The layouts at or below a directory; links that lead out of it are not followed."""

    def __init__(self, directory: str | Path) -> None:
        super().__init__(f"oci:{directory}")
        self._root = Path(directory).resolve()
        if not self._root.is_dir():
            raise ConfigError(f"{directory} is not a directory", hint="Write oci:DIR.")
        self._homes: dict[str, list[Path]] = {}

    def _load(self) -> tuple[Tags, tuple[str, ...]]:
        tags: Tags = {}
        problems: list[str] = []
        for folder in self._layouts():
            name = (
                folder.name if folder == self._root else folder.relative_to(self._root).as_posix()
            )
            name = clean_text(name)
            try:
                named, faults = name_members(read_index(self._opener(folder), name), name)
            except (BadDocument, SourceUnavailable) as error:
                problems.append(error.message)
                continue
            problems.extend(faults)
            for repository, found in named.items():
                self._homes.setdefault(repository, []).append(folder)
                tags.setdefault(repository, {}).update(found)
        if not tags and not problems:
            raise ConfigError(
                f"{self._name} holds no OCI layout",
                hint="A layout has an index.json and a folder blobs.",
            )
        return tags, tuple(problems)

    def _layouts(self) -> Iterator[Path]:
        if (self._root / "index.json").exists():
            yield self._root
            return
        found = 0
        for parent, folders, files in os.walk(self._root, onerror=_refuse):
            here = Path(parent)
            if "index.json" in files:
                found += 1
                if found > LAYOUTS_LIMIT:
                    raise TooManyEntries(self._name, f"more than {LAYOUTS_LIMIT} layouts")
                folders.clear()
                yield here
            elif folders and len(here.relative_to(self._root).parts) >= DEPTH_LIMIT:
                raise TooDeep(self._name, f"folders are nested more than {DEPTH_LIMIT} deep")
            folders.sort()

    def _open(self, repository: str, digest: Digest) -> io.BufferedReader:
        self._tags_of(repository)
        for folder in self._homes[repository]:
            try:
                return self._opener(folder)(blob_path(digest))
            except Missing:
                continue
        raise Missing(f"{self._name} has no {digest} of {repository}")

    def _opener(self, folder: Path) -> Callable[[str], io.BufferedReader]:
        def open_file(path: str) -> io.BufferedReader:
            try:
                whole = (folder / path).resolve(strict=True)
            except (FileNotFoundError, NotADirectoryError):
                raise Missing(f"{folder} has no {path}") from None
            except (OSError, RuntimeError) as error:
                raise SourceUnavailable(f"{folder / path} cannot be followed: {error}") from error
            if not whole.is_relative_to(self._root):
                raise BadDocument(f"{folder / path}", f"it leads out of {self._root}")
            if not whole.is_file():
                raise BadDocument(f"{folder / path}", "it is not a file")
            try:
                return whole.open("rb")
            except OSError as error:
                raise SourceUnavailable(f"cannot read {whole}: {error.strerror}") from error

        return open_file


def _refuse(error: OSError) -> None:
    raise SourceUnavailable(f"cannot read {error.filename}: {error.strerror}") from error


def blob_path(digest: Digest) -> str:
    """Where a layout keeps a blob; the grammar of digests allows no way out of ``blobs``."""
    return f"blobs/{digest.algorithm}/{digest.encoded}"


def read_index(open_file: Callable[[str], io.BufferedReader], where: str) -> ImageIndex:
    """The layout's ``index.json``; raises ``BadDocument`` and ``Missing``."""
    with open_file("index.json") as file:
        body = file.read(MANIFEST_LIMIT + 1)
    index = parse_manifest(RawManifest(Digest.of(body), OCI_INDEX, body), f"index.json of {where}")
    if not isinstance(index, ImageIndex):
        raise BadDocument(f"index.json of {where}", "it is not an index")
    return index


def name_members(index: ImageIndex, folder: str) -> tuple[Tags, tuple[str, ...]]:
    """The tags that an index names, and a sentence for each member that it names badly.

    Of two members with one name the later counts.
    """
    tags: Tags = {}
    problems: list[str] = []
    unnamed = [
        member
        for member in index.manifests
        if not (_written_name(member) or member.artifact_type or is_attestation(member))
    ]
    for member in index.manifests:
        is_only = unnamed == [member]
        written = _written_name(member) or ("latest" if is_only else member.digest.encoded[:12])
        try:
            reference = _read_name(written, folder)
        except BadName as error:
            problems.append(f"{folder} holds an image without a usable name: {error.message}")
            continue
        tags.setdefault(reference.name, {})[reference.tag or "latest"] = member
    return tags, tuple(problems)


def _written_name(member: Descriptor) -> str:
    return member.annotations.get(NAME_ANNOTATION) or member.annotations.get(REF_ANNOTATION) or ""


def _read_name(written: str, folder: str) -> Reference:
    is_full = "/" in written or ":" in written or "@" in written
    return Reference.parse(written if is_full else f"{folder}:{written}")
