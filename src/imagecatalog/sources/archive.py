"""``docker-archive:FILE``: a tar as ``docker save`` and ``skopeo copy docker-archive:`` write it.

An archive that carries an OCI layout (Docker 25 and newer) is read as that, with the digests that
it states. An older one has no manifests, so each image gets one made here: Docker schema 2,
compact JSON, keys in the specification's order, layers with the digests and sizes of the very
bytes in the archive. The same archive thus always gives the same image digest; it differs from the
one a registry shows, whose layers are compressed.
"""

from __future__ import annotations

import io
import posixpath
import tarfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct, field

from imagecatalog.domain.images import Descriptor
from imagecatalog.domain.refs import Digest, Reference
from imagecatalog.errors import (
    BadDocument,
    BadName,
    ConfigError,
    DigestMismatch,
    Missing,
    SourceUnavailable,
    TooManyEntries,
    Truncated,
)
from imagecatalog.formats.oci import (
    CONFIG_LIMIT,
    DOCKER_CONFIG,
    DOCKER_MANIFEST,
    MANIFEST_LIMIT,
    decode_json,
    parse_config,
)
from imagecatalog.sources.bodies import CHUNK, open_chunks
from imagecatalog.sources.layout import StoredImages, Tags, blob_path, name_members, read_index

ENTRIES_LIMIT = 100_000
_LINKS = 8
_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
_PACKED = {b"\x1f\x8b": ".gzip", b"\x28\xb5": ".zstd"}
"""How a layer begins that is compressed, and what its media type then ends in."""


class _Span(Struct, frozen=True):
    offset: int
    size: int


class _Image(Struct):
    config: str = field(name="Config", default="")
    tags: list[str] | None = field(name="RepoTags", default=None)
    layers: list[str] | None = field(name="Layers", default=None)


class DockerArchive(StoredImages):
    """One archive; read once to learn its names, layers' digests too where it states none."""

    def __init__(self, file: str | Path) -> None:
        super().__init__(f"docker-archive:{file}")
        self._file = Path(file)
        if not self._file.is_file():
            raise ConfigError(f"{file} is not a file", hint="Write docker-archive:FILE.")
        self._files: dict[str, _Span] = {}
        self._links: dict[str, str] = {}
        self._spans: dict[Digest, _Span] = {}
        self._made: dict[Digest, bytes] = {}

    def _load(self) -> tuple[Tags, tuple[str, ...]]:
        self._read_members()
        if "index.json" in self._files and "oci-layout" in self._files:
            return name_members(read_index(self._open_member, self._name), self._file.stem.lower())
        with self._open_member("manifest.json") as file:
            body = file.read(MANIFEST_LIMIT + 1)
        tags: Tags = {}
        problems: list[str] = []
        for image in decode_json(body, list[_Image], f"manifest.json of {self._name}"):
            try:
                self._name_image(image, tags)
            except (BadDocument, BadName, SourceUnavailable) as error:
                problems.append(error.message)
        return tags, tuple(problems)

    def _open(self, repository: str, digest: Digest) -> io.BufferedReader:
        self._tags_of(repository)
        if digest in self._made:
            return open_chunks(iter([self._made[digest]]))
        if digest in self._spans:
            return open_chunks(self._read_span(self._spans[digest]))
        return self._open_member(blob_path(digest))

    def _read_members(self) -> None:
        try:
            with tarfile.open(self._file, "r:") as archive:
                for number, member in enumerate(archive):
                    if number >= ENTRIES_LIMIT:
                        raise TooManyEntries(self._name, f"more than {ENTRIES_LIMIT} entries")
                    name = posixpath.normpath(member.name)
                    if member.issym():
                        parent = posixpath.dirname(name)
                        self._links[name] = posixpath.normpath(f"{parent}/{member.linkname}")
                    elif member.islnk():
                        self._links[name] = posixpath.normpath(member.linkname)
                    elif member.isreg():
                        self._files[name] = _Span(member.offset_data, member.size)
        except OSError as error:
            raise SourceUnavailable(f"cannot read {self._file}: {error.strerror}") from error
        except (tarfile.TarError, ValueError, OverflowError) as error:
            hint = "If it is compressed, unpack it first." if not self._files else None
            raise BadDocument(self._name, f"it is not a whole tar: {error}", hint=hint) from error

    def _find(self, path: str) -> _Span:
        name = posixpath.normpath(path)
        for _ in range(_LINKS):
            if name in self._files:
                return self._files[name]
            name = self._links.get(name, "")
        raise Missing(f"{self._name} holds no file {path!r}")

    def _open_member(self, path: str) -> io.BufferedReader:
        return open_chunks(self._read_span(self._find(path)))

    def _read_span(self, span: _Span) -> Iterator[bytes]:
        try:
            with self._file.open("rb") as file:
                file.seek(span.offset)
                left = span.size
                while left:
                    chunk = file.read(min(CHUNK, left))
                    if not chunk:
                        raise Truncated(self._name, f"it ends {left} bytes too early")
                    left -= len(chunk)
                    yield chunk
        except OSError as error:
            raise SourceUnavailable(f"cannot read {self._file}: {error.strerror}") from error

    def _name_image(self, image: _Image, tags: Tags) -> None:
        manifest = self._make_manifest(image)
        for text in image.tags or [f"{self._file.stem.lower()}:latest"]:
            reference = Reference.parse(text)
            tags.setdefault(reference.name, {})[reference.tag or "latest"] = manifest

    def _make_manifest(self, image: _Image) -> Descriptor:
        with self._open_member(image.config) as file:
            body = file.read(CONFIG_LIMIT + 1)
        config = parse_config(body, f"{image.config} of {self._name}")
        layers = [self._describe(path) for path in image.layers or ()]
        stated, found = config.diff_ids, tuple(layer.digest for layer in layers)
        if len(stated) != len(found):
            raise BadDocument(
                self._name, f"{image.config} states {len(stated)} layers, not {len(found)}"
            )
        for digest, layer in zip(stated, layers, strict=True):
            if layer.media_type == _LAYER and layer.digest != digest:
                raise DigestMismatch(
                    self._name, f"a layer has the digest {layer.digest}, not {digest}"
                )
        digest = Digest.of(body)
        self._made[digest] = body
        made = _write_manifest(Descriptor(DOCKER_CONFIG, digest, len(body)), layers)
        self._made[Digest.of(made)] = made
        return Descriptor(DOCKER_MANIFEST, Digest.of(made), len(made))

    def _describe(self, path: str) -> Descriptor:
        span = self._find(path)
        hasher, start = Digest.of(b"").hasher(), b""
        for chunk in self._read_span(span):
            start = start or chunk[:2]
            hasher.update(chunk)
        digest = Digest(f"sha256:{hasher.hexdigest()}")
        self._spans[digest] = span
        return Descriptor(_LAYER + _PACKED.get(start, ""), digest, span.size)


def _write_manifest(config: Descriptor, layers: list[Descriptor]) -> bytes:
    def write(part: Descriptor) -> dict[str, str | int]:
        return {"mediaType": part.media_type, "size": part.size, "digest": str(part.digest)}

    return msgspec.json.encode(
        {
            "schemaVersion": 2,
            "mediaType": DOCKER_MANIFEST,
            "config": write(config),
            "layers": [write(layer) for layer in layers],
        }
    )
