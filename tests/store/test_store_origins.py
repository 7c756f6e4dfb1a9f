"""What the page of one image tells of its making."""

from __future__ import annotations

import pytest
from tests_store import NOON, PutImage, digest

from imagecatalog.catalog import ingest
from imagecatalog.catalog.builds import register
from imagecatalog.config import LineRule
from imagecatalog.domain.builds import Build, Parent
from imagecatalog.errors import NotFound
from imagecatalog.planning.origins import image_origin
from imagecatalog.store.engine import Catalog, Connection
from imagecatalog.store.shelf import Shelf

APP = "registry.example.org/team/app"
BASE = "registry.example.org/base"


def tag(c: Connection, repository: str, tags: dict[str, int]) -> None:
    ingest.record_repository(c, repository, tags, list(tags.values()), [], now=NOON)


def test_what_is_newer_is_told_whether_or_not_it_runs(
    catalog: Catalog, put_image: PutImage
) -> None:
    with catalog.write() as c:
        base, newer_base = put_image(c, "base", layers=["b"]), put_image(c, "b2", layers=["b2"])
        app, newer = (
            put_image(c, "app", layers=["b", "a"]),
            put_image(c, "a2", layers=["b2", "a"]),
        )
        tag(c, BASE, {"20261001": base, "20261101": newer_base})
        tag(c, APP, {"1.9": app, "1.10": newer})
        found = image_origin(c, f"{APP}:1.9", now=NOON)
        assert (found.newer, found.newer_base) == (f"{APP}:1.10", f"{BASE}:20261101")
        assert [one.image for one in found.lineage.ancestors] == [f"{BASE}:20261001"]
        newest = image_origin(c, f"{APP}:1.10", now=NOON)
        assert (newest.newer, newest.newer_base) == (None, None)
        rule = LineRule(repositories=("team/*",), pattern=r"(?P<version>1)\.(9|10)")
        assert image_origin(c, f"{APP}:1.9", now=NOON, rules=[rule]).newer is None


def test_an_untagged_image_that_nobody_told_of_has_no_origin(
    catalog: Catalog, put_image: PutImage
) -> None:
    with catalog.write() as c:
        put_image(c, "alone", layers=["x"])
        found = image_origin(c, digest("alone"), now=NOON)
        assert (found.newer, found.newer_base, found.builds) == (None, None, ())
        assert found.lineage.ancestors == found.lineage.descendants == ()
        with pytest.raises(NotFound):
            image_origin(c, "registry.example.org/never:1", now=NOON)


def test_its_builds_are_told_and_but_the_first_of_many_children(
    catalog: Catalog, put_image: PutImage
) -> None:
    with catalog.write() as c:
        put_image(c, "base", layers=["b"])
        for number in range(20):
            put_image(c, f"child {number}", layers=["b", str(number)])
        build = Build(digest=digest("base"), reason="nightly", parents=(Parent(image="scratch:1"),))
        register(c, Shelf(), build, evidence="registered", told_by="ci", configured={}, now=NOON)
        found = image_origin(c, digest("base"), now=NOON)
        assert [(one.told_by, one.reason) for one in found.builds] == [("ci", "nightly")]
        assert len(found.lineage.descendants) == 12
        assert found.lineage.more_descendants
