"""Builds, SBOMs, syncs and judgements of the same images at the same time: none waits in a circle."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import select
from tests_store import BOOKWORM, NOON, SETUP, digest, layer, package

from imagecatalog.catalog import builds, ingest
from imagecatalog.catalog.tellings import prepare
from imagecatalog.domain.apt import AptSetup, AptSource
from imagecatalog.domain.builds import Build, Inventory, Parent
from imagecatalog.domain.contents import ImageContents
from imagecatalog.domain.images import ImageConfig, ImageManifest
from imagecatalog.domain.packages import Distro, Package
from imagecatalog.domain.refs import Platform
from imagecatalog.matching.updates import judge
from imagecatalog.store.engine import Catalog, Connection
from imagecatalog.store.schema import build, manifest, package_update, setup_chunk
from imagecatalog.store.shelf import Shelf

APP = "registry.example.org/app"
IMAGES, ROUNDS, THREADS = 8, 8, 8
RELEASES = [Distro("debian", str(n), f"release{n}", f"Debian {n}") for n in range(8, 13)]
CONFIGURED = {
    (str(release), "amd64"): AptSetup(
        ("amd64",),
        (
            *SETUP.sources,
            AptSource("https://apt.example.org/debian", str(release).replace(" ", "-"), ("main",)),
        ),
    )
    for release in RELEASES
}


def listed(luck: random.Random) -> tuple[Package, ...]:
    names = [f"p{n}" for n in range(40)]
    luck.shuffle(names)
    return tuple(package(name, f"{luck.randrange(4)}") for name in names)


def tell_many(c: Connection, shelf: Shelf, luck: random.Random) -> None:
    tellings = [
        prepare(
            Build(
                image=f"{APP}:{(one := luck.randrange(IMAGES))}",
                digest=luck.choice([digest(f"{one}"), layer(f"config {one}").digest]),
                parents=(Parent(image=f"{APP}:{luck.randrange(IMAGES)}"),),
                distro=luck.choice(RELEASES),
                packages=listed(luck),
                reason=str(luck.random()),
            ),
            told_by="ci",
        )
        for _ in range(luck.randrange(1, 16))
    ]
    builds.register_all(c, shelf, tellings, configured=CONFIGURED, now=NOON)


def upload(c: Connection, shelf: Shelf, luck: random.Random) -> None:
    inventory = Inventory(
        format="SPDX 2.3", tool=None, distro=luck.choice(RELEASES), packages=listed(luck)
    )
    builds.put_inventory(
        c,
        shelf,
        digest(f"{luck.randrange(IMAGES)}"),
        inventory,
        kind="sbom",
        told_by="uploaded",
        configured=CONFIGURED,
        now=NOON,
    )


def sync(c: Connection, shelf: Shelf, luck: random.Random) -> None:
    one = luck.randrange(IMAGES)
    read = luck.random() < 0.5
    contents = ImageContents(
        distro=BOOKWORM, packages=listed(luck) if read else None, apt=SETUP if read else None
    )
    what = ImageManifest(
        "application/vnd.oci.image.manifest.v1+json",
        layer(f"config {one}"),
        tuple(layer(f"layer {n}") for n in range(one + 1)),
    )
    config = ImageConfig(NOON, Platform("linux", "amd64"), labels={"a": f"{one}"})
    record = ingest.ImageRecord(digest(f"{one}"), what, config, contents)
    ingest.record_images(c, shelf, [record], configured=CONFIGURED, reader=1, now=NOON)


def settle(c: Connection, _: Shelf, luck: random.Random) -> None:
    found = list(c.scalars(select(manifest.c.id).where(manifest.c.kind == 1)))
    if found:
        tags = {f"{n}": luck.choice(found) for n in range(IMAGES)}
        later = NOON + timedelta(seconds=luck.randrange(1000))
        ingest.record_repository(
            c, APP, tags, sorted(set(tags.values())), [], configured=CONFIGURED, now=later
        )


def judge_all(c: Connection, _: Shelf, __: random.Random) -> None:
    judge(c)


@pytest.mark.parametrize("seed", range(3))
def test_all_writers_at_once(catalog: Catalog, seed: int) -> None:
    def work(thread: int) -> None:
        luck = random.Random(f"{seed} {thread}")
        shelf = Shelf()
        for _ in range(ROUNDS):
            write = luck.choice([tell_many, tell_many, upload, sync, settle, judge_all])
            with catalog.write() as c:
                write(c, shelf, luck)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))
    with catalog.read() as c:
        assert c.scalar(select(build.c.id).limit(1)) is not None
        pairs = c.execute(select(setup_chunk.c.setup_id, setup_chunk.c.chunk_id)).all()
        assert pairs
        assert c.scalar(select(package_update.c.setup_id).limit(1)) is not None
