"""What one workload ran and runs: every interval of its containers, as far as it is remembered."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct
from sqlalchemy import Connection, func, select

from imagecatalog.store.runs import AliveImage, RunFilter
from imagecatalog.store.schema import cluster, run, run_image, workload

MOST_RUNS = 20_000
"""Intervals that a past rests on: the last of them."""


class WorkloadRow(Struct, frozen=True):
    """A workload of a cluster."""

    id: int
    team: str


class WorkloadRun(Struct, frozen=True):
    """Containers of one name that ran one image from one moment to another."""

    container: str
    kind: Literal["container", "init", "ephemeral"]
    run_image_id: int
    since: datetime
    until: datetime | None
    seen: datetime
    """The last scan that saw them."""
    replicas: int


def find_workload(
    c: Connection, cluster_name: str, namespace: str, name: str
) -> WorkloadRow | None:
    """The workload ``Kind/name``; None where none of that name was ever seen there."""
    query = (
        select(workload.c.id, workload.c.team)
        .join(cluster, cluster.c.id == workload.c.cluster_id)
        .where(
            cluster.c.name == cluster_name,
            workload.c.namespace == namespace,
            workload.c.name == name,
        )
    )
    row = c.execute(query).first()
    return None if row is None else WorkloadRow(*row)


def list_workload_runs(c: Connection, number: int) -> list[WorkloadRun]:
    """What it ran, the first begun first."""
    last = func.coalesce(cluster.c.last_scan, cluster.c.last_told)
    query = (
        select(
            run.c.container,
            run.c.kind,
            run.c.run_image_id,
            run.c.since,
            run.c.until,
            func.coalesce(last, run.c.seen).label("last"),
            run.c.seen,
            run.c.replicas,
        )
        .join(cluster, cluster.c.id == run.c.cluster_id)
        .where(run.c.workload_id == number)
        .order_by(run.c.since.desc(), run.c.id.desc())
        .limit(MOST_RUNS)
    )
    return [
        WorkloadRun(
            row.container,
            row.kind,
            row.run_image_id,
            row.since,
            row.until,
            row.last if row.until is None else row.seen,
            row.replicas,
        )
        for row in reversed(c.execute(query).all())
    ]


def list_named(c: Connection, numbers: set[int]) -> dict[int, AliveImage]:
    """What these names of runtimes mean; how many containers run them is left out."""
    query = select(
        run_image.c.id,
        run_image.c.image,
        run_image.c.image_id,
        run_image.c.manifest_id,
        run_image.c.index_id,
        run_image.c.matched_by,
    ).where(run_image.c.id.in_(numbers))
    return {row.id: AliveImage(*row, 0) for row in c.execute(query)}


class NamespaceImage(Struct, frozen=True):
    """An image that runs in a namespace."""

    cluster: str
    namespace: str
    run_image_id: int
    manifest_id: int | None
    containers: int


def list_namespace_images(c: Connection, wanted: RunFilter) -> list[NamespaceImage]:
    """Each image of each namespace in which it runs, or ran then."""
    columns = (
        cluster.c.name,
        workload.c.namespace,
        run.c.run_image_id,
        run_image.c.manifest_id,
    )
    query = (
        select(*columns, func.sum(run.c.replicas))
        .select_from(run)
        .join(run_image, run_image.c.id == run.c.run_image_id)
        .join(workload, workload.c.id == run.c.workload_id)
        .join(cluster, cluster.c.id == run.c.cluster_id)
        .where(*wanted.conditions())
        .group_by(*columns)
    )
    return [
        NamespaceImage(name, namespace, number, manifest_id, int(many))
        for name, namespace, number, manifest_id, many in c.execute(query)
    ]


def count_workloads(c: Connection, wanted: RunFilter) -> dict[tuple[str, str], int]:
    """How many workloads run, or ran then, by cluster and namespace."""
    columns = (cluster.c.name, workload.c.namespace)
    query = (
        select(*columns, func.count(func.distinct(workload.c.id)))
        .select_from(run)
        .join(workload, workload.c.id == run.c.workload_id)
        .join(cluster, cluster.c.id == run.c.cluster_id)
        .where(*wanted.conditions())
        .group_by(*columns)
    )
    return {(name, namespace): number for name, namespace, number in c.execute(query)}
