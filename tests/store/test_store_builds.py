"""Builds register themselves: in any order, once, whatever their tellers write."""

from __future__ import annotations

from datetime import timedelta

from tests_store import BOOKWORM, NOON, digest, package

from imagecatalog.catalog import builds
from imagecatalog.domain.builds import Build, Parent
from imagecatalog.store.builds import list_builds
from imagecatalog.store.engine import Catalog, Connection
from imagecatalog.store.inventories import find_meant
from imagecatalog.store.shelf import Shelf

HOUR = timedelta(hours=1)
APP, BASE = "registry.example.org/app", "registry.example.org/base"


def register(c: Connection, build: Build, *, at=NOON, **more) -> builds.Registered:
    more = {"told_by": "ci", "configured": {}} | more
    return builds.register(c, Shelf(), build, now=at, **more)


def test_a_build_is_kept_once(catalog: Catalog) -> None:
    build = Build(
        image=f"{APP}:1",
        digest=digest("app"),
        parents=(Parent(image=f"{BASE}:1", digest=digest("base")),),
        packages=(package("b"), package("a")),
        distro=BOOKWORM,
    )
    with catalog.write() as c:
        first = register(c, build)
        again = register(c, build, told_by="another")
    assert first.created
    assert again == builds.Registered(first.id, False, digest("app"), ())
    with catalog.read() as c:
        numbers = find_meant(c, [digest("app")])[digest("app")].numbers
        (item,) = list_builds(c, numbers[0])
    assert item.parents[0].digest == digest("base")
