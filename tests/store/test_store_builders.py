"""Who builds images: of themselves, and of the indexes that they are in."""

from __future__ import annotations

from datetime import timedelta

from tests_store import NOON, PutImage, digest

from imagecatalog.store import plans
from imagecatalog.store.engine import Catalog
from imagecatalog.store.schema import build, index_member


def test_its_own_builds_come_before_those_of_its_indexes(
    catalog: Catalog, put_image: PutImage
) -> None:
    with catalog.write() as c:
        index, image, later, bare = (put_image(c, name) for name in ("i", "a", "b", "none"))
        members = [{"index_id": index, "manifest_id": n, "position": n} for n in (image, later)]
        c.execute(index_member.insert(), members)
        told = [
            ("a", "annotation", "labels", 3),
            ("a", "registered", "older", 0),
            ("a", "registered", "own", 1),
            ("i", "provenance", "whole", 2),
            ("elsewhere", "registered", "other", 2),
        ]
        c.execute(
            build.insert(),
            [
                {
                    "digest": name.encode(),
                    "evidence": evidence,
                    "subject": digest(subject),
                    "builder": name,
                    "source_path": f"{name}/",
                    "received": NOON + timedelta(hours=hours),
                    "body": b"",
                }
                for subject, evidence, name, hours in told
            ],
        )
        assert plans.list_builders(c, [image, later, bare]) == {
            image: [("own", "own/"), ("whole", "whole/")],
            later: [("whole", "whole/")],
        }
        assert plans.list_builders(c, []) == {}
