"""A fleet that is filled fast is the fleet that a sync would have written."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks import filling, fleet
from benchmarks.filling import NOW, borrow, fill, ingest_fleet, run_some
from benchmarks.fleet import Fleet

from imagecatalog.config import Settings
from imagecatalog.domain.plans import PlanQuestion
from imagecatalog.planning.ancestry import lineage
from imagecatalog.planning.plan import make_plan
from imagecatalog.planning.staleness import outdated, overview
from imagecatalog.store.engine import Catalog
from imagecatalog.store.holders import list_holders
from imagecatalog.store.repositories import list_repositories

SIZE, RUNNING = 230, 60


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Five kinds of services in sixty repositories over four weeks, the last of them half built."""
    monkeypatch.setattr(fleet, "WEEKS", 4)
    monkeypatch.setattr(filling, "KINDS", 5)
    monkeypatch.setattr(filling, "_CACHE", tmp_path / "cache")


def ask(catalog: Catalog, of: Fleet) -> list[object]:
    """All that a filled catalog is asked for, in an order that no number decides."""
    with catalog.read() as c:
        name, version = of.versioned()[0]
        images = outdated(c, now=NOW, all_images=True).items
        return [
            sorted(map(repr, images)),
            overview(c, now=NOW),
            sorted(map(repr, list_holders(c, name, below=version).items)),
            list_repositories(c).items,
            make_plan(c, PlanQuestion(), settings=Settings(), now=NOW),
            *(lineage(c, image.digest or "", now=NOW) for image in images[::10]),
        ]


def test_filled_either_way_it_answers_the_same(
    catalog: Catalog, tmp_path: Path, sqlite_template: Path
) -> None:
    path = tmp_path / "synced.sqlite"
    path.write_bytes(sqlite_template.read_bytes())
    synced = Catalog.open(str(path))
    of = Fleet(SIZE, kinds=filling.KINDS)
    ingest_fleet(synced, of)
    run_some(synced, of, RUNNING)
    expected = ask(synced, of)
    synced.close()
    filled = fill(catalog, SIZE, running=RUNNING)
    assert len({image.digest for image in filled.images()}) == SIZE
    for answer, wanted in zip(ask(catalog, filled), expected, strict=True):
        assert answer == wanted


def test_a_sync_can_write_into_it_afterwards(catalog: Catalog) -> None:
    fill(catalog, SIZE, running=RUNNING)
    ingest_fleet(catalog, Fleet(2 * SIZE, kinds=filling.KINDS))
    with catalog.read() as c:
        assert sum(one.images for one in list_repositories(c).items) == 2 * SIZE


def test_one_that_was_made_is_lent_again_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    with borrow(SIZE, running=RUNNING) as (catalog, of):
        expected = ask(catalog, of)
        ingest_fleet(catalog, Fleet(2 * SIZE, kinds=filling.KINDS))
        assert ask(catalog, of) != expected
    assert "filled" in capsys.readouterr().out
    with borrow(SIZE, running=RUNNING) as (catalog, of):
        assert ask(catalog, of) == expected
    assert not capsys.readouterr().out
