"""What of the findings of images does not count: suppressed by a statement or put off, and until when.

Findings are judged one by one: of a fault in two packages one may count and the other not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby

from msgspec import Struct, structs

from imagecatalog.domain.answers import Update
from imagecatalog.domain.findings import SEVERITIES
from imagecatalog.matching.suppress import Held, suppressions_of
from imagecatalog.planning.holding import Holding
from imagecatalog.store import kinds, running_faults, spoken, suppressions
from imagecatalog.store.engine import Connection
from imagecatalog.store.findings import Standing
from imagecatalog.store.running_faults import RunningImage
from imagecatalog.store.spoken import SpokenFinding


class Hidden(Struct, frozen=True):
    """What of an image's findings does not count, and what the others come to."""

    standing: Standing
    findings: frozenset[tuple[int, int]] = frozenset()
    """Numbers of the component and of the fault."""
    faults: frozenset[str] = frozenset()
    """Names of the faults that count in nothing of it."""
    parts: frozenset[tuple[str, str]] = frozenset()
    """Source or language package, and name of a fault that does not count in it."""

    def covers(self, source: str, fault: str) -> bool:
        """Whether a fault of a package does not count."""
        return fault in self.faults or (source, fault) in self.parts

    def spares(self, update: Update) -> bool:
        """Whether an update mends known faults, and none that counts."""
        return bool(update.advisories) and all(
            self.covers(update.source, fault) for fault in update.advisories
        )


class _Seen(Struct):
    """The findings of which something is said, as the images have them."""

    images: Sequence[RunningImage]
    made_of: Mapping[int, Sequence[int]]
    rows: Sequence[SpokenFinding]
    holding: Holding
    names: Mapping[int, str]
    """Of components."""
    hidden: dict[int, set[tuple[int, int]]]
    """By the number of an image."""


def find_hidden(
    c: Connection,
    images: Sequence[RunningImage],
    standings: Mapping[int, Standing],
    *,
    now: datetime,
) -> dict[int, Hidden]:
    """Those of the images some of whose findings do not count; ``standings`` are what all come to."""
    said = suppressions.list_spoken_of(c, now=now)
    rows = spoken.list_findings(c, said) if said and images else []
    if not rows:
        return {}
    seen = _look(c, images, rows, now)
    if not seen.hidden:
        return {}
    known = running_faults.list_exploited(c)
    found = {
        number: _describe(seen, parts, seen.hidden[number], standings[number], known)
        for number, parts in _by_image(seen)
    }
    worst = _find_worst(c, seen, standings)
    return {
        number: structs.replace(
            one, standing=structs.replace(one.standing, severity=SEVERITIES[worst[number]])
        )
        if number in worst
        else one
        for number, one in found.items()
    }


def list_hidden(
    c: Connection, images: Sequence[RunningImage], *, now: datetime
) -> dict[int, set[tuple[int, int]]]:
    """The findings of each image that do not count, by component and fault; without what is empty."""
    said = suppressions.list_spoken_of(c, now=now)
    rows = spoken.list_findings(c, said) if said and images else []
    return _look(c, images, rows, now).hidden if rows else {}


def _look(
    c: Connection, images: Sequence[RunningImage], rows: Sequence[SpokenFinding], now: datetime
) -> _Seen:
    made_of = kinds.list_chunks_of(c, {one.set_id for one in images})
    holding = Holding.read(c, images, {row.component for row in rows}, made_of=made_of)
    rows = [row for row in rows if holding.find([row.component])]
    seen = _Seen(images, made_of, rows, holding, {}, {})
    _judge(c, seen, now)
    return seen


def _judge(c: Connection, seen: _Seen, now: datetime) -> None:
    """Ask of each finding in each image whether it counts."""
    numbers = {row.component for row in seen.rows}
    named = running_faults.name_components(c, numbers)
    seen.names = {number: one.name for number, one in named.items()}
    held = {
        number: list(seen.holding.list_images(seen.holding.find([number]))) for number in numbers
    }
    sets = {one.set_id for many in held.values() for one in many}
    installed = running_faults.list_installed(c, sets, numbers)
    asked = {}
    for row in seen.rows:
        place = named[row.component]
        for one in held[row.component]:
            asked[one.id, row.component, row.fault] = Held(
                image=one.id,
                advisory=row.fault,
                scope=place.scope,
                name=place.name,
                version=place.version,
                packages=installed.get((one.set_id, row.component), ()),
            )
    why = suppressions_of(c, set(asked.values()), now=now)
    for (image, component, fault), item in asked.items():
        if item in why:
            seen.hidden.setdefault(image, set()).add((component, fault))


def _by_image(seen: _Seen) -> Iterable[tuple[int, list[SpokenFinding]]]:
    """The findings of each image with any that does not count: those of the same faults."""
    parts: dict[int, list[SpokenFinding]] = {number: [] for number in seen.hidden}
    touched = {number: {fault for _, fault in many} for number, many in seen.hidden.items()}
    for row in seen.rows:
        for one in seen.holding.list_images(seen.holding.find([row.component])):
            if row.fault in touched.get(one.id, ()):
                parts[one.id].append(row)
    return parts.items()


def _describe(
    seen: _Seen,
    rows: Iterable[SpokenFinding],
    hidden: Collection[tuple[int, int]],
    standing: Standing,
    exploited: Collection[int],
) -> Hidden:
    """``rows`` are all findings of the image of the faults that do not count in any part of it."""
    sums = [standing.fixable, standing.unfixed, standing.undetermined]
    known = standing.exploited
    faults: set[str] = set()
    parts: set[tuple[str, str]] = set()
    counting: set[tuple[str, str]] = set()
    for fault, group in groupby(sorted(rows, key=lambda row: row.fault), lambda row: row.fault):
        every = list(group)
        left = [row for row in every if (row.component, row.fault) not in hidden]
        sums[min(map(_kind, every))] -= 1
        if left:
            sums[min(map(_kind, left))] += 1
        else:
            faults.add(every[0].name)
            known -= fault in exploited
        parts.update((seen.names[row.component], row.name) for row in every)
        counting.update((seen.names[row.component], row.name) for row in left)
    fixable, unfixed, undetermined = sums
    return Hidden(
        structs.replace(
            standing,
            fixable=fixable,
            unfixed=unfixed,
            undetermined=undetermined,
            exploited=known,
        ),
        frozenset(hidden),
        frozenset(faults),
        frozenset(parts - counting),
    )


def _kind(row: SpokenFinding) -> int:
    """Fixable, unfixed, undetermined: as sums are kept."""
    if row.is_fixable:
        return 0
    return 2 if row.state == "undetermined" else 1


def _find_worst(c: Connection, seen: _Seen, standings: Mapping[int, Standing]) -> dict[int, int]:
    """The rank of the worst fault that counts, of each image whose worst may be among the others."""
    fixable = {(row.component, row.fault): row.severity for row in seen.rows if row.is_fixable}
    images = [
        one
        for one in seen.images
        if any(
            fixable.get(pair, -1) == SEVERITIES.index(standings[one.id].severity)
            for pair in seen.hidden.get(one.id, ())
        )
    ]
    if not images:
        return {}
    made_of = {one.set_id: seen.made_of[one.set_id] for one in images}
    chunks = {chunk for many in made_of.values() for chunk in many}
    apart = {row.fault for row in seen.rows}
    rest = spoken.list_fixable(c, chunks, apart)
    holding = Holding.read(c, images, rest.keys(), made_of=made_of)
    worst = dict.fromkeys((one.id for one in images), 0)
    for severity in range(len(SEVERITIES)):
        level = [number for number, rank in rest.items() if rank == severity]
        for one in holding.list_images(holding.find(level)):
            worst[one.id] = severity
    for row in seen.rows:
        rank = fixable.get((row.component, row.fault), 0)
        for one in seen.holding.list_images(seen.holding.find([row.component])) if rank else ():
            if one.id in worst and (row.component, row.fault) not in seen.hidden[one.id]:
                worst[one.id] = max(worst[one.id], rank)
    return worst
