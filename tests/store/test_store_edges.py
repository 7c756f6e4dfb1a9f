"""The edges that are kept are those that weighing everything anew would find, whatever came when."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from tests_store import BOOKWORM, NOON, PutImage, digest, layer, package

from imagecatalog.catalog import builds, ingest, lineage
from imagecatalog.catalog.inventories import put_inventory
from imagecatalog.catalog.lineage import ancestry, edges_of, find_children, list_base_paths
from imagecatalog.catalog.weighing import weigh_all
from imagecatalog.domain.builds import Build, Inventory, Parent
from imagecatalog.domain.contents import ImageContents
from imagecatalog.domain.images import ImageConfig, ImageManifest
from imagecatalog.domain.refs import Platform
from imagecatalog.store import attachments, edges, images
from imagecatalog.store.engine import Catalog, Connection
from imagecatalog.store.schema import manifest
from imagecatalog.store.shelf import Shelf

BASE_DIGEST, BASE_NAME = (
    "org.opencontainers.image.base.digest",
    "org.opencontainers.image.base.name",
)
HOMES = ("registry.example.org/one", "registry.example.org/two", "registry.example.org/three")
AMD64, ARM64 = "linux/amd64", "linux/arm64"

IMAGES: dict[str, tuple[str, str, dict[str, str]]] = {
    "os": ("a", AMD64, {}),
    "os again": ("a", AMD64, {}),
    "os on arm": ("p", ARM64, {}),
    "runtime": ("ab", AMD64, {BASE_DIGEST: digest("os again")}),
    "runtime again": ("ab", AMD64, {BASE_NAME: f"{HOMES[0]}:1"}),
    "runtime on arm": ("pq", ARM64, {BASE_DIGEST: digest("index of os")}),
    "service": ("abc", AMD64, {BASE_DIGEST: digest("os again")}),
    "service of its own": ("xyz", AMD64, {BASE_DIGEST: digest("never met")}),
    "debugging": ("abcd", AMD64, {BASE_NAME: f"{HOMES[0]}:1"}),
}
"""Layers, platform and labels; a child may just have inherited those of its base."""
INDEXES = {"index of os": ("os", "os on arm"), "index of runtime": ("runtime", "runtime on arm")}
DIGESTS = [
    *(digest(name) for name in IMAGES),
    *(digest(f"config of {name}") for name in IMAGES),
    *(digest(name) for name in INDEXES),
    digest("never met"),
]
Event = Callable[[Connection, datetime], object]


def read(name: str) -> Callable[[Connection, datetime], int]:
    def event(c: Connection, at: datetime) -> int:
        layers, platform, labels = IMAGES[name]
        what = ImageManifest(
            "application/vnd.oci.image.manifest.v1+json",
            layer(f"config of {name}"),
            tuple(map(layer, layers)),
        )
        config = ImageConfig(NOON, Platform.parse(platform), labels)
        contents = ImageContents(distro=BOOKWORM, packages=(package("bash"),))
        record = ingest.ImageRecord(digest(name), what, config, contents)
        return ingest.record_images(c, Shelf(), [record], configured={}, reader=1, now=at)[0]

    return event


def read_index(name: str) -> Callable[[Connection, datetime], int]:
    def event(c: Connection, at: datetime) -> int:
        members = [read(member)(c, at) for member in INDEXES[name]]
        index = images.put_index(c, Shelf(), digest(name), "", members, now=at)
        ingest.settle_index(c, Shelf(), index, members, configured={})
        return index

    return event


def sync(home: str, tag: str, what: Callable[[Connection, datetime], int]) -> Event:
    def event(c: Connection, at: datetime) -> None:
        number = what(c, at)
        members = images.list_members(c, [number]).get(number, [])
        ingest.record_repository(c, home, {tag: number}, [number, *members], [], now=at)

    return event


def register(build: Build) -> Event:
    return lambda c, at: builds.register(c, Shelf(), build, told_by="ci", configured={}, now=at)


def upload(subject: Any) -> Event:
    def event(c: Connection, at: datetime) -> None:
        told = Inventory(format="SPDX 2.3", tool="x", distro=BOOKWORM, packages=(package("sbom"),))
        more: dict[str, Any] = {"kind": "sbom", "told_by": "ci", "configured": {}, "now": at}
        put_inventory(c, Shelf(), subject, told, **more)

    return event


def forget(home: str, tag: str) -> Event:
    return lambda c, _: attachments.forget_as_images(c, home, [tag])


def settle(most: int) -> Event:
    return lambda c, _: lineage.settle(c, most)


names, tags = st.sampled_from([f"{home}:{tag}" for home in HOMES[:2] for tag in "12"]), "12"
whole = st.sampled_from(sorted(IMAGES)).map(read) | st.sampled_from(sorted(INDEXES)).map(read_index)
parents = st.builds(
    Parent,
    image=names,
    digest=st.none() | st.sampled_from(DIGESTS),
    role=st.sampled_from(["base", "base", "stage", "copy"]),
)
told = st.builds(
    Build,
    image=names,
    digest=st.none() | st.sampled_from(DIGESTS),
    platform=st.sampled_from([None, AMD64, ARM64]),
    finished=st.sampled_from([NOON - timedelta(days=1), NOON + timedelta(hours=3)]),
    packages=st.sampled_from([None, (package("told"),)]),
    parents=st.lists(parents, max_size=3).map(tuple),
)
EVENTS = st.lists(
    whole
    | st.builds(sync, st.sampled_from(HOMES), st.sampled_from(tags), whole)
    | st.builds(register, told)
    | st.builds(upload, st.sampled_from(DIGESTS))
    | st.builds(forget, st.sampled_from(HOMES), st.sampled_from(tags))
    | st.sampled_from([1, 3, 1000]).map(settle),
    max_size=14,
)


class Undone(Exception):
    """Drops what a test wrote."""


def list_images(c: Connection) -> list[int]:
    return list(c.scalars(select(manifest.c.id).where(manifest.c.kind != images.INDEX)))


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=EVENTS)
def test_kept_in_any_order(catalog: Catalog, events: list[Event]) -> None:
    try:
        with catalog.write() as c:
            for hours, event in enumerate(events):
                event(c, NOON + timedelta(hours=hours))
            while lineage.settle(c, 2):
                pass
            numbers = list_images(c)
            weighed = weigh_all(c, numbers)
            wanted = {number: list(one.edges) for number, one in weighed.items() if one.edges}
            assert edges.list_edges(c, numbers) == wanted
            raise Undone
    except Undone:
        pass


def ask(c: Connection) -> list[Any]:
    numbers = list_images(c)
    children = [find_children(c, [number], 100) for number in numbers]
    return [
        edges_of(c, numbers),
        ancestry(c, numbers[-2:]),
        lineage.list_bases(c, numbers),
        list_base_paths(c, numbers),
        [{parent: list(many) for parent, many in one.edges.items()} for one in children],
    ]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=EVENTS)
def test_answered_alike_before_and_after_it_is_settled(
    catalog: Catalog, events: list[Event]
) -> None:
    try:
        with catalog.write() as c:
            for hours, event in enumerate(events):
                event(c, NOON + timedelta(hours=hours))
            edges.note_changes(c, [digest("unheard of")], spreads=True)
            before = ask(c)
            while lineage.settle(c):
                pass
            assert ask(c) == before
            raise Undone
    except Undone:
        pass


def test_images_that_are_forgotten_leave_no_edges(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        base = put_image(c, "base", layers=["a"])
        child = put_image(c, "child", layers=["a", "b"])
        ingest.record_repository(c, HOMES[0], {"1": base}, [base], [], now=NOON)
        assert lineage.list_bases(c, [child]) == {child: base}
        attachments.forget_as_images(c, HOMES[0], ["1"])
        lineage.settle(c)
        assert edges.is_settled(c)
        assert lineage.list_bases(c, [child]) == {}
