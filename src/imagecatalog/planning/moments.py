"""What runs where, container by container: now, or at a moment past."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from msgspec import Struct

from imagecatalog.domain.answers import STATUS_ORDER, Drift, RunningItem, Status, Verdict
from imagecatalog.domain.pasts import RunningPage
from imagecatalog.planning.drift import find_drifts
from imagecatalog.planning.sights import check_moment, list_sights
from imagecatalog.planning.staleness import judge_never_met, reported_digest
from imagecatalog.planning.verdicts import Running, judge_images
from imagecatalog.store import lookups, runs, workload_runs
from imagecatalog.store.engine import Connection
from imagecatalog.store.lookups import ImageRow
from imagecatalog.store.page import make_cursor, read_cursor
from imagecatalog.store.runs import AliveImage, RunFilter, RunRow
from imagecatalog.store.workload_runs import NamespaceImage


def running(
    c: Connection,
    *,
    now: datetime,
    cluster: str | None = None,
    namespace: str | None = None,
    image: str | None = None,
    team: str | None = None,
    at: datetime | None = None,
    limit: int | None = None,
    after: str | None = None,
) -> RunningPage:
    """Containers that run, or ran at a moment: by cluster, namespace, workload, pod, container.

    ``image`` keeps those whose image's name contains it. Raises BadName for a moment to come.
    """
    check_moment(at, now)
    wanted = RunFilter(cluster=cluster, namespace=namespace, team=team, at=at)
    alive = {item.run_image_id: item for item in runs.list_alive(c, wanted)}
    chosen = None
    if image is not None:
        chosen = [number for number, item in alive.items() if image in item.image]
    place = read_cursor(after, tuple[str, str, str, str, str, int])
    rows = runs.list_runs(
        c, wanted, run_images=chosen, after=place, limit=None if limit is None else limit + 1
    )
    more = limit is not None and len(rows) > limit
    rows = rows[:limit]
    shown = {alive[row.run_image_id] for row in rows}
    numbers = {item.manifest_id for item in shown if item.manifest_id is not None}
    judged = judge_images(c, numbers, now=now)
    known = lookups.list_images(c, numbers | {item.index_id for item in shown if item.index_id})
    unmet = judge_never_met(c, [item for item in shown if item.manifest_id is None])
    verdicts = {
        item.run_image_id: (
            judged[item.manifest_id] if item.manifest_id in known else unmet[item.run_image_id]
        ).verdict
        for item in shown
    }
    drifts = find_drifts(c, shown, at=at)
    items = tuple(
        _describe(
            row,
            alive[row.run_image_id],
            known,
            verdicts[row.run_image_id],
            drifts.get(row.run_image_id),
        )
        for row in rows
    )
    return RunningPage(
        items=items,
        next=_make_cursor(rows[-1]) if more else None,
        clusters=list_sights(c, now=now, at=at, cluster=cluster),
    )


def _make_cursor(last: RunRow) -> str:
    return make_cursor(
        last.cluster, last.namespace, last.workload, last.pod_name, last.container, last.id
    )


def _describe(
    row: RunRow,
    item: AliveImage,
    known: Mapping[int, ImageRow],
    verdict: Verdict,
    drift: Drift | None,
) -> RunningItem:
    image = known.get(item.manifest_id or 0)
    index = known.get(item.index_id or 0)
    return RunningItem(
        cluster=row.cluster,
        namespace=row.namespace,
        workload=row.workload,
        pod_name=row.pod_name,
        container=row.container,
        kind=row.kind,
        image=item.image,
        digest=str(image.digest) if image else reported_digest(item),
        since=row.since,
        seen=row.seen,
        known=image is not None,
        index_digest=str(index.digest) if index else None,
        platform=image.platform if image else None,
        status=verdict.status,
        reason=verdict.reason,
        until=row.until,
        replicas=row.replicas,
        team=row.team,
        matched_by=item.matched_by,
        state=row.state,
        state_reason=row.reason,
        drift=drift,
    )


class NamespaceSum(Struct, frozen=True):
    """What runs in one namespace of a cluster."""

    cluster: str
    namespace: str
    workloads: int
    containers: int
    images: int
    by_status: Mapping[Status, int]
    """Distinct images by verdict, the worst first; those that none has are left out."""

    @property
    def worst(self) -> Status:
        """The worst verdict of any of its images."""
        return next(iter(self.by_status))


def _status(running: Running, image: int | None, name: int) -> Status:
    judged = running.judged.get(image or 0) or (running.unmet or {}).get(name)
    return judged.verdict.status if judged else "unknown"


def count_statuses(running: Running) -> dict[str, int]:
    """Distinct images by verdict; of those that were never met each name is one."""
    statuses = {
        item.manifest_id or -item.run_image_id: _status(
            running, item.manifest_id, item.run_image_id
        )
        for item in running.alive
    }
    values = list(statuses.values())
    return {status: values.count(status) for status in STATUS_ORDER}


def sum_namespaces(
    c: Connection,
    running: Running,
    *,
    at: datetime | None = None,
    cluster: str | None = None,
) -> tuple[NamespaceSum, ...]:
    """Every namespace of every cluster in which anything runs or ran then, with its worst verdict.

    ``running`` is all that does, with what was never met.
    """
    found: dict[tuple[str, str], list[NamespaceImage]] = {}
    for one in workload_runs.list_namespace_images(c, RunFilter(cluster=cluster, at=at)):
        found.setdefault((one.cluster, one.namespace), []).append(one)
    workloads = workload_runs.count_workloads(c, RunFilter(cluster=cluster, at=at))
    return tuple(
        _sum(place, many, workloads.get(place, 0), running) for place, many in sorted(found.items())
    )


def _sum(
    place: tuple[str, str],
    many: Collection[NamespaceImage],
    workloads: int,
    running: Running,
) -> NamespaceSum:
    statuses = {
        one.manifest_id or -one.run_image_id: _status(running, one.manifest_id, one.run_image_id)
        for one in many
    }
    values = list(statuses.values())
    return NamespaceSum(
        cluster=place[0],
        namespace=place[1],
        workloads=workloads,
        containers=sum(one.containers for one in many),
        images=len(values),
        by_status={status: values.count(status) for status in STATUS_ORDER if status in values},
    )
