"""Reads images of one source into the catalog: each manifest and each layer once, whoever asks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import datetime

from imagecatalog.catalog import ingest
from imagecatalog.catalog.configured import ConfiguredSetups
from imagecatalog.catalog.inventories import apply_inventories
from imagecatalog.domain.contents import LayerReading
from imagecatalog.domain.images import Descriptor, ImageIndex, ImageManifest
from imagecatalog.domain.packages import Unknown
from imagecatalog.domain.refs import Digest, Platform
from imagecatalog.errors import BadDocument, CatalogError, Missing, TooDeep, TooLarge, Truncated
from imagecatalog.formats import attached, oci
from imagecatalog.formats.layer import READER_VERSION
from imagecatalog.jobs.attachments import AttachmentReader, Beside
from imagecatalog.jobs.report import Failure
from imagecatalog.sources.contents import read_contents
from imagecatalog.sources.interface import ImageSource
from imagecatalog.store import images, layers
from imagecatalog.store.engine import Catalog, Connection
from imagecatalog.store.shelf import Shelf

_EXPECTED = frozenset(
    {
        "encrypted-layer",
        "foreign-layer",
        "manifest-schema1",
        "no-package-database",
        "not-a-layer",
        "not-an-image",
        "package-database-not-read",
    }
)
"""What images rightly are; all else that cannot be read is told as a fault."""
_REMEMBERED = 128
"""Readings of layers that are kept at hand: most images of a registry share a few bases."""
_NESTED = 3
"""Indexes in indexes are followed so deep."""


class Turns:
    """Lets one thread at a time work on a digest; the next finds its work done."""

    def __init__(self) -> None:
        self._free = threading.Condition()
        self._taken: set[Digest] = set()

    def take(self, digest: Digest) -> None:
        """Wait for the turn."""
        with self._free:
            self._free.wait_for(lambda: digest not in self._taken)
            self._taken.add(digest)

    def give_back(self, digest: Digest) -> None:
        """Let the next one have it; nothing happens if it was not taken."""
        with self._free:
            self._taken.discard(digest)
            self._free.notify_all()

    @contextmanager
    def turn(self, digest: Digest) -> Iterator[None]:
        """The turn for a block."""
        self.take(digest)
        try:
            yield
        finally:
            self.give_back(digest)


def _spoken_of(member: Descriptor, index: ImageIndex) -> Digest | None:
    """The image in an index that an attestation in it says it is about, as BuildKit writes it."""
    said = member.annotations.get(attached.REFERENCE)
    return next((one.digest for one in index.manifests if one.digest == said), None)


class Reader:
    """Reads what the catalog does not know yet from one source. Safe to share between threads."""

    def __init__(
        self,
        catalog: Catalog,
        source: ImageSource,
        configured: ConfiguredSetups,
        now: Callable[[], datetime],
    ) -> None:
        self._catalog = catalog
        self._source = source
        self._configured = configured
        self._now = now
        self._manifests = Turns()
        self._layers = Turns()
        self._readings: dict[Digest, LayerReading] = {}
        self._counting = threading.Lock()
        self._shelves = threading.local()
        self.images = 0
        """Images that were read, and not only looked at."""
        self.layers = 0
        """Layers that were read."""
        self.unknown = 0
        """Images read now whose packages are not known, for whatever reason."""
        self.unreadable: list[Failure] = []
        """Images with a fault in their bytes; they are in the catalog as unknown."""
        self.attachments = AttachmentReader(catalog, source, self._writing, configured, now)
        """What lies beside the images of the same source."""

    def find_settled(self, digests: Collection[Digest]) -> dict[Digest, int]:
        """The numbers of those manifests of which nothing is left to read; asks no source."""
        with self._catalog.read() as c:
            found = images.find_manifests(c, digests, reader=READER_VERSION)
        return {digest: known.number for digest, known in found.items() if known.settled}

    def read(
        self,
        repository: str,
        digest: Digest,
        *,
        platform: Platform | None = None,
        depth: int = 0,
    ) -> int | Beside:
        """The number of a manifest in the catalog, read from the source if it is new.

        Or of which image it speaks, where it is none itself. ``platform`` is what an index says of
        it: for an image that cannot tell itself.

        Bytes that are not what they should be make an unknown image, with its reason. Raises
        SourceUnavailable, and Missing where the source no longer has it.
        """
        with self._manifests.turn(digest):
            settled = self.find_settled([digest])
            if settled:
                return settled[digest]
            try:
                return self._read(repository, digest, platform, depth)
            except BadDocument as error:
                return self._refuse(repository, digest, platform, error)

    def _read(
        self, repository: str, digest: Digest, platform: Platform | None, depth: int
    ) -> int | Beside:
        raw = self._source.manifest(repository, digest)
        manifest = oci.parse_manifest(raw)
        if isinstance(manifest, ImageIndex):
            if depth >= _NESTED:
                raise TooDeep(f"index {digest}", f"indexes are nested more than {_NESTED} deep")
            return self._read_index(repository, digest, manifest, depth)
        if oci.is_artifact(manifest):
            if manifest.subject is not None:
                what = Descriptor(manifest.media_type, digest, len(raw.body))
                return Beside(manifest.subject.digest, what)
            why = Unknown("not-an-image", f"it holds no image but {manifest.config.media_type}")
            return self._put_unread(digest, manifest.media_type, why)
        try:
            return self._read_image(repository, digest, manifest)
        except Missing as error:
            # The image is there; what it is made of may yet come.
            return self._refuse(repository, digest, platform, error)

    def _read_index(self, repository: str, digest: Digest, index: ImageIndex, depth: int) -> int:
        members: list[int] = []
        missing: list[Digest] = []
        beside: list[Beside] = []
        for member in index.manifests:
            if oci.is_attestation(member):
                beside.append(Beside(_spoken_of(member, index) or digest, member))
                continue
            try:
                number = self.read(
                    repository, member.digest, platform=member.platform, depth=depth + 1
                )
            except Missing:
                missing.append(member.digest)
            else:
                if isinstance(number, Beside):
                    beside.append(number)
                else:
                    members.append(number)
        put = self._put_index(digest, index, members, missing, settled=not beside)
        if beside and self.attachments.read_beside(repository, beside):
            put = self._put_index(digest, index, members, missing, settled=True)
        return put

    def _put_index(
        self,
        digest: Digest,
        index: ImageIndex,
        members: list[int],
        missing: list[Digest],
        *,
        settled: bool,
    ) -> int:
        with self._writing() as (c, shelf):
            # An index within an index stands for the images in it.
            nested = images.list_members(c, set(members))
            flat = dict.fromkeys(one for member in members for one in nested.get(member, [member]))
            number = images.put_index(
                c,
                shelf,
                digest,
                index.media_type,
                list(flat),
                missing=missing,
                settled=settled,
                now=self._now(),
            )
            ingest.settle_index(c, shelf, number, list(flat), configured=self._configured)
        return number

    def _read_image(self, repository: str, digest: Digest, manifest: ImageManifest) -> int:
        where = f"configuration {manifest.config.digest}"
        config = oci.parse_config(self._read_blob(repository, manifest.config, where), where)
        taken: list[Digest] = []
        try:
            contents, _ = read_contents(
                self._source,
                repository,
                manifest,
                config,
                known=lambda layer: self._known(layer, taken),
                keep=lambda reading: self._keep(manifest, reading, taken),
            )
        finally:
            for layer in taken:
                self._layers.give_back(layer)
        with self._writing() as (c, shelf):
            (number,) = ingest.record_images(
                c,
                shelf,
                [ingest.ImageRecord(digest, manifest, config, contents)],
                configured=self._configured,
                reader=READER_VERSION,
                now=self._now(),
            )
        if contents.unknown is not None:
            self._tell(repository, digest, contents.unknown)
        with self._counting:
            self.images += 1
        return number

    def _known(self, layer: Digest, taken: list[Digest]) -> LayerReading | None:
        """What was read of a layer; if nothing yet, this thread is the one to read it now."""
        if (remembered := self._readings.get(layer)) is not None:
            return remembered
        self._layers.take(layer)
        taken.append(layer)  # at once: whatever goes wrong now, it is given back
        with self._catalog.read() as c:
            reading = layers.get_reading(c, layer, reader=READER_VERSION)
        if reading is not None:
            taken.remove(layer)
            self._layers.give_back(layer)
            if len(self._readings) >= _REMEMBERED:
                self._readings.clear()
            self._readings[layer] = reading
        return reading

    def _keep(self, manifest: ImageManifest, reading: LayerReading, taken: list[Digest]) -> None:
        with self._writing() as (c, shelf):
            ingest.record_reading(c, shelf, manifest, reading)
        taken.remove(reading.digest)
        self._layers.give_back(reading.digest)
        with self._counting:
            self.layers += 1

    @contextmanager
    def _writing(self) -> Iterator[tuple[Connection, Shelf]]:
        """A transaction with this thread's shelf, which forgets what was not kept."""
        shelf = self._shelves.__dict__.setdefault("shelf", Shelf())
        try:
            with self._catalog.write() as c:
                yield c, shelf
        except BaseException:
            shelf.forget()
            raise

    def _read_blob(self, repository: str, blob: Descriptor, where: str) -> bytes:
        with self._source.blob(repository, blob) as stream:
            body = stream.read(oci.CONFIG_LIMIT + 1)
            if len(body) > oci.CONFIG_LIMIT:
                raise TooLarge(where, f"it is larger than {oci.CONFIG_LIMIT} bytes")
            if stream.read(1):
                raise Truncated(where, "it was read in part only")
        return body

    def _refuse(
        self, repository: str, digest: Digest, platform: Platform | None, error: CatalogError
    ) -> int:
        why = Unknown(error.code, error.message)
        number = self._put_unread(digest, "", why, platform)
        self._tell(repository, digest, why)
        return number

    def _tell(self, repository: str, digest: Digest, why: Unknown) -> None:
        with self._counting:
            self.unknown += 1
            if why.code not in _EXPECTED:
                failure = Failure(f"{repository}@{digest}", why.code, why.reason)
                self.unreadable.append(failure)

    def _put_unread(
        self, digest: Digest, media_type: str, why: Unknown, platform: Platform | None = None
    ) -> int:
        with self._writing() as (c, shelf):
            number = images.put_unread(
                c,
                shelf,
                digest,
                media_type,
                platform=None if platform is None else str(platform),
                why=why,
                reader=READER_VERSION,
                now=self._now(),
            )
            apply_inventories(c, shelf, [number], self._configured)
        return number
