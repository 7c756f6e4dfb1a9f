"""An index is as well known as the images in it."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from bad_registry import debian, say
from bad_shop import Shop

from imagecatalog.config import Settings
from imagecatalog.domain.refs import Digest
from imagecatalog.errors import DatabaseLocked
from imagecatalog.jobs.reading import Reader
from imagecatalog.jobs.schedule import utc_now
from imagecatalog.sources.open import open_source
from imagecatalog.store.engine import Catalog


def platform(architecture: str) -> dict[str, object]:
    return {"platform": {"os": "linux", "architecture": architecture}}


@pytest.mark.parametrize("part", ["manifests", "config", "layer"])
def test_a_member_that_could_not_be_read_is_still_the_one_meant_and_is_read_next_time(
    shop: Shop, part: str
) -> None:
    arm = json.dumps({"os": "linux", "architecture": "arm64"}).encode()
    other = shop.registry.add_image(debian(other="1.0-1"), config=arm)
    usual = shop.registry.add_image(debian(usual="1.0-1"))
    target = shop.registry.add_index(other | platform("arm64"), usual | platform("amd64"))
    shop.registry.tag("mixed", target)
    manifest = json.loads(shop.registry.manifests[Digest(usual["digest"])][1])
    paths = {
        "manifests": f"manifests/{usual['digest']}",
        "config": f"blobs/{manifest['config']['digest']}",
        "layer": f"blobs/{manifest['layers'][0]['digest']}",
    }
    shop.registry.lies[f"GET /v2/mixed/{paths[part]}"] = say(b"no")
    shop.sync()
    found = shop.command.show(f"{shop.host}/mixed:1")
    assert (found["digest"], found["verdict"]["status"]) == (usual["digest"], "unknown")

    shop.registry.lies.clear()
    shop.sync(expect=0)
    assert shop.command.packages(f"{shop.host}/mixed:1") == {"usual": "1.0-1"}


def test_what_is_no_image_is_not_meant_by_an_index(shop: Shop) -> None:
    signature = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": "application/vnd.example.signature",
        "config": shop.registry.add(b"{}", "application/vnd.oci.empty.v1+json"),
        "layers": [],
    }
    arm = json.dumps({"os": "linux", "architecture": "arm64"}).encode()
    image = shop.registry.add_image(debian(arm="1.0-1"), config=arm)
    beside = shop.registry.add_manifest(signature, str(signature["mediaType"]))
    shop.registry.tag("signed", shop.registry.add_index(beside, image | platform("arm64")))
    shop.sync(expect=0)
    assert shop.command.packages(f"{shop.host}/signed:1") == {"arm": "1.0-1"}


def test_a_database_that_fails_leaves_no_thread_waiting(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise DatabaseLocked("it is locked")

    monkeypatch.setattr("imagecatalog.jobs.reading.layers.get_reading", fail)
    image = shop.registry.add_image(debian(app="1.0-1"))
    source = open_source(shop.registry.url, Settings())
    catalog = Catalog.open(shop.command.database)
    reader = Reader(catalog, source, {}, utc_now)
    for _ in range(2):  # the second would wait for ever for the layer
        with ThreadPoolExecutor(1) as pool, pytest.raises(DatabaseLocked):
            pool.submit(reader.read, f"{shop.host}/app", Digest(image["digest"])).result(5)
    source.close()
    catalog.close()
