"""The past of one workload: which images it ran in how many containers, and from when to when."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from imagecatalog.domain.answers import Verdict
from imagecatalog.domain.pasts import ReplicaStep, WorkloadPast, WorkloadStay
from imagecatalog.errors import NotFound
from imagecatalog.planning.sights import check_cluster, list_gaps
from imagecatalog.planning.staleness import never_met, reported_digest
from imagecatalog.planning.verdicts import judge_images
from imagecatalog.store import clusters, lookups, workload_runs
from imagecatalog.store.engine import Connection
from imagecatalog.store.runs import AliveImage
from imagecatalog.store.workload_runs import WorkloadRun

_NAME = re.compile(r"(.+)/([^/]+)/([A-Z][^/]*/[^/]+)")
"""``prod/team/Deployment/web``; a kind begins with a capital, and no repository's part does."""


class WorkloadName(Struct, frozen=True):
    """A workload by its whole name."""

    cluster: str
    namespace: str
    workload: str
    """``Kind/name``."""


def read_name(text: str) -> WorkloadName | None:
    """The workload that a text names; None for what names none.

    >>> read_name("prod/team/Deployment/web")
    WorkloadName(cluster='prod', namespace='team', workload='Deployment/web')
    """
    found = _NAME.fullmatch(text)
    return WorkloadName(*found.groups()) if found else None


def workload_past(c: Connection, name: WorkloadName, *, now: datetime) -> WorkloadPast:
    """What a workload runs and ran, the last first; raises NotFound for one that was never seen."""
    check_cluster(c, name.cluster)
    row = workload_runs.find_workload(c, name.cluster, name.namespace, name.workload)
    runs = workload_runs.list_workload_runs(c, row.id) if row else []
    if row is None or not runs:
        raise NotFound(
            f"{name.workload} was never seen in namespace {name.namespace} of {name.cluster}",
            hint="what runs there: imagecatalog running"
            f" --cluster {name.cluster} --namespace {name.namespace}",
        )
    images = workload_runs.list_named(c, {one.run_image_id for one in runs})
    stays = _describe(c, _join(runs, images), images, now)
    (there,) = clusters.list_clusters(c, name=name.cluster)
    return WorkloadPast(
        cluster=name.cluster,
        namespace=name.namespace,
        workload=name.workload,
        team=row.team,
        first_scan=there.first_scan,
        last_scan=there.last_scan,
        gaps=list_gaps(c, there, since=runs[0].since, now=now),
        stays=tuple(sorted(stays, key=_order)),
    )


def _order(stay: WorkloadStay) -> tuple[bool, float, str, str, str]:
    end = stay.until.timestamp() if stay.until else 0.0
    return (
        stay.until is not None,
        -max(end, stay.since.timestamp()),
        stay.kind,
        stay.container,
        stay.image,
    )


def _join(runs: Sequence[WorkloadRun], images: Mapping[int, AliveImage]) -> list[list[WorkloadRun]]:
    """Those of one container and image that followed one another without a break."""
    groups: list[list[WorkloadRun]] = []
    last: dict[tuple[str, str, object], tuple[list[WorkloadRun], datetime | None]] = {}
    for one in runs:
        image = images[one.run_image_id]
        key = (one.container, one.kind, image.manifest_id or (image.image, image.image_id))
        group, end = last.get(key, (None, None))
        if group is None or (end is not None and end < one.since):
            group, end = [], one.since
            groups.append(group)
        group.append(one)
        last[key] = group, None if end is None or one.until is None else max(end, one.until)
    return groups


def _describe(
    c: Connection,
    groups: Iterable[list[WorkloadRun]],
    images: Mapping[int, AliveImage],
    now: datetime,
) -> list[WorkloadStay]:
    numbers = {one.manifest_id for one in images.values() if one.manifest_id is not None}
    judged = judge_images(c, numbers, now=now)
    rows = lookups.list_images(c, numbers)
    found = []
    for group in groups:
        item = images[group[-1].run_image_id]
        image = rows.get(item.manifest_id or 0)
        verdict: Verdict = judged[image.id].verdict if image else never_met(item)
        steps = _count(group)
        is_open = any(one.until is None for one in group)
        found.append(
            WorkloadStay(
                container=group[0].container,
                kind=group[0].kind,
                image=item.image,
                digest=str(image.digest) if image else reported_digest(item),
                known=image is not None,
                matched_by=item.matched_by,
                status=verdict.status,
                reason=verdict.reason,
                since=group[0].since,
                until=None if is_open else max(one.until for one in group if one.until),
                seen=max(one.seen for one in group),
                most=max(step.replicas for step in steps),
                steps=steps,
            )
        )
    return found


def _count(runs: Iterable[WorkloadRun]) -> tuple[ReplicaStep, ...]:
    changes: Counter[datetime] = Counter()
    for one in runs:
        changes[one.since] += one.replicas
        if one.until is not None:
            changes[one.until] -= one.replicas
    steps, number = [], 0
    for at, change in sorted(changes.items()):
        number += change
        if change and number:
            steps.append(ReplicaStep(at=at, replicas=number))
    return tuple(steps)
