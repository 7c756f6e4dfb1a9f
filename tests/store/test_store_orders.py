"""Packages stored before their order was known are sorted by it after the migration."""

from __future__ import annotations

import pytest
from sqlalchemy import insert, select

from imagecatalog.store import engine
from imagecatalog.store.engine import Catalog, initialise
from imagecatalog.store.migrations import env
from imagecatalog.store.schema import package_version
from imagecatalog.versions import plain, sort_key

ASCENDING = {
    "apk": ["not a version", "1.0_rc1-r0", "1.0-r0", "1.0_p1-r0"],
    "cargo": ["1.0.0-rc.1", "1.0.0"],
    "deb": ["1.0~rc1", "1.0"],
    "gem": ["1.0.rc1", "1.0"],
    "golang": ["v0.9.0", "v1.0.0-rc.1", "v1.0.0"],
    "maven": ["1.0-SNAPSHOT", "1.0"],
    "npm": ["1.0.0-rc.1", "1.0.0"],
    "nuget": ["1.0-RC", "1.0", "1.0.0.1"],
    "pypi": ["1.0rc1", "1.0", "1.0.post1"],
    "rpm": ["1.0~rc1-1", "1.0-1", "1.0^git1-1"],
    "swift": ["1.0", "1.0-rc1"],
}


def test_keys_are_written_anew(empty_url: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(env, "HEAD", "0005")
        patch.setattr(engine, "HEAD", "0005")
        initialise(empty_url)
        old = Catalog.open(empty_url)
        rows = [
            {
                "type": type_, "name": "one", "arch": "", "version": version,
                "key": sort_key("deb", version) if type_ == "deb" else plain.sort_key(version),
                "source": "one", "source_version": version,
            }
            for type_, versions in ASCENDING.items()
            for version in versions
        ]  # fmt: skip
        with old.write() as c:
            c.execute(insert(package_version), rows)
        old.close()
    initialise(empty_url)
    catalog = Catalog.open(empty_url)
    with catalog.read() as c:
        query = select(package_version.c.type, package_version.c.version)
        found = c.execute(query.order_by(package_version.c.type, package_version.c.key)).all()
    catalog.close()
    assert found == [(type_, version) for type_ in ASCENDING for version in ASCENDING[type_]]
