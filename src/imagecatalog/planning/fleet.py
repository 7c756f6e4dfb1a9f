"""The images that run, each with what is known of it: what a plan starts from."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from imagecatalog.domain.answers import Place
from imagecatalog.planning.staleness import never_met
from imagecatalog.planning.targets import Judgeable
from imagecatalog.planning.verdicts import JudgedImage, Running, read_running
from imagecatalog.store.engine import Connection
from imagecatalog.store.lookups import ImageRow
from imagecatalog.store.runs import AliveImage


def _judgeable(row: ImageRow | None, known: JudgedImage | None) -> Judgeable | None:
    """By apt, else by advisories alone."""
    if row is None or known is None or row.set_id is None or row.unknown_code is not None:
        return None
    if known.pair is None and (known.verdict.status == "unknown" or known.report is not None):
        return None
    standing = known.standing
    is_mended = standing is not None and not standing.fixable and known.hidden is None
    return Judgeable(known.pair, row.set_id, row.distro, row.scope_id, is_mended)


class RunningImage(Struct, frozen=True, kw_only=True):
    """An image that runs under one name or several."""

    name: str
    """By which most of its containers run it."""
    number: int | None
    """None: the catalog never met it."""
    platform: str
    judgeable: Judgeable | None
    """None: its packages, or their updates, are not known."""
    doubt: str | None
    """Why nothing is known of its updates, or not all."""
    containers: int
    places: tuple[tuple[str, Place], ...]
    """The name by which each workload runs it, by cluster, namespace and workload."""


def list_running(
    c: Connection, *, now: datetime, running: Running | None = None
) -> list[RunningImage]:
    """Every distinct image that runs, by name and number. ``running`` is what was read of it."""
    running = running or read_running(c, now=now)
    alive, judged = running.alive, running.judged
    grouped: dict[tuple[int | None, str, str], list[AliveImage]] = {}
    for item in alive:
        unmet = ("", "") if item.manifest_id is not None else (item.image, item.image_id)
        grouped.setdefault((item.manifest_id, *unmet), []).append(item)
    rows, places = running.read_rows(c), running.read_places(c)
    found = []
    for (number, *_), items in grouped.items():
        row = rows[number] if number is not None else None
        known = judged[number] if number is not None else None
        verdict = known.verdict if known else never_met(items[0])
        found.append(
            RunningImage(
                name=max(items, key=lambda item: (item.containers, item.image)).image,
                number=number,
                platform=(row.platform if row else None) or "",
                judgeable=_judgeable(row, known),
                doubt=None if verdict.status == "superseded" else verdict.reason,
                containers=sum(item.containers for item in items),
                places=tuple(
                    (item.image, place)
                    for item in sorted(items, key=lambda item: item.image)
                    for place in places.get(item.run_image_id, ())
                ),
            )
        )
    return sorted(found, key=lambda one: (one.name, one.number or 0, one.places))
