"""What feeds said before there were findings is judged after the migration as it is."""

from __future__ import annotations

import pytest
from tests_store import NOON

from imagecatalog.matching.match import match
from imagecatalog.store import engine
from imagecatalog.store.affected import describe, find_affected
from imagecatalog.store.engine import Catalog, initialise
from imagecatalog.store.migrations import env
from imagecatalog.versions import key

BEFORE = {
    "distro": "(id, os_id, version_id, codename, pretty) VALUES (1, 'debian', '12', 'bookworm', '')",
    "package_version": "(id, type, name, arch, version, key, source, source_version) "
    "VALUES (1, 'deb', 'libssl', 'amd64', '1.0-1', '', 'ssl', '1.0-1')",
    "package_chunk": "(id, digest) VALUES (1, '')",
    "package_chunk_member": "(chunk_id, package_version_id) VALUES (1, 1)",
    "package_set": "(id, digest, size) VALUES (1, '', 1)",
    "package_set_chunk": "(set_id, chunk_id) VALUES (1, 1)",
    "manifest": "(id, digest, kind, media_type, first_seen, distro_id, set_id) "
    "VALUES (7, '', 1, 1, 1, 1, 1)",
    "advisory": "(id, name) VALUES (1, 'CVE-2026-1'), (2, 'DSA-1-1'), (3, 'CVE-2026-2')",
    "feed_part": "(feed, part, digest) VALUES ('debian-tracker json', 'ssl', '1'), "
    "('debian-tracker DSA', 'DSA-1-1', '2')",
    "advisory_cover": "(advisory_id, covered_id) VALUES (2, 1)",
}


def test_what_was_told_is_judged(empty_url: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(env, "HEAD", "0006")
        patch.setattr(engine, "HEAD", "0006")
        initialise(empty_url)
        old = Catalog.open(empty_url)
        with old.write() as c:
            for table, row in BEFORE.items():
                c.exec_driver_sql(f"INSERT INTO {table} {row}")
            mark = "?" if c.dialect.name == "sqlite" else "%s"
            c.exec_driver_sql(
                "INSERT INTO affected (feed, part, advisory_id, distro, release, source, status, "
                f"fixed, fixed_key) VALUES ({', '.join([mark] * 9)})",
                [
                    (feed, part, number, "debian", "bookworm", "ssl", status, fixed, at)
                    for feed, part, number, status, fixed, at in (
                        ("debian-tracker json", "ssl", 1, "fixed", "1.0-2", key("deb", "1.0-2")),
                        ("debian-tracker json", "ssl", 3, "open", None, None),
                        ("debian-tracker DSA", "DSA-1-1", 2, "fixed", "1.0-2", key("deb", "1.0-2")),
                    )
                ],
            )
        old.close()
    initialise(empty_url)
    catalog = Catalog.open(empty_url)
    with catalog.write() as c:
        assert [one.fixed for one in find_affected(c, "CVE-2026-1") or ()] == ["1.0-2"]
        assert describe(c, "DSA-1-1").covers == ("CVE-2026-1",)
        match(c, now=NOON)
        query = "SELECT a.name, f.state, f.counted FROM finding f JOIN advisory a ON a.id = f.advisory_id"
        found = {name: (state, bool(counts)) for name, state, counts in c.exec_driver_sql(query)}
    catalog.close()
    assert found == {
        "CVE-2026-1": ("fix-out", True),
        "CVE-2026-2": ("no-fix", True),
        "DSA-1-1": ("fix-out", False),
    }
