"""How far what runs, or ran at a moment, is known: of each cluster when it was scanned and how well.

Silence is no answer: where nobody looked, that is said.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median

from msgspec import Struct

from imagecatalog.domain.answers import Health
from imagecatalog.domain.pasts import ClusterItem, ClusterSight, Gap
from imagecatalog.errors import BadName, NotFound
from imagecatalog.store import clusters, health
from imagecatalog.store.clusters import ClusterRow, RunningCounts
from imagecatalog.store.engine import Connection

LATE = timedelta(hours=2)
"""A cluster that was not seen well for longer is late, and what runs there is but what was seen."""
_LONGER = 3
"""A time between two scans is a gap where it is so many times as long as usual."""
_SCANS = 50
"""By which it is known what is usual."""
_ALL_SCANS = 20_000
"""Two years of hourly scans."""


def list_clusters(
    c: Connection,
    *,
    now: datetime,
    at: datetime | None = None,
    configured: Collection[str] | None = None,
) -> tuple[ClusterItem, ...]:
    """Every cluster by name, as it is now, or as of a moment past.

    ``configured`` are the clusters that the settings name; None where they are not at hand. Raises
    BadName for a moment to come.
    """
    check_moment(at, now)
    rows = {row.name: row for row in clusters.list_clusters(c, at=at)}
    tried = {one.name: one for one in health.list_health(c) if one.kind == "cluster"}
    survey = _Survey(now, at, clusters.count_running(c, at=at), configured)
    return tuple(
        survey.describe(c, name, rows.get(name), tried.get(name))
        for name in sorted(rows.keys() | tried.keys())
    )


def list_sights(
    c: Connection, *, now: datetime, at: datetime | None = None, cluster: str | None = None
) -> tuple[ClusterSight, ...]:
    """How far what runs, or ran then, is known of each cluster, or of the one of this name."""
    check_moment(at, now)
    found = []
    for row in clusters.list_clusters(c, at=at, name=cluster):
        known, note = _judge(c, row, now, at)
        found.append(
            ClusterSight(
                cluster=row.name,
                first_scan=row.first_scan,
                last_scan=_last_sight(row),
                known=known,
                note=note,
            )
        )
    return tuple(found)


def list_gaps(c: Connection, row: ClusterRow, *, since: datetime, now: datetime) -> tuple[Gap, ...]:
    """The times since then in which a cluster was not scanned for longer than usual."""
    scans = clusters.list_scans(c, row.id, until=now, limit=_ALL_SCANS)[::-1]
    # What is usual changes with the years: each time is held against its neighbours.
    lengths = [(two - one).total_seconds() for one, two in pairwise(scans)]
    gaps = []
    for place, (one, two) in enumerate(pairwise([*scans, now])):
        if two <= since or two - one <= LATE or (two == now and row.forgotten is not None):
            continue
        if two - one > _longest(lengths[max(place - _SCANS, 0) : place + _SCANS]):
            gaps.append(Gap(since=one, until=None if place == len(lengths) else two))
    return tuple(gaps)


def check_moment(at: datetime | None, now: datetime) -> None:
    """Raises BadName for a moment that has yet to come."""
    if at is not None and at > now:
        raise BadName(f"{at:%Y-%m-%d %H:%M} UTC has yet to come", hint="ask about a past moment")


def check_cluster(c: Connection, name: str | None) -> None:
    """Raises NotFound for a cluster that nobody ever scanned: it is no cluster in which nothing runs."""
    if name is None or clusters.list_clusters(c, name=name):
        return
    known = [row.name for row in clusters.list_clusters(c)]
    hint = f"known: {', '.join(known)}" if known else "imagecatalog record brings one in"
    raise NotFound(f"no cluster {name} is known", hint=hint)


class _Survey(Struct, frozen=True):
    """What is asked, and what was read for all clusters at once."""

    now: datetime
    at: datetime | None
    counts: Mapping[int, RunningCounts]
    configured: Collection[str] | None

    def describe(
        self, c: Connection, name: str, row: ClusterRow | None, tried: Health | None
    ) -> ClusterItem:
        """One cluster; ``tried`` is None where no scan of ours ever tried it."""
        tried = tried or Health(
            kind="cluster",
            name=name,
            last_good=None,
            last_tried=None,
            last_error=None,
            seconds=None,
        )
        known = False
        note: str | None = "not known: it was never scanned well"
        counted = RunningCounts(0, 0, 0)
        seen = None
        if row is not None:
            known, note = _judge(c, row, self.now, self.at)
            counted = self.counts.get(row.id, counted)
            seen = _last_sight(row)
        is_gone = row is not None and row.forgotten is not None
        return ClusterItem(
            **{field: getattr(tried, field) for field in Health.__struct_fields__},
            type=row.type if row else "kubernetes",
            first_scan=row.first_scan if row else None,
            last_scan=seen,
            containers=counted.containers,
            images=counted.images,
            unknown=counted.unknown,
            late=not is_gone and (seen is None or (self.at or self.now) - seen > LATE),
            configured=_is_configured(name, row, self.configured),
            forgotten=row.forgotten if row else None,
            known=known,
            note=note,
        )


def _is_configured(
    name: str, row: ClusterRow | None, configured: Collection[str] | None
) -> bool | None:
    """Whether the settings name it; None where nobody could say, as of an agent's or a dump's."""
    if configured is not None and name in configured:
        return True
    if not configured or (row is not None and row.type != "kubernetes"):
        return None
    return False


def _last_sight(row: ClusterRow) -> datetime | None:
    return row.last_scan or row.last_told


def _judge(
    c: Connection, row: ClusterRow, now: datetime, at: datetime | None
) -> tuple[bool, str | None]:
    """Whether what runs there, or ran then, is known, and what is to be said of it."""
    if row.first_scan is None:
        if row.last_told is not None:
            return True, "told by DebMonitor's feeder alone"
        return False, "not known: it was never scanned well"
    if row.last_scan is None:
        return False, f"not known: the first scan of {row.name} was {_at(row.first_scan)}"
    if row.forgotten is not None and (at or now) >= row.forgotten:
        return True, f"forgotten {_at(row.forgotten)}, seen last {_at(row.last_scan)}"
    doubt = _doubt(c, row, row.last_scan, now, at)
    return doubt is None, doubt


def _doubt(
    c: Connection, row: ClusterRow, last: datetime, now: datetime, at: datetime | None
) -> str | None:
    """Why nobody knows, where the last scan was too long before."""
    if at is None:
        if now - last <= LATE:
            return None
        return f"not known: the last whole scan of {row.name} was {_at(last)}"
    scans = clusters.list_scans(c, row.id, until=row.next_scan or now, limit=_SCANS)
    if at - last <= _longest([(one - two).total_seconds() for one, two in pairwise(scans)]):
        return None
    following = f"the next {_at(row.next_scan)}" if row.next_scan else "and there was none since"
    before = f"the last whole scan of {row.name} before that moment was {_at(last)}"
    return f"not known: {before}, {following}"


def _longest(lengths: Sequence[float]) -> timedelta:
    """How long a time between two scans may be, by those around it, and be none too long."""
    if not lengths:
        return LATE
    return max(LATE, timedelta(seconds=_LONGER * median(lengths)))


def _at(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
