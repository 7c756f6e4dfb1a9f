"""The newest of each line is the same whether all tags are read or first their names alone."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests_store import NOON, PutImage

from imagecatalog.catalog import ingest
from imagecatalog.config import LineRule
from imagecatalog.matching import lines
from imagecatalog.store.engine import Catalog

TAGS = (
    ("1.0", "v1.0", "1.0-rc1", "1.1-rc1", "latest", "0f4a3c9d"),
    ("20261101", "20261102", "20261102-1", "deadbeef1", "deadbeef2", "stable"),
    ("3.11-slim", "3.12-slim", "3.12", "3.9", "2.0-beta", "2.0-alpha"),
    ("0f4a3c9e", "0f4a3c9f"),
    ("only-rc1",),
)


@pytest.mark.parametrize("rules", [(), (LineRule(("team/*",), "(?P<version>[0-9.]+).*"),)])
def test_it_makes_no_difference_how_tags_are_read(
    catalog: Catalog, put_image: PutImage, monkeypatch: pytest.MonkeyPatch, rules: tuple[LineRule]
) -> None:
    with catalog.write() as c:
        for place, tags in enumerate(TAGS):
            home = f"registry.example.org/team/app{place}"
            numbers = {
                tag: put_image(c, f"{place} {tag}", at=NOON + timedelta(hours=len(tag) % 3))
                for tag in tags
            }
            ingest.record_repository(c, home, numbers, list(numbers.values()), [], now=NOON)
            left = dict(list(numbers.items())[1:])
            ingest.record_repository(
                c, home, left, list(numbers.values()), [], now=NOON + timedelta(days=1)
            )
        homes = [f"registry.example.org/team/app{place}" for place in range(len(TAGS))]
        whole = lines.Lines(c, rules).newest_of(homes)
        monkeypatch.setattr(lines, "_FEW", 0)
        assert lines.Lines(c, rules).newest_of(homes) == whole
        assert len(whole) > 5 or rules
