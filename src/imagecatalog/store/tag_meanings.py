"""What tags meant at moments past, and where images are at home: for very many names at once."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, select, tuple_

from imagecatalog.store.dialect import batches
from imagecatalog.store.schema import manifest, repository, repository_manifest, tag, tag_period

_FEW = 300
"""Pairs in one statement."""


def find_meanings(
    c: Connection, wanted: Collection[tuple[str, str, datetime]]
) -> dict[tuple[str, str, datetime], tuple[int, int]]:
    """What each tag (repository, tag) pointed to at a moment: number and kind.

    Where it did not point anywhere then: what it pointed to last before, else first after.
    """
    numbers = _number_repositories(c, {name for name, _, _ in wanted})
    pairs = {(numbers[name], word) for name, word, _ in wanted if name in numbers}
    periods: dict[tuple[int, str], list[tuple[datetime, int, int]]] = {}
    for batch in batches(sorted(pairs), _FEW):
        query = (
            select(
                tag.c.repository_id,
                tag.c.name,
                tag_period.c.since,
                tag_period.c.manifest_id,
                manifest.c.kind,
            )
            .join(tag_period, tag_period.c.tag_id == tag.c.id)
            .join(manifest, manifest.c.id == tag_period.c.manifest_id)
            .where(tuple_(tag.c.repository_id, tag.c.name).in_(batch))
            .order_by(tag_period.c.since)
        )
        for number, word, since, pointed, kind in c.execute(query):
            periods.setdefault((number, word), []).append((since, pointed, kind))
    found = {}
    for name, word, at in wanted:
        known = periods.get((numbers.get(name, 0), word))
        if known:
            before = [one for one in known if one[0] <= at]
            found[name, word, at] = (before[-1] if before else known[0])[1:]
    return found


def _number_repositories(c: Connection, names: Collection[str]) -> dict[str, int]:
    numbers: dict[str, int] = {}
    for batch in batches(sorted(names)):
        query = select(repository.c.name, repository.c.id).where(repository.c.name.in_(batch))
        numbers.update(c.execute(query).all())
    return numbers


def list_homes(c: Connection, numbers: Collection[int]) -> dict[int, set[str]]:
    """The repositories that have or had each of these images."""
    found: dict[int, set[str]] = {}
    for batch in batches(sorted(numbers)):
        query = (
            select(repository_manifest.c.manifest_id, repository.c.name)
            .join(repository, repository.c.id == repository_manifest.c.repository_id)
            .where(repository_manifest.c.manifest_id.in_(batch))
        )
        for number, name in c.execute(query):
            found.setdefault(number, set()).add(name)
    return found
