"""The steps of migration lead to the schema that the code speaks of."""

from __future__ import annotations

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from imagecatalog.errors import DatabaseNotReady
from imagecatalog.store import engine
from imagecatalog.store.engine import Catalog, initialise
from imagecatalog.store.migrations import HEAD, REVISIONS, env
from imagecatalog.store.schema import metadata


def test_the_migrated_schema_is_that_of_the_code(catalog: Catalog) -> None:
    with catalog.read() as c:
        assert compare_metadata(MigrationContext.configure(c), metadata) == []


def test_initialising_again_changes_nothing(catalog_url: str) -> None:
    catalog = Catalog.open(catalog_url)
    with catalog.write() as c:
        c.exec_driver_sql("INSERT INTO repository (name) VALUES ('kept')")
    catalog.close()
    initialise(catalog_url)
    catalog = Catalog.open(catalog_url)
    with catalog.read() as c:
        assert c.exec_driver_sql("SELECT name FROM repository").scalar() == "kept"
    catalog.close()


def test_every_table_of_rows_without_an_id_is_clustered(catalog: Catalog) -> None:
    if not catalog.embedded:
        return
    with catalog.read() as c:
        tables = dict(
            c.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'table'").all()
        )
    assert "WITHOUT ROWID" in tables["package_chunk_member"]
    assert "WITHOUT ROWID" in tables["package_set_chunk"]


def test_the_head_is_the_last_revision() -> None:
    assert REVISIONS[-1] == HEAD


def test_a_database_of_an_older_release_is_refused_until_it_is_migrated(empty_url: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(env, "HEAD", REVISIONS[0])
        patch.setattr(engine, "HEAD", REVISIONS[0])
        initialise(empty_url)
        old = Catalog.open(empty_url)
        with old.write() as c:
            c.exec_driver_sql("INSERT INTO repository (name) VALUES ('kept')")
        old.close()
    with pytest.raises(DatabaseNotReady, match="older release"):
        Catalog.open(empty_url)
    initialise(empty_url)
    catalog = Catalog.open(empty_url)
    with catalog.read() as c:
        assert compare_metadata(MigrationContext.configure(c), metadata) == []
        assert c.exec_driver_sql("SELECT name FROM repository").scalar() == "kept"
    catalog.close()
