"""Whoever comes first, builders or syncs: what is known in the end is the same."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests_store import BOOKWORM, NOON, SETUP, digest, layer, package

from imagecatalog.catalog import builds, ingest
from imagecatalog.catalog.inventories import put_inventory
from imagecatalog.catalog.lineage import edges_of
from imagecatalog.domain.builds import Build, Inventory, Parent
from imagecatalog.domain.contents import ImageContents
from imagecatalog.domain.images import ImageConfig, ImageManifest
from imagecatalog.domain.packages import Unknown
from imagecatalog.domain.refs import Platform
from imagecatalog.store import images, lookups, packages
from imagecatalog.store.builds import list_builds
from imagecatalog.store.engine import Catalog, Connection
from imagecatalog.store.schema import manifest
from imagecatalog.store.shelf import Shelf

HOUR = timedelta(hours=1)
BASE, APP = "registry.example.org/base", "registry.example.org/app"
CONFIGURED = {("debian 12", "amd64"): SETUP}
Event = Callable[[Connection, datetime], None]


def _register(told: Build) -> Event:
    def event(c: Connection, at: datetime) -> None:
        builds.register(c, Shelf(), told, told_by="ci", configured=CONFIGURED, now=at)

    return event


def _upload(of: str, *names: str) -> Event:
    def event(c: Connection, at: datetime) -> None:
        told = Inventory(
            format="SPDX 2.3", tool="x", distro=BOOKWORM, packages=tuple(map(package, names))
        )
        put_inventory(
            c,
            Shelf(),
            digest(of),
            told,
            kind="sbom",
            told_by="ci",
            configured=CONFIGURED,
            now=at,
        )

    return event


def _read(c: Connection, name: str, at: datetime, *names: str) -> int:
    contents = ImageContents(
        distro=BOOKWORM,
        packages=tuple(map(package, names)) if names else None,
        unknown=None if names else Unknown("no-package-database", "it has none"),
    )
    what = ImageManifest(
        "application/vnd.oci.image.manifest.v1+json", layer(f"config of {name}"), (layer(name),)
    )
    config = ImageConfig(NOON, Platform("linux", "amd64"))
    record = ingest.ImageRecord(digest(name), what, config, contents)
    return ingest.record_images(c, Shelf(), [record], configured=CONFIGURED, reader=1, now=at)[0]


def _sync(repository: str, tag: str, name: str, *names: str) -> Event:
    def event(c: Connection, at: datetime) -> None:
        number = _read(c, name, at, *names)
        ingest.record_repository(
            c, repository, {tag: number}, [number], [], configured=CONFIGURED, now=at
        )

    return event


def _sync_index(repository: str, tag: str, name: str) -> Event:
    def event(c: Connection, at: datetime) -> None:
        member = _read(c, name, at)
        index = images.put_index(c, Shelf(), digest(f"index of {name}"), "", [member], now=at)
        ingest.settle_index(c, Shelf(), index, [member], configured=CONFIGURED)
        present = [index, member]
        ingest.record_repository(
            c, repository, {tag: index}, present, [], configured=CONFIGURED, now=at
        )

    return event


EVENTS: dict[str, Event] = {
    "register parent": _register(
        Build(image=f"{BASE}:1", digest=digest("base"), finished=NOON - HOUR)
    ),
    "register child": _register(
        Build(
            image=f"{APP}:1",
            digest=digest("app"),
            finished=NOON,
            distro=BOOKWORM,
            platform="linux/amd64",
            packages=(package("registered"),),
            parents=(Parent(image=f"{BASE}:1"),),
        )
    ),
    "register child by configuration": _register(
        Build(
            image=f"{APP}:1",
            digest=digest("config of app"),
            finished=NOON,
            reason="again",
            parents=(Parent(digest=digest("a builder"), role="stage"),),
        )
    ),
    "upload for child": _upload("app", "uploaded"),
    "upload for its configuration": _upload("config of app", "uploaded"),
    "upload for an index": _upload("index of base", "of base"),
    "sync parent": _sync(BASE, "1", "base"),
    "sync child": _sync(APP, "1", "app"),
    "sync index": _sync_index(BASE, "all", "base"),
}


ALL = sorted(EVENTS)


def state(c: Connection) -> Any:
    """All that people see, without the moments at which it was told."""
    rows = c.execute(manifest.select()).all()
    names = {row.id: str(row.digest) for row in rows}
    told = {}
    for row in rows:
        image = lookups.list_images(c, [row.id])[row.id]
        held = None if image.set_id is None else packages.list_packages(c, image.set_id)
        claims = [
            (item.image or "", item.digest or "", item.evidence, parent.image, parent.digest)
            for item in list_builds(c, row.id)
            for parent in item.parents
        ]
        told[names[row.id]] = (
            image.kind,
            image.platform,
            image.distro,
            image.unknown_code,
            held,
            row.setup_id is not None,
            sorted(claims, key=repr),
        )
    edges = [
        (names[n], names.get(edge.parent or 0), edge.digest, edge.role, edge.evidence)
        for n, many in edges_of(c, list(names)).items()
        for edge in many
    ]
    return told, sorted(edges, key=repr)


def play(catalog: Catalog, events: list[str]) -> Any:
    """What comes of these events, an hour between each; undone in the end."""

    class _Undone(Exception):
        pass

    found: list[Any] = []
    try:
        with catalog.write() as c:
            for hours, name in enumerate(events):
                EVENTS[name](c, NOON + hours * HOUR)
            found.append(state(c))
            raise _Undone
    except _Undone:
        return found[0]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from(ALL), min_size=3, unique=True).flatmap(
        lambda some: st.tuples(st.permutations(some), st.permutations(some))
    )
)
def test_any_order(catalog: Catalog, orders: tuple[list[str], list[str]]) -> None:
    assert play(catalog, orders[0]) == play(catalog, orders[1])


SYNCED = ("sync parent", "move tag", "sync child by name")
MOVED: dict[str, Event] = {
    "register newer parent": _register(
        Build(image=f"{BASE}:1", digest=digest("newer base"), finished=NOON + 30 * HOUR)
    ),
    "move tag": _sync(BASE, "1", "newer base"),
    "sync child by name": _sync(APP, "name", "named"),
    "register child by name": _register(
        Build(
            image=f"{APP}:name",
            started=NOON,
            finished=NOON,
            distro=BOOKWORM,
            platform="linux/amd64",
            packages=(package("named"),),
            parents=(Parent(image=f"{BASE}:1"),),
        )
    ),
}
EVENTS |= MOVED


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.tuples(*2 * [st.permutations([*SYNCED, *MOVED, "register parent"])]))
def test_a_tag_that_moves_meanwhile(catalog: Catalog, orders: tuple[list[str], ...]) -> None:
    first, second = (play(catalog, _with_syncs_in_order(order)) for order in orders)
    assert first == second
    assert (str(digest("named")), str(digest("base")), "base") in {
        (child, parent, role) for child, parent, _, role, _ in first[1]
    }


def _with_syncs_in_order(order: list[str]) -> list[str]:
    """The same with the registry's own history as it was."""
    syncs = iter(SYNCED)
    unique = list(dict.fromkeys(order))
    return [next(syncs) if one in SYNCED else one for one in unique]
