"""What others than our own scans tell of clusters: how many containers of an image run where.

Nobody tells which workloads and pods they are. Each is kept as a run of an origin of its own: a scan
of the pods ends it, it ends nothing that a scan knows, and what a scan shows is not kept again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from datetime import datetime

from sqlalchemy import Connection, func, select, update

from imagecatalog.store.run_rows import (
    end_runs,
    insert_runs,
    put_cluster,
    put_run_images,
    put_workloads,
)
from imagecatalog.store.schema import cluster, run, run_image, workload

ORIGIN = "debmonitor"
UNKNOWN = "unknown"
"""The name of workloads, pods and containers that nobody told."""

Place = tuple[str, str]
"""Name of an image, and namespace."""


def record_told(
    c: Connection,
    name: str,
    told: Mapping[Place, int],
    *,
    unsure: Collection[str] = (),
    same: Callable[[str], str],
    at: datetime,
) -> None:
    """Take all that is told of a cluster. What is older than what was told before changes nothing.

    ``unsure`` are images of which not all was understood: of them nothing else ends. ``same`` makes
    one of the names by which pods and tellers call an image.
    """
    number = put_cluster(c, name)[0]
    last = c.scalar(select(cluster.c.last_told).where(cluster.c.id == number))
    if last is not None and at < last:
        return
    scanned = _count_scanned(c, number, same)
    wanted = {
        (image, namespace): max(0, count - scanned.get((same(image), namespace), 0))
        for (image, namespace), count in told.items()
    }
    there_now = _list_told(c, number)
    ended = [
        one
        for (image, namespace), ones in there_now.items()
        if (image, namespace) in wanted or image not in unsure
        for one in ones[wanted.get((image, namespace), 0) :]
    ]
    end_runs(c, sorted(ended), until=at, seen=last or at)
    _begin(c, number, wanted, there_now, at)
    c.execute(update(cluster).where(cluster.c.id == number).values(last_told=at))


def _begin(
    c: Connection,
    number: int,
    wanted: Mapping[Place, int],
    there: Mapping[Place, list[int]],
    at: datetime,
) -> None:
    images = put_run_images(c, {(image, "") for (image, _), count in wanted.items() if count})
    owners = put_workloads(
        c, number, {(namespace, UNKNOWN) for (_, namespace), count in wanted.items() if count}
    )
    rows = [
        {
            "cluster_id": number,
            "workload_id": owners[namespace, UNKNOWN],
            # No two containers are one.
            "pod_name": f"{UNKNOWN}-{position + 1}",
            "container": UNKNOWN,
            "kind": "container",
            "run_image_id": images[image, ""],
            "since": at,
            "seen": at,
            "origin": ORIGIN,
        }
        for (image, namespace), count in sorted(wanted.items())
        for position in range(len(there.get((image, namespace), ())), count)
    ]
    insert_runs(c, rows)


def _count_scanned(c: Connection, number: int, same: Callable[[str], str]) -> dict[Place, int]:
    """How many containers of each image run in each namespace, as the last scan of the pods has it."""
    query = (
        select(run_image.c.image, workload.c.namespace, func.sum(run.c.replicas))
        .join(run_image, run_image.c.id == run.c.run_image_id)
        .join(workload, workload.c.id == run.c.workload_id)
        .where(run.c.cluster_id == number, run.c.until.is_(None), run.c.origin.is_(None))
        .group_by(run_image.c.image, workload.c.namespace)
    )
    counted: Counter[Place] = Counter()
    for image, namespace, count in c.execute(query):
        counted[same(image), namespace] += count
    return counted


def _list_told(c: Connection, number: int) -> dict[Place, list[int]]:
    """The runs that were told of before and go on, the oldest first."""
    query = (
        select(run.c.id, run_image.c.image, workload.c.namespace)
        .join(run_image, run_image.c.id == run.c.run_image_id)
        .join(workload, workload.c.id == run.c.workload_id)
        .where(run.c.cluster_id == number, run.c.until.is_(None), run.c.origin == ORIGIN)
        .order_by(run.c.id)
    )
    found: dict[Place, list[int]] = {}
    for one, image, namespace in c.execute(query):
        found.setdefault((image, namespace), []).append(one)
    return found
