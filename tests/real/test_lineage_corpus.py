"""Every base link of a real corpus: the official images of Docker of 2016 to 2018, layer by layer."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from imagecatalog.catalog.lineage import edges_of
from imagecatalog.domain.images import Descriptor
from imagecatalog.domain.refs import Digest
from imagecatalog.store import images, repositories
from imagecatalog.store.dialect import batches
from imagecatalog.store.engine import Catalog
from imagecatalog.store.images import ImageFacts
from imagecatalog.store.shelf import Shelf

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

pytestmark = pytest.mark.real

CORPORA = sorted(
    (Path(__file__).parents[3] / "shared" / "data" / "images").glob("docker-official-2016-*")
)
__test__ = bool(CORPORA)
THEN = datetime(2018, 2, 1, tzinfo=UTC)
LAYER_TYPE = "application/vnd.docker.image.rootfs.diff.tar.gzip"
FEW = 5000


class Manifest(msgspec.Struct):
    """A line of the corpus, as far as it says where an image comes from."""

    digest: str
    repo: str
    platform: str
    layers: list[int]
    history: list[tuple[str, int]]


MANIFEST = msgspec.json.Decoder(Manifest)


def read_lines(path: Path) -> Iterator[str]:
    with zstd.open(path, "rt") as lines:
        yield from lines


def read_table(path: Path) -> Iterator[list[str]]:
    lines = read_lines(path)
    next(lines)
    return (line.rstrip("\n").split("\t") for line in lines)


def read_created(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def load(catalog: Catalog, manifests: list[Manifest], layers: list[Descriptor]) -> list[int]:
    """Put the corpus into a catalog; the images' numbers in its order."""
    numbers: list[int] = []
    homes: dict[str, list[int]] = {}
    shelf = Shelf()
    with catalog.write() as c:
        for batch in batches(manifests):
            facts = [
                ImageFacts(
                    digest=Digest(one.digest),
                    media_type="application/vnd.docker.distribution.manifest.v2+json",
                    layers=tuple(layers[line] for line in one.layers),
                    platform=one.platform.replace("; ", "/"),
                    created=read_created(one.history[-1][0]),
                )
                for one in batch
            ]
            written = images.put_images(c, shelf, facts, now=THEN)
            for one, number in zip(batch, written, strict=True):
                homes.setdefault(one.repo, []).append(number)
            numbers += written
        for name, held in sorted(homes.items()):
            home = repositories.put_repository(c, f"registry.example.org/library/{name}")
            repositories.mark_present(c, home, held)
    return numbers


@pytest.mark.parametrize("corpus", CORPORA, ids=lambda path: path.name)
def test_every_base_link_of_the_corpus_is_found(catalog: Catalog, corpus: Path) -> None:
    layers = [
        Descriptor(LAYER_TYPE, Digest(f"sha256:{digest}"), int(size))
        for digest, size, *_ in read_table(corpus / "layers.tsv.zst")
    ]
    manifests = [MANIFEST.decode(line) for line in read_lines(corpus / "manifests.jsonl.zst")]
    wanted = {
        int(child): int(parent) for child, parent, *_ in read_table(corpus / "base-lineage.tsv.zst")
    }
    assert (len(manifests), len(layers), len(wanted)) == (40_194, 124_021, 37_652)

    # What shares no first layer is never compared: PostgreSQL takes a part of the corpus.
    taken = [
        line for line, one in enumerate(manifests) if catalog.embedded or one.layers[0] % 5 == 0
    ]
    wanted = {child: wanted[child] for child in taken if child in wanted}
    assert len(wanted) > 5000

    numbers = load(catalog, [manifests[line] for line in taken], layers)
    lines = dict(zip(numbers, taken, strict=True))
    found: dict[int, list[int | None]] = {}
    with catalog.read() as c:
        for batch in batches(numbers, FEW):
            for number, edges in edges_of(c, batch).items():
                found[lines[number]] = [edge.parent and lines[edge.parent] for edge in edges]

    wrong = [
        child for child in wanted.keys() | found.keys() if found.get(child) != [wanted.get(child)]
    ]
    assert wrong[:10] == []
