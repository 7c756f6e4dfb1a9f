"""Questions go from what is asked to what is known of it, whatever else the catalog holds."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import event
from tests_store import NOON, PutImage, package

from imagecatalog.catalog import ingest
from imagecatalog.planning.inspection import list_images
from imagecatalog.planning.search import search
from imagecatalog.store.engine import Catalog

APP = "registry.example.org/team/app"
FOUND_BY_THEIR_KEY = ("package_update", "tag_period")


@pytest.mark.parametrize("question", ["images", "search"])
def test_large_tables_are_entered_by_their_whole_key(
    sqlite_template: Path, tmp_path: Path, put_image: PutImage, question: str
) -> None:
    path = tmp_path / "catalog.sqlite"
    path.write_bytes(sqlite_template.read_bytes())
    catalog = Catalog.open(str(path))
    with catalog.write() as c:
        number = put_image(c, "one", [package("ssl")])
        ingest.record_repository(c, APP, {"1": number}, [number], [], now=NOON)
    plans: list[str] = []

    def explain(_: object, cursor: object, statement: str, values: object, *__: object) -> None:
        connection = cursor.connection  # type: ignore[attr-defined]
        plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)
        plans.extend(row[3] for row in plan)

    with catalog.read() as c:
        event.listen(c, "after_cursor_execute", explain)
        if question == "images":
            assert list_images(c, now=NOON, limit=9).items
        else:
            assert search(c, "app:1")
    catalog.close()
    met = [plan for plan in plans if plan.split()[1] in FOUND_BY_THEIR_KEY]
    assert met
    assert [plan for plan in met if plan.startswith("SCAN")] == []
    assert [plan for plan in met if plan.endswith("(setup_id=?)")] == []
