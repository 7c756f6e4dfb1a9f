"""Which names of a repository were registered, in the order of their bytes, a page at a time."""

from __future__ import annotations

from datetime import timedelta

from tests_store import NOON, digest

from imagecatalog.catalog import builds
from imagecatalog.domain.builds import Build
from imagecatalog.domain.lineage import RegisteredName
from imagecatalog.store.builds import list_registered
from imagecatalog.store.engine import Catalog
from imagecatalog.store.shelf import Shelf

APP = "registry.example.org/team/app"
NEIGHBOURS = (
    f"{APP}-slim:1",
    f"{APP}/part:1",
    f"{APP}.old:1",
    f"{APP}_x:1",
    "registry.example.org/team/apps:1",
    "registry.example.org:443/team/app:1",
)


def test_only_the_names_of_the_repository_are_listed(catalog: Catalog) -> None:
    tags = ("1.0", "1.0-s1", "latest", "B", "a_b", "a-b", "1.0.1")
    with catalog.write() as c:
        for name in (*NEIGHBOURS, *(f"{APP}:{tag}" for tag in tags)):
            builds.register(
                c, Shelf(), Build(image=name, digest=digest(name), builder="docker-pkg"),
                told_by="ci", configured={}, now=NOON,
            )  # fmt: skip
    found: list[RegisteredName] = []
    after: str | None = None
    with catalog.read() as c:
        while True:
            page = list_registered(c, APP, limit=2, after=after)
            found += page.items
            assert len(page.items) <= 2
            if (after := page.next) is None:
                break
    assert [item.image for item in found] == sorted(f"{APP}:{tag}" for tag in tags)
    assert {item.digest for item in found} == {str(digest(f"{APP}:{tag}")) for tag in tags}
    assert {item.builder for item in found} == {"docker-pkg"}


def test_a_name_that_was_given_twice_is_listed_twice(catalog: Catalog) -> None:
    with catalog.write() as c:
        for hours, what in enumerate(("first", "second")):
            build = Build(image=f"{APP}:1", digest=digest(what))
            at = NOON + timedelta(hours=hours)
            builds.register(c, Shelf(), build, told_by="ci", configured={}, now=at)
    with catalog.read() as c:
        page = list_registered(c, APP, limit=10)
    assert [item.digest for item in page.items] == [str(digest("first")), str(digest("second"))]
    assert page.next is None
