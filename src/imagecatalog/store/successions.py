"""What came after an image: kept for what runs, replaced at each judgement."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from msgspec import Struct
from sqlalchemy import Connection, select

from imagecatalog.store.dialect import batches, insert_new
from imagecatalog.store.schema import manifest, run, run_image, succession


class Succession(Struct, frozen=True, kw_only=True):
    """The newest of an image's line and of its base's, where the image is not of these."""

    newer_id: int | None = None
    newer: str | None = None
    """Whole name with the tag."""
    base_id: int | None = None
    base: str | None = None


def list_running(c: Connection) -> list[int]:
    """The images that run now."""
    alive = select(run.c.run_image_id).where(run.c.until.is_(None))
    query = (
        select(run_image.c.manifest_id)
        .where(run_image.c.id.in_(alive), run_image.c.manifest_id.is_not(None))
        .distinct()
    )
    return list(c.scalars(query))


def list_chains(c: Connection, numbers: Collection[int]) -> dict[int, bytes]:
    """The chain of layers of each image that has one."""
    found: dict[int, bytes] = {}
    for batch in batches(set(numbers)):
        query = select(manifest.c.id, manifest.c.chain).where(
            manifest.c.id.in_(batch), manifest.c.chain.is_not(None)
        )
        found.update((number, bytes(chain)) for number, chain in c.execute(query))
    return found


def replace_all(c: Connection, successions: Mapping[int, Succession]) -> None:
    """Keep these and no others; nothing is written where they are those that are kept."""
    kept = list_all(c)
    for batch in batches(kept.keys() - successions.keys()):
        c.execute(succession.delete().where(succession.c.manifest_id.in_(batch)))
    changed = {n for n, one in successions.items() if kept.get(n) != one}
    for batch in batches(changed & kept.keys()):
        c.execute(succession.delete().where(succession.c.manifest_id.in_(batch)))
    rows = [
        {
            "manifest_id": number,
            "newer_id": successions[number].newer_id,
            "newer": successions[number].newer,
            "base_id": successions[number].base_id,
            "base": successions[number].base,
        }
        for number in sorted(changed)
    ]
    insert_new(c, succession, rows)


def list_all(c: Connection) -> dict[int, Succession]:
    """Every image that runs and is not the newest of its line, or not built on the newest base."""
    return {
        row.manifest_id: Succession(
            newer_id=row.newer_id, newer=row.newer, base_id=row.base_id, base=row.base
        )
        for row in c.execute(select(succession))
    }
