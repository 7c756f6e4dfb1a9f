"""How bad it is in each image: the worst fault that a fix is out for, and that counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct, structs

from imagecatalog.domain.answers import Update
from imagecatalog.domain.findings import SEVERITIES, Severity
from imagecatalog.planning.hidden import Hidden
from imagecatalog.store import affected
from imagecatalog.store.engine import Connection
from imagecatalog.store.findings import Standing


class Worst(Struct, frozen=True):
    """Of an image: the worst of the faults that a fix is out for, and whether any is exploited."""

    severity: Severity | None = None
    exploited: bool = False


def rate(standing: Standing | None) -> Worst:
    """How bad what the findings of an image come to is."""
    return Worst() if standing is None else Worst(standing.severity, standing.exploited > 0)


def rate_updates(
    c: Connection, updates: Sequence[Update], hidden: Hidden | None
) -> tuple[Update, ...]:
    """The same updates, rated by those of their faults that count in the image; the others are named."""
    spared = {} if hidden is None else {one: _list_spared(one, hidden) for one in updates}
    counting = {fault for one, many in spared.items() if many for fault in one.advisories}
    if not counting:
        return tuple(updates)
    rated = affected.rate_faults(c, counting)
    return tuple(_rate(one, spared[one], rated) for one in updates)


def _list_spared(update: Update, hidden: Hidden) -> tuple[str, ...]:
    return tuple(one for one in update.advisories if hidden.covers(update.source, one))


def _rate(update: Update, spared: Sequence[str], rated: Mapping[str, affected.Rated]) -> Update:
    if not spared:
        return update
    left = [rated[name] for name in update.advisories if name in rated and name not in spared]
    return structs.replace(
        update,
        severity=SEVERITIES[max((one.severity for one in left), default=0)],
        exploited=any(one.is_exploited for one in left),
        suppressed=tuple(spared),
    )
