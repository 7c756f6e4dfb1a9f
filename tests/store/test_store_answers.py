"""What is asked of a catalog in parts is all there, and once."""

from __future__ import annotations

import pytest
from test_store_updates import offer
from tests_store import NOON, PutImage, digest, package

from imagecatalog.catalog import timeline
from imagecatalog.domain.runs import RunningContainer
from imagecatalog.matching import updates
from imagecatalog.planning.inspection import image_detail
from imagecatalog.planning.staleness import outdated
from imagecatalog.store.engine import Catalog

APP = "registry.example.org/team/app"


def pod(name: str, image_id: str, image: str = f"{APP}:1") -> RunningContainer:
    return RunningContainer("web", "Deployment/app", name, "main", "container", image, image_id)


def test_one_name_that_meant_several_images_never_met(catalog: Catalog) -> None:
    with catalog.write() as c:
        pods = [pod(f"{n}", f"{APP}@{digest(f'{n}')}") for n in range(3)]
        timeline.observe(c, "north", pods, at=NOON)
    with catalog.read() as c:
        found, after = [], None
        while True:
            page = outdated(c, now=NOON, limit=1, after=after)
            found += page.items
            after = page.next
            if after is None:
                break
    assert len(found) == 3


def test_a_workload_that_names_an_image_in_two_ways_is_one_place(
    catalog: Catalog, put_image: PutImage
) -> None:
    with catalog.write() as c:
        put_image(c, "one", [package("ssl")])
        pods = [pod(f"{n}", f"{APP}@{digest('one')}", f"{APP}:{n}") for n in range(2)]
        timeline.observe(c, "north", pods, at=NOON)
        detail = image_detail(c, digest("one"), now=NOON)
    assert [(item.workload, item.containers) for item in detail.running] == [("Deployment/app", 2)]


def test_other_rules_judge_anew(
    catalog: Catalog, put_image: PutImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with catalog.write() as c:
        put_image(c, "one", [package("ssl")])
        offer(c, "1.0-2")
        assert updates.judge(c) == 1
        assert updates.judge(c) == 0
        monkeypatch.setattr(updates, "_RULES", b"those of the next release")
        monkeypatch.setattr(updates.Policy, "choose", lambda *_: None)
        assert updates.judge(c) == 1
