"""How bad it is in each image that runs: the worst fault that a fix is out for, and that counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from msgspec import Struct, structs

from imagecatalog.domain.answers import Update
from imagecatalog.domain.findings import SEVERITIES, Severity
from imagecatalog.planning.holding import Holding
from imagecatalog.planning.running_faults import Fault, read_faults
from imagecatalog.store import affected, findings, running_faults, suppressions
from imagecatalog.store.engine import Connection
from imagecatalog.store.findings import Standing
from imagecatalog.store.running_faults import HeldFault, RunningImage
from imagecatalog.store.runs import RunFilter

_NEGLIGIBLE = SEVERITIES.index("negligible")


class Worst(Struct, frozen=True):
    """Of an image: the worst of the faults that a fix is out for, and whether any is exploited."""

    severity: Severity | None = None
    exploited: bool = False
    hidden: frozenset[str] = frozenset()
    """Names of the faults that do not count in it."""


def rate_running(
    c: Connection, *, now: datetime, standings: Mapping[int, Standing] | None = None
) -> dict[int, Worst]:
    """How bad it is in each image that runs, by number; what is suppressed does not count.

    As it was added up when feeds or images changed, unless something is said of a fault that runs.
    ``standings`` are these sums, where they were read.
    """
    spoken = suppressions.list_spoken_of(c, now=now)
    rows = running_faults.list_faults(c) if spoken else []
    if standings is None or any(row.advisory_id in spoken for row in rows):
        images = running_faults.list_running(c, RunFilter())
        if any(row.advisory_id in spoken for row in rows):
            return _rate_anew(c, images, rows, now)
        sums = findings.list_standings(c, {(one.scope_id, one.set_id) for one in images})
        standings = {one.id: sums[one.scope_id, one.set_id] for one in images}
    return {
        number: Worst(one.severity, one.exploited > 0)
        for number, one in standings.items()
        if one.fixable or one.exploited
    }


def _rate_anew(
    c: Connection, images: Sequence[RunningImage], rows: Sequence[HeldFault], now: datetime
) -> dict[int, Worst]:
    known = running_faults.list_exploited(c)
    faults, holding = read_faults(c, images, known, rows, now=now)
    by_number = {one.id: one for one in faults}
    hidden = {one.id: _bits(holding, one) for one in faults if one.hidden}
    levels = [0] * len(SEVERITIES)
    exploited = 0
    for row in rows:
        if row.advisory_id not in by_number:
            continue
        bits = holding.find([row.component_id]) & ~hidden.get(row.advisory_id, 0)
        if row.advisory_id in known:
            exploited |= bits
        if row.state == "fix-out" and row.severity != _NEGLIGIBLE:
            levels[row.severity] |= bits
    names = _name_hidden(faults)
    found = {}
    for at, one in enumerate(holding.images):
        rank = max((n for n, bits in enumerate(levels) if bits >> at & 1), default=0)
        found[one.id] = Worst(
            SEVERITIES[rank], bool(exploited >> at & 1), names.get(one.id, frozenset())
        )
    return found


def _bits(holding: Holding, fault: Fault) -> int:
    return sum(1 << at for at, one in enumerate(holding.images) if one.id in fault.hidden)


def _name_hidden(faults: Iterable[Fault]) -> dict[int, frozenset[str]]:
    names: dict[int, set[str]] = {}
    for one in faults:
        for number in one.hidden:
            names.setdefault(number, set()).add(one.name)
    return {number: frozenset(many) for number, many in names.items()}


def rate_updates(
    c: Connection, updates: Sequence[Update], hidden: frozenset[str]
) -> tuple[Update, ...]:
    """The same updates, rated by those of their faults that count in the image."""
    touched = [one for one in updates if not hidden.isdisjoint(one.advisories)] if hidden else []
    if not touched:
        return tuple(updates)
    rated = affected.rate_faults(
        c, {name for one in touched for name in one.advisories} - {*hidden}
    )
    return tuple(_rate(one, rated) if one in touched else one for one in updates)


def _rate(update: Update, rated: Mapping[str, affected.Rated]) -> Update:
    counting = [rated[name] for name in update.advisories if name in rated]
    return structs.replace(
        update,
        severity=SEVERITIES[max((one.severity for one in counting), default=0)],
        exploited=any(one.is_exploited for one in counting),
    )
