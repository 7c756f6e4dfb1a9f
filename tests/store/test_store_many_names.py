"""More names than any fault has, told to be one fault: none is joined, and that is told."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select
from tests_store import NOON, PutImage, package

from imagecatalog.config import Settings
from imagecatalog.domain.advisories import Advisory, FeedPart
from imagecatalog.jobs.advisories import refresh_osv
from imagecatalog.jobs.report import say_nothing
from imagecatalog.store import advisories, faults
from imagecatalog.store.engine import Catalog, Connection
from imagecatalog.store.schema import advisory

LIMIT = 20


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "GROUP_LIMIT", LIMIT)


def chain(length: int, *, torn: int | None = None) -> Iterator[FeedPart]:
    """Each fault is told to be the next; ``torn`` is not."""
    for number in range(length - 1):
        alias = () if number == torn else (f"X-2026-{number + 1}",)
        name = f"X-2026-{number}"
        digest = hashlib.sha256(f"{name} {alias}".encode()).digest()
        one = Advisory(name=name, aliases=alias)
        yield FeedPart(name=name, digest=digest, advisories=(one,), affected=())


def joined(c: Connection) -> int:
    query = select(func.count()).where(advisory.c.fault_id.is_not(None))
    return int(c.execute(query).scalar_one())


def test_as_many_names_as_may_be_are_one_fault(catalog: Catalog) -> None:
    with catalog.write() as c:
        assert advisories.apply_feed(c, "osv x", chain(LIMIT), where="x").unjoined == 0
        assert joined(c) == LIMIT - 1


def test_more_are_not_joined_until_they_are_fewer(catalog: Catalog) -> None:
    with catalog.write() as c:
        advisories.apply_feed(c, "osv x", chain(LIMIT), where="x")
        told = advisories.apply_feed(c, "osv x", chain(LIMIT + 1), where="x")
        assert (told.unjoined, joined(c)) == (LIMIT + 1, 0)
        told = advisories.apply_feed(c, "osv x", chain(LIMIT + 1, torn=4), where="x")
        assert (told.unjoined, joined(c)) == (0, LIMIT - 1)


def test_whoever_refreshes_is_told(catalog: Catalog, put_image: PutImage, tmp_path: Path) -> None:
    with catalog.write() as c:
        put_image(c, "a", [package("bash")])
    for number in range(LIMIT + 1):
        record = {"id": f"X-2026-{number}", "aliases": [f"X-2026-{number + 1}"]}
        (tmp_path / f"{number}.json").write_text(json.dumps(record))
    settings = Settings(feeds={"osv": f"{tmp_path.as_uri()}/"})
    report = refresh_osv(catalog, settings, now=lambda: NOON, progress=say_nothing)
    assert f"{LIMIT + 2} of its names are told to be one fault" in str(report)
