"""What is in an image: its layers, each read once ever, laid on one another.

Whatever is wrong with the bytes of a layer ends in an ``Unknown`` of that image; only a source
that does not answer raises.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO, cast

from imagecatalog.domain.contents import ImageContents, LayerEntry, LayerReading
from imagecatalog.domain.images import Descriptor, ImageConfig, ImageManifest
from imagecatalog.domain.overlay import Tree
from imagecatalog.domain.packages import Unknown
from imagecatalog.domain.refs import Digest
from imagecatalog.errors import BadDocument, TooSlow
from imagecatalog.formats.layer import READER_VERSION, read_layer
from imagecatalog.sources.interface import ImageSource
from imagecatalog.sources.rootfs import describe_root

_LAYERS = 1000
"""Layers of an image; overlay file systems take half as many."""

_DRAINED = 1024
"""Reads, of at most a mebibyte each, that the rest of a broken layer is worth."""

_EMPTY_LAYERS = frozenset(
    {
        # an archive without files, plain and as docker has always compressed it
        "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef",
        "sha256:a3ed95caeb02ffe68cdd9fd84406680ae93d663cb16422d00e8a7c22955b46d4",
    }
)


def read_contents(
    source: ImageSource,
    repository: str,
    manifest: ImageManifest,
    config: ImageConfig,
    *,
    known: Callable[[Digest], LayerReading | None],
    keep: Callable[[LayerReading], None] = lambda _: None,
) -> tuple[ImageContents, tuple[LayerReading, ...]]:
    """What an image holds, and the readings of layers that ``known`` did not have, to be stored.

    Layers are read from the newest down, as far as they can still matter. A reading is given for
    storing only if the source vouched for all of the layer's bytes; ``keep`` gets it at once. Raises
    ``SourceUnavailable``.
    """
    readings: list[LayerReading] = []
    fresh: dict[Digest, LayerReading] = {}
    is_hidden = False
    unknown = _check_layers(manifest)
    for layer in reversed(manifest.layers):
        if unknown or is_hidden:
            break
        if layer.digest in _EMPTY_LAYERS:
            continue
        reading = fresh.get(layer.digest) or known(layer.digest)
        if reading is None or reading.reader != READER_VERSION:
            reading, is_vouched = _read(source, repository, layer)
            if is_vouched:
                fresh[layer.digest] = reading
                keep(reading)
        readings.append(reading)
        is_hidden = any(entry.kind == "opaque" and not entry.path for entry in reading.entries)
        unknown = reading.problem
    contents = ImageContents(unknown=unknown) if unknown else _lay(readings, config)
    return contents, tuple(fresh.values())


def _lay(readings: list[LayerReading], config: ImageConfig) -> ImageContents:
    tree = Tree()
    try:
        for reading in reversed(readings):
            tree.lay(reading.entries)
        return describe_root(tree, config.platform)
    except BadDocument as error:
        return ImageContents(unknown=Unknown(error.code, str(error)))


def _check_layers(manifest: ImageManifest) -> Unknown | None:
    """Why none of the layers needs to be fetched, if one of them cannot be read anyway."""
    if len(manifest.layers) > _LAYERS:
        return Unknown("too-many-entries", f"the image has more than {_LAYERS} layers")
    for layer in manifest.layers:
        kind = layer.media_type
        if ".foreign." in kind or ".nondistributable." in kind:
            return Unknown(
                "foreign-layer",
                f"layer {layer.digest}: is kept elsewhere by its publisher ({kind})",
            )
        if kind.endswith("+encrypted"):
            return Unknown("encrypted-layer", f"layer {layer.digest}: is encrypted ({kind})")
        if kind.endswith("json"):
            return Unknown("not-a-layer", f"layer {layer.digest}: holds no files ({kind})")
    return None


def _read(source: ImageSource, repository: str, layer: Descriptor) -> tuple[LayerReading, bool]:
    """A new reading, and whether it tells of the layer rather than of how it was fetched."""
    entries: tuple[LayerEntry, ...] = ()
    problem: Unknown | None = None
    stream: _Watched | None = None
    try:
        with source.blob(repository, layer) as opened:
            stream = _Watched(opened)
            try:
                entries = read_layer(cast("BinaryIO", stream), layer)
            except TooSlow as error:
                problem, stream = Unknown(error.code, str(error)), None
            except BadDocument as error:
                problem = Unknown(error.code, str(error))
                stream.drain()
    except BadDocument as error:  # the source's: not these bytes, or not all of them
        entries, problem = (), Unknown(error.code, f"layer {layer.digest}: {error}")
        stream = None
    reading = LayerReading(layer.digest, READER_VERSION, entries, problem)
    return reading, stream is not None and stream.ended


class _Watched:
    """A stream that remembers whether it was read to its end, where the digest is checked."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._failed = False
        self.ended = False

    def read(self, size: int) -> bytes:
        try:
            data = self._stream.read(size)
        except BaseException:
            # Read again, a stream that failed looks as if it ended well.
            self._failed = True
            raise
        self.ended = not data and not self._failed
        return data

    def drain(self) -> None:
        """Read what is left, if it is not too much: a broken layer need not be read again."""
        for _ in range(_DRAINED):
            if not self.read(1 << 20):
                return
